//! Which alarms ring, and until when.

use super::*;

fn ringing(dashboard: &Dashboard) -> Vec<&str> {
    dashboard.alarms.ringing().into_iter().map(|ringing| ringing.alarm).collect()
}

#[test]
fn silence_and_what_is_not_measured_here_fire_no_alarm() {
    let mut dashboard = empty();
    dashboard.advance_to("2026-11-24T15:00:00Z".parse().expect("a time"));
    assert_eq!(ringing(&dashboard), [""; 0]);
    let unjudged = |alarm: &str| dashboard.alarms.unjudged.iter().any(|it| it == alarm);
    for alarm in ["NoOrders", "BooksSilent", "ApiErrors", "ApiThrottled", "ApiFails", "Bounces"] {
        assert!(unjudged(alarm), "{alarm}");
    }
    for alarm in ["DeadLettered", "OrdersWaiting", "RefundFailed", "HttpErrors", "MoneyWrong"] {
        assert!(!unjudged(alarm), "{alarm}");
    }
}

#[test]
fn a_metric_line_of_the_last_hours_rings_until_its_alarm_is_over() {
    let mut dashboard = Dashboard::new("amelie", now());
    dashboard.add(&line(60, "payment", &metric("RefundsFailed", None, &[1])));
    dashboard.advance_to(now());
    // Money pages, by a composite.
    assert_eq!(ringing(&dashboard), ["MoneyWrong", "RefundFailed"]);
    dashboard.advance_to(now() + SignedDuration::from_mins(10));
    assert_eq!(ringing(&dashboard), [""; 0]);
    let page = frame(&dashboard, Page::Business, 100, 30);
    assert!(page.contains("09:03Z  MoneyWrong is over"), "{page}");
}

#[test]
fn invocations_that_fail_in_two_minutes_of_five_ring() {
    let crash = |minutes: i64| LogLine {
        at: now() - SignedDuration::from_mins(minutes),
        function: "order-intake".to_owned(),
        message: "Runtime exited before returning a response".to_owned(),
    };
    let own = json!({"level": "ERROR", "message": "the menu cannot be read"});
    let mut dashboard = Dashboard::new("amelie", now());
    dashboard.add(&crash(1));
    dashboard.add(&line(120, "order-intake", &own));
    dashboard.advance_to(now());
    assert_eq!(ringing(&dashboard), [""; 0]);
    assert_eq!(dashboard.system.functions["order-intake"].errors, 2);

    let mut dashboard = Dashboard::new("amelie", now());
    dashboard.add(&crash(1));
    dashboard.add(&crash(2));
    dashboard.advance_to(now());
    assert_eq!(ringing(&dashboard), ["HttpErrors"]);
}

#[test]
fn a_queue_that_nobody_reads_rings_by_the_age_of_its_oldest_message() {
    let mut dashboard = empty();
    let mut depth = Depth::default();
    depth.add(SignedDuration::from_secs(90), true, 0);
    dashboard.measure("StockQueue", depth);
    for minute in 1..=3 {
        dashboard.advance_to(now() + SignedDuration::from_mins(minute));
    }
    assert_eq!(ringing(&dashboard), ["OrdersWaiting"]);
    // A message that is tried again and again is not what this alarm is for.
    let mut depth = Depth::default();
    depth.add(SignedDuration::from_secs(90), true, 3);
    dashboard.measure("StockQueue", depth);
    for minute in 4..=8 {
        dashboard.advance_to(now() + SignedDuration::from_mins(minute));
    }
    assert_eq!(ringing(&dashboard), [""; 0]);
}
