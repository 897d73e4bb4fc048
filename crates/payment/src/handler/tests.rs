use std::{
    error::Error,
    sync::atomic::{AtomicBool, Ordering},
};

use fixtures::{DEADLINE, PLACED_AT, at};
use jiff::{SignedDuration, ToSpan};
use platform::bus::MemoryBus;
use serde::Serialize;
use shop::{
    event::Detail,
    refund::{self, RefundState},
};
use stripe::{BookedRefund, BookedRefundStatus, Unavailable};

use super::*;
use crate::{
    memory::{MemoryPayments, MemoryProvider},
    provider::KeyError,
};

pub(crate) type TestCashier = Cashier<MemoryPayments, MemoryProvider, MemoryBus>;

const LIMIT: Limit = Limit { payments: 5, window: SignedDuration::from_hours(1) };

pub(crate) fn cashier() -> TestCashier {
    Cashier {
        payments: MemoryPayments::default(),
        provider: MemoryProvider::default(),
        bus: MemoryBus::default(),
        limit: LIMIT,
    }
}

pub(crate) fn now() -> Timestamp {
    at(PLACED_AT)
}

/// An `order.reserved` event that pays with `payment_method`.
fn paying_with(payment_method: &str) -> OrderEvent {
    let mut event = fixtures::order_event(OrderEventType::Reserved);
    event.detail.data.payment_method = Some(payment_method.parse().unwrap());
    event
}

fn reserved_order() -> OrderData {
    fixtures::order_event(OrderEventType::Reserved).detail.data
}

pub(crate) async fn reserved(cashier: &TestCashier) -> Result<(), PaymentError> {
    cashier.handle(fixtures::order_event(OrderEventType::Reserved), now()).await
}

pub(crate) async fn cancelled(cashier: &TestCashier) -> Result<(), PaymentError> {
    cashier.handle(fixtures::order_event(OrderEventType::Cancelled), now()).await
}

/// Creates an intent and commits the order to it, as a delivery that dies before it confirms.
async fn begun(cashier: &TestCashier) -> (Payment, IntentId) {
    let (payment, status) = begin(cashier).await;
    assert_eq!(status, Some(IntentStatus::Unconfirmed));
    let intent = payment.intent().unwrap().clone();
    (payment, intent)
}

/// As [`begun`], with this payment method.
async fn begun_with(cashier: &TestCashier, payment_method: &str) -> (Payment, IntentId) {
    let (payment, _) = begin_with(cashier, payment_method).await;
    let intent = payment.intent().unwrap().clone();
    (payment, intent)
}

fn order<'a>(metadata: &'a Metadata, data: &OrderData) -> Order<'a> {
    Order { id: data.order_id, price: data.price(), cause: Some(metadata), now: now() }
}

async fn begin(cashier: &TestCashier) -> (Payment, Option<IntentStatus>) {
    begin_with(cashier, "pm_card_visa").await
}

async fn begin_with(
    cashier: &TestCashier,
    payment_method: &str,
) -> (Payment, Option<IntentStatus>) {
    let Detail { metadata, data } = paying_with(payment_method).detail;
    let (record, status) = cashier.begin(order(&metadata, &data), &data).await.unwrap();
    (record.payment, status)
}

pub(crate) fn published(cashier: &TestCashier) -> Vec<String> {
    let detail_type = |event: &serde_json::Value| event["detail-type"].as_str().unwrap().to_owned();
    cashier.bus.published().iter().map(detail_type).collect()
}

/// What becomes of an order for less than the provider's minimum.
fn refused() -> Payment {
    Payment::Refused { reason: "amount_too_small".to_owned() }
}

pub(crate) async fn record(cashier: &TestCashier) -> Option<PaymentRecord> {
    cashier.payments.find(reserved_order().order_id).await.unwrap()
}

pub(crate) async fn row(cashier: &TestCashier) -> Option<Payment> {
    record(cashier).await.map(|record| record.payment)
}

