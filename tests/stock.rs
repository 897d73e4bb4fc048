//! Orders for more than a shop bakes.

use futures::future::join_all;
use serde_json::json;

use crate::harness::{System, eventually, new_shop, order};

#[tokio::test]
async fn an_order_for_too_many_pieces_is_rejected_with_the_shortage_and_holds_nothing() {
    let system = System::shared().await;
    let mut shop = new_shop();
    shop.bake_plan.insert("eclair".parse().unwrap(), 3);
    system.open(&shop).await;
    let (early, late) = (system.customer().await, system.customer().await);
    let first = early.place(&order(&shop, &[("eclair", 2)])).await;
    early.confirmed(&first).await;

    let id = late.place(&order(&shop, &[("croissant", 1), ("eclair", 2)])).await;
    let rejected = late.outcome(&id).await;
    let shortage = json!({"item": "eclair", "requested": 2, "left": 1});
    let rejection = json!({"code": "out_of_stock", "shortages": [shortage]});
    assert_eq!((&rejected["status"], &rejected["rejection"]), (&json!("rejected"), &rejection));
    assert_eq!(rejected["payment"], "none");

    let [mail] = &late.mails(1).await[..] else { panic!("the customer needs exactly one mail") };
    assert!(mail.text.contains("Coffee éclair: you ordered 2, 1 left"), "{}", mail.text);
    assert_eq!((system.held(&shop, "eclair").await, system.held(&shop, "croissant").await), (2, 0));
    assert_eq!(system.ledger(&id).await, []);
}

#[tokio::test]
async fn concurrent_orders_for_the_last_pieces_are_confirmed_until_none_is_left() {
    let system = System::shared().await;
    let mut shop = new_shop();
    shop.bake_plan.insert("eclair".parse().unwrap(), 3);
    system.open(&shop).await;
    let customers = join_all((0..8).map(|_| system.customer())).await;
    let outcomes = join_all(customers.iter().map(async |customer| {
        let id = customer.place(&order(&shop, &[("eclair", 1)])).await;
        customer.outcome(&id).await
    }))
    .await;
    let count = |status| outcomes.iter().filter(|order| order["status"] == status).count();
    assert_eq!((count("confirmed"), count("rejected")), (3, 5), "{outcomes:?}");
    assert_eq!(system.held(&shop, "eclair").await, 3);
}

#[tokio::test]
async fn the_stock_of_a_declined_order_is_available_to_the_next() {
    let system = System::shared().await;
    let mut shop = new_shop();
    shop.bake_plan.insert("eclair".parse().unwrap(), 1);
    system.open(&shop).await;
    let camille = system.customer().await;
    let mut wanted = order(&shop, &[("eclair", 1)]);
    wanted["payment_method"] = json!("pm_card_chargeDeclined");
    let declined = camille.place(&wanted).await;
    assert_eq!(camille.outcome(&declined).await["status"], "rejected");
    eventually("the stock to be released", async || {
        (system.held(&shop, "eclair").await == 0).then_some(())
    })
    .await;

    let id = camille.place(&order(&shop, &[("eclair", 1)])).await;
    camille.confirmed(&id).await;
}
