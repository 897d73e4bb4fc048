//! What the pages look like.

use ratatui::{
    buffer::{Buffer, Cell},
    layout::Rect,
    style::Color,
    widgets::Widget,
};

use super::*;
use crate::business::Shop;

fn placed(seconds: i64, location: &str, total: u64) -> LogLine {
    let currency = if location == "tokyo-ginza" { "JPY" } else { "EUR" };
    let placed = json!({
        "level": "INFO", "message": "order placed", "location": location, "total": total,
        "currency": currency
    });
    line(seconds, "order-intake", &placed)
}

/// A morning with orders, a decline, a refund, and a charge that was given up.
fn morning() -> Dashboard {
    let mut dashboard = Dashboard::new("amelie", now());
    let orders = [(400, "lyon-croix-rousse", 760), (300, "paris-marais", 380)];
    for (seconds, location, total) in orders {
        dashboard.add(&placed(seconds, location, total));
    }
    for seconds in [200, 150, 140, 20] {
        dashboard.add(&placed(seconds, "paris-marais", 1520));
    }
    dashboard.add(&placed(10, "tokyo-ginza", 900));
    let mut relay = |seconds, name, values: &[u64]| {
        dashboard.add(&line(seconds, "order-relay", &metric(name, None, values)));
    };
    relay(400, "OrdersPlaced", &[1]);
    relay(300, "OrdersPlaced", &[1]);
    relay(150, "OrdersPlaced", &[3]);
    relay(20, "OrdersPlaced", &[2]);
    relay(140, "OrdersConfirmed", &[4]);
    relay(140, "TimeToConfirm", &[180, 250, 320, 4100]);
    relay(60, "OrdersCollected", &[2]);
    relay(50, "OrdersCancelled", &[1]);
    let mut of = |function, name, dimension, value| {
        dashboard.add(&line(120, function, &metric(name, Some(dimension), &[value])));
    };
    of("order-relay", "OrdersRejected", ("Reason", "payment_declined"), 1);
    of("payment", "MoneyTaken", ("Currency", "EUR"), 5320);
    of("payment", "MoneyTaken", ("Currency", "JPY"), 900);
    of("payment", "MoneyGivenBack", ("Currency", "EUR"), 1520);
    of("payment", "Declines", ("Reason", "insufficient_funds"), 1);
    of("payment", "RecordsFailed", ("Cause", "transient"), 16);
    dashboard.add(&line(110, "payment", &metric("RecordsDeadLettered", None, &[1])));
    dashboard.add(&line(60, "notifications", &metric("NoticesSent", None, &[7])));
    let failed = json!({
        "level": "ERROR", "message": "record given up", "error": "the provider does not answer"
    });
    dashboard.add(&line(110, "payment", &failed));
    dashboard.add(&line(100, "payment", &json!({"level": "WARN", "message": "record failed"})));
    let mut charge = Depth::default();
    charge.add(SignedDuration::from_secs(45), true, 0);
    charge.add(SignedDuration::from_secs(30), false, 1);
    dashboard.measure("ChargeQueue", charge);
    let mut dead = Depth::default();
    dead.add(SignedDuration::from_mins(30), true, 16);
    dashboard.measure("ChargeDeadLetters", dead);
    let mut deadlines = Depth::default();
    (0..3).for_each(|_| deadlines.add(SignedDuration::from_mins(12), false, 0));
    dashboard.measure("DeadlineQueue", deadlines);
    dashboard.advance_to(now());
    dashboard
}

