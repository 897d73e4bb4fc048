//! Money that a shop gives back of an order that goes on.

use futures::future::join_all;
use local::sandbox::{Fault, FaultyAnswer, Route};
use serde_json::{Value, json};

use crate::harness::{Customer, System, croissants, eventually, paid_with};

const REASON: &str = "One croissant was burnt";

/// Gives a part of an order of 3.80 EUR back.
async fn refund(system: &System, id: &str, amount: &str) {
    let arguments = ["order", id, "refund", "--amount", amount, "--reason", REASON];
    let asked = system.ops(&arguments).await;
    assert_eq!(asked.status, 0, "{asked:?}");
}

/// Waits until the refunds of an order are in these states, and returns the order.
async fn shown(customer: &Customer<'_>, id: &str, states: &[&str]) -> Value {
    eventually(&format!("the refunds of {id} to be {states:?}"), async || {
        let order = customer.order(id).await;
        let refunds = order["refunds"].as_array().cloned().unwrap_or_default();
        let shown: Vec<_> = refunds.iter().map(|it| it["state"].clone()).collect();
        (shown == states).then_some(order)
    })
    .await
}

#[tokio::test]
async fn a_shop_gives_back_a_part_and_then_the_rest_and_never_more() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let id = camille.place(&croissants(&system.shop().await, 2)).await;
    camille.confirmed(&id).await;

    refund(&system, &id, "1.90").await;
    let order = shown(&camille, &id, &["succeeded"]).await;
    assert_eq!(order["payment"], "partly_refunded");
    let found = system.ops(&["orders", "--payment", "partly_refunded"]).await;
    assert_eq!(found.lines(&id).len(), 1, "{found:?}");
    let refund_shown = &order["refunds"][0];
    assert_eq!((&refund_shown["amount"], &refund_shown["reason"]), (&json!(190), &json!(REASON)));
    assert_eq!(system.net_paid(&id).await, 190);
    let mails = camille.mails(2).await;
    assert!(mails[1].text.contains("We have refunded 1.90 EUR: One croissant was burnt"));

    let again = ["order", &id, "refund", "--amount", "1.90", "--reason", REASON];
    let repeated = system.ops(&again).await;
    assert!(repeated.status == 2 && repeated.errors.contains("--again"), "{repeated:?}");
    let much = system.ops(&["order", &id, "refund", "--amount", "1.91", "--reason", "late"]).await;
    assert!(
        much.status == 2 && much.errors.contains("1.90 EUR of it can be given back"),
        "{much:?}"
    );

    let rest = system.ops(&["order", &id, "refund", "--all", "--reason", "late as well"]).await;
    assert_eq!(rest.status, 0, "{rest:?}");
    let order = shown(&camille, &id, &["succeeded", "succeeded"]).await;
    assert_eq!((&order["payment"], &order["status"]), (&json!("refunded"), &json!("confirmed")));
    assert_eq!(system.net_paid(&id).await, 0);
    let verdict = eventually("the verdict of the order", async || {
        let verdict = system.ops(&["order", &id]).await;
        (verdict.status == 0).then_some(verdict)
    })
    .await;
    for said in ["1: 1.90 EUR succeeded", "2: 1.90 EUR succeeded", "nothing needs to be done"] {
        assert!(verdict.text.contains(said), "{said}: {verdict:?}");
    }
}

#[tokio::test]
async fn a_refund_is_made_once_whatever_becomes_of_the_answer() {
    use FaultyAnswer::{Fail, FailAfterWork, Lose};
    let system = System::shared().await;
    let answers = [Fail(500), FailAfterWork(500), Lose, Fail(429)];
    join_all(answers.map(|answer| {
        let system = &system;
        async move {
            let camille = system.customer().await;
            let id = camille.place(&croissants(&system.shop().await, 2)).await;
            camille.confirmed(&id).await;
            let fault =
                Fault { route: Some(Route::Refund), times: Some(1), answer, ..Fault::default() };
            system.set_fault(&id, fault).await;
            refund(system, &id, "1.00").await;
            shown(&camille, &id, &["succeeded"]).await;
            assert_eq!(system.net_paid(&id).await, 280, "{answer:?}");
        }
    }))
    .await;
}

#[tokio::test]
async fn a_refund_that_fails_is_owed_until_it_is_made_in_another_way() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let order = paid_with("pm_card_refundFail", croissants(&system.shop().await, 2));
    let id = camille.place(&order).await;
    camille.confirmed(&id).await;

    refund(&system, &id, "1.90").await;
    let order = shown(&camille, &id, &["failed"]).await;
    assert_eq!(order["payment"], "refund_failed");
    let mails = camille.mails(2).await;
    assert!(mails[1].text.contains("We owe you 1.90 EUR: One croissant was burnt"));
    let verdict = eventually("the verdict that money is owed", async || {
        let verdict = system.ops(&["order", &id]).await;
        (verdict.status == 1).then_some(verdict)
    })
    .await;
    let failed = "refund 1 of its shop failed with `expired_or_canceled_card`";
    assert!(verdict.text.contains(failed), "{verdict:?}");

    let retried = system.ops(&["order", &id, "retry"]).await;
    assert_eq!(retried.status, 0, "{retried:?}");
    let mails = camille.mails(3).await;
    assert!(mails[2].text.contains("We have tried 2 times to refund it."), "{mails:?}");
    assert_eq!(system.net_paid(&id).await, 380);

    let settle = ["reconcile", "settle", &id, "--reason", "paid in cash"];
    eventually("the failed refund to be settled", async || {
        (system.ops(&settle).await.status == 0).then_some(())
    })
    .await;
    eventually("the verdict that nothing is owed", async || {
        (system.ops(&["order", &id]).await.status == 0).then_some(())
    })
    .await;
    let refused = system.ops(&["order", &id, "retry"]).await;
    assert!(refused.status == 2 && refused.errors.contains("settled by hand"), "{refused:?}");
}

#[tokio::test]
async fn an_order_that_is_cancelled_after_a_refund_gives_the_rest_back() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let id = camille.place(&croissants(&system.shop().await, 2)).await;
    camille.confirmed(&id).await;
    refund(&system, &id, "1.00").await;
    shown(&camille, &id, &["succeeded"]).await;

    assert_eq!(camille.cancel(&id).await.status, 200);
    eventually("all of the money to be given back", async || {
        let order = camille.order(&id).await;
        (order["payment"] == "refunded").then_some(())
    })
    .await;
    assert_eq!(system.net_paid(&id).await, 0);
    let ledger = system.ledger(&id).await;
    let mut amounts: Vec<_> = ledger[0].refunds.iter().map(|refund| refund.amount).collect();
    amounts.sort_unstable();
    assert_eq!(amounts, [100, 280]);
    let ended = system.ops(&["order", &id, "refund", "--all", "--reason", "late"]).await;
    assert!(ended.status == 2 && ended.errors.contains("cancelled"), "{ended:?}");
}
