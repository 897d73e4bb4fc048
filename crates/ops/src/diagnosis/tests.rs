use aws_sdk_sqs::types::Message;
use books::{
    journal::{Decision, Entry},
    ledger::Amount,
    reconciliation::Difference,
    rows::PaymentRow,
};
use fixtures::{DEADLINE, ORDER, at};
use jiff::SignedDuration;
use serde_json::json;
use shop::{
    money::{Currency, Money},
    order::Trigger,
    payment::IntentId,
    stock::Reservation,
};
use stack::LogLine;
use stripe::{BookedIntent, BookedRefund, BookedRefundStatus, IntentStatus};

use super::*;

use crate::{dead_letters::DeadLetter, error::Error};

const LIMITS: Limits = Limits {
    confirm_within: SignedDuration::from_mins(15),
    undo_within: SignedDuration::from_hours(10),
};

/// The report about an order after some triggers, an hour after it was placed.
fn report(triggers: &[Trigger]) -> OrderReport {
    OrderReport {
        read_at: at("2026-11-24T09:00:00Z"),
        order: fixtures::after(fixtures::order(), triggers),
        payment: None,
        reservation: Some(Reservation::Released),
        notice: None,
        unreadable: vec![],
        account: Ok(None),
        dead_letters: vec![],
        discards: vec![],
        standing: vec![],
        events: None,
        log: vec![],
    }
}

fn paid(mut report: OrderReport, progress: Progress, refund: BookedRefundStatus) -> OrderReport {
    let intent = IntentId::new("pi_1");
    report.payment = Some(PaymentRow {
        order_id: report.order.order_id,
        payment: Payment::Committed { intent: intent.clone(), progress },
        refunds: vec![],
        price: Money { amount: 380, currency: Currency::Eur },
        updated_at: at("2026-11-24T08:00:05Z"),
    });
    let created = at("2026-11-24T08:00:03Z");
    let refund = BookedRefund {
        id: "re_1".to_owned(),
        intent: Some(intent.clone()),
        amount: 380,
        status: refund,
        failure: None,
        name: None,
        created,
    };
    let intent = BookedIntent {
        id: intent,
        order: Some(ORDER.to_owned()),
        status: IntentStatus::Succeeded,
        amount: 380,
        currency: "eur".to_owned(),
        taken: 380,
        created,
    };
    report.account = Ok(Some(Bookings { intent, refunds: vec![refund], disputes: vec![] }));
    report
}

fn lines(report: &OrderReport) -> String {
    Diagnosis::of(report, LIMITS, &Settlements::new(), report.read_at).lines().join("\n")
}

#[test]
fn a_decline_is_explained_and_needs_nobody() {
    let declined = Trigger::PaymentDeclined("insufficient_funds".to_owned());
    let diagnosis = lines(&report(&[Trigger::StockReserved, declined]));
    assert!(diagnosis.contains("`insufficient_funds`: the account has too little money"));
    assert!(diagnosis.ends_with("nothing needs to be done"), "{diagnosis}");
}

#[test]
fn a_refusal_for_good_is_explained_with_what_can_be_done() {
    for (reason, remedy) in [
        ("amount_too_small", "The customer can order more at once"),
        ("amount_too_large", "The customer can order less at once"),
        ("currency_not_accepted", "until the provider's dashboard enables its currency"),
    ] {
        let refused = Trigger::PaymentDeclined(reason.to_owned());
        let mut report = report(&[Trigger::StockReserved, refused]);
        report.payment = Some(PaymentRow {
            order_id: report.order.order_id,
            payment: Payment::Refused { reason: reason.to_owned() },
            refunds: vec![],
            price: report.order.price(),
            updated_at: report.read_at,
        });
        let diagnosis = lines(&report);
        assert!(diagnosis.contains(&format!("declined with `{reason}`")), "{diagnosis}");
        assert!(diagnosis.contains(remedy), "{diagnosis}");
        assert!(diagnosis.ends_with("nothing needs to be done"), "{diagnosis}");
    }
}

#[test]
fn a_failed_refund_is_a_problem_until_the_money_is_given_back_by_hand() {
    let triggers = [
        Trigger::StockReserved,
        Trigger::PaymentCaptured,
        Trigger::Cancelled,
        Trigger::RefundFailed(0),
    ];
    let reason = "expired_or_canceled_card".to_owned();
    let failed = |refund| {
        let progress = Progress::RefundFailed { reason: reason.clone() };
        lines(&paid(report(&triggers), progress, refund))
    };
    let owed = failed(BookedRefundStatus::Failed);
    assert!(owed.contains("the card has expired or was cancelled since"), "{owed}");
    assert!(owed.contains("problem: order"), "{owed}");
    let remedies: Vec<_> = owed.lines().filter(|line| line.contains("do: ")).collect();
    let [refund] = remedies[..] else { panic!("not one remedy: {owed}") };
    assert!(refund.contains("refund 3.80 EUR in the provider's dashboard"), "{refund}");
    assert!(refund.contains(&format!("`cargo ops reconcile settle {ORDER} ")), "{refund}");
    let settled = failed(BookedRefundStatus::Succeeded);
    assert!(settled.ends_with("nothing needs to be done"), "{settled}");
}

