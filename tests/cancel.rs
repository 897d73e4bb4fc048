//! Orders that their customers cancel.

use aws_sdk_dynamodb::Client;
use futures::future::join_all;
use jiff::Timestamp;
use local::sandbox::{Fault, FaultyAnswer, IntentStatus, Route};
use reqwest::Method;
use serde_json::{Value, json};
use shop::order::Trigger;
use tables::orders::{Orders, OrdersTable, Outcome, apply_trigger};
use uuid::Uuid;

use crate::harness::{Answer, Customer, System, croissants, eventually, paid_with};

/// Cancels an order, which must succeed.
async fn cancelled(customer: &Customer<'_>, order: &str) -> Value {
    let answer = customer.cancel(order).await;
    assert_eq!(
        (answer.status, &answer.body["status"]),
        (200, &json!("cancelled")),
        "{}",
        answer.body
    );
    answer.body
}

/// The states that an order has been in.
fn states(order: &Value) -> Vec<&str> {
    let history = order["history"].as_array().unwrap().iter();
    history
        .filter(|step| step["event"] != "order.payment_changed")
        .map(|step| step["status"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn an_order_cancelled_before_its_charge_is_never_charged_and_releases_its_stock() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let shop = system.shop().await;
    let id = camille.order_id("k");
    // No charge of this order can begin until the fault is cleared.
    system
        .set_fault(
            &id,
            Fault {
                route: Some(Route::Create),
                answer: FaultyAnswer::Fail(503),
                ..Fault::default()
            },
        )
        .await;
    camille.post("k", &croissants(&shop, 2)).await;
    eventually("the stock to be held", async || {
        (system.held(&shop, "croissant").await == 2).then_some(())
    })
    .await;
    // An invocation that is still under way when the fault is cleared could create an intent.
    let failed = async || {
        let log = system.log("payment").await;
        log.lines().any(|line| line.contains(&id) && line.contains("record failed")).then_some(())
    };
    eventually("the first charge to fail", failed).await;

    cancelled(&camille, &id).await;
    eventually("the stock to be released", async || {
        (system.held(&shop, "croissant").await == 0).then_some(())
    })
    .await;
    let forbidden = async || {
        let payments = system.rows("PaymentsTableName").await;
        payments
            .into_iter()
            .find(|payment| payment["order_id"] == *id && payment["state"] == "forbidden")
    };
    eventually("the charge to be forbidden", forbidden).await;
    // Now that the fault is gone, the charge is retried.
    system.provider.clear_faults_of(&id).await.unwrap();
    let decided = async || {
        let log = system.log("payment").await;
        (log.lines().filter(|line| line.contains(&id) && line.contains("\"forbidden\"")).count()
            >= 2)
            .then_some(())
    };
    eventually("the void and the charge to be processed", decided).await;
    // A charge that was under way may have created an intent, which it then cancels.
    for entry in system.ledger(&id).await {
        assert_eq!((entry.status, entry.captured), (IntentStatus::Canceled, 0));
    }
    let [mail] = &camille.mails(1).await[..] else { panic!("the customer needs exactly one mail") };
    assert_eq!(mail.subject, "Your order is cancelled");
    let order = camille.order(&id).await;
    assert_eq!(
        (states(&order), &order["payment"]),
        (vec!["placed", "reserved", "cancelled"], &json!("none"))
    );
}

#[tokio::test]
async fn an_order_cancelled_during_its_charge_is_not_paid_for_in_the_end() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let shop = system.shop().await;
    let id = camille.order_id("k");
    let slow =
        Fault { route: Some(Route::Confirm), times: Some(1), delay_ms: 3_000, ..Fault::default() };
    system.set_fault(&id, slow).await;
    camille.post("k", &croissants(&shop, 2)).await;
    eventually("the charge to begin", async || system.ledger(&id).await.pop()).await;

    cancelled(&camille, &id).await;
    let settled = async || {
        Some(camille.order(&id).await)
            .filter(|order| ["voided", "refunded"].contains(&payment(order)))
    };
    let order = eventually("the charge to be voided or refunded", settled).await;
    assert_eq!(states(&order), ["placed", "reserved", "cancelled"]);
    let [intent] = &system.ledger(&id).await[..] else {
        panic!("the order needs exactly one intent")
    };
    assert_eq!(
        (intent.net(), intent.captured > 0),
        (0, payment(&order) == "refunded"),
        "{intent:?}"
    );
    eventually("the stock to be released", async || {
        (system.held(&shop, "croissant").await == 0).then_some(())
    })
    .await;
    assert!(camille.mails(1).await.iter().all(|mail| mail.subject != "Your order is confirmed"));
}

#[tokio::test]
async fn a_confirmed_order_is_refunded_once_however_often_it_is_cancelled() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let shop = system.shop().await;
    let id = camille.place(&croissants(&shop, 2)).await;
    camille.confirmed(&id).await;
    camille.mails(1).await;

    let answers = join_all((0..10).map(|_| cancelled(&camille, &id))).await;
    let refunded =
        async || Some(camille.order(&id).await).filter(|order| payment(order) == "refunded");
    let order = eventually("the refund", refunded).await;
    assert_eq!(states(&order), ["placed", "reserved", "confirmed", "cancelled"]);
    for answer in answers {
        assert_eq!(states(&answer), states(&order));
    }
    assert_eq!(cancelled(&camille, &id).await, order);

    let [charge] = &system.ledger(&id).await[..] else {
        panic!("the order needs exactly one charge")
    };
    assert_eq!((charge.captured, charge.refunds.len(), charge.net()), (380, 1, 0));
    eventually("the stock to be released", async || {
        (system.held(&shop, "croissant").await == 0).then_some(())
    })
    .await;
    let last = async || {
        Some(camille.mail().await).filter(|mail| mail.iter().any(|mail| mail.subject == REFUNDED))
    };
    let mail = eventually("mail about the refund", last).await;
    let subjects: Vec<_> = mail.iter().map(|mail| &*mail.subject).collect();
    // A quick refund may overtake the notice of the cancellation. Its own notice then says that the
    // order was cancelled.
    assert!(
        subjects[1..] == ["Your order is cancelled", REFUNDED] || subjects[1..] == [REFUNDED],
        "{subjects:?}"
    );
}

