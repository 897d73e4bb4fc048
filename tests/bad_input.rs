//! Invalid input is refused with a status, the field and its limit, and nothing is written.

use futures::future::join_all;
use jiff::{Timestamp, ToSpan, civil};
use local::shops::Shop;
use reqwest::{
    Method,
    header::{CONTENT_TYPE, HeaderValue},
};
use serde_json::{Value, json};
use shop::{
    calendar::{Hours, Weekday},
    menu::Item,
};
use uuid::Uuid;

use crate::harness::{Answer, Customer, System, croissants, new_shop};

/// Checks that the shop has no orders.
async fn nothing_is_written(system: &System, shop: &Shop) {
    let mut orders = system.rows("OrdersTableName").await;
    orders.retain(|order| order["location"] == shop.menu.location.as_str());
    assert_eq!(orders, Vec::<Value>::new());
}

#[tokio::test]
async fn an_invalid_order_is_refused_with_field_and_limit_and_leaves_no_trace() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let shop = shop_with_hours(&system).await;
    let now = Timestamp::now();
    let line = |quantity| json!({"item": "croissant", "quantity": quantity});

    // The changed place of the order and its value, and the status, field and limit of the answer.
    let cases = [
        ("/price", json!(1), 400, "price", "unknown field `price`"),
        ("/lines/0/unit_price", json!(1), 400, "lines[0].unit_price", "unknown field `unit_price`"),
        ("/location", Value::Null, 400, "location", "is required"),
        ("/location", json!(7), 400, "location", "expected a string"),
        ("/location", json!("Où?"), 400, "location", "1 to 64 characters"),
        ("/location", json!("atlantis"), 422, "location", "no shop `atlantis`"),
        ("/lines", Value::Null, 400, "lines", "is required"),
        ("/lines", json!([]), 400, "lines", "1 to 50 lines"),
        ("/lines", json!(vec![line(1); 51]), 400, "lines", "1 to 50 lines"),
        ("/lines", json!([line(100), line(1)]), 422, "lines[1].quantity", "at most 100"),
        (
            "/lines/0",
            json!(["croissant", 2]),
            400,
            "lines[0]",
            "an object with `item` and `quantity`",
        ),
        ("/lines/0/quantity", Value::Null, 400, "lines[0].quantity", "is required"),
        ("/lines/0/quantity", json!(0), 400, "lines[0].quantity", "a whole number from 1 to 100"),
        ("/lines/0/quantity", json!(101), 400, "lines[0].quantity", "a whole number from 1 to 100"),
        ("/lines/0/quantity", json!(-1), 400, "lines[0].quantity", "a whole number from 1 to 100"),
        ("/lines/0/quantity", json!(1.5), 400, "lines[0].quantity", "a whole number from 1 to 100"),
        (
            "/lines/0/quantity",
            json!(1e300),
            400,
            "lines[0].quantity",
            "a whole number from 1 to 100",
        ),
        ("/lines/0/quantity", json!("2"), 400, "lines[0].quantity", "a whole number from 1 to 100"),
        ("/lines/0/item", json!("Bagel!"), 400, "lines[0].item", "1 to 64 characters"),
        ("/lines/0/item", json!("bagel"), 422, "lines[0].item", "not on the menu"),
        ("/lines/0/item", json!("stollen"), 422, "lines[0].item", "not sold on"),
        ("/lines/0/item", json!("wedding-cake"), 422, "lines", "at most 999999.99 EUR"),
        ("/payment_method", Value::Null, 400, "payment_method", "is required"),
        ("/payment_method", json!("pm card"), 400, "payment_method", "1 to 255 letters"),
        ("/payment_method", json!("p".repeat(256)), 400, "payment_method", "1 to 255 letters"),
        ("/pickup_at", json!("at noon"), 400, "pickup_at", "with an offset"),
        ("/pickup_at", json!("2026-11-24T08:00:00"), 400, "pickup_at", "offset"),
        ("/pickup_at", json!(now - 1.minute()), 422, "pickup_at", "at least 15 minutes from now"),
        ("/pickup_at", json!(now + 10.minutes()), 422, "pickup_at", "at least 15 minutes from now"),
        (
            "/pickup_at",
            json!(tomorrow_at(3, &shop)),
            422,
            "pickup_at",
            "closed then; it next opens at",
        ),
        // Fifteen days, whatever the clocks do meanwhile.
        ("/pickup_at", json!(now + 366.hours()), 422, "pickup_at", "at most 14 days ahead"),
        ("/note", json!("é".repeat(501)), 400, "note", "at most 500 characters"),
        ("/note", json!("no bag\n2 x croissant: PAID"), 400, "note", "character 7 is U+000A"),
        ("/note", json!("\u{1b}@ resets the printer"), 400, "note", "character 1 is U+001B"),
        ("/note", json!("see \u{202e}gab on"), 400, "note", "character 5 is U+202E"),
        ("/note", json!("see \u{2067}gab on\u{2069}"), 400, "note", "character 5 is U+2067"),
        ("/note", json!("no\u{200b}bag"), 400, "note", "character 3 is U+200B"),
        ("/note", json!("\u{e0068}\u{e0069}"), 400, "note", "character 1 is U+E0068"),
        (
            "/expected_total",
            json!(-380),
            400,
            "expected_total",
            "a whole number from 0 to 99999999",
        ),
        ("/expected_total", json!(3.8), 400, "expected_total", "a whole number from 0 to 99999999"),
        (
            "/expected_total",
            json!(100_000_000),
            400,
            "expected_total",
            "a whole number from 0 to 99999999",
        ),
        ("/expected_total", json!(379), 409, "expected_total", "is now 380"),
    ];
    join_all(cases.map(async |(place, value, status, field, limit)| {
        let mut order = croissants(&shop, 2);
        order["pickup_at"] = json!(tomorrow_at(12, &shop));
        set_or_remove(&mut order, place, value);
        let answer = camille.post(&Uuid::new_v4().to_string(), &order).await;
        assert!(answer.status == status && answer.has_error(field, limit), "{order}: {answer:?}");
    }))
    .await;
    nothing_is_written(&system, &shop).await;
}

