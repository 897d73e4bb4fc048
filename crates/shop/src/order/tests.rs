//! Tests of the order and its states.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::{menu::tests::at, payment_summary::PaymentSummary};

pub(crate) fn order(status: Status, payment: PaymentStatus) -> Order {
    let placed_at = at("2026-11-24T08:00:00.120Z");
    Order {
        order_id: "0b7c55f2-9d4e-4c6b-8a1f-3e2d7c9014aa".parse().unwrap(),
        customer_id: CustomerId::new("camille"),
        location: "paris".parse().unwrap(),
        location_name: "Amélie Paris".into(),
        time_zone: TimeZone::get("Europe/Paris").unwrap(),
        status,
        revision: 1,
        payment,
        refunds: vec![],
        dispute: None,
        payment_version: 0,
        lines: vec![Line {
            item: "croissant".parse().unwrap(),
            name: "Butter croissant".into(),
            quantity: 2,
            unit_price: 190,
        }],
        total: 380,
        currency: Currency::Eur,
        payment_method: Some("pm_card_visa".parse().unwrap()),
        authentication_url: None,
        note: None,
        placed_at,
        pickup_at: at("2026-11-24T10:00:00Z"),
        pickup_day: civil::date(2026, 11, 24),
        deadline: at("2026-11-24T08:15:00.120Z"),
        rejection: None,
        cancellation_reason: None,
        fingerprint: "f".into(),
        traceparent: None,
        history: vec![HistoryEntry {
            revision: 1,
            event: OrderEventType::Placed,
            status: Status::Placed,
            at: placed_at,
            cause: None,
        }],
    }
}

fn triggers() -> Vec<Trigger> {
    vec![
        Trigger::StockReserved,
        Trigger::StockRejected(vec![]),
        Trigger::AuthenticationRequired(page()),
        Trigger::PaymentCaptured,
        Trigger::PaymentDeclined("card_declined".into()),
        Trigger::PaymentVoided,
        Trigger::PaymentRefunded(0),
        Trigger::RefundFailed(0),
        Trigger::RefundFailed(5),
        disputed(6, DisputeState::Open),
        disputed(7, DisputeState::Lost),
        Trigger::DeadlinePassed,
        Trigger::Cancelled,
        Trigger::CancelledByShop("The oven is broken".parse().unwrap()),
        Trigger::PreparationStarted,
        Trigger::PreparationFinished,
        Trigger::PickedUp,
        Trigger::ErasureRequested,
        Trigger::RefundRetried(1),
        reported(3, RefundState::Succeeded),
        reported(2, RefundState::Failed),
        tried(4, 2, RefundState::Succeeded),
    ]
}

/// The payment's row of that version shows refund 1 in this state.
fn reported(version: u32, state: RefundState) -> Trigger {
    tried(version, 1, state)
}

/// The same of an attempt.
fn tried(version: u32, attempt: u32, state: RefundState) -> Trigger {
    let refunds = vec![RefundReport { id: 1, attempt, state }];
    Trigger::PaymentChanged { version, refunds, dispute: None }
}

fn page() -> AuthenticationUrl {
    "https://hooks.stripe.com/3d_secure_2/hosted".to_owned().try_into().unwrap()
}

fn refund(amount: u64) -> Trigger {
    Trigger::RefundRequested { amount, reason: "One croissant was burnt".parse().unwrap() }
}

fn walk(order: Order, steps: &[Trigger]) -> Order {
    let late = at("2026-11-24T09:00:00Z");
    steps.iter().fold(order, |order, trigger| match order.transition(trigger.clone(), late, None) {
        Some(transition) => order.after(transition),
        None => order,
    })
}

#[test]
fn an_order_shows_its_customer_where_to_authenticate_until_that_is_over() {
    let placed = order(Status::Placed, PaymentStatus::None);
    assert_eq!(
        placed.transition(
            Trigger::AuthenticationRequired(page()),
            at("2026-11-24T08:00:05Z"),
            None
        ),
        None
    );
    let asked = walk(placed, &[Trigger::StockReserved, Trigger::AuthenticationRequired(page())]);
    assert_eq!((asked.status, asked.authentication_url.clone()), (Status::Reserved, Some(page())));
    assert!(asked.payment_method.is_some());
    // A repeated report.
    assert_eq!(
        asked.transition(Trigger::AuthenticationRequired(page()), at("2026-11-24T08:00:05Z"), None),
        None
    );
    for end in [
        Trigger::PaymentCaptured,
        Trigger::PaymentDeclined("payment_intent_authentication_failure".into()),
        Trigger::Cancelled,
        Trigger::DeadlinePassed,
    ] {
        let ended = walk(asked.clone(), std::slice::from_ref(&end));
        assert_ne!(ended.status, Status::Reserved, "{end:?}");
        assert_eq!(ended.authentication_url, None, "{end:?}");
        let late = ended.transition(
            Trigger::AuthenticationRequired(page()),
            at("2026-11-24T08:00:05Z"),
            None,
        );
        assert_eq!(late, None, "{end:?}");
    }
}