const REFUNDED: &str = "We have given your money back";

fn payment(order: &Value) -> &str {
    order["payment"].as_str().unwrap()
}

/// The shop begins to make an order. There is no route for that yet.
async fn begin(system: &System, id: &str) {
    let table = OrdersTable::new(
        Client::new(&system.stack.aws()),
        system.stack.outputs.get("OrdersTableName").unwrap().to_owned(),
    );
    let order = table.get(id.parse().unwrap()).await.unwrap().unwrap();
    let begun = apply_trigger(&table, order, &Trigger::PreparationStarted, None, Timestamp::now())
        .await
        .unwrap();
    assert!(matches!(begun, Outcome::Changed(_)), "{begun:?}");
}

#[tokio::test]
async fn an_order_in_preparation_cannot_be_cancelled_by_its_customer() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let shop = system.shop().await;
    let id = camille.place(&croissants(&shop, 2)).await;
    camille.confirmed(&id).await;
    begin(&system, &id).await;

    let refused = camille.cancel(&id).await;
    assert_eq!(
        (refused.status, &refused.body["type"]),
        (409, &json!("urn:amelie:problem:not-cancellable"))
    );
    assert_eq!(refused.headers["content-type"], "application/problem+json");
    assert_eq!(refused.body["order_status"], "preparing");
    let order = camille.order(&id).await;
    assert_eq!((&order["status"], payment(&order)), (&json!("preparing"), "captured"));
    assert_eq!((system.net_paid(&id).await, system.held(&shop, "croissant").await), (380, 2));
}

#[tokio::test]
async fn a_shop_cancels_an_order_that_it_makes_and_its_customer_is_told_why_and_paid_back() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let shop = system.shop().await;
    let id = camille.place(&croissants(&shop, 2)).await;
    camille.confirmed(&id).await;
    let burnt = ["--amount", "1.00", "--reason", "One croissant was burnt"];
    let refund = system.ops(&[&["order", &id, "refund"], &burnt[..]].concat()).await;
    assert_eq!(refund.status, 0, "{refund:?}");
    eventually("the first refund", async || (system.net_paid(&id).await == 280).then_some(()))
        .await;
    begin(&system, &id).await;

    let cancel = ["order", &id, "cancel", "--reason", "The oven is broken"];
    let cancelled = system.ops(&cancel).await;
    assert_eq!(cancelled.status, 0, "{cancelled:?}");
    assert!(cancelled.text.contains("2.80 EUR goes back to them"), "{cancelled:?}");
    let order = eventually("all to be given back", async || {
        Some(camille.order(&id).await).filter(|order| payment(order) == "refunded")
    })
    .await;
    assert_eq!(order["cancellation_reason"], "The oven is broken");
    assert!(states(&order).ends_with(&["preparing", "cancelled"]), "{order}");
    assert_eq!(system.net_paid(&id).await, 0);
    eventually("the stock to be released", async || {
        (system.held(&shop, "croissant").await == 0).then_some(())
    })
    .await;
    let told = camille.mails(4).await;
    assert!(told.iter().any(|mail| mail.text.contains("The shop says: The oven is broken")));

    let verdict = system.ops(&["order", &id]).await;
    assert!(verdict.text.contains("the shop cancelled the order: The oven is broken"));
    let repeated = system.ops(&cancel).await;
    assert_eq!(repeated.status, 2);
    assert!(repeated.errors.contains("is cancelled and cannot be cancelled"), "{repeated:?}");
    let journal = system.ops(&["journal"]).await;
    assert!(journal.text.contains(&format!("cancelled order {id}: The oven is broken")));
}

#[tokio::test]
async fn a_rejected_order_cannot_be_cancelled() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let id = camille
        .place(&paid_with("pm_card_chargeDeclined", croissants(&system.shop().await, 2)))
        .await;
    camille.outcome(&id).await;
    let refused = camille.cancel(&id).await;
    assert_eq!(
        (refused.status, &refused.body["order_status"]),
        (409, &json!("rejected")),
        "{}",
        refused.body
    );
}

#[tokio::test]
async fn cancelling_another_customers_order_or_an_unknown_id_is_refused() {
    let system = System::shared().await;
    let (camille, noor) = (system.customer().await, system.customer().await);
    let id = camille.place(&croissants(&system.shop().await, 1)).await;
    let (theirs, unknown) =
        (noor.cancel(&id).await, noor.cancel(&Uuid::new_v4().to_string()).await);
    assert_eq!((theirs.status, &theirs.body), (404, &unknown.body));
    let unnamed = noor.cancel("42").await;
    assert!(unnamed.status == 400 && unnamed.has_error("id", "must be a UUID"), "{unnamed:?}");
    camille.confirmed(&id).await;
}

#[tokio::test]
async fn the_body_of_a_cancellation_is_ignored() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let id = camille.place(&croissants(&system.shop().await, 1)).await;
    let request =
        camille.request(Method::POST, &format!("/orders/{id}/cancel")).body("{\"reason\": ");
    let answer = Answer::to(request.header("content-type", "application/json")).await;
    assert_eq!((answer.status, &answer.body["status"]), (200, &json!("cancelled")));
}
