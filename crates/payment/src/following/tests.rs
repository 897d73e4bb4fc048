use shop::{
    dispute::{Dispute, DisputeState},
    payment::IntentId,
    refund::RefundState,
};

use stripe::NewIntent;

use super::*;
use crate::{
    handler::tests::{
        TestCashier, cancelled, cashier, now, published, record, refund_requested, refunded,
        requested, reserved, row, states,
    },
    memory::Account,
};

/// The provider says that something has happened to the order's intent.
async fn followed(cashier: &TestCashier) -> Result<(), PaymentError> {
    let intent = cashier.provider.accounts()[0].intent.id.clone();
    cashier.follow(IntentChanged::new(intent), now()).await
}

/// The customer disputes the payment, or their bank decides that.
async fn disputed(cashier: &TestCashier, state: DisputeState) {
    let intent = cashier.provider.accounts()[0].intent.id.clone();
    assert!(cashier.provider.dispute(&intent, state), "{state:?}");
    followed(cashier).await.unwrap();
}

async fn progress(cashier: &TestCashier) -> &'static str {
    row(cashier).await.unwrap().name()
}

/// The last event.
fn last(cashier: &TestCashier) -> serde_json::Value {
    cashier.bus.published().last().unwrap().clone()
}

#[tokio::test]
async fn what_is_not_the_intent_of_an_order_of_ours_changes_nothing() {
    let cashier = cashier();
    let unknown = IntentId::new("pi_unknown");
    cashier.follow(IntentChanged::new(unknown), now()).await.unwrap();
    reserved(&cashier).await.unwrap();
    let known = record(&cashier).await;
    // Another intent that names the order, such as one that a copy of the message has created.
    cashier.provider.forget_keys();
    let Account { order_id, price, .. } = cashier.provider.accounts()[0].clone();
    let payment_method = "pm_card_visa".parse().unwrap();
    cashier.provider.create(&NewIntent { order_id, price, payment_method }).await.unwrap();
    let other = cashier.provider.accounts()[1].intent.id.clone();
    cashier.follow(IntentChanged::new(other), now()).await.unwrap();
    assert_eq!(record(&cashier).await, known);
    assert_eq!(published(&cashier), ["payment.captured"]);
}

#[tokio::test]
async fn a_refund_that_the_bank_sends_back_is_owed_again() {
    let cashier = cashier();
    reserved(&cashier).await.unwrap();
    cashier.handle(refund_requested(&[requested(1, 190)]), now()).await.unwrap();
    cashier.provider.send_back_refunds();
    followed(&cashier).await.unwrap();
    assert_eq!(states(&cashier).await, [(1, RefundState::Failed)]);
    assert_eq!(last(&cashier)["detail"]["data"]["refunds"][0]["state"], "failed");
}

#[tokio::test]
async fn all_that_was_given_back_for_an_order_that_ended_may_come_back_and_go_again() {
    let cashier = cashier();
    reserved(&cashier).await.unwrap();
    cancelled(&cashier).await.unwrap();
    let version = |event: &serde_json::Value| event["detail"]["data"]["version"].as_u64().unwrap();
    let refunded_at = version(&last(&cashier));
    cashier.provider.send_back_refunds();
    followed(&cashier).await.unwrap();
    assert_eq!(progress(&cashier).await, "refund_failed");
    let failed = last(&cashier);
    assert_eq!(failed["detail-type"], "payment.refund_failed");
    assert_eq!(failed["detail"]["data"]["reason"], "expired_or_canceled_card");
    assert!(version(&failed) > refunded_at);
    // Somebody tries again.
    cancelled(&cashier).await.unwrap();
    assert_eq!(progress(&cashier).await, "refunded");
    assert!(version(&last(&cashier)) > version(&failed));
}

