//! The page about the system.

use jiff::SignedDuration;
use ratatui::{
    buffer::Buffer,
    layout::{Constraint, Layout, Rect, Spacing},
    style::{Style, Stylize},
    text::{Line, Span},
    widgets::Widget,
};

use super::{
    alarms,
    panel::{ALARM, Panel, row, second},
};
use crate::{
    dashboard::Dashboard,
    system::{Failure, Queue},
};

/// The causes of failures, as the batch runner names them.
const CAUSES: [&str; 4] = ["transient", "permanent", "unreadable", "panicked"];

pub(super) fn render(dashboard: &Dashboard, area: Rect, buffer: &mut Buffer) {
    let rows = [
        Constraint::Length(11),
        Constraint::Length(2),
        Constraint::Fill(1),
        Constraint::Length(5.max(area.height / 4)),
    ];
    let [parts, records, errors, bottom] = Layout::vertical(rows).areas(area);
    let columns = [Constraint::Fill(3), Constraint::Fill(4)];
    let [left, right] = Layout::horizontal(columns).spacing(Spacing::Space(2)).areas(parts);
    functions(dashboard, left.width).render(left, buffer);
    queues(dashboard, right.width).render(right, buffer);
    failures(dashboard).render(records, buffer);
    newest_errors(dashboard).render(errors, buffer);
    alarms::panel(&dashboard.alarms).render(bottom, buffer);
}

/// All panels of the page, as wide as they need.
pub(super) fn panels(dashboard: &Dashboard) -> Vec<Panel<'static>> {
    vec![
        functions(dashboard, u16::MAX),
        queues(dashboard, u16::MAX),
        failures(dashboard),
        newest_errors(dashboard),
        alarms::panel(&dashboard.alarms),
    ]
}

/// Emphasizes a line if its number is not zero.
fn emphasized(line: String, count: u64) -> Line<'static> {
    Line::styled(line, if count > 0 { ALARM } else { Style::new() })
}

fn functions(dashboard: &Dashboard, width: u16) -> Panel<'static> {
    let cells =
        |lines: String, warnings: String, errors: String| [(lines, 7), (warnings, 6), (errors, 6)];
    let [lines, warnings, errors] = ["lines", "warn", "error"].map(str::to_owned);
    let mut rows = vec![Line::from(row(width, "", &cells(lines, warnings, errors))).dim()];
    rows.extend(dashboard.system.functions.iter().map(|(name, function)| {
        let [lines, warnings, errors] =
            [function.lines, function.warnings, function.errors].map(|count| count.to_string());
        emphasized(row(width, name, &cells(lines, warnings, errors)), function.errors)
    }));
    Panel::new("Functions", rows)
}

fn queues(dashboard: &Dashboard, width: u16) -> Panel<'static> {
    let cells = |cells: [String; 5]| {
        let [waiting, in_flight, delayed, oldest, dead] = cells;
        [(waiting, 8), (in_flight, 7), (delayed, 8), (oldest, 7), (dead, 5)]
    };
    let titles = ["waiting", "flight", "delayed", "oldest", "dead"].map(str::to_owned);
    let mut rows = vec![Line::from(row(width, "", &cells(titles))).dim()];
    rows.extend(dashboard.system.queues().into_iter().map(|queue| {
        let Queue { name, depth, dead, disabled } = queue;
        let of_depth = match depth {
            Some(depth) => {
                let [waiting, in_flight, delayed] =
                    [depth.waiting, depth.in_flight, depth.delayed].map(|it| it.to_string());
                [waiting, in_flight, delayed, age(depth.oldest)]
            }
            None => [const { String::new() }; 4],
        };
        let [waiting, in_flight, delayed, oldest] = of_depth;
        let cells = cells([waiting, in_flight, delayed, oldest, dead.to_string()]);
        let name = if disabled { format!("{name} (disabled)") } else { name };
        emphasized(row(width, &name, &cells), dead + u64::from(disabled))
    }));
    Panel::new("Queues", rows)
}

/// An age in its largest unit.
fn age(age: SignedDuration) -> String {
    match age.as_secs() {
        0 => "-".to_owned(),
        seconds @ ..120 => format!("{seconds} s"),
        seconds @ ..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

fn failures(dashboard: &Dashboard) -> Panel<'static> {
    let failed = |cause| dashboard.sums.of_value("RecordsFailed", "Cause", cause);
    let mut spans: Vec<Span<'_>> =
        CAUSES.map(|cause| format!("{cause} {}   ", failed(cause)).into()).into();
    let dead = dashboard.sums.of("RecordsDeadLettered");
    let style = if dead > 0 { ALARM } else { Style::new() };
    spans.push(Span::styled(format!("dead-lettered {dead}"), style));
    Panel::new("Failures of records", vec![spans.into()])
}

fn newest_errors(dashboard: &Dashboard) -> Panel<'static> {
    let mut lines: Vec<_> = dashboard.system.errors.iter().map(error).collect();
    if lines.is_empty() {
        lines.push("none".into());
    }
    Panel::new("Newest errors", lines)
}

/// An error with the last time that it occurred, its function, how often it did, and what it says.
fn error(failure: &Failure) -> Line<'static> {
    let Failure { function, what, times, last } = failure;
    let times = if *times > 1 { format!("{times} times: ") } else { String::new() };
    Line::from(format!("{}  {function:<13}  {times}{what}", second(*last)))
}