#[test]
fn a_successful_order_is_reserved_confirmed_made_and_collected() {
    let steps = [
        Trigger::StockReserved,
        Trigger::PaymentCaptured,
        Trigger::PreparationStarted,
        Trigger::PreparationFinished,
        Trigger::PickedUp,
    ];
    let order = walk(order(Status::Placed, PaymentStatus::None), &steps);
    assert_eq!(
        (order.status, order.payment, order.revision),
        (Status::Collected, PaymentStatus::Captured, 6)
    );
}

#[test]
fn an_order_out_of_stock_is_rejected_with_what_is_left() {
    let shortage = Shortage { item: "croissant".parse().unwrap(), requested: 2, left: 1 };
    let order = walk(
        order(Status::Placed, PaymentStatus::None),
        &[Trigger::StockRejected(vec![shortage.clone()])],
    );
    assert_eq!(order.status, Status::Rejected);
    assert_eq!(order.rejection, Some(Rejection::OutOfStock { shortages: vec![shortage] }));
}

#[test]
fn a_declined_payment_rejects_the_order_with_the_providers_code() {
    let order = walk(
        order(Status::Reserved, PaymentStatus::None),
        &[Trigger::PaymentDeclined("insufficient_funds".into())],
    );
    assert_eq!(order.status, Status::Rejected);
    assert_eq!(
        order.rejection,
        Some(Rejection::PaymentDeclined { reason: "insufficient_funds".into() })
    );
}

#[test]
fn an_order_can_be_cancelled_until_it_is_being_made() {
    let now = at("2026-11-24T08:01:00Z");
    let cancellable = Status::ALL.map(|status| {
        order(status, PaymentStatus::None).transition(Trigger::Cancelled, now, None).is_some()
    });
    let expected = Status::ALL.map(|status| match status {
        Status::Placed | Status::Reserved | Status::Confirmed => true,
        Status::Preparing
        | Status::Ready
        | Status::Collected
        | Status::Rejected
        | Status::Cancelled
        | Status::Expired => false,
    });
    assert_eq!(cancellable, expected);
}

#[test]
fn an_order_that_is_over_can_be_erased_once() {
    let traced = |status| Order {
        fingerprint: "0123abcd".into(),
        note: Some("no bag".to_owned().try_into().unwrap()),
        traceparent: TraceParent::from_amazon("Root=1-5759e988-bd862e3fe1be46a994272793"),
        ..order(status, PaymentStatus::Captured)
    };
    for status in Status::ALL {
        let order = traced(status);
        let now = order.pickup_at;
        let transition = order.transition(Trigger::ErasureRequested, now, None);
        let has_ended = status.ended_early() || status == Status::Collected;
        assert_eq!(transition.is_some(), has_ended, "{status:?}");
        let a_week_later = now + SignedDuration::from_hours(7 * 24);
        let late = order.transition(Trigger::ErasureRequested, a_week_later, None);
        let was_paid = !matches!(status, Status::Placed | Status::Reserved);
        assert_eq!(late.is_some(), was_paid, "{status:?}");
        let Some(transition) = late else { continue };
        let erased = order.clone().after(transition);
        assert_eq!((erased.status, erased.payment), (order.status, order.payment));
        assert_eq!((&erased.lines, erased.total), (&order.lines, order.total));
        let row = serde_json::to_string(&erased).unwrap();
        for trace in [order.customer_id.as_str(), "no bag", &order.fingerprint, "5759e988"] {
            assert!(!row.contains(trace), "{trace} in {row}");
        }
        assert_eq!(erased.transition(Trigger::ErasureRequested, a_week_later, None), None);
    }
}

