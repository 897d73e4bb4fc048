//! The page about the business.

use monitor::Statistic;
use ratatui::{
    buffer::Buffer,
    layout::{Constraint, Layout, Rect, Spacing},
    style::Stylize,
    symbols::bar::NINE_LEVELS,
    text::Line,
    widgets::{Sparkline, Widget},
};
use shop::money::{Currency, Money};

use super::{
    alarms,
    panel::{Panel, count, render_title, row},
};
use crate::{business::PerMinute, dashboard::Dashboard};

/// The titles of the two charts.
const PLACED: &str = "Placed per minute";
const CONFIRMED: &str = "Confirmed per minute";

/// The minutes that a chart in a text shows.
const MINUTES_OF_CHART: usize = 60;

/// The minutes that the chart of a shop shows.
const MINUTES_OF_SHOP: usize = 15;

/// The least width of a list of shops with charts.
const WIDE: u16 = 40;

pub(super) fn render(dashboard: &Dashboard, area: Rect, buffer: &mut Buffer) {
    let rows = [
        Constraint::Fill(1),
        Constraint::Length(6),
        Constraint::Length(if area.height < 30 { 6 } else { 10 }),
        Constraint::Length(5.max(area.height / 4)),
    ];
    let [charts, ends, lists, bottom] = Layout::vertical(rows).areas(area);

    let [left, right] = columns(charts);
    render_chart(PLACED, &dashboard.business.placed, dashboard, left, buffer);
    render_chart(CONFIRMED, &dashboard.business.confirmed, dashboard, right, buffer);

    let [left, middle, right] = columns(ends);
    funnel(dashboard, left.width).render(left, buffer);
    ended_early(dashboard, middle.width).render(middle, buffer);
    money(dashboard, right.width).render(right, buffer);

    let [left, middle, right] = columns(lists);
    shops(dashboard, left.width).render(left, buffer);
    declines(dashboard, middle.width).render(middle, buffer);
    waits(dashboard, right.width).render(right, buffer);

    alarms::panel(&dashboard.alarms).render(bottom, buffer);
}

/// All panels of the page, as wide as they need.
pub(super) fn panels(dashboard: &Dashboard) -> Vec<Panel<'static>> {
    let per_minute = |title, orders: &PerMinute| {
        let minutes = orders.last(MINUTES_OF_CHART, dashboard.now);
        Panel::new(chart_title(title, &minutes), vec![bars(&minutes).into()])
    };
    vec![
        per_minute(PLACED, &dashboard.business.placed),
        per_minute(CONFIRMED, &dashboard.business.confirmed),
        funnel(dashboard, u16::MAX),
        ended_early(dashboard, u16::MAX),
        money(dashboard, u16::MAX),
        shops(dashboard, u16::MAX),
        declines(dashboard, u16::MAX),
        waits(dashboard, u16::MAX),
        alarms::panel(&dashboard.alarms),
    ]
}

fn columns<const N: usize>(area: Rect) -> [Rect; N] {
    Layout::horizontal([Constraint::Fill(1); N]).spacing(Spacing::Space(2)).areas(area)
}

/// One bar for each minute, the current one on the right.
fn render_chart(
    title: &str,
    orders: &PerMinute,
    dashboard: &Dashboard,
    area: Rect,
    buffer: &mut Buffer,
) {
    let minutes = orders.last(usize::from(area.width), dashboard.now);
    let most = minutes.iter().copied().max().unwrap_or_default();
    let inner = render_title(&chart_title(title, &minutes), area, buffer);
    let [bars, axis] = Layout::vertical([Constraint::Fill(1), Constraint::Length(1)]).areas(inner);
    Sparkline::default().data(&minutes).max(most.max(1)).cyan().render(bars, buffer);
    Line::from(format!("{} min ago", area.width)).dim().render(axis, buffer);
    Line::from("now").dim().right_aligned().render(axis, buffer);
}

fn chart_title(title: &str, minutes: &[u64]) -> String {
    let now = minutes.last().copied().unwrap_or_default();
    let most = minutes.iter().copied().max().unwrap_or_default();
    format!("{title}: now {now}, most {most}")
}

fn funnel(dashboard: &Dashboard, width: u16) -> Panel<'static> {
    let sums = &dashboard.sums;
    let states = [
        ("placed", sums.of("OrdersPlaced")),
        ("confirmed", sums.of("OrdersConfirmed")),
        ("collected", sums.of("OrdersCollected")),
    ];
    let placed = states[0].1;
    let lines = states.map(|(state, orders)| {
        let share = (100 * orders).checked_div(placed).unwrap_or_default();
        row(width, state, &[(orders.to_string(), 8), (format!("{share} %"), 7)]).into()
    });
    Panel::new("Placed to collected", lines.into())
}