#[tokio::test]
async fn a_reserved_order_is_charged_once_in_two_deliveries() {
    let cashier = cashier();
    reserved(&cashier).await.unwrap();
    reserved(&cashier).await.unwrap();
    assert_eq!(cashier.provider.taken(), 380);
    assert_eq!(published(&cashier), ["payment.captured", "payment.captured"]);
    let events = cashier.bus.published();
    assert_eq!(
        events[0]["detail"]["metadata"]["event_id"],
        events[1]["detail"]["metadata"]["event_id"]
    );
}

#[tokio::test]
async fn an_answer_lost_at_any_point_charges_nobody_twice() {
    for lost in 1..=3 {
        let cashier = cashier();
        cashier.provider.lose_answers(lost);
        let mut deliveries = 0;
        while reserved(&cashier).await.is_err() {
            deliveries += 1;
            assert!(deliveries < 10);
        }
        assert_eq!(cashier.provider.taken(), 380, "after {lost} lost answers");
        assert_eq!(published(&cashier), ["payment.captured"]);
    }
}

#[tokio::test]
async fn a_redelivered_charge_looks_up_the_intent_instead_of_confirming_it_again() {
    let cashier = cashier();
    let (_, intent) = begun(&cashier).await;
    cashier.provider.confirm(&intent).await.unwrap();
    cashier.provider.decline("card_declined");
    reserved(&cashier).await.unwrap();
    assert_eq!(published(&cashier), ["payment.captured"]);
}

#[tokio::test]
async fn an_unconfirmed_intent_is_confirmed_by_the_next_delivery() {
    let cashier = cashier();
    begun(&cashier).await;
    reserved(&cashier).await.unwrap();
    assert_eq!(published(&cashier), ["payment.captured"]);
    assert_eq!(cashier.provider.accounts().len(), 1);
}

#[tokio::test]
async fn two_deliveries_that_create_the_same_intent_do_not_cancel_it() {
    let cashier = cashier();
    let (payment, _) = begun(&cashier).await;
    let (again, status) = begin(&cashier).await;
    assert_eq!((again, status), (payment, None));
    assert_eq!(cashier.provider.open(), 1);
}

#[tokio::test]
async fn a_second_intent_for_the_same_order_is_abandoned() {
    let cashier = cashier();
    let (payment, _) = begun(&cashier).await;
    cashier.provider.forget_keys();
    let (again, _) = begin(&cashier).await;
    assert_eq!(again, payment);
    assert_eq!((cashier.provider.accounts().len(), cashier.provider.open()), (2, 1));
}

#[tokio::test]
async fn a_declined_charge_is_published_with_its_reason() {
    let cashier = cashier();
    cashier.provider.decline("insufficient_funds");
    reserved(&cashier).await.unwrap();
    assert_eq!(published(&cashier), ["payment.declined"]);
    assert_eq!(cashier.bus.published()[0]["detail"]["data"]["reason"], "insufficient_funds");
}

#[tokio::test]
async fn the_intent_of_a_declined_charge_is_cancelled_when_its_order_ends() {
    let cashier = cashier();
    cashier.provider.decline("insufficient_funds");
    reserved(&cashier).await.unwrap();
    assert_eq!(cashier.provider.open(), 1);
    cashier.handle(fixtures::order_event(OrderEventType::Rejected), now()).await.unwrap();
    assert_eq!((cashier.provider.taken(), cashier.provider.open()), (0, 0));
    assert_eq!(published(&cashier), ["payment.declined"]);
}

#[tokio::test]
async fn what_the_provider_refuses_for_good_is_declined_in_every_delivery() {
    let cashier = cashier();
    cashier.provider.set_minimum(Some(381));
    reserved(&cashier).await.unwrap();
    // The first decision stays, whatever the provider would say today.
    cashier.provider.set_minimum(None);
    reserved(&cashier).await.unwrap();
    assert_eq!(row(&cashier).await, Some(refused()));
    assert_eq!(published(&cashier), ["payment.declined", "payment.declined"]);
    let [first, second] = &cashier.bus.published()[..] else { panic!("two events") };
    assert_eq!(first["detail"]["data"]["reason"], "amount_too_small");
    assert_eq!(first["detail"]["metadata"]["event_id"], second["detail"]["metadata"]["event_id"]);
    assert_eq!(cashier.provider.accounts(), []);
}

