use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn committed(progress: Progress) -> Payment {
    Payment::Committed { intent: IntentId::new("pi_1"), progress }
}

fn refused() -> Payment {
    Payment::Refused { reason: "amount_too_small".to_owned() }
}

fn declined() -> Progress {
    Progress::Declined { reason: "insufficient_funds".to_owned() }
}

fn refund_failed(reason: &str) -> Progress {
    Progress::RefundFailed { reason: reason.to_owned() }
}

/// A payment in each state, with its row as recorded from the Payments table.
fn recorded_rows() -> Vec<(Payment, Value)> {
    vec![
        (Payment::Forbidden, json!({"state": "forbidden"})),
        (refused(), json!({"state": "refused", "reason": "amount_too_small"})),
        (committed(Progress::Charging), json!({"state": "charging", "intent": "pi_1"})),
        (committed(Progress::Captured), json!({"state": "captured", "intent": "pi_1"})),
        (
            committed(declined()),
            json!({"state": "declined", "intent": "pi_1", "reason": "insufficient_funds"}),
        ),
        (committed(Progress::Undoing), json!({"state": "undoing", "intent": "pi_1"})),
        (committed(Progress::Voided), json!({"state": "voided", "intent": "pi_1"})),
        (committed(Progress::Refunded), json!({"state": "refunded", "intent": "pi_1"})),
        (
            committed(refund_failed("lost_or_stolen_card")),
            json!({"state": "refund_failed", "intent": "pi_1", "reason": "lost_or_stolen_card"}),
        ),
    ]
}

fn triggers() -> Vec<Trigger> {
    vec![
        Trigger::IntentCreated(IntentId::new("pi_1")),
        Trigger::IntentCreated(IntentId::new("pi_2")),
        Trigger::Refused("amount_too_small".into()),
        Trigger::Captured,
        Trigger::Declined("insufficient_funds".into()),
        Trigger::UndoRequested,
        Trigger::Voided,
        Trigger::Refunded,
        Trigger::RefundFailed("expired_or_canceled_card".into()),
    ]
}

#[test]
fn only_the_triggers_in_this_table_change_a_payment() {
    let [created, created_again, refuses, captured, declines, undo, voided, refunded, fails] =
        &triggers()[..]
    else {
        panic!("the table below names every trigger")
    };
    let charging = committed(Progress::Charging);
    let second = Payment::Committed { intent: IntentId::new("pi_2"), progress: Progress::Charging };
    let taken = committed(Progress::Captured);
    let undoing = committed(Progress::Undoing);
    let refunded_all = committed(Progress::Refunded);
    let failed = committed(refund_failed("lost_or_stolen_card"));
    let table = [
        (None, created, charging.clone()),
        (None, created_again, second),
        (None, refuses, refused()),
        (None, undo, Payment::Forbidden),
        (Some(&charging), captured, taken.clone()),
        (Some(&charging), declines, committed(declined())),
        (Some(&charging), undo, undoing.clone()),
        (Some(&taken), undo, undoing.clone()),
        (Some(&undoing), voided, committed(Progress::Voided)),
        (Some(&undoing), refunded, committed(Progress::Refunded)),
        (Some(&undoing), fails, committed(refund_failed("expired_or_canceled_card"))),
        (Some(&refunded_all), fails, committed(refund_failed("expired_or_canceled_card"))),
        (Some(&failed), refunded, committed(Progress::Refunded)),
    ];
    for (current, trigger, next) in &table {
        assert_eq!(
            Payment::next(*current, (*trigger).clone()).as_ref(),
            Some(next),
            "{trigger:?} on {current:?}"
        );
    }

    let rows = recorded_rows();
    let states = rows.iter().map(|(payment, _)| Some(payment)).chain([None]);
    for (current, trigger) in
        states.flat_map(|state| triggers().into_iter().map(move |t| (state, t)))
    {
        let listed = table.iter().any(|row| (row.0, row.1) == (current, &trigger));
        assert_eq!(
            Payment::next(current, trigger.clone()).is_some(),
            listed,
            "{trigger:?} on {current:?}"
        );
    }
}

#[test]
fn each_state_is_stored_as_recorded() {
    for (payment, row) in recorded_rows() {
        assert_eq!(serde_json::to_value(&payment).unwrap(), row);
    }
}

#[test]
fn recorded_rows_are_read_in_every_state() {
    for (payment, mut row) in recorded_rows() {
        assert_eq!(serde_json::from_value::<Payment>(row.clone()).unwrap(), payment);
        // The table stores more than the payment, with which this type has nothing to do.
        row["order_id"] = json!("0b7c55f2-9d4e-4c6b-8a1f-3e2d7c9014aa");
        row["amount"] = json!(380);
        assert_eq!(serde_json::from_value::<Payment>(row).unwrap(), payment);
    }
}