#[test]
fn the_business_in_a_terminal_of_100_by_30() {
    let expected = "\
amelie  [business]  system                                            2 ALARMS  2026-11-24 09:00:30Z
Placed per minute: now 2, most 3 ────────────────  Confirmed per minute: now 0, most 4 ─────────────
                                              █                                                  █
                                              █                                                  █
                                              █ ▂                                                █
                                              █ █                                                █
                                              █ █                                                █
                                         ▅ ▅  █ █                                                █
                                         █ █  █ █                                                █
                                         █ █  █ █                                                █
49 min ago                                    now  49 min ago                                    now
Placed to collected ────────────  Ended early ────────────────────  Money ──────────────────────────
placed                  7  100 %  out of stock                   0                 taken  given back
confirmed               4   57 %  payment declined               1  EUR        53.20 EUR   15.20 EUR
collected               2   28 %  cancelled                      1  JPY          900 JPY       0 JPY
                                  expired                        0  refunds failed                 0
                                  not authenticated              0
Orders by shop ─────────────────  Declines ───────────────────────  Placed to confirmed ────────────
               orders      total  insufficient funds             1  median                    250 ms
paris-marais        5  64.60 EUR                                    99 of 100                4100 ms
lyon-croix-r…       1   7.60 EUR
tokyo-ginza         1    900 JPY                                    notices sent                   7
                                                                    notices dropped                0
Alarms: 15 of 28, which have figures here ──────────────────────────────────────────────────────────
ALARM DeadLettered  since 08:59Z  docs/runbook.md#dead-lettered
      A record was given up.
ALARM DeadOrders  since 09:00Z  docs/runbook.md#dead-orders
      Dead letters about orders wait for somebody.
09:00Z  DeadOrders rings
… 2 more
";
    assert_eq!(frame(&morning(), Page::Business, 100, 30), expected);
}

#[test]
fn the_system_in_a_terminal_of_100_by_30() {
    let expected = "\
amelie   business  [system]                                           2 ALARMS  2026-11-24 09:00:30Z
Functions ────────────────────────────────  Queues ─────────────────────────────────────────────────
                         lines  warn error                        waiting flight delayed oldest dead
books                        0     0     0  charge                      1      1       0   45 s    1
inventory                    0     0     0  deadline                    0      0       3 12 min    0
notifications                0     0     0  intent                      0      0       0      -    0
order-intake                 7     0     0  notice                      0      0       0      -    0
order-relay                  0     0     0  refund                      0      0       0      -    0
order-status                 0     0     0  results                     0      0       0      -    0
payment                      2     1     1  stock                       0      0       0      -    0
                                            relay                                                  0
                                            rule                                                   0
Failures of records ────────────────────────────────────────────────────────────────────────────────
transient 16   permanent 0   unreadable 0   panicked 0   dead-lettered 1
Newest errors ──────────────────────────────────────────────────────────────────────────────────────
08:58:40Z  payment        record given up: the provider does not answer







Alarms: 15 of 28, which have figures here ──────────────────────────────────────────────────────────
ALARM DeadLettered  since 08:59Z  docs/runbook.md#dead-lettered
      A record was given up.
ALARM DeadOrders  since 09:00Z  docs/runbook.md#dead-orders
      Dead letters about orders wait for somebody.
09:00Z  DeadOrders rings
… 2 more
";
    assert_eq!(frame(&morning(), Page::System, 100, 30), expected);
}

#[test]
fn both_pages_fit_into_a_terminal_of_80_by_24() {
    let expected = "\
amelie  [business]  system                        2 ALARMS  2026-11-24 09:00:30Z
Placed per minute: now 2, most 3 ──────  Confirmed per minute: now 0, most 4 ───
                                    █                                        █
                                    █ ▅                                      █
                               ▂ ▂  █ █                                      █
                               █ █  █ █                                      █
39 min ago                          now  39 min ago                          now
Placed to collected ─────  Ended early ──────────────  Money ───────────────────
placed           7  100 %  out of stock             0          taken  given back
confirmed        4   57 %  payment declined         1      53.20 EUR   15.20 EUR
collected        2   28 %  cancelled                1        900 JPY       0 JPY
                           expired                  0  refunds failed          0
                           not authenticated        0
Orders by shop ──────────  Declines ─────────────────  Placed to confirmed ─────
                   orders  insufficient funds       1  median             250 ms
paris-marais            5                              99 of 100         4100 ms
lyon-croix-rousse       1
tokyo-ginza             1                              notices sent            7
                                                       notices dropped         0
Alarms: 15 of 28, which have figures here ──────────────────────────────────────
ALARM DeadLettered  since 08:59Z  docs/runbook.md#dead-lettered
      A record was given up.
ALARM DeadOrders  since 09:00Z  docs/runbook.md#dead-orders
… 4 more
";
    assert_eq!(frame(&morning(), Page::Business, 80, 24), expected);
    let expected = "\
amelie   business  [system]                       2 ALARMS  2026-11-24 09:00:30Z
Functions ───────────────────────  Queues ──────────────────────────────────────
                lines  warn error             waiting flight delayed oldest dead
books               0     0     0  charge           1      1       0   45 s    1
inventory           0     0     0  deadline         0      0       3 12 min    0
notifications       0     0     0  intent           0      0       0      -    0
order-intake        7     0     0  notice           0      0       0      -    0
order-relay         0     0     0  refund           0      0       0      -    0
order-status        0     0     0  results          0      0       0      -    0
payment             2     1     1  stock            0      0       0      -    0
                                   relay                                       0
                                   rule                                        0
Failures of records ────────────────────────────────────────────────────────────
transient 16   permanent 0   unreadable 0   panicked 0   dead-lettered 1
Newest errors ──────────────────────────────────────────────────────────────────
08:58:40Z  payment        record given up: the provider does not answer



Alarms: 15 of 28, which have figures here ──────────────────────────────────────
ALARM DeadLettered  since 08:59Z  docs/runbook.md#dead-lettered
      A record was given up.
ALARM DeadOrders  since 09:00Z  docs/runbook.md#dead-orders
… 4 more
";
    assert_eq!(frame(&morning(), Page::System, 80, 24), expected);
}

