//! The same thing twice, from customers and from queues.

use futures::future::join_all;
use serde_json::json;
use uuid::Uuid;

use crate::harness::{System, croissants, eventually};

#[tokio::test]
async fn the_same_request_twenty_times_at_once_is_one_order_and_one_charge() {
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
    camille.sees_confirmed(&id).await;
    assert_eq!(camille.get("/orders").await.body["orders"].as_array().unwrap().len(), 1);
    assert_eq!((system.ledger(&id).await.len(), system.paid(&id).await), (1, 380));
    assert_eq!(system.held(&shop, "croissant").await, 2);
}

#[tokio::test]
async fn a_repeated_request_shows_the_order_as_it_stands_even_when_the_price_has_changed_or_the_shop_has_closed()
 {
    let system = System::shared().await;
    let camille = system.customer().await;
    let mut shop = system.shop().await;
    let mut order = croissants(&shop, 2);
    order["expected_total"] = json!(380);
    let id = camille.post("k", &order).await.body["order_id"].clone();
    let confirmed = camille.sees_confirmed(id.as_str().unwrap()).await;
    let place_anew = async || camille.post(&Uuid::new_v4().to_string(), &order).await.status;

    shop.menu.items[0].price = 250;
    system.open(&shop).await;
    eventually("the new price", async || (place_anew().await == 409).then_some(())).await;
    let replayed = camille.post("k", &order).await;
    assert_eq!((replayed.status, &replayed.body), (202, &confirmed));

    shop.menu.opening_hours.clear();
    system.open(&shop).await;
    eventually("the shop to close", async || (place_anew().await == 422).then_some(())).await;
    let replayed = camille.post("k", &order).await;
    assert_eq!((replayed.status, &replayed.body), (202, &confirmed));
}

#[tokio::test]
async fn a_key_that_has_placed_an_order_places_no_other() {
    let system = System::shared().await;
    let (camille, noor) = (system.customer().await, system.customer().await);
    let shop = system.shop().await;
    let first = camille.post("k", &croissants(&shop, 1)).await;
    let other = camille.post("k", &croissants(&shop, 2)).await;
    assert_eq!(other.status, 422);
    assert!(other.blames("Idempotency-Key", "another body"), "{}", other.body);

    let hers = noor.post("k", &croissants(&shop, 1)).await;
    assert_eq!(hers.status, 202);
    assert_ne!(hers.body["order_id"], first.body["order_id"]);
}

#[tokio::test]
async fn events_that_come_again_change_nothing() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let shop = system.shop().await;
    let order = croissants(&shop, 2);
    let id = camille.places(&order).await;
    camille.sees_confirmed(&id).await;
    camille.gets_mail(1).await;
    let confirmed = camille.order(&id).await;

    let events = eventually("all events", async || {
        Some(system.events(&id)).filter(|events| events.len() >= 5)
    })
    .await;
    system.publish_again(&events).await;

    // What comes of them is followed by what comes of a later order.
    eventually("the events to be there twice", async || {
        (system.events(&id).len() >= 2 * events.len()).then_some(())
    })
    .await;
    let later = camille.places(&order).await;
    camille.sees_confirmed(&later).await;
    let mail = eventually("mail about the later order", async || {
        Some(camille.mail().await).filter(|mail| mail.iter().any(|mail| mail.text.contains(&later)))
    })
    .await;
    assert_eq!(mail.iter().filter(|mail| mail.text.contains(&id)).count(), 1);
    assert_eq!(camille.order(&id).await, confirmed);
    assert_eq!((system.ledger(&id).await.len(), system.paid(&id).await), (1, 380));
    assert_eq!(system.held(&shop, "croissant").await, 4);
}