#[test]
fn a_customer_can_cancel_until_the_pickup_time() {
    for status in [Status::Placed, Status::Reserved, Status::Confirmed] {
        let order = order(status, PaymentStatus::None);
        let is_cancelled = |at| order.transition(Trigger::Cancelled, at, None).is_some();
        assert!(is_cancelled(order.pickup_at - SignedDuration::from_nanos(1)), "{status:?}");
        assert!(!is_cancelled(order.pickup_at), "{status:?}");
        assert!(!is_cancelled(order.pickup_at + SignedDuration::from_hours(24)), "{status:?}");
    }
}

#[test]
fn an_order_that_was_placed_for_at_once_before_lead_times_is_read() {
    let placed_at = at("2026-11-24T08:00:00.120Z");
    let stored = Order { pickup_at: placed_at, ..order(Status::Placed, PaymentStatus::None) };
    assert!(stored.pickup_at < stored.deadline);
    let row = serde_json::to_value(&stored).unwrap();
    assert_eq!(serde_json::from_value::<Order>(row).unwrap(), stored);
    let expired = stored.transition(Trigger::DeadlinePassed, stored.deadline, None);
    assert_eq!(expired.unwrap().entry.status, Status::Expired);
}

/// The values that a type can have, by its JSON Schema.
fn values<T: JsonSchema>() -> BTreeSet<String> {
    fn collect(schema: &Value, values: &mut BTreeSet<String>) {
        let one_of = schema["oneOf"].as_array().into_iter().flatten();
        one_of.for_each(|schema| collect(schema, values));
        let enumerated = schema["enum"].as_array().into_iter().flatten();
        let named = enumerated.chain([&schema["const"]]).filter_map(Value::as_str);
        values.extend(named.map(str::to_owned));
    }
    let mut values = BTreeSet::new();
    collect(schemars::schema_for!(T).as_value(), &mut values);
    values
}

#[test]
fn every_state_and_every_event_type_is_listed() {
    fn text<T: Serialize>(value: T) -> String {
        serde_json::to_value(value).unwrap().as_str().unwrap().to_owned()
    }
    assert_eq!(BTreeSet::from(Status::ALL.map(text)), values::<Status>());
    assert_eq!(BTreeSet::from(PaymentStatus::ALL.map(text)), values::<PaymentStatus>());
    assert_eq!(BTreeSet::from(OrderEventType::ALL.map(text)), values::<OrderEventType>());
}

#[test]
fn a_payment_method_is_1_to_255_letters_digits_and_underscores_and_not_a_number() {
    for valid in ["p", "pm_card_VISA_42", &"p".repeat(255)] {
        assert_eq!(valid.parse::<PaymentMethod>().unwrap().expose(), valid);
    }
    for invalid in ["", "pm card", "pm-card", "pmé", "4242424242424242", &"p".repeat(256)] {
        assert_eq!(invalid.parse::<PaymentMethod>(), Err(InvalidPaymentMethod), "{invalid}");
    }
}

#[test]
fn a_note_that_was_stored_before_notes_had_to_be_printable_is_read_without_what_is_not() {
    let mut row = serde_json::to_value(order(Status::Placed, PaymentStatus::None)).unwrap();
    row["note"] = "no bag,\nplease\u{202e}".into();
    let read: Order = serde_json::from_value(row).unwrap();
    assert_eq!(read.note, Some("no bag, please".to_owned().try_into().unwrap()));
}

#[test]
fn a_note_has_at_most_500_characters() {
    assert!(Note::try_from("é".repeat(500)).is_ok());
    assert_eq!(Note::try_from("é".repeat(501)), Err(InvalidNote::TooLong));
}

#[test]
fn an_order_expires_from_its_deadline_on_unless_it_is_confirmed() {
    let deadline = order(Status::Placed, PaymentStatus::None).deadline;
    let expires = |status, at| {
        order(status, PaymentStatus::None).transition(Trigger::DeadlinePassed, at, None).is_some()
    };
    assert!(!expires(Status::Reserved, at("2026-11-24T08:15:00.119Z")));
    assert!(expires(Status::Placed, deadline));
    assert!(expires(Status::Reserved, deadline));
    assert!(!expires(Status::Confirmed, deadline));
}

#[test]
fn a_payment_of_an_order_that_ended_early_never_goes_back() {
    let ended = |payment, steps: &[Trigger]| walk(order(Status::Cancelled, payment), steps).payment;
    assert_eq!(ended(PaymentStatus::None, &[Trigger::PaymentVoided]), PaymentStatus::Voided);
    assert_eq!(
        ended(PaymentStatus::None, &[Trigger::PaymentRefunded(0), Trigger::PaymentCaptured]),
        PaymentStatus::Refunded
    );
    assert_eq!(
        ended(PaymentStatus::Captured, &[Trigger::RefundFailed(0), Trigger::PaymentRefunded(0)]),
        PaymentStatus::Refunded
    );
    assert_eq!(
        ended(PaymentStatus::Captured, &[Trigger::PaymentRefunded(0), Trigger::RefundFailed(0)]),
        PaymentStatus::Refunded
    );
}

