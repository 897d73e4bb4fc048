//! Orders that are confirmed, and what customers can read.

use futures::future::join_all;
use jiff::{Timestamp, ToSpan};
use reqwest::{Method, header};
use serde_json::{Value, json};
use shop::menu::Menu;

use crate::harness::{Answer, System, croissants, eventually, order};

#[tokio::test]
async fn an_order_is_confirmed_charged_once_and_mailed_in_every_currency() {
    let system = System::shared().await;
    let shops = [
        ("paris-marais", "EUR", "3.80 EUR"),
        ("new-york-soho", "USD", "9.50 USD"),
        ("tokyo-ginza", "JPY", "760 JPY"),
    ];
    join_all(shops.map(|(location, currency, total_in_words)| {
        let system = &system;
        async move {
            let camille = system.customer().await;
            let menu = system.get(&format!("/menu/{location}")).await.body;
            let price = menu["items"][0]["price"].as_u64().unwrap();
            let mut order = fixtures::order_body();
            order["location"] = json!(location);
            order["pickup_at"] = json!(next_pickup(menu));

            let accepted = camille.post("breakfast", &order).await;
            let body = &accepted.body;
            assert_eq!((accepted.status, &body["status"]), (202, &json!("placed")), "{body}");
            assert_eq!((&body["total"], &body["currency"]), (&json!(2 * price), &json!(currency)));
            let line = json!({
                "item": "croissant",
                "name": "Butter croissant",
                "quantity": 2,
                "unit_price": price,
                "price": 2 * price
            });
            assert_eq!(accepted.body["lines"], json!([line]));
            let id = accepted.body["order_id"].as_str().unwrap();
            assert_eq!(accepted.headers[header::LOCATION], format!("/orders/{id}"));

            let confirmed = camille.confirmed(id).await;
            assert_eq!(confirmed["payment"], "captured");
            let history = confirmed["history"].as_array().unwrap().iter();
            let states: Vec<_> = history.map(|entry| &entry["status"]).collect();
            assert_eq!(states, ["placed", "reserved", "confirmed"]);

            let [charge] = &system.ledger(id).await[..] else {
                panic!("the order needs exactly one charge")
            };
            assert_eq!((charge.captured, &charge.currency), (2 * price, &currency.to_lowercase()));

            let [mail] = &camille.mails(1).await[..] else {
                panic!("the customer needs exactly one mail")
            };
            assert!(mail.text.contains(id) && mail.text.contains(total_in_words), "{}", mail.text);
        }
    }))
    .await;
}

/// A pickup in opening hours, which the tests are not always run in.
fn next_pickup(menu: Value) -> Timestamp {
    let menu: Menu = serde_json::from_value(menu).unwrap();
    let (calendar, now) = (menu.calendar(), Timestamp::now());
    calendar.next_pickup(now + 1.hour(), calendar.last_day(now)).unwrap().at
}

#[tokio::test]
async fn each_event_of_an_order_names_the_event_that_caused_it() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let id = camille.place(&croissants(&system.shop().await, 1)).await;
    camille.confirmed(&id).await;

    let chain = [
        "order.placed",
        "inventory.reserved",
        "order.reserved",
        "payment.captured",
        "order.confirmed",
    ];
    let events = eventually("the events of an order", async || {
        Some(system.events(&id)).filter(|events| events.len() >= chain.len())
    })
    .await;
    for pair in chain.windows(2) {
        let [cause, effect] = [pair[0], pair[1]].map(|name| {
            let event = events.iter().find(|event| event["detail-type"] == name);
            &event.unwrap_or_else(|| panic!("no {name}"))["detail"]["metadata"]
        });
        assert_eq!(effect["causation_id"], cause["event_id"], "{pair:?}");
    }
    assert_eq!(events.len(), chain.len(), "{events:?}");
}

#[tokio::test]
async fn menus_and_locations_are_public() {
    let system = System::shared().await;
    let locations = system.get("/locations").await;
    let locations = locations.body["locations"].as_array().unwrap();
    for (location, time_zone, currency) in [
        ("paris-marais", "Europe/Paris", "EUR"),
        ("new-york-soho", "America/New_York", "USD"),
        ("tokyo-ginza", "Asia/Tokyo", "JPY"),
    ] {
        let listed = locations.iter().find(|shop| shop["location"] == location).unwrap();
        assert_eq!(
            (&listed["time_zone"], &listed["currency"]),
            (&json!(time_zone), &json!(currency))
        );
        let menu = system.get(&format!("/menu/{location}")).await;
        assert_eq!((menu.status, &menu.body["name"]), (200, &listed["name"]));
        assert!(
            menu.body["items"].as_array().is_some_and(|items| !items.is_empty())
                && menu.body["opening_hours"].is_object()
        );
    }
}

