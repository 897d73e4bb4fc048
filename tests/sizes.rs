//! The largest order that the API accepts goes all the way to its mail.

use reqwest::Method;
use serde_json::{Value, json};
use shop::{
    menu::Item,
    name::Name,
    order::Note,
    placement::{MAX_LINES, Pieces},
};
use uuid::Uuid;

use crate::harness::{Answer, Customer, System, eventually, new_shop};

/// The largest character of UTF-8.
const CAKE: &str = "\u{1f370}";

/// A shop with the longest id and names, and [`MAX_LINES`] items of which it bakes `capacity` each.
fn largest_shop(capacity: u32) -> local::shops::Shop {
    let mut shop = new_shop();
    let longest = |start: String| format!("{start:x<64}");
    shop.menu.location = longest(format!("{}-", Uuid::new_v4())).parse().unwrap();
    let name: Name = CAKE.repeat(Name::MAX_LENGTH).try_into().unwrap();
    let item = |number| Item {
        sku: longest(format!("item-{number}-")).parse().unwrap(),
        name: name.clone(),
        price: 19_999,
        sold_on: None,
    };
    shop.menu.items = (0..MAX_LINES).map(item).collect();
    shop.menu.name = name.clone();
    shop.bake_plan = shop.menu.items.iter().map(|item| (item.sku.clone(), capacity)).collect();
    shop
}

/// The largest order of a shop.
fn largest_order(shop: &local::shops::Shop) -> Value {
    let line = |item: &Item| json!({"item": item.sku, "quantity": Pieces::MAX});
    json!({
        "location": shop.menu.location,
        "lines": shop.menu.items.iter().map(line).collect::<Vec<_>>(),
        "payment_method": "pm_card_visa",
        "note": CAKE.repeat(Note::MAX_LENGTH),
    })
}

/// Places an order with the longest idempotency key, and returns its id.
async fn place(camille: &Customer<'_>, order: &Value) -> String {
    let key = format!("{:~<255}", Uuid::new_v4().to_string());
    let answer = camille.post(&key, order).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    answer.body["order_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_largest_order_is_confirmed_listed_cancelled_and_mailed_with_all_of_its_lines() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let shop = largest_shop(2 * Pieces::MAX);
    system.open(&shop).await;
    let order = largest_order(&shop);
    let id = place(&camille, &order).await;
    let confirmed = camille.confirmed(&id).await;
    assert_eq!(confirmed["note"], order["note"]);
    assert_eq!(confirmed["lines"].as_array().unwrap().len(), MAX_LINES);

    let name = CAKE.repeat(Name::MAX_LENGTH);
    let mail = &camille.mails(1).await[0];
    // The shop's name, and those of all items.
    assert_eq!(mail.text.matches(&name).count(), 1 + MAX_LINES, "{}", mail.text);

    assert_eq!(camille.cancel(&id).await.status, 200);
    let refunded = async || (camille.order(&id).await["payment"] == "refunded").then_some(());
    eventually("the refund of the largest order", refunded).await;
    camille.mails(3).await;
}

#[tokio::test]
async fn the_largest_order_is_rejected_with_all_of_its_shortages() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let shop = largest_shop(Pieces::MAX - 1);
    system.open(&shop).await;
    let rejected = camille.outcome(&place(&camille, &largest_order(&shop)).await).await;
    let shortages = rejected["rejection"]["shortages"].as_array().unwrap();
    assert_eq!(shortages.len(), MAX_LINES);
    let mail = &camille.mails(1).await[0];
    assert_eq!(mail.text.matches("you ordered 100, 99 left").count(), MAX_LINES, "{}", mail.text);
}

#[tokio::test]
async fn a_page_of_the_largest_orders_is_listed_as_a_whole() {
    let system = System::shared().await;
    let camille = system.customer().await;
    // Nothing is held for them, so that they are done soon.
    let shop = largest_shop(0);
    system.open(&shop).await;
    for _ in 0..50 {
        place(&camille, &largest_order(&shop)).await;
    }
    let page = Answer::to(camille.request(Method::GET, "/orders?limit=50")).await;
    assert_eq!(page.status, 200);
    let listed = page.body["orders"].as_array().unwrap().len();
    let size = page.body.to_string().len();
    assert!(listed == 50 && size > 1_000_000, "{listed} orders in {size} bytes");
}