#[test]
fn a_shop_gives_back_at_most_what_a_paid_order_has_cost() {
    let paid = order(Status::Confirmed, PaymentStatus::Captured);
    for (steps, amounts, left) in [
        (&[refund(1)][..], &[1][..], 379),
        (&[refund(380)], &[380], 0),
        (&[refund(0)], &[], 380),
        (&[refund(381)], &[], 380),
        (&[refund(200), refund(200)], &[200], 180),
        (&[refund(200), refund(180), refund(1)], &[200, 180], 0),
        // What failed is still to be had, and what is tried again is not.
        (&[refund(300), reported(1, RefundState::Failed), refund(300)], &[300, 300], 80),
        (
            &[
                refund(300),
                reported(1, RefundState::Failed),
                Trigger::RefundRetried(1),
                refund(300),
            ],
            &[300],
            80,
        ),
    ] {
        let order = walk(paid.clone(), steps);
        let refunds: Vec<_> = order.refunds.iter().map(|refund| refund.amount).collect();
        assert_eq!((&refunds[..], order.refundable()), (amounts, left), "{steps:?}");
        assert_eq!((order.status, order.payment), (paid.status, paid.payment));
    }
}

#[test]
fn only_an_order_that_is_paid_and_goes_on_is_refunded_by_its_shop() {
    let now = at("2026-11-24T08:01:00Z");
    for status in Status::ALL {
        for payment in [PaymentStatus::None, PaymentStatus::Captured] {
            let transition = order(status, payment).transition(refund(100), now, None);
            let expected = payment == PaymentStatus::Captured
                && matches!(
                    status,
                    Status::Confirmed | Status::Preparing | Status::Ready | Status::Collected
                );
            assert_eq!(transition.is_some(), expected, "{status:?} {payment:?}");
        }
    }
}

#[test]
fn an_older_report_of_a_refund_is_ignored() {
    let state = |steps: &[Trigger]| {
        let order = order(Status::Confirmed, PaymentStatus::Captured);
        walk(order, &[&[refund(100)], steps].concat()).refunds[0].state
    };
    use RefundState::{Failed, Pending, Requested, Succeeded};
    assert_eq!(state(&[]), Requested);
    assert_eq!(state(&[reported(2, Pending), reported(3, Succeeded)]), Succeeded);
    assert_eq!(state(&[reported(3, Succeeded), reported(2, Pending)]), Succeeded);
    // A refund may fail days after it has succeeded, and be tried again.
    let failed = [reported(3, Succeeded), reported(4, Failed)];
    assert_eq!(state(&failed), Failed);
    let retried = [&failed[..], &[Trigger::RefundRetried(1)]].concat();
    assert_eq!(state(&retried), Requested);
    assert_eq!(state(&[&retried[..], &[reported(4, Failed)]].concat()), Requested);
    assert_eq!(state(&[&retried[..], &[tried(6, 2, Succeeded)]].concat()), Succeeded);
    // A later report that does not know of the retry yet.
    assert_eq!(state(&[&retried[..], &[reported(5, Failed)]].concat()), Requested);
    // What has failed is not given back before it is tried again.
    assert_eq!(state(&[reported(2, Failed), reported(3, Succeeded)]), Failed);
}

#[test]
fn an_order_that_is_cancelled_covers_the_refunds_that_were_not_made() {
    let order = order(Status::Confirmed, PaymentStatus::Captured);
    let steps = [
        refund(100),
        reported(2, RefundState::Succeeded),
        refund(200),
        Trigger::Cancelled,
        reported(5, RefundState::Failed),
    ];
    let states: Vec<_> = walk(order, &steps).refunds.iter().map(|it| it.state).collect();
    assert_eq!(states, [RefundState::Succeeded, RefundState::Covered]);
}

