//! Repeated requests and repeated events.

use futures::future::join_all;
use serde_json::json;
use uuid::Uuid;

use crate::harness::{System, croissants, eventually};

#[tokio::test]
async fn twenty_equal_requests_at_once_make_one_order_and_one_charge() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let shop = system.shop().await;
    let order = croissants(&shop, 2);
    let answers = join_all((0..20).map(|_| camille.post("k", &order))).await;
    let id = camille.order_id("k");
    for answer in answers {
        assert_eq!(
            (answer.status, answer.body["order_id"].as_str()),
            (202, Some(&*id)),
            "{}",
            answer.body
        );
    }
    camille.confirmed(&id).await;
    assert_eq!(camille.get("/orders").await.body["orders"].as_array().unwrap().len(), 1);
    assert_eq!((system.ledger(&id).await.len(), system.net_paid(&id).await), (1, 380));
    assert_eq!(system.held(&shop, "croissant").await, 2);
}

#[tokio::test]
async fn a_repeated_request_answers_the_order_after_a_price_change_and_after_closing_time() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let mut shop = system.shop().await;
    let mut order = croissants(&shop, 2);
    order["expected_total"] = json!(380);
    let id = camille.post("k", &order).await.body["order_id"].clone();
    let confirmed = camille.confirmed(id.as_str().unwrap()).await;
    let place_another = async || camille.post(&Uuid::new_v4().to_string(), &order).await.status;

    shop.menu.items[0].price = 250;
    system.open(&shop).await;
    eventually("the new price", async || (place_another().await == 409).then_some(())).await;
    let replayed = camille.post("k", &order).await;
    assert_eq!((replayed.status, &replayed.body), (202, &confirmed));

    shop.menu.opening_hours.clear();
    system.open(&shop).await;
    eventually("the shop to close", async || (place_another().await == 422).then_some(())).await;
    let replayed = camille.post("k", &order).await;
    assert_eq!((replayed.status, &replayed.body), (202, &confirmed));
}

#[tokio::test]
async fn a_key_is_refused_for_another_order_of_the_same_customer() {
    let system = System::shared().await;
    let (camille, noor) = (system.customer().await, system.customer().await);
    let shop = system.shop().await;
    let first = camille.post("k", &croissants(&shop, 1)).await;
    let other = camille.post("k", &croissants(&shop, 2)).await;
    assert_eq!(other.status, 422);
    assert!(other.has_error("Idempotency-Key", "a different order"), "{}", other.body);

    let hers = noor.post("k", &croissants(&shop, 1)).await;
    assert_eq!(hers.status, 202);
    assert_ne!(hers.body["order_id"], first.body["order_id"]);
}

#[tokio::test]
async fn repeated_events_change_nothing() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let shop = system.shop().await;
    let order = croissants(&shop, 2);
    let id = camille.place(&order).await;
    camille.confirmed(&id).await;
    camille.mails(1).await;
    let confirmed = camille.order(&id).await;

    let events = eventually("all events", async || {
        Some(system.events(&id)).filter(|events| events.len() >= 5)
    })
    .await;
    system.publish_again(&events).await;

    // Once a later order is confirmed, the repeated events have been processed.
    eventually("the events to be there twice", async || {
        (system.events(&id).len() >= 2 * events.len()).then_some(())
    })
    .await;
    let later = camille.place(&order).await;
    camille.confirmed(&later).await;
    let mail = eventually("mail about the later order", async || {
        Some(camille.mail().await).filter(|mail| mail.iter().any(|mail| mail.text.contains(&later)))
    })
    .await;
    assert_eq!(mail.iter().filter(|mail| mail.text.contains(&id)).count(), 1);
    assert_eq!(camille.order(&id).await, confirmed);
    assert_eq!((system.ledger(&id).await.len(), system.net_paid(&id).await), (1, 380));
    assert_eq!(system.held(&shop, "croissant").await, 4);
}