#[tokio::test]
async fn an_undo_of_a_refused_payment_does_nothing() {
    for end in [OrderEventType::Rejected, OrderEventType::Cancelled, OrderEventType::Expired] {
        let cashier = cashier();
        cashier.provider.set_minimum(Some(381));
        reserved(&cashier).await.unwrap();
        cashier.handle(fixtures::order_event(end), now()).await.unwrap();
        assert_eq!(row(&cashier).await, Some(refused()));
        assert_eq!(published(&cashier), ["payment.declined"], "{end:?}");
    }
}

#[tokio::test]
async fn a_refusal_that_an_undo_overtakes_leaves_the_tombstone() {
    let cashier = cashier();
    cancelled(&cashier).await.unwrap();
    cashier.provider.set_minimum(Some(381));
    // The charge had read the table before the tombstone was written.
    let (payment, _) = begin(&cashier).await;
    assert_eq!(payment, Payment::Forbidden);
    assert_eq!(row(&cashier).await, Some(Payment::Forbidden));
}

#[tokio::test]
async fn a_refusal_leaves_an_intent_that_another_delivery_has_created() {
    let cashier = cashier();
    let (charging, _) = begun(&cashier).await;
    cashier.provider.forget_keys();
    cashier.provider.set_minimum(Some(381));
    let (payment, _) = begin(&cashier).await;
    assert_eq!(payment, charging);
    reserved(&cashier).await.unwrap();
    assert_eq!(published(&cashier), ["payment.captured"]);
}

#[tokio::test]
async fn an_intent_that_a_refusal_overtakes_is_abandoned() {
    let cashier = cashier();
    cashier.provider.set_minimum(Some(381));
    reserved(&cashier).await.unwrap();
    cashier.provider.set_minimum(None);
    // The other delivery had read the table before the refusal was written.
    let (payment, _) = begin(&cashier).await;
    assert_eq!(payment, refused());
    assert_eq!((cashier.provider.accounts().len(), cashier.provider.open()), (1, 0));
}

#[tokio::test]
async fn an_unknown_refusal_decides_nothing() {
    let cashier = cashier();
    cashier.provider.misunderstand(true);
    let error = reserved(&cashier).await.unwrap_err();
    assert!(!error.is_transient(), "{error:?}");
    assert_eq!((row(&cashier).await, published(&cashier)), (None, vec![]));
    cashier.provider.misunderstand(false);
    reserved(&cashier).await.unwrap();
    assert_eq!(published(&cashier), ["payment.captured"]);
}

#[tokio::test]
async fn an_intent_cancelled_at_the_provider_counts_as_declined() {
    let cashier = cashier();
    let (_, intent) = begun(&cashier).await;
    cashier.provider.cancel(&intent).await.unwrap();
    reserved(&cashier).await.unwrap();
    assert_eq!(published(&cashier), ["payment.declined"]);
    assert_eq!(cashier.bus.published()[0]["detail"]["data"]["reason"], "cancelled");
}

#[tokio::test]
async fn a_charge_that_the_provider_still_processes_is_retried() {
    let cashier = cashier();
    let event = paying_with("pm_usBankAccount_processing");
    // The provider is at work when the intent is confirmed, and still when it is first looked up.
    for _ in 0..2 {
        let error = cashier.handle(event.clone(), now()).await.unwrap_err();
        assert!(matches!(error, PaymentError::Unfinished), "{error:?}");
    }
    assert_eq!(published(&cashier), [""; 0]);
    cashier.handle(event, now()).await.unwrap();
    assert_eq!(published(&cashier), ["payment.captured"]);
}

#[tokio::test]
async fn an_order_that_ends_early_is_refunded_once_in_two_deliveries() {
    for end in [OrderEventType::Rejected, OrderEventType::Cancelled, OrderEventType::Expired] {
        let cashier = cashier();
        reserved(&cashier).await.unwrap();
        cashier.handle(fixtures::order_event(end), now()).await.unwrap();
        cashier.handle(fixtures::order_event(end), now()).await.unwrap();
        assert_eq!(cashier.provider.taken(), 0);
        let expected = ["payment.captured", "payment.refunded", "payment.refunded"];
        assert_eq!(published(&cashier), expected, "{end:?}");
    }
}