#[test]
fn a_shop_cancels_an_order_until_it_is_collected_or_over_and_says_why() {
    let reason: Reason = "The oven is broken".parse().unwrap();
    let cancel = || Trigger::CancelledByShop(reason.clone());
    for status in Status::ALL {
        let order = order(status, PaymentStatus::Captured);
        let late = order.pickup_at + SignedDuration::from_hours(24);
        let cancelled = order.transition(cancel(), late, None).map(|it| order.clone().after(it));
        use Status::{Confirmed, Placed, Preparing, Ready, Reserved};
        let expected = matches!(status, Placed | Reserved | Confirmed | Preparing | Ready);
        assert_eq!(cancelled.is_some(), expected, "{status:?}");
        if let Some(cancelled) = cancelled {
            assert_eq!(cancelled.status, Status::Cancelled);
            assert_eq!(cancelled.cancellation_reason.as_ref(), Some(&reason));
            assert_eq!((cancelled.due(), cancelled.refundable()), (0, 0));
        }
        let week = order.pickup_at + UNREPORTED_AFTER;
        let is_live = matches!(status, Placed | Reserved);
        assert_eq!(order.transition(cancel(), week, None).is_some(), is_live, "{status:?}");
    }
    let by_customer =
        walk(order(Status::Confirmed, PaymentStatus::Captured), &[Trigger::Cancelled]);
    assert_eq!(by_customer.cancellation_reason, None);
}

#[test]
fn the_reason_of_a_cancellation_is_erased_with_the_customer() {
    let cancel = Trigger::CancelledByShop("Camille has moved away".parse().unwrap());
    let ready = order(Status::Ready, PaymentStatus::Captured);
    let erased = walk(ready, &[cancel, Trigger::ErasureRequested]);
    assert_eq!(erased.cancellation_reason, Some(Reason::erased()));
}

#[test]
fn the_reason_of_a_refund_is_erased_with_the_customer() {
    let paid = order(Status::Collected, PaymentStatus::Captured);
    let erased = walk(paid, &[refund(100), Trigger::ErasureRequested]);
    assert_eq!(erased.refunds[0].reason, Reason::erased());
}

#[test]
fn an_order_has_at_most_20_refunds() {
    let paid = order(Status::Confirmed, PaymentStatus::Captured);
    let refunds = vec![refund(1); MAX_REFUNDS + 1];
    assert_eq!(walk(paid, &refunds).refunds.len(), 20);
}

#[test]
fn a_payment_method_never_prints() {
    assert!(!format!("{:?}", order(Status::Placed, PaymentStatus::None)).contains("pm_card_visa"));
}

#[test]
fn the_time_of_placing_sorts_as_text() {
    let mut early = order(Status::Placed, PaymentStatus::None);
    early.placed_at = at("2026-11-24T08:00:00Z");
    let text = |order: &Order| {
        serde_json::to_value(order).unwrap()["placed_at"].as_str().unwrap().to_owned()
    };
    assert_eq!(text(&early), "2026-11-24T08:00:00.000Z");
    assert!(text(&early) < text(&order(Status::Placed, PaymentStatus::None)));
}

fn steps() -> impl Strategy<Value = Vec<Trigger>> {
    let refunds = [refund(100), refund(280)];
    prop::collection::vec(prop::sample::select([&triggers()[..], &refunds].concat()), 0..24)
}

proptest! {
    #[test]
    fn any_sequence_of_triggers_leaves_a_consistent_row(steps in steps()) {
        let order = walk(order(Status::Placed, PaymentStatus::None), &steps);
        let revisions: Vec<_> = order.history.iter().map(|entry| entry.revision).collect();
        prop_assert_eq!(revisions, (1..=order.revision).collect::<Vec<_>>());
        prop_assert_eq!(order.history.last().unwrap().status, order.status);
        prop_assert_eq!(order.rejection.is_some(), order.status == Status::Rejected);
        let may_be_charged = matches!(order.status, Status::Placed | Status::Reserved);
        prop_assert_eq!(order.payment_method.is_some(), may_be_charged);
        prop_assert!(live_amount(&order.refunds) <= order.total);
        if !may_be_charged && !order.status.ended_early() {
            prop_assert_eq!(order.payment, PaymentStatus::Captured);
        }
    }

    #[test]
    fn an_order_that_has_ended_stays_ended(steps in steps(), more in steps()) {
        let order = walk(order(Status::Placed, PaymentStatus::None), &steps);
        let end = order.status;
        if end.ended_early() || end == Status::Collected {
            prop_assert_eq!(walk(order, &more).status, end);
        }
    }

    #[test]
    fn a_repeated_trigger_changes_nothing(
        steps in steps(),
        last in prop::sample::select(triggers()),
    ) {
        let order = walk(order(Status::Placed, PaymentStatus::None), &steps);
        let once = walk(order, std::slice::from_ref(&last));
        let twice = walk(once.clone(), &[last]);
        prop_assert_eq!(once, twice);
    }
}