#[test]
fn rows_with_an_unknown_state_or_without_a_required_field_are_refused() {
    for row in [
        json!({}),
        json!({"intent": "pi_1"}),
        json!({"state": "authorized", "intent": "pi_1"}),
        json!({"state": "captured"}),
        json!({"state": "refused"}),
        json!({"state": "declined", "intent": "pi_1"}),
        json!({"state": "refund_failed", "reason": "expired_or_canceled_card"}),
    ] {
        assert!(serde_json::from_value::<Payment>(row.clone()).is_err(), "{row}");
    }
}

#[test]
fn a_payment_is_named_as_its_row_stores_it() {
    for (payment, row) in recorded_rows() {
        assert_eq!(row["state"], payment.name());
        assert_eq!(row["reason"].as_str(), payment.reason());
    }
}

#[test]
fn a_refund_that_has_succeeded_can_only_fail() {
    use RefundState::{Covered, Failed, Pending, Requested, Succeeded};
    let failed = RefundOutcome::Failed("expired_or_canceled_card".to_owned());
    let outcomes = [RefundOutcome::Taken(Pending), RefundOutcome::Taken(Succeeded), failed];
    let after = |state| {
        let entry = RefundEntry { id: 1, amount: 190, attempt: 1, name: 1, state, reason: None };
        let payment = committed(Progress::Captured);
        let record =
            PaymentRecord { refunds: vec![entry], version: 3, ..PaymentRecord::new(payment) };
        outcomes.each_ref().map(|it| Some(record.with_outcome(1, 1, it)?.refunds[0].state))
    };
    assert_eq!(after(Requested), [Some(Pending), Some(Succeeded), Some(Failed)]);
    assert_eq!(after(Pending), [None, Some(Succeeded), Some(Failed)]);
    assert_eq!(after(Succeeded), [None, None, Some(Failed)]);
    assert_eq!(after(Failed), [None; 3]);
    assert_eq!(after(Covered), [None; 3]);
}

#[test]
fn a_refund_is_known_by_its_name_and_gets_another_one_when_it_is_asked_for_again() {
    let request = |attempt| Refund {
        id: 1,
        amount: 190,
        reason: "One croissant was burnt".parse().unwrap(),
        requested_at: jiff::Timestamp::UNIX_EPOCH,
        attempt,
        state: RefundState::Requested,
    };
    let captured = PaymentRecord::new(committed(Progress::Captured));
    let asked = captured.with_requests(&[request(1)]).unwrap();
    assert_eq!(asked.with_requests(&[request(1)]), None);
    let stalled = asked.with_outcome(1, 1, &RefundOutcome::Stalled).unwrap();
    assert_eq!((stalled.version, stalled.refunds[0].name), (3, 2));
    // An answer under the first name is no longer of interest.
    let failed = RefundOutcome::Failed("expired_or_canceled_card".to_owned());
    assert_eq!(stalled.with_outcome(1, 1, &failed), None);
    let failed = stalled.with_outcome(1, 2, &failed).unwrap();
    assert_eq!(failed.with_requests(&[request(1)]), None);
    let again = failed.with_requests(&[request(2)]).unwrap();
    assert_eq!((again.refunds[0].name, again.refunds[0].state), (3, RefundState::Requested));
    assert_eq!(again.refunds[0].reason, None);
    let undone = PaymentRecord::next(Some(&again), Trigger::UndoRequested).unwrap();
    assert_eq!(undone.refunds[0].state, RefundState::Covered);
}

fn apply(mut payment: Option<Payment>, triggers: &[Trigger]) -> Option<Payment> {
    for trigger in triggers {
        payment = Payment::next(payment.as_ref(), trigger.clone()).or(payment);
    }
    payment
}

fn any_triggers() -> impl Strategy<Value = Vec<Trigger>> {
    prop::collection::vec(prop::sample::select(triggers()), 0..12)
}

proptest! {
    #[test]
    fn an_order_never_changes_its_intent(before in any_triggers(), after in any_triggers()) {
        let early = apply(None, &before);
        let late = apply(early.clone(), &after);
        if let Some(intent) = early.as_ref().and_then(Payment::intent) {
            prop_assert_eq!(late.as_ref().and_then(Payment::intent), Some(intent));
        }
    }

    #[test]
    fn an_order_that_was_denied_an_intent_never_gets_one(after in any_triggers()) {
        for denied in [Payment::Forbidden, refused()] {
            prop_assert_eq!(apply(Some(denied.clone()), &after), Some(denied));
        }
    }
}