fn ended_early(dashboard: &Dashboard, width: u16) -> Panel<'static> {
    let sums = &dashboard.sums;
    let rejected = |reason| sums.of_value("OrdersRejected", "Reason", reason);
    let ends = [
        ("out of stock", rejected("out_of_stock")),
        ("payment declined", rejected("payment_declined")),
        ("cancelled", sums.of("OrdersCancelled")),
        ("expired", sums.of("OrdersExpired")),
        ("not authenticated", sums.of("OrdersAbandoned")),
    ];
    let lines = ends.map(|(end, orders)| row(width, end, &[(orders.to_string(), 6)]).into());
    Panel::new("Ended early", lines.into())
}

fn money(dashboard: &Dashboard, width: u16) -> Panel<'static> {
    let sum = |name, currency: Currency| {
        let amount = dashboard.sums.of_value(name, "Currency", currency.code());
        Money { amount, currency }
    };
    let cells = |taken: String, back: String| [(taken, 12), (back, 12)];
    let narrow = width < 30;
    let mut lines =
        vec![Line::from(row(width, "", &cells("taken".to_owned(), "given back".to_owned()))).dim()];
    lines.extend(Currency::ALL.iter().filter_map(|currency| {
        let [taken, back] = ["MoneyTaken", "MoneyGivenBack"].map(|name| sum(name, *currency));
        if taken.amount == 0 && back.amount == 0 {
            return None;
        }
        let name = if narrow { "" } else { currency.code() };
        Some(Line::from(row(width, name, &cells(taken.to_string(), back.to_string()))))
    }));
    lines.push(count(width, "refunds failed", dashboard.sums.of("RefundsFailed")).into());
    Panel::new("Money", lines)
}

fn shops(dashboard: &Dashboard, width: u16) -> Panel<'static> {
    let chart = (width >= WIDE).then_some(MINUTES_OF_SHOP);
    let has_totals = width >= 30;
    let cells = |orders: String, total: String, bars: String| {
        let mut cells = vec![(orders, 7)];
        cells.extend(has_totals.then_some((total, 11)));
        cells.extend(chart.map(|minutes| (bars, minutes + 2)));
        cells
    };
    let [orders, ordered, minutes] = ["orders", "total", "last 15 min"].map(str::to_owned);
    let mut lines = vec![Line::from(row(width, "", &cells(orders, ordered, minutes))).dim()];
    lines.extend(dashboard.business.shops().into_iter().map(|(id, shop)| {
        let bars = bars(&shop.placed.last(MINUTES_OF_SHOP, dashboard.now));
        let total = shop.total.map_or_else(|| "-".to_owned(), |total| total.to_string());
        let cells = cells(shop.orders.to_string(), total, bars);
        Line::from(row(width, id, &cells))
    }));
    Panel::new("Orders by shop", lines)
}

/// A bar of one character for each value.
fn bars(values: &[u64]) -> String {
    let set = NINE_LEVELS;
    let levels = [
        set.empty,
        set.one_eighth,
        set.one_quarter,
        set.three_eighths,
        set.half,
        set.five_eighths,
        set.three_quarters,
        set.seven_eighths,
        set.full,
    ];
    let most = values.iter().copied().max().unwrap_or_default().max(1);
    values.iter().map(|value| levels[(8 * value).div_ceil(most) as usize]).collect()
}

fn declines(dashboard: &Dashboard, width: u16) -> Panel<'static> {
    let reasons = dashboard.sums.by_value("Declines");
    let mut lines: Vec<Line<'_>> = reasons
        .into_iter()
        .map(|(reason, orders)| {
            row(width, &reason.replace('_', " "), &[(orders.to_string(), 6)]).into()
        })
        .collect();
    if lines.is_empty() {
        lines.push("none".into());
    }
    Panel::new("Declines", lines)
}

fn waits(dashboard: &Dashboard, width: u16) -> Panel<'static> {
    let wait = |share| {
        let wait = Statistic::Percentile(share).of(dashboard.business.waits.clone());
        wait.map_or_else(|| "-".to_owned(), |milliseconds| format!("{milliseconds:.0} ms"))
    };
    let lines = vec![
        row(width, "median", &[(wait(0.5), 10)]).into(),
        row(width, "99 of 100", &[(wait(0.99), 10)]).into(),
        Line::default(),
        count(width, "notices sent", dashboard.sums.of("NoticesSent")).into(),
        count(width, "notices dropped", dashboard.sums.of("NoticesDropped")).into(),
    ];
    Panel::new("Placed to confirmed", lines)
}