#[test]
fn a_stack_without_orders_shows_zeros_and_no_alarm() {
    let expected = "\
amelie  [business]  system                        no alarm  2026-11-24 09:00:30Z
Placed per minute: now 0, most 0 ──────  Confirmed per minute: now 0, most 0 ───




39 min ago                          now  39 min ago                          now
Placed to collected ─────  Ended early ──────────────  Money ───────────────────
placed           0    0 %  out of stock             0          taken  given back
confirmed        0    0 %  payment declined         0  refunds failed          0
collected        0    0 %  cancelled                0
                           expired                  0
                           not authenticated        0
Orders by shop ──────────  Declines ─────────────────  Placed to confirmed ─────
                   orders  none                        median                  -
                                                       99 of 100               -

                                                       notices sent            0
                                                       notices dropped         0
Alarms: 15 of 28, which have figures here ──────────────────────────────────────
no alarm rings
not judged here: ApiErrors, ApiSlow, ApiThrottled, BooksSilent, Bounces, Compla…


";
    assert_eq!(frame(&empty(), Page::Business, 80, 24), expected);
    let system = frame(&empty(), Page::System, 80, 24);
    assert!(system.contains("Newest errors") && system.contains("\nnone\n"), "{system}");
}

#[test]
fn a_name_that_is_too_long_ends_early_and_keeps_its_figures_in_their_columns() {
    let mut dashboard = empty();
    dashboard.add(&placed(10, "saint-rémy-en-bouzemont-saint-genest-et-isson", 380));
    let page = frame(&dashboard, Page::Business, 100, 30);
    assert!(page.contains("\nsaint-rémy-e…       1   3.80 EUR  "), "{page}");
    let error = json!({"level": "ERROR", "message": "too long ".repeat(30)});
    dashboard.add(&line(5, "payment", &error));
    let page = frame(&dashboard, Page::System, 80, 24);
    let error = page.lines().find(|line| line.contains("too long")).expect("the error");
    assert!(error.ends_with('…') && error.chars().count() == 80, "{error}");
}

#[test]
fn a_page_can_be_drawn_in_any_terminal() {
    let dashboard = morning();
    for page in Page::ALL {
        for (width, height) in [(1, 1), (3, 40), (200, 2), (20, 10), (40, 12), (200, 50)] {
            assert_eq!(frame(&dashboard, page, width, height).lines().count(), usize::from(height));
        }
    }
}

#[test]
fn a_page_as_text_leaves_nothing_out() {
    let mut dashboard = morning();
    let shop = "saint-rémy-en-bouzemont-saint-genest-et-isson";
    dashboard.add(&placed(10, shop, 380));
    let errors: Vec<_> =
        (0..20).map(|number| format!("error {number} {}", "long ".repeat(40))).collect();
    for error in &errors {
        dashboard.add(&line(5, "payment", &json!({"level": "ERROR", "message": error})));
    }
    let text = |page| View { dashboard: &dashboard, page }.text();
    let business = text(Page::Business);
    assert!(
        business.starts_with("amelie: business, 2 ALARMS, 2026-11-24 09:00:30Z\n"),
        "{business}"
    );
    let row = business.lines().find(|line| line.starts_with(shop)).expect("the shop");
    assert!(row.contains("1   3.80 EUR"), "{row}");
    let system = text(Page::System);
    for error in &errors {
        assert!(system.contains(error.trim_end()), "{system}");
    }
    for text in [&business, &system] {
        assert!(text.contains("Dead letters about orders wait for somebody."), "{text}");
        assert!(text.contains("not judged here: ApiErrors") && !text.contains('…'), "{text}");
    }
}

