//! Shops, and orders as a customer posts them.

use local::shops::Shop;
use serde_json::{Value, json};
use uuid::Uuid;

/// A new shop that is always open and bakes 10,000 croissants at 1.90 EUR and 10,000 éclairs at
/// 4.50 EUR a day.
pub(crate) fn new_shop() -> Shop {
    let always = json!([{"from": "00:00", "to": "24:00"}]);
    let days =
        ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"].into_iter();
    let opening_hours: Value = days.map(|day| (day.to_owned(), always.clone())).collect();
    serde_json::from_value(json!({
        "menu": {
            "location": Uuid::new_v4(),
            "name": "Amélie",
            "time_zone": "Europe/Paris",
            "currency": "EUR",
            "opening_hours": opening_hours,
            "items": [
                {"sku": "croissant", "name": "Butter croissant", "price": 190},
                {"sku": "eclair", "name": "Coffee éclair", "price": 450}
            ]
        },
        "bake_plan": {"croissant": 10_000, "eclair": 10_000}
    }))
    .unwrap()
}

/// An order of croissants.
pub(crate) fn croissants(shop: &Shop, quantity: u32) -> Value {
    order(shop, &[("croissant", quantity)])
}

/// An order that is paid for with a working card.
pub(crate) fn order(shop: &Shop, lines: &[(&str, u32)]) -> Value {
    let lines: Vec<_> =
        lines.iter().map(|(item, quantity)| json!({"item": item, "quantity": quantity})).collect();
    json!({"location": shop.menu.location, "lines": lines, "payment_method": "pm_card_visa"})
}

/// The order with another payment method.
pub(crate) fn paid_with(payment_method: &str, mut order: Value) -> Value {
    order["payment_method"] = json!(payment_method);
    order
}