#[tokio::test]
async fn a_pending_refund_is_retried_until_it_succeeds() {
    let cashier = cashier();
    cashier.handle(paying_with("pm_card_pendingRefund"), now()).await.unwrap();
    let error = cancelled(&cashier).await.unwrap_err();
    assert!(matches!(error, PaymentError::Unfinished), "{error:?}");
    cancelled(&cashier).await.unwrap();
    assert_eq!(published(&cashier), ["payment.captured", "payment.refunded"]);
}

#[tokio::test]
async fn a_failed_refund_is_published_and_can_be_retried() {
    let cashier = cashier();
    reserved(&cashier).await.unwrap();
    cashier.provider.fail_refunds(Some("expired_or_canceled_card"));
    cancelled(&cashier).await.unwrap();
    let failed = &cashier.bus.published()[1];
    assert_eq!(failed["detail"]["data"]["reason"], "expired_or_canceled_card");
    cashier.provider.fail_refunds(None);
    cancelled(&cashier).await.unwrap();
    assert_eq!(
        published(&cashier),
        ["payment.captured", "payment.refund_failed", "payment.refunded"]
    );
    assert_eq!(cashier.provider.taken(), 0);
}

#[tokio::test]
async fn an_undo_while_the_provider_processes_the_charge_is_retried() {
    let cashier = cashier();
    let event = paying_with("pm_usBankAccount_processing");
    cashier.handle(event, now()).await.unwrap_err();
    let error = cancelled(&cashier).await.unwrap_err();
    assert!(matches!(error, PaymentError::Unfinished), "{error:?}");
    cancelled(&cashier).await.unwrap();
    assert_eq!(published(&cashier), ["payment.refunded"]);
    assert_eq!(cashier.provider.taken(), 0);
}

#[tokio::test]
async fn an_undo_that_overtakes_its_charge_forbids_it() {
    let cashier = cashier();
    cancelled(&cashier).await.unwrap();
    reserved(&cashier).await.unwrap();
    assert_eq!(row(&cashier).await, Some(Payment::Forbidden));
    assert_eq!(cashier.provider.accounts(), []);
    assert_eq!(published(&cashier), [""; 0]);
}

#[tokio::test]
async fn a_charge_that_finds_a_tombstone_abandons_its_intent() {
    let cashier = cashier();
    cancelled(&cashier).await.unwrap();
    // The charge had read the table before the tombstone was written.
    let (payment, _) = begin(&cashier).await;
    assert_eq!(payment, Payment::Forbidden);
    assert_eq!((cashier.provider.accounts().len(), cashier.provider.open()), (1, 0));
}

#[tokio::test]
async fn a_charge_that_an_undo_overtakes_leaves_the_row_to_the_undo() {
    let cashier = cashier();
    begun(&cashier).await;
    let charging = record(&cashier).await;
    cancelled(&cashier).await.unwrap();
    let voided = record(&cashier).await;
    assert_eq!(voided.as_ref().unwrap().payment.name(), "voided");
    let Detail { metadata, data } = fixtures::order_event(OrderEventType::Reserved).detail;
    let order = order(&metadata, &data);
    let advanced = cashier.advance(order, charging, Trigger::Captured).await.unwrap();
    assert_eq!(advanced, voided);
    assert_eq!(record(&cashier).await, voided);
}

#[tokio::test]
async fn an_unconfirmed_intent_is_voided() {
    let cashier = cashier();
    begun(&cashier).await;
    cancelled(&cashier).await.unwrap();
    assert_eq!(published(&cashier), ["payment.voided"]);
    reserved(&cashier).await.unwrap();
    assert_eq!((cashier.provider.taken(), cashier.provider.open()), (0, 0));
}