#[test]
fn an_error_that_occurs_again_is_one_line_with_its_count_and_its_last_time() {
    let mut dashboard = empty();
    let failed = |error: &str| json!({"level": "ERROR", "message": "failed", "error": error});
    for seconds in [40, 30, 20] {
        dashboard.add(&line(seconds, "payment", &failed("it is down")));
    }
    dashboard.add(&line(25, "payment", &failed("it is slow")));
    dashboard.add(&line(10, "notifications", &failed("it is down")));
    dashboard.add(&line(5, "payment", &failed("it is down")));
    let system = View { dashboard: &dashboard, page: Page::System }.text();
    let errors: Vec<_> = system.lines().filter(|line| line.contains("failed: it is")).collect();
    assert_eq!(
        errors,
        [
            "09:00:25Z  payment        4 times: failed: it is down",
            "09:00:20Z  notifications  failed: it is down",
            "09:00:05Z  payment        failed: it is slow",
        ]
    );
}

#[test]
fn a_queue_says_that_its_mapping_is_disabled_until_it_is_enabled_again() {
    let mut dashboard = empty();
    let disabled = ["ChargeMapping", "OrderStream"].map(str::to_owned);
    dashboard.disable(disabled.into());
    let marked = |dashboard: &Dashboard| -> Vec<String> {
        let system = View { dashboard, page: Page::System }.text();
        let lines =
            system.lines().filter_map(|line| Some(line.split_once(" (disabled)")?.0.to_owned()));
        lines.collect()
    };
    assert_eq!(marked(&dashboard), ["charge", "relay"]);
    dashboard.disable([].into());
    assert_eq!(marked(&dashboard), [""; 0]);
}

#[test]
fn an_alarm_is_a_word_and_not_only_a_color() {
    let mut buffer = Buffer::empty(Rect::new(0, 0, 100, 30));
    let dashboard = morning();
    View { dashboard: &dashboard, page: Page::System }.render(buffer.area, &mut buffer);
    let red: String = (buffer.content.iter().filter(|cell| cell.fg == Color::Red))
        .map(|cell| cell.symbol())
        .collect();
    assert!(red.contains("ALARM DeadLettered") && red.contains("2 ALARMS"), "{red}");
    let other = |cell: &&Cell| ![Color::Reset, Color::Red, Color::Cyan].contains(&cell.fg);
    assert_eq!(buffer.content.iter().find(other), None);
}

#[test]
fn lines_of_a_real_stack_are_counted() {
    let mut dashboard = empty();
    for recorded in include_str!("recorded/lines.txt").lines() {
        let (function, message) = recorded.split_once(' ').expect("a function and its line");
        let (function, message) = (function.to_owned(), message.to_owned());
        dashboard.add(&LogLine { at: now(), function, message });
    }
    let sums = &dashboard.sums;
    assert_eq!(["OrdersPlaced", "OrdersConfirmed", "NoticesSent"].map(|it| sums.of(it)), [4, 3, 4]);
    assert_eq!(sums.of_value("OrdersRejected", "Reason", "payment_declined"), 1);
    assert_eq!(sums.by_value("MoneyTaken"), [("EUR", 980), ("JPY", 380)]);
    assert_eq!(sums.by_value("Declines"), [("generic_decline", 1)]);
    assert_eq!(dashboard.business.waits, [675.0, 352.0, 364.0]);
    let shops = dashboard.business.shops().into_iter();
    let total = |shop: &Shop| shop.total.unwrap().to_string();
    let shops: Vec<_> = shops.map(|(id, shop)| (id, shop.orders, total(shop))).collect();
    let expected = [("paris-marais", 3, "11.70 EUR"), ("tokyo-ginza", 1, "380 JPY")];
    assert_eq!(shops, expected.map(|(id, orders, total)| (id, orders, total.to_owned())));
}