/// Sets a field, or removes it if the value is null.
fn set_or_remove(order: &mut Value, place: &str, value: Value) {
    let (parent, field) = place.rsplit_once('/').unwrap();
    let parent = order.pointer_mut(parent).unwrap();
    match parent {
        Value::Array(items) => items[field.parse::<usize>().unwrap()] = value,
        parent if value.is_null() => drop(parent.as_object_mut().unwrap().remove(field)),
        parent => parent[field] = value,
    }
}

/// A shop that is open from 08:00 to 18:00. It sells stollen only on the weekday three days from
/// now, and a cake of which two cost more than an order may.
async fn shop_with_hours(system: &System) -> Shop {
    let mut shop = new_shop();
    let hours = Hours { from: civil::time(8, 0, 0, 0), to: civil::time(18, 0, 0, 0).into() };
    shop.menu.opening_hours.values_mut().for_each(|spans| *spans = vec![hours]);
    let day = shop.menu.calendar().date(Timestamp::now()) + 3.days();
    for (sku, price, sold_on) in [
        ("stollen", 1_800, Some([Weekday::from(day.weekday())].into())),
        ("wedding-cake", 99_999_999, None),
    ] {
        shop.menu.items.push(Item {
            sku: sku.parse().unwrap(),
            name: sku.to_owned().try_into().unwrap(),
            price,
            sold_on,
        });
    }
    system.open(&shop).await;
    shop
}

fn tomorrow_at(hour: i8, shop: &Shop) -> Timestamp {
    let tomorrow = shop.menu.calendar().date(Timestamp::now()).tomorrow().unwrap();
    tomorrow.at(hour, 0, 0, 0).to_zoned(shop.menu.time_zone.clone()).unwrap().timestamp()
}