#[tokio::test]
async fn nothing_is_charged_from_the_deadline_on() {
    let event = fixtures::order_event(OrderEventType::Reserved);
    let cashier = cashier();
    cashier.handle(event.clone(), at(DEADLINE)).await.unwrap();
    assert_eq!((row(&cashier).await, cashier.provider.accounts()), (None, vec![]));

    begun(&cashier).await;
    cashier.handle(event.clone(), at(DEADLINE)).await.unwrap();
    assert_eq!(cashier.provider.taken(), 0);
    assert_eq!(published(&cashier), [""; 0]);

    cashier.handle(event, at(DEADLINE) - 1.millisecond()).await.unwrap();
    assert_eq!(cashier.provider.taken(), 380);
}

#[tokio::test]
async fn a_charge_that_succeeded_in_time_is_published_after_the_deadline() {
    let cashier = cashier();
    let (_, intent) = begun(&cashier).await;
    cashier.provider.confirm(&intent).await.unwrap();
    let event = fixtures::order_event(OrderEventType::Reserved);
    cashier.handle(event, at(DEADLINE)).await.unwrap();
    assert_eq!(published(&cashier), ["payment.captured"]);
}

#[tokio::test]
async fn an_order_without_a_payment_method_is_not_charged() {
    let cashier = cashier();
    let mut event = fixtures::order_event(OrderEventType::Reserved);
    event.detail.data.payment_method = None;
    let error = cashier.handle(event, now()).await.unwrap_err();
    assert!(matches!(error, PaymentError::NoPaymentMethod), "{error:?}");
    assert_eq!((row(&cashier).await, cashier.provider.accounts()), (None, vec![]));
}

#[tokio::test]
async fn other_events_of_an_order_change_nothing() {
    let cashier = cashier();
    for event_type in [
        OrderEventType::Placed,
        OrderEventType::Confirmed,
        OrderEventType::Preparing,
        OrderEventType::Ready,
        OrderEventType::Collected,
        OrderEventType::PaymentChanged,
        OrderEventType::DisputeChanged,
        OrderEventType::Erased,
    ] {
        cashier.handle(fixtures::order_event(event_type), now()).await.unwrap();
    }
    assert_eq!((row(&cashier).await, cashier.provider.accounts()), (None, vec![]));
    assert_eq!(published(&cashier), [""; 0]);
}

/// An `order.refund_requested` event with these refunds.
pub(crate) fn refund_requested(refunds: &[refund::Refund]) -> OrderEvent {
    let mut event = fixtures::order_event(OrderEventType::RefundRequested);
    event.detail.data.refunds = refunds.to_vec();
    event
}

pub(crate) fn requested(id: u32, amount: u64) -> refund::Refund {
    let event = fixtures::order_event(OrderEventType::RefundRequested);
    refund::Refund { id, amount, ..event.detail.data.refunds[0].clone() }
}

/// The states of the refunds in the row.
pub(crate) async fn states(cashier: &TestCashier) -> Vec<(u32, RefundState)> {
    let record = record(cashier).await.unwrap();
    record.refunds.iter().map(|entry| (entry.id, entry.state)).collect()
}

/// The amounts that the provider has refunded, oldest first, without what failed.
pub(crate) fn refunded(cashier: &TestCashier) -> Vec<u64> {
    let accounts = cashier.provider.accounts();
    let live = |refund: &&BookedRefund| refund.status != BookedRefundStatus::Failed;
    accounts.iter().flat_map(|it| it.refunds.iter().filter(live).map(|it| it.amount)).collect()
}

#[tokio::test]
async fn a_refund_of_the_shop_is_made_once_in_two_deliveries() {
    let cashier = cashier();
    reserved(&cashier).await.unwrap();
    let event = refund_requested(&[requested(1, 190)]);
    cashier.handle(event.clone(), now()).await.unwrap();
    cashier.provider.forget_keys();
    cashier.handle(event, now()).await.unwrap();
    assert_eq!(refunded(&cashier), [190]);
    assert_eq!(published(&cashier), ["payment.captured", "payment.changed", "payment.changed"]);
    let events = cashier.bus.published();
    let data = &events[1]["detail"]["data"];
    let report = serde_json::json!({"id": 1, "attempt": 1, "state": "succeeded"});
    assert_eq!(data["refunds"], serde_json::json!([report]));
    let id = |event: &serde_json::Value| event["detail"]["metadata"]["event_id"].clone();
    assert_eq!(id(&events[1]), id(&events[2]));
}