#[tokio::test]
async fn nothing_is_refunded_while_a_dispute_is_open_and_all_that_is_owed_once_it_is_won() {
    let cashier = cashier();
    reserved(&cashier).await.unwrap();
    disputed(&cashier, DisputeState::Open).await;
    let shown = &last(&cashier)["detail"]["data"]["dispute"];
    assert_eq!(*shown, serde_json::json!({"state": "open", "amount": 380}));
    cashier.handle(refund_requested(&[requested(1, 190)]), now()).await.unwrap();
    assert_eq!(
        (refunded(&cashier), states(&cashier).await),
        (vec![], vec![(1, RefundState::Requested)])
    );
    disputed(&cashier, DisputeState::Won).await;
    assert_eq!(
        (refunded(&cashier), states(&cashier).await),
        (vec![190], vec![(1, RefundState::Succeeded)])
    );
}

#[tokio::test]
async fn a_dispute_of_which_no_event_told_is_found_when_money_is_to_be_given_back() {
    let cashier = cashier();
    reserved(&cashier).await.unwrap();
    let intent = cashier.provider.accounts()[0].intent.id.clone();
    cashier.provider.dispute(&intent, DisputeState::Open);
    cashier.handle(refund_requested(&[requested(1, 190)]), now()).await.unwrap();
    assert_eq!(states(&cashier).await, [(1, RefundState::Requested)]);
    cancelled(&cashier).await.unwrap();
    assert_eq!((progress(&cashier).await, refunded(&cashier)), ("undoing", vec![]));
    // Nor of its end.
    cashier.provider.dispute(&intent, DisputeState::Won);
    cancelled(&cashier).await.unwrap();
    assert_eq!((progress(&cashier).await, refunded(&cashier)), ("refunded", vec![380]));
}

#[tokio::test]
async fn the_order_that_ends_during_a_dispute_is_given_back_by_whoever_wins() {
    for (end, given_back) in [(DisputeState::Won, vec![380]), (DisputeState::Lost, vec![])] {
        let cashier = cashier();
        reserved(&cashier).await.unwrap();
        disputed(&cashier, DisputeState::Open).await;
        cancelled(&cashier).await.unwrap();
        assert_eq!(progress(&cashier).await, "undoing");
        disputed(&cashier, end).await;
        assert_eq!((progress(&cashier).await, refunded(&cashier)), ("refunded", given_back));
        assert_eq!(cashier.provider.taken(), 0);
    }
}

#[tokio::test]
async fn a_lost_dispute_covers_the_refunds_that_were_not_made() {
    let cashier = cashier();
    reserved(&cashier).await.unwrap();
    disputed(&cashier, DisputeState::Open).await;
    cashier.handle(refund_requested(&[requested(1, 190)]), now()).await.unwrap();
    disputed(&cashier, DisputeState::Lost).await;
    assert_eq!(states(&cashier).await, [(1, RefundState::Covered)]);
    cashier.handle(refund_requested(&[requested(1, 190), requested(2, 50)]), now()).await.unwrap();
    assert_eq!((refunded(&cashier), cashier.provider.taken()), (vec![], 0));
}

#[tokio::test]
async fn an_inquiry_lets_the_shop_give_money_back() {
    let cashier = cashier();
    reserved(&cashier).await.unwrap();
    disputed(&cashier, DisputeState::Inquiry).await;
    cashier.handle(refund_requested(&[requested(1, 380)]), now()).await.unwrap();
    assert_eq!(refunded(&cashier), [380]);
}

#[tokio::test]
async fn a_look_that_was_taken_earlier_opens_no_dispute_again() {
    let cashier = cashier();
    reserved(&cashier).await.unwrap();
    disputed(&cashier, DisputeState::Open).await;
    let earlier = record(&cashier).await.unwrap().disputes;
    disputed(&cashier, DisputeState::Won).await;
    let won = record(&cashier).await.unwrap();
    assert_eq!(won.with_disputes(&earlier), None);
    assert_eq!(won.dispute(), Some(Dispute { state: DisputeState::Won, amount: 380 }));
}