/// Posts the bytes of an order.
async fn post(
    customer: &Customer<'_>,
    key: Option<&str>,
    content_type: Option<&str>,
    body: &[u8],
) -> Answer {
    let mut request = customer.request(Method::POST, "/orders").body(body.to_vec());
    if let Some(key) = key {
        request =
            request.header("idempotency-key", HeaderValue::from_bytes(key.as_bytes()).unwrap());
    }
    if let Some(content_type) = content_type {
        request = request.header(CONTENT_TYPE, content_type);
    }
    Answer::to(request).await
}

const JSON: Option<&str> = Some("application/json");

#[tokio::test]
async fn an_order_needs_a_key_of_1_to_255_visible_characters() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let shop = system.shop().await;
    let order = croissants(&shop, 2).to_string();
    for (key, limit) in [
        (None, "is required"),
        (Some(""), "must be 1 to 255 visible ASCII characters"),
        (Some(&*"k".repeat(256)), "must be 1 to 255 visible ASCII characters"),
        // HTTP clients refuse most control characters, but not a tab.
        (Some("a\tb"), "must be 1 to 255 visible ASCII characters"),
        (Some("clé"), "must be 1 to 255 visible ASCII characters"),
    ] {
        let answer = post(&camille, key, JSON, order.as_bytes()).await;
        assert!(
            answer.status == 400 && answer.has_error("Idempotency-Key", limit),
            "{key:?}: {answer:?}"
        );
    }
    nothing_is_written(&system, &shop).await;
}

#[tokio::test]
async fn a_body_must_be_one_json_object_of_at_most_64_kib_with_its_content_type() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let shop = system.shop().await;
    let order = croissants(&shop, 2).to_string();
    for content_type in [None, Some("text/plain"), Some("application/x-www-form-urlencoded")] {
        let answer = post(&camille, Some("k"), content_type, order.as_bytes()).await;
        assert!(
            answer.status == 415 && answer.has_error("Content-Type", "must be application/json"),
            "{answer:?}"
        );
    }
    let one_byte_too_many = order.clone() + &" ".repeat(64 * 1024 + 1 - order.len());
    let answer = post(&camille, Some("k"), JSON, one_byte_too_many.as_bytes()).await;
    assert!(answer.status == 413 && answer.has_error("body", "at most 65536 bytes"), "{answer:?}");
    for (body, reason) in [
        (&b""[..], "must be one JSON object"),
        (b"{\"location\": ", "EOF"),
        (b"location=paris", "must be one JSON object"),
        (b"\"\xff\xfe\"", "must be one JSON object"),
        (b"null", "must be one JSON object"),
        (b"[[]]", "must be one JSON object"),
        ((order.clone() + "{}").as_bytes(), "trailing characters"),
    ] {
        let answer = post(&camille, Some("k"), JSON, body).await;
        assert!(
            answer.status == 400 && answer.has_error("body", reason),
            "{}: {answer:?}",
            body.escape_ascii()
        );
    }
    nothing_is_written(&system, &shop).await;
}

#[tokio::test]
async fn malformed_ids_are_bad_requests_and_unknown_ids_are_not_found() {
    let system = System::shared().await;
    let camille = system.customer().await;
    for (path, field, limit) in [
        ("/orders/42", "id", "must be a UUID"),
        ("/orders/f4d1576a0a3856acb9f264349ee83e7a", "id", "must be a UUID"),
        ("/orders/f4d1576a-0a38-56ac-b9f2-64349ee83e7z", "id", "must be a UUID"),
        ("/orders/%00", "id", "must be a UUID"),
        ("/menu/Paris%20Marais", "location", "1 to 64 characters"),
        ("/menu/o%C3%B9", "location", "1 to 64 characters"),
        ("/orders?limit=0", "limit", "from 1 to 50"),
        ("/orders?limit=51", "limit", "from 1 to 50"),
        ("/orders?limit=many", "limit", "from 1 to 50"),
        ("/orders?cursor=42", "cursor", "`next` of the previous page"),
    ] {
        let answer = camille.get(path).await;
        assert!(answer.status == 400 && answer.has_error(field, limit), "{path}: {answer:?}");
    }
    for path in ["/menu/atlantis", "/orders/00000000-0000-0000-0000-000000000000", "/baskets"] {
        assert_eq!(camille.get(path).await.status, 404, "{path}");
    }
}