#[tokio::test]
async fn a_refund_whose_answer_is_lost_at_any_point_is_made_once() {
    for lost in 1..=4 {
        let cashier = cashier();
        reserved(&cashier).await.unwrap();
        cashier.provider.lose_answers(lost);
        let event = refund_requested(&[requested(1, 190)]);
        let mut deliveries = 0;
        while cashier.handle(event.clone(), now()).await.is_err() {
            deliveries += 1;
            assert!(deliveries < 10);
            cashier.provider.forget_keys();
        }
        assert_eq!(refunded(&cashier), [190], "after {lost} lost answers");
    }
}

#[tokio::test]
async fn a_refund_whose_answer_was_a_failure_is_made_once_whether_it_had_been_made_or_not() {
    for after_work in [false, true] {
        let cashier = cashier();
        reserved(&cashier).await.unwrap();
        cashier.provider.fail_parts(2, after_work);
        let event = refund_requested(&[requested(1, 190)]);
        let mut deliveries = 0;
        while let Err(error) = cashier.handle(event.clone(), now()).await {
            assert!(error.is_transient(), "{error:?}");
            deliveries += 1;
            assert!(deliveries < 10);
        }
        assert_eq!(
            (refunded(&cashier), states(&cashier).await),
            (vec![190], vec![(1, RefundState::Succeeded)])
        );
    }
}

#[tokio::test]
async fn two_refunds_at_once_are_both_made_and_a_third_that_exceeds_the_charge_fails() {
    let cashier = cashier();
    reserved(&cashier).await.unwrap();
    let refunds = [requested(1, 100), requested(2, 200), requested(3, 81)];
    let delivery = |refunds| cashier.handle(refund_requested(refunds), now());
    let (first, second) = tokio::join!(delivery(&refunds[..1]), delivery(&refunds[..2]));
    first.and(second).unwrap();
    delivery(&refunds).await.unwrap();
    assert_eq!(refunded(&cashier), [100, 200]);
    let states = states(&cashier).await;
    assert_eq!(states[2], (3, RefundState::Failed), "{states:?}");
    let reason = record(&cashier).await.unwrap().refunds[2].reason.clone();
    assert_eq!(reason.as_deref(), Some("amount_exceeds_charge"));
}

#[tokio::test]
async fn a_failed_refund_is_only_tried_again_when_the_shop_asks_again() {
    let cashier = cashier();
    reserved(&cashier).await.unwrap();
    cashier.provider.fail_refunds(Some("expired_or_canceled_card"));
    let event = refund_requested(&[requested(1, 190)]);
    cashier.handle(event.clone(), now()).await.unwrap();
    cashier.provider.fail_refunds(None);
    cashier.handle(event, now()).await.unwrap();
    assert_eq!(states(&cashier).await, [(1, RefundState::Failed)]);
    let again = refund::Refund { attempt: 2, ..requested(1, 190) };
    cashier.handle(refund_requested(&[again]), now()).await.unwrap();
    assert_eq!(states(&cashier).await, [(1, RefundState::Succeeded)]);
    assert_eq!(refunded(&cashier), [190]);
}

#[tokio::test]
async fn a_refund_that_the_bank_sends_back_days_later_has_failed_and_is_owed_again() {
    let cashier = cashier();
    reserved(&cashier).await.unwrap();
    let event = refund_requested(&[requested(1, 190)]);
    cashier.handle(event.clone(), now()).await.unwrap();
    cashier.provider.send_back_refunds();
    cashier.handle(event, now()).await.unwrap();
    assert_eq!(states(&cashier).await, [(1, RefundState::Failed)]);
    let events = cashier.bus.published();
    assert_eq!(events[2]["detail"]["data"]["refunds"][0]["state"], "failed");
    let again = refund::Refund { attempt: 2, ..requested(1, 190) };
    cashier.handle(refund_requested(&[again]), now()).await.unwrap();
    assert_eq!(states(&cashier).await, [(1, RefundState::Succeeded)]);
    assert_eq!(refunded(&cashier), [190]);
}

