//! What others do with a payment: customers dispute it, and banks decide that or send money back.

use local::sandbox::{DisputeStatus, RefundStatus};
use serde_json::{Value, json};

use crate::harness::{Customer, System, croissants, eventually, paid_with};

/// Waits until an order shows its payment like this, and returns the order.
async fn shown(customer: &Customer<'_>, id: &str, payment: &str) -> Value {
    eventually(&format!("the payment of {id} to be {payment}"), async || {
        let order = customer.order(id).await;
        (order["payment"] == payment).then_some(order)
    })
    .await
}

/// Places an order whose payment is disputed at once. Returns its id and that of the dispute.
async fn disputed(system: &System, customer: &Customer<'_>) -> (String, String) {
    let order = paid_with("pm_card_createDispute", croissants(&system.shop().await, 2));
    let id = customer.place(&order).await;
    customer.confirmed(&id).await;
    shown(customer, &id, "disputed").await;
    let dispute = system.ledger(&id).await[0].disputes[0].dispute.clone();
    (id, dispute)
}

#[tokio::test]
async fn a_disputed_order_gives_nothing_back_before_the_shop_has_won() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let (id, dispute) = disputed(&system, &camille).await;

    let refund = ["order", &id, "refund", "--all", "--reason", "late"];
    let refused = system.ops(&refund).await;
    assert!(refused.status == 2 && refused.errors.contains("disputes the payment"), "{refused:?}");
    let cancel = ["order", &id, "cancel", "--reason", "The oven is broken"];
    assert_eq!(system.ops(&cancel).await.status, 0);
    let mails = camille.mails(2).await;
    assert!(mails[1].text.contains("your bank has taken that back from us"), "{mails:?}");
    let verdict = system.ops(&["order", &id]).await;
    assert!(verdict.text.contains("its customer disputes the payment"), "{verdict:?}");
    assert_eq!(system.net_paid(&id).await, 380);

    system.provider.decide_dispute(&dispute, DisputeStatus::Won).await.unwrap();
    shown(&camille, &id, "refunded").await;
    assert_eq!(system.net_paid(&id).await, 0);
    let mails = camille.mails(3).await;
    assert!(mails[2].subject.contains("given your money back"), "{mails:?}");
}

#[tokio::test]
async fn a_dispute_that_is_lost_has_given_the_money_back() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let (id, dispute) = disputed(&system, &camille).await;
    system.provider.decide_dispute(&dispute, DisputeStatus::Lost).await.unwrap();
    let order = shown(&camille, &id, "charged_back").await;
    assert_eq!(order["status"], "confirmed");
    assert_eq!(system.net_paid(&id).await, 0);
    let found = system.ops(&["orders", "--payment", "charged_back"]).await;
    assert_eq!(found.lines(&id).len(), 1, "{found:?}");
    // Nothing is left to be given back, and the books agree.
    let verdict = eventually("the verdict of the order", async || {
        let verdict = system.ops(&["order", &id]).await;
        (verdict.status == 0).then_some(verdict)
    })
    .await;
    assert!(verdict.text.contains("the bank gave them the money"), "{verdict:?}");
    assert_eq!(system.ops(&["order", &id, "cancel", "--reason", "late"]).await.status, 0);
    assert_eq!(system.ledger(&id).await[0].refunds, []);
}

#[tokio::test]
async fn an_inquiry_of_a_bank_changes_nothing_for_the_customer() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let order = paid_with("pm_card_createDisputeInquiry", croissants(&system.shop().await, 2));
    let id = camille.place(&order).await;
    camille.confirmed(&id).await;
    eventually("the inquiry to be known", async || {
        let verdict = system.ops(&["order", &id]).await;
        verdict.text.contains("bank asks about the payment").then_some(())
    })
    .await;
    assert_eq!(camille.order(&id).await["payment"], "captured");
    assert_eq!(camille.cancel(&id).await.status, 200);
    shown(&camille, &id, "refunded").await;
}

#[tokio::test]
async fn money_that_a_bank_sends_back_after_all_was_refunded_is_owed_again() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let id = camille.place(&croissants(&system.shop().await, 2)).await;
    camille.confirmed(&id).await;
    assert_eq!(camille.cancel(&id).await.status, 200);
    shown(&camille, &id, "refunded").await;
    let refund = system.ledger(&id).await[0].refunds[0].refund.clone();
    system.provider.settle_refund(&refund, RefundStatus::Failed).await.unwrap();
    shown(&camille, &id, "refund_failed").await;
    let verdict = system.ops(&["order", &id]).await;
    assert!(verdict.status == 1 && verdict.text.contains("its refund failed with"), "{verdict:?}");
    // Tried again by somebody.
    assert_eq!(system.ops(&["order", &id, "retry"]).await.status, 0);
    shown(&camille, &id, "refunded").await;
    assert_eq!(system.net_paid(&id).await, 0);
}

#[tokio::test]
async fn an_event_about_an_intent_of_somebody_else_is_taken_and_changes_nothing() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let id = camille.place(&croissants(&system.shop().await, 2)).await;
    camille.confirmed(&id).await;
    let before = camille.order(&id).await;
    let queue = system.queue("IntentQueue").await;
    let own = system.ledger(&id).await[0].intent.clone();
    let about = |intent: &str| json!({ "intent": intent }).to_string();
    queue.send(&[about("pi_of_somebody_else"), about(&own)]).await;
    eventually("the events to be taken", async || queue.messages().await.is_empty().then_some(()))
        .await;
    assert_eq!(camille.order(&id).await, before);
}