#[test]
fn a_difference_that_was_settled_by_hand_is_no_problem() {
    let triggers = [Trigger::StockReserved, Trigger::PaymentCaptured, Trigger::Cancelled];
    let report = paid(report(&triggers), Progress::Captured, BookedRefundStatus::Failed);
    let report = OrderReport { read_at: at("2026-11-25T09:00:00Z"), ..report };
    let diagnose =
        |settlements: &Settlements| Diagnosis::of(&report, LIMITS, settlements, report.read_at);
    let found = diagnose(&Settlements::new()).problems;
    assert_eq!(found.len(), 2, "{found:?}");
    let entry = |key: &str| Entry {
        at: report.read_at,
        who: "camille".to_owned(),
        decision: Decision::Settled { key: key.to_owned(), difference: "paid twice".to_owned() },
        reason: "refunded by bank transfer".to_owned(),
    };
    let mut settlements = Settlements::new();
    let case = Difference::Kept {
        order: report.order.order_id,
        status: Status::Cancelled,
        kept: Amount { amount: 380, currency: "EUR".to_owned() },
        due: Money { amount: 0, currency: Currency::Eur },
        refund: None,
    };
    settlements.insert(case.key(), entry(&case.key()));
    let settled = diagnose(&settlements);
    assert_eq!(settled.problems, found[1..]);
    assert!(settled.state.iter().any(|line| line.ends_with("refunded by bank transfer")));
    let [settle] = &settled.remedies[..] else { panic!("{settled:?}") };
    assert!(settle.contains("reconcile settle"), "{settle}");
}

#[test]
fn an_order_past_its_deadline_is_stuck_and_one_before_it_is_under_way() {
    let stuck = report(&[Trigger::StockReserved]);
    let diagnosis = lines(&stuck);
    assert!(diagnosis.contains("problem: order") && diagnosis.contains(" retry`"), "{diagnosis}");
    let early = lines(&OrderReport { read_at: at("2026-11-24T08:10:00Z"), ..stuck });
    assert!(early.contains("it will be confirmed, or expires at 2026-11-24 08:15"), "{early}");
    assert!(early.ends_with("nothing needs to be done"), "{early}");
}

#[test]
fn what_is_known_without_the_provider_is_a_problem_when_it_does_not_answer() {
    let unasked = |triggers: &[Trigger]| {
        let report = OrderReport { account: Err(Error::OutputClosed), ..report(triggers) };
        Diagnosis::of(&report, LIMITS, &Settlements::new(), report.read_at)
    };
    assert_eq!(unasked(&[Trigger::StockReserved]).problems.len(), 1);
    let paid = [Trigger::StockReserved, Trigger::PaymentCaptured];
    let confirmed = unasked(&paid);
    assert!(confirmed.problems.is_empty());
    assert!(confirmed.state[1].starts_with("its money was not checked"), "{confirmed:?}");
    let failed = [&paid[..], &[Trigger::Cancelled, Trigger::RefundFailed(0)]].concat();
    assert_eq!(unasked(&failed).problems[0], "its refund failed");
}

#[test]
fn money_that_is_still_being_given_back_must_not_be_paid_by_hand() {
    let triggers = [Trigger::StockReserved, Trigger::PaymentCaptured, Trigger::Cancelled];
    let undoing = || paid(report(&triggers), Progress::Undoing, BookedRefundStatus::Failed);
    let without_provider = OrderReport { account: Err(Error::OutputClosed), ..undoing() };
    for report in [undoing(), without_provider] {
        let diagnosis = lines(&report);
        let until = "do not pay it back by hand before 2026-11-24 18:00:";
        assert!(diagnosis.contains(until), "{diagnosis}");
        assert!(diagnosis.ends_with("nothing needs to be done"), "{diagnosis}");
    }
}

#[test]
fn the_next_try_is_announced_until_it_has_passed() {
    let failed = |receives: u32| {
        let message = json!({
            "level": "ERROR", "message": "record failed", "message_id": "m",
            "receives": receives, "wait_seconds": 120, "error": "the provider is unavailable"
        });
        let line = LogLine {
            at: at(DEADLINE) - SignedDuration::from_mins(1),
            function: "payment".to_owned(),
            message: message.to_string(),
        };
        OrderReport { log: vec![line], ..report(&[Trigger::StockReserved]) }
    };
    let read_at = at(DEADLINE);
    let waiting = lines(&OrderReport { read_at, ..failed(9) });
    assert!(
        waiting.contains(
            "the next try of payment is due in 1 min 0 s, at 2026-11-24 08:16:00.000Z, after 9 of \
             16 receives; the last one failed: the provider is unavailable"
        ),
        "{waiting}"
    );
    assert!(!lines(&OrderReport { read_at, ..failed(16) }).contains("next try"));
    assert!(!lines(&failed(9)).contains("next try"));
    // Another try has confirmed the order since.
    let order =
        fixtures::after(fixtures::order(), &[Trigger::StockReserved, Trigger::PaymentCaptured]);
    let confirmed = lines(&OrderReport { read_at, order, ..failed(9) });
    assert!(!confirmed.contains("next try"), "{confirmed}");
}