#[tokio::test]
async fn customers_list_only_their_own_orders_newest_first_in_pages() {
    let system = System::shared().await;
    let (camille, noor) = (system.customer().await, system.customer().await);
    let shop = system.shop().await;
    let mut placed = Vec::new();
    for quantity in 1..=5 {
        placed.push(camille.place(&croissants(&shop, quantity)).await);
    }
    let others = noor.place(&croissants(&shop, 1)).await;
    placed.reverse();

    // The index of the list is eventually consistent.
    eventually("five orders in the list", async || {
        (camille.get("/orders").await.body["orders"].as_array().unwrap().len() == 5).then_some(())
    })
    .await;
    let mut listed = Vec::new();
    let mut path = "/orders?limit=2".to_owned();
    loop {
        let page = camille.get(&path).await.body;
        let orders = page["orders"].as_array().unwrap();
        assert!(orders.len() <= 2);
        listed.extend(orders.iter().map(|order| order["order_id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/orders?limit=2&cursor={next}");
    }
    assert_eq!(listed, placed);

    for (customer, id) in [(&camille, &others), (&noor, &placed[0])] {
        let hidden = customer.get(&format!("/orders/{id}")).await;
        let missing = customer.get(&format!("/orders/{}", uuid::Uuid::new_v4())).await;
        assert_eq!((hidden.status, &hidden.body), (404, &missing.body));
    }
}

#[tokio::test]
async fn lines_of_the_same_item_are_merged() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let shop = system.shop().await;
    let id =
        camille.place(&order(&shop, &[("croissant", 2), ("eclair", 1), ("croissant", 3)])).await;
    let confirmed = camille.confirmed(&id).await;
    let lines: Vec<_> = confirmed["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| (&line["item"], &line["quantity"]))
        .collect();
    assert_eq!(lines, [(&json!("croissant"), &json!(5)), (&json!("eclair"), &json!(1))]);
    assert_eq!(system.held(&shop, "croissant").await, 5);
    assert_eq!(system.net_paid(&id).await, 5 * 190 + 450);
}

#[tokio::test]
async fn an_order_is_refused_unless_its_total_is_the_expected_one() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let shop = system.shop().await;
    let mut expecting = croissants(&shop, 2);
    expecting["expected_total"] = json!(360);
    let refused = camille.post("k", &expecting).await;
    assert_eq!(
        (refused.status, &refused.body["total"], &refused.body["currency"]),
        (409, &json!(380), &json!("EUR"))
    );
    assert!(
        refused.has_error("expected_total", "380") || refused.has_error("expected_total", "3.80"),
        "{}",
        refused.body
    );

    expecting["expected_total"] = json!(380);
    let accepted = camille.post("k", &expecting).await;
    assert_eq!(accepted.status, 202, "{}", accepted.body);
}

#[tokio::test]
async fn values_at_the_limits_are_accepted() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let shop = system.shop().await;
    let fifty_lines = order(&shop, &[("croissant", 2); 50]);
    let hundred_pieces = croissants(&shop, 100);
    let mut long_note = croissants(&shop, 1);
    long_note["note"] = json!("é".repeat(500));
    for order in [fifty_lines, hundred_pieces, long_note] {
        camille.place(&order).await;
    }
    for note in [
        "Où est la crème brûlée ?",
        "半分に切ってください",
        "می\u{200c}خواهم",
        "👩\u{200d}👩\u{200d}👧 ❤\u{fe0f} 1\u{fe0f}\u{20e3} 🇫🇷",
    ] {
        let mut noted = croissants(&shop, 1);
        noted["note"] = json!(note);
        let id = camille.place(&noted).await;
        assert_eq!(camille.order(&id).await["note"], note);
    }
    let long_key = camille.post(&"k".repeat(255), &croissants(&shop, 1)).await;
    assert_eq!(long_key.status, 202, "{}", long_key.body);

    let mut large = croissants(&shop, 1).to_string();
    large += &" ".repeat(64 * 1024 - large.len());
    let large =
        camille.request(Method::POST, "/orders").header("idempotency-key", "large").body(large);
    let large =
        Answer::to(large.header(header::CONTENT_TYPE, "application/json; charset=utf-8")).await;
    assert_eq!(large.status, 202, "{}", large.body);
}