#[tokio::test]
async fn an_order_that_ends_after_a_refund_gives_back_the_rest() {
    let cashier = cashier();
    reserved(&cashier).await.unwrap();
    cashier.handle(refund_requested(&[requested(1, 190)]), now()).await.unwrap();
    cancelled(&cashier).await.unwrap();
    assert_eq!(refunded(&cashier), [190, 190]);
    assert_eq!(cashier.provider.taken(), 0);
    // A delivery of the refund that comes later finds that nothing is left to do.
    cashier.handle(refund_requested(&[requested(1, 190), requested(2, 50)]), now()).await.unwrap();
    let covered = [(1, RefundState::Succeeded), (2, RefundState::Covered)];
    assert_eq!(states(&cashier).await, covered);
    assert_eq!(refunded(&cashier), [190, 190]);
}

#[tokio::test]
async fn a_refund_of_an_order_without_a_payment_is_an_error() {
    let cashier = cashier();
    let event = refund_requested(&[requested(1, 190)]);
    let error = cashier.handle(event, now()).await.unwrap_err();
    assert!(matches!(error, PaymentError::NothingPaid), "{error:?}");
}

/// Every error, with whether it is transient.
fn errors() -> Vec<(PaymentError, bool)> {
    let malformed = serde_json::from_str::<u8>("x").unwrap_err();
    let unknown = stripe::Error::Refused { status: 400, code: None, param: None, request_id: None };
    let provider = |error: stripe::Error| PaymentError::from(ProviderError::from(error));
    vec![
        (StoreError::call("GetItem", std::fmt::Error).into(), true),
        (StoreError::MissingRow.into(), true),
        (
            StoreError::Unwritable(serde_dynamo::to_item::<_, serde_dynamo::Item>(1).unwrap_err())
                .into(),
            false,
        ),
        (provider(Unavailable::TimedOut.into()), true),
        (provider(stripe::Error::Unauthorized), true),
        (provider(unknown), false),
        (ProviderError::from(KeyError::Secret("denied".to_owned())).into(), true),
        (ProviderError::from(KeyError::Config(stripe::ConfigError::ApiKey)).into(), true),
        (PublishError::Malformed(malformed).into(), false),
        (PaymentError::Unfinished, true),
        (PaymentError::NoBalance, true),
        (PaymentError::NoPaymentMethod, false),
        (PaymentError::NothingPaid, false),
    ]
}

#[test]
fn an_error_is_transient_if_the_same_event_may_succeed_later() {
    for (error, transient) in errors() {
        assert_eq!(error.is_transient(), transient, "{error:?}");
    }
}

#[test]
fn an_error_names_each_of_its_causes_once() {
    let own = |error: &PaymentError| !matches!(error, PaymentError::Publish(_));
    for (error, _) in errors().into_iter().filter(|(error, _)| own(error)) {
        let mut texts = vec![error.to_string()];
        let mut cause = error.source();
        while let Some(source) = cause {
            let text = source.to_string();
            assert!(texts.iter().all(|earlier| !earlier.contains(&text)), "{texts:?}, then {text}");
            texts.push(text);
            cause = source.source();
        }
    }
}

const AUTHENTICATED: &str = "pm_card_authenticationRequired";

async fn charged(cashier: &TestCashier, payment_method: &str) -> Result<(), PaymentError> {
    cashier.handle(paying_with(payment_method), now()).await
}

fn intent(cashier: &TestCashier) -> IntentId {
    cashier.provider.accounts()[0].intent.id.clone()
}

#[tokio::test]
async fn a_customer_who_must_authenticate_is_told_once_and_pays_after_that() {
    let cashier = cashier();
    for _ in 0..2 {
        let waiting = charged(&cashier, AUTHENTICATED).await.unwrap_err();
        assert!(matches!(waiting, PaymentError::Unfinished), "{waiting}");
        assert_eq!(row(&cashier).await.unwrap().name(), "authenticating");
    }
    assert_eq!(published(&cashier), ["payment.authentication_required"]);
    let told = &cashier.bus.published()[0]["detail"]["data"];
    assert_eq!(told["authentication_url"], "https://hooks.stripe.com/3d_secure_2/pi_0");
    assert_eq!(cashier.provider.taken(), 0);

    assert!(cashier.provider.authenticate(&intent(&cashier), true));
    charged(&cashier, AUTHENTICATED).await.unwrap();
    assert_eq!(cashier.provider.taken(), 380);
    assert_eq!(published(&cashier)[1..], ["payment.captured"]);
}