/// The payment's row of that version shows a dispute of all that was paid.
fn disputed(version: u32, state: DisputeState) -> Trigger {
    let dispute = Some(Dispute { state, amount: 380 });
    Trigger::PaymentChanged { version, refunds: vec![], dispute }
}

fn paid() -> Order {
    let placed = order(Status::Placed, PaymentStatus::None);
    walk(placed, &[Trigger::StockReserved, Trigger::PaymentCaptured])
}

#[test]
fn a_disputed_payment_is_given_back_by_nobody_until_the_bank_has_decided() {
    let open = walk(paid(), &[disputed(3, DisputeState::Open)]);
    assert_eq!(open.history.last().unwrap().event, OrderEventType::DisputeChanged);
    assert_eq!((open.status, open.refundable(), open.due()), (Status::Confirmed, 0, 380));
    assert_eq!(open.transition(refund(190), at("2026-11-24T08:05:00Z"), None), None);
    assert_eq!(PaymentSummary::of(&open), PaymentSummary::Disputed);
    let won = walk(open.clone(), &[disputed(4, DisputeState::Won)]);
    assert_eq!((won.refundable(), PaymentSummary::of(&won)), (380, PaymentSummary::Captured));
    let lost = walk(open, &[disputed(4, DisputeState::Lost)]);
    assert_eq!((lost.refundable(), lost.due()), (0, 0));
    assert_eq!(PaymentSummary::of(&lost), PaymentSummary::ChargedBack);
}

#[test]
fn a_dispute_that_is_lost_gives_back_what_an_order_that_ended_is_owed() {
    let cancelled = walk(paid(), &[Trigger::CancelledByShop("burnt".parse().unwrap())]);
    let open = walk(cancelled, &[disputed(3, DisputeState::Open)]);
    assert_eq!(open.payment, PaymentStatus::Captured);
    let lost = walk(open, &[disputed(4, DisputeState::Lost)]);
    assert_eq!((lost.payment, lost.status), (PaymentStatus::Refunded, Status::Cancelled));
    assert_eq!(lost.history.last().unwrap().event, OrderEventType::DisputeChanged);
}

#[test]
fn an_older_or_repeated_report_of_a_dispute_changes_nothing() {
    let won = walk(paid(), &[disputed(4, DisputeState::Won)]);
    for stale in [disputed(3, DisputeState::Open), disputed(4, DisputeState::Won)] {
        assert_eq!(won.transition(stale, at("2026-11-24T08:05:00Z"), None), None);
    }
    assert_eq!(
        won.transition(disputed(5, DisputeState::Won), at("2026-11-24T08:05:00Z"), None),
        None
    );
}

#[test]
fn a_refund_that_the_bank_sends_back_has_failed_in_whatever_order_that_is_heard() {
    let cancelled = walk(paid(), &[Trigger::CancelledByShop("burnt".parse().unwrap())]);
    let (refunded, failed) = (Trigger::PaymentRefunded(4), Trigger::RefundFailed(5));
    for reports in [[refunded.clone(), failed.clone()], [failed.clone(), refunded]] {
        let after = walk(cancelled.clone(), &reports);
        assert_eq!(after.payment, PaymentStatus::RefundFailed, "{reports:?}");
        let again = walk(after, &[Trigger::PaymentRefunded(6), failed.clone()]);
        assert_eq!(again.payment, PaymentStatus::Refunded);
    }
}

#[test]
fn a_refund_that_was_made_again_stands_when_the_report_of_its_failure_comes_late() {
    let cancelled = walk(paid(), &[Trigger::CancelledByShop("burnt".parse().unwrap())]);
    let refunded = walk(cancelled, &[Trigger::PaymentRefunded(4), Trigger::PaymentRefunded(6)]);
    let late = walk(refunded.clone(), &[Trigger::RefundFailed(5), Trigger::PaymentRefunded(6)]);
    assert_eq!(late, refunded);
}

#[test]
fn a_dispute_that_overtakes_the_report_of_the_charge_is_kept() {
    let placed = order(Status::Placed, PaymentStatus::None);
    let open = disputed(3, DisputeState::Open);
    let reserved = walk(placed, &[Trigger::StockReserved, open, Trigger::PaymentCaptured]);
    assert_eq!((reserved.status, reserved.is_disputed()), (Status::Confirmed, true));
}
