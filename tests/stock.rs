//! Orders for more than there is.

use futures::future::join_all;
use serde_json::json;

use crate::harness::{System, a_shop, eventually, order};

#[tokio::test]
async fn an_order_for_more_than_is_baked_is_rejected_with_what_is_left_and_takes_nothing() {
    let system = System::shared().await;
    let mut shop = a_shop();
    shop.bake_plan.insert("eclair".parse().unwrap(), 3);
    system.open(&shop).await;
    let (early, late) = (system.customer().await, system.customer().await);
    let first = early.places(&order(&shop, &[("eclair", 2)])).await;
    early.sees_confirmed(&first).await;

    let id = late.places(&order(&shop, &[("croissant", 1), ("eclair", 2)])).await;
    let rejected = late.outcome(&id).await;
    let rejection = json!({"code": "out_of_stock", "shortages": [{"item": "eclair", "requested": 2, "left": 1}]});
    assert_eq!((&rejected["status"], &rejected["rejection"]), (&json!("rejected"), &rejection));
    assert_eq!(rejected["payment"], "none");

    let [mail] = &late.gets_mail(1).await[..] else { panic!("more than one mail") };
    assert!(mail.text.contains("Coffee éclair: you ordered 2, 1 left"), "{}", mail.text);
    assert_eq!((system.held(&shop, "eclair").await, system.held(&shop, "croissant").await), (2, 0));
    assert_eq!(system.ledger(&id).await, []);
}

#[tokio::test]
async fn of_many_who_want_the_last_pieces_as_many_get_them_as_there_are() {
    let system = System::shared().await;
    let mut shop = a_shop();
    shop.bake_plan.insert("eclair".parse().unwrap(), 3);
    system.open(&shop).await;
    let customers = join_all((0..8).map(|_| system.customer())).await;
    let outcomes = join_all(customers.iter().map(async |customer| {
        let id = customer.places(&order(&shop, &[("eclair", 1)])).await;
        customer.outcome(&id).await
    }))
    .await;
    let count = |status| outcomes.iter().filter(|order| order["status"] == status).count();
    assert_eq!((count("confirmed"), count("rejected")), (3, 5), "{outcomes:?}");
    assert_eq!(system.held(&shop, "eclair").await, 3);
}

#[tokio::test]
async fn what_a_declined_order_gives_back_can_be_had_by_the_next() {
    let system = System::shared().await;
    let mut shop = a_shop();
    shop.bake_plan.insert("eclair".parse().unwrap(), 1);
    system.open(&shop).await;
    let camille = system.customer().await;
    let mut wanted = order(&shop, &[("eclair", 1)]);
    wanted["payment_method"] = json!("pm_card_chargeDeclined");
    let declined = camille.places(&wanted).await;
    assert_eq!(camille.outcome(&declined).await["status"], "rejected");
    eventually("stock to be given back", async || {
        (system.held(&shop, "eclair").await == 0).then_some(())
    })
    .await;

    let id = camille.places(&order(&shop, &[("eclair", 1)])).await;
    camille.sees_confirmed(&id).await;
}