/// A bus that takes nothing the first time.
#[derive(Default)]
struct Stumbling {
    stumbled: AtomicBool,
    bus: MemoryBus,
}

impl EventBus for Stumbling {
    async fn publish<E: Serialize>(&self, events: &[E]) -> Result<(), PublishError> {
        if self.stumbled.swap(true, Ordering::Relaxed) {
            return self.bus.publish(events).await;
        }
        Err(PublishError::Call("throttled".to_owned()))
    }
}

#[tokio::test]
async fn a_customer_is_told_later_if_the_bus_fails() {
    let cashier = Cashier {
        payments: MemoryPayments::default(),
        provider: MemoryProvider::default(),
        bus: Stumbling::default(),
        limit: LIMIT,
    };
    let error = cashier.handle(paying_with(AUTHENTICATED), now()).await.unwrap_err();
    assert!(matches!(error, PaymentError::Publish(_)), "{error}");
    let waiting = cashier.handle(paying_with(AUTHENTICATED), now()).await.unwrap_err();
    assert!(matches!(waiting, PaymentError::Unfinished), "{waiting}");
    let told = cashier.bus.bus.published();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["detail-type"], "payment.authentication_required");
}

#[tokio::test]
async fn a_payment_that_is_not_authenticated_or_declined_afterwards_takes_nothing() {
    for (card, succeeds, code) in [
        (AUTHENTICATED, false, "payment_intent_authentication_failure"),
        (
            "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds",
            true,
            "insufficient_funds",
        ),
    ] {
        let cashier = cashier();
        charged(&cashier, card).await.unwrap_err();
        assert!(cashier.provider.authenticate(&intent(&cashier), succeeds));
        charged(&cashier, card).await.unwrap();
        assert_eq!(published(&cashier)[1..], ["payment.declined"]);
        assert_eq!(row(&cashier).await.unwrap().reason(), Some(code));
        assert_eq!(cashier.provider.taken(), 0);
    }
}

#[tokio::test]
async fn who_authenticates_past_the_deadline_pays_nothing() {
    let cashier = cashier();
    charged(&cashier, AUTHENTICATED).await.unwrap_err();
    assert!(cashier.provider.authenticate(&intent(&cashier), true));
    cashier.handle(paying_with(AUTHENTICATED), at(DEADLINE)).await.unwrap();
    assert_eq!(cashier.provider.taken(), 0);
    let expired = fixtures::order_event(OrderEventType::Expired);
    cashier.handle(expired, at(DEADLINE)).await.unwrap();
    assert_eq!(published(&cashier)[1..], ["payment.voided"]);
    assert_eq!((cashier.provider.taken(), cashier.provider.open()), (0, 0));
}

#[tokio::test]
async fn nobody_is_asked_to_authenticate_past_the_deadline() {
    let cashier = cashier();
    let (_, begun) = begun_with(&cashier, AUTHENTICATED).await;
    cashier.provider.confirm(&begun).await.unwrap();
    let late = cashier.handle(paying_with(AUTHENTICATED), at(DEADLINE)).await.unwrap_err();
    assert!(matches!(late, PaymentError::Unfinished), "{late}");
    assert!(published(&cashier).is_empty());
}

#[tokio::test]
async fn an_order_that_is_cancelled_while_its_customer_authenticates_takes_nothing() {
    let cashier = cashier();
    charged(&cashier, AUTHENTICATED).await.unwrap_err();
    cancelled(&cashier).await.unwrap();
    assert!(!cashier.provider.authenticate(&intent(&cashier), true));
    charged(&cashier, AUTHENTICATED).await.unwrap();
    assert_eq!(published(&cashier)[1..], ["payment.voided", "payment.voided"]);
    assert_eq!((cashier.provider.taken(), cashier.provider.open()), (0, 0));
}