#[test]
fn a_tombstone_is_explained() {
    let mut report = report(&[Trigger::Cancelled]);
    report.payment = Some(PaymentRow {
        order_id: report.order.order_id,
        payment: Payment::Forbidden,
        refunds: vec![],
        price: report.order.price(),
        updated_at: report.read_at,
    });
    let diagnosis = lines(&report);
    let explained = "payment is forbidden: the order ended before a charge began";
    assert!(diagnosis.contains(explained), "{diagnosis}");
    assert!(diagnosis.ends_with("nothing needs to be done"), "{diagnosis}");
}

#[test]
fn a_dead_letter_is_redriven_before_anything_else_is_done_about_the_money() {
    let triggers = [Trigger::StockReserved, Trigger::PaymentCaptured, Trigger::Cancelled];
    let report = paid(report(&triggers), Progress::Undoing, BookedRefundStatus::Failed);
    let with_letter_in = |queue: &str| {
        let letter = DeadLetter::of(Message::builder().body("{}").build(), None);
        let report = OrderReport { dead_letters: vec![(queue.to_owned(), letter)], ..report };
        Diagnosis::of(&report, LIMITS, &Settlements::new(), report.read_at)
    };
    let refund = with_letter_in("refund");
    assert_eq!(refund.problems.len(), 3, "{refund:?}");
    let [redrive] = &refund.remedies[..] else { panic!("{refund:?}") };
    assert!(redrive.contains(&format!("`cargo ops dlq redrive refund --order {ORDER}`")));
}

/// A report about an order that waits for its payment, five minutes before its deadline.
fn charging() -> OrderReport {
    OrderReport { read_at: at("2026-11-24T08:10:00Z"), ..report(&[Trigger::StockReserved]) }
}

fn diagnosed(report: &OrderReport) -> Diagnosis {
    Diagnosis::of(report, LIMITS, &Settlements::new(), report.read_at)
}

#[test]
fn a_queue_from_which_nothing_is_taken_is_a_problem_of_the_orders_that_wait_for_it() {
    let standing = |queue: &str| Standing {
        queue: queue.to_owned(),
        what: format!("nobody takes messages from {queue}"),
        remedy: "enable it".to_owned(),
    };
    let standing = vec![standing("stock"), standing("charge"), standing("refund")];
    let waiting = diagnosed(&OrderReport { standing: standing.clone(), ..charging() });
    assert_eq!(waiting.problems, ["nobody takes messages from charge"]);
    assert_eq!(waiting.remedies, ["enable it"]);
    let stuck = OrderReport { read_at: at("2026-11-24T09:00:00Z"), ..charging() };
    let stuck = diagnosed(&OrderReport { standing: standing.clone(), ..stuck });
    assert_eq!((stuck.problems.len(), &*stuck.remedies), (2, &["enable it".to_owned()][..]));
    let over = report(&[Trigger::StockReserved, Trigger::PaymentDeclined("stolen_card".into())]);
    assert_eq!(diagnosed(&OrderReport { standing, ..over }).problems, [""; 0]);
}

#[test]
fn a_discarded_message_is_missed_until_the_order_goes_on() {
    let discarded = |queue: &str, time: &str| Entry {
        at: at(time),
        who: "camille".to_owned(),
        decision: Decision::Discarded {
            queue: queue.to_owned(),
            message_id: "m".to_owned(),
            summary: format!("order.reserved  order {ORDER}"),
        },
        reason: "looked wrong".to_owned(),
    };
    let missed = |entry: Entry| diagnosed(&OrderReport { discards: vec![entry], ..charging() });
    let missing = missed(discarded("charge", "2026-11-24T08:09:00Z"));
    assert!(missing.problems[0].contains("discarded m of charge"), "{missing:?}");
    assert!(missing.remedies[0].contains(&format!("`cargo ops order {ORDER} retry`")));
    for needless in
        [discarded("charge", "2026-11-24T07:59:00Z"), discarded("notice", "2026-11-24T08:09:00Z")]
    {
        let diagnosis = missed(needless);
        assert!(diagnosis.problems.is_empty(), "{diagnosis:?}");
        assert!(diagnosis.state.iter().any(|line| line.ends_with("looked wrong")));
    }
}
