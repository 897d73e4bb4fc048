//! Tests of the use cases, through requests as API Gateway sends them.

use fixtures::{at, order_body as order};
use proptest::prelude::*;
use serde_json::{Value, json};
use shop::{menu::Menu, money::MAX_TOTAL};
use tables::orders::Orders as _;

use super::*;
use crate::{
    memory::MemoryTables,
    openapi::{Document, json_of},
};

/// A Tuesday morning, when the shop is open.
const NOW: &str = fixtures::PLACED_AT;

/// The menu with another price for croissants.
fn menu(price: u64) -> Menu {
    let mut menu = fixtures::menu();
    menu.items[0].price = price;
    menu
}

struct Api {
    tables: MemoryTables,
    intake: OrderIntake<MemoryTables>,
    document: Document,
}

fn api() -> Api {
    let tables = MemoryTables::default();
    tables.load(menu(190));
    let intake = OrderIntake::new(
        tables.clone(),
        SignedDuration::from_mins(15),
        SignedDuration::from_secs(60),
    );
    Api { tables, intake, document: Document::committed() }
}

/// A request as API Gateway sends it.
fn request(route: &str, customer: &str, change: impl FnOnce(&mut Value)) -> Request {
    let mut event = json!({
        "version": "2.0",
        "routeKey": route,
        "rawPath": "/",
        "headers": {"content-type": "application/json", "idempotency-key": "key"},
        "requestContext": {
            "http": {"method": route.split(' ').next(), "path": "/"},
            "authorizer": {"jwt": {"claims": {"sub": customer}, "scopes": null}}
        },
        "isBase64Encoded": false
    });
    change(&mut event);
    serde_json::from_value(event).unwrap()
}

fn post(customer: &str, order: &Value) -> Request {
    request("POST /orders", customer, |event| event["body"] = json!(order.to_string()))
}

impl Api {
    async fn send(&self, request: Request) -> (i64, Value) {
        self.send_at(request, NOW).await
    }

    async fn send_at(&self, request: Request, now: &str) -> (i64, Value) {
        let route = request.route_key.clone().unwrap();
        let response = self.intake.handle(request, at(now)).await;
        self.document.check(&route, &response);
        (response.status_code, json_of(&response))
    }

    async fn show(&self, customer: &str, id: &Value) -> (i64, Value) {
        self.send(request("GET /orders/{id}", customer, |event| {
            event["pathParameters"] = json!({"id": id})
        }))
        .await
    }

    async fn cancel(&self, customer: &str, id: &Value) -> (i64, Value) {
        self.cancel_at(customer, id, NOW).await
    }

    async fn cancel_at(&self, customer: &str, id: &Value, now: &str) -> (i64, Value) {
        let cancellation = request("POST /orders/{id}/cancel", customer, |event| {
            event["pathParameters"] = json!({"id": id})
        });
        self.send_at(cancellation, now).await
    }

    /// Moves an order on, as other functions would.
    async fn advance(&self, id: &Value, triggers: &[Trigger]) {
        for trigger in triggers {
            let order =
                self.tables.get(id.as_str().unwrap().parse().unwrap()).await.unwrap().unwrap();
            let outcome =
                tables::orders::apply_trigger(&self.tables, order, trigger, None, at(NOW))
                    .await
                    .unwrap();
            assert!(matches!(outcome, Outcome::Changed(_)), "{outcome:?}");
        }
    }
}

#[tokio::test]
async fn an_accepted_order_has_its_prices_and_can_be_shown() {
    let api = api();
    let response = api.intake.handle(post("camille", &order()), at(NOW)).await;
    let placed = json_of(&response);
    assert_eq!(response.status_code, 202);
    assert_eq!(
        response.headers["location"],
        format!("/orders/{}", placed["order_id"].as_str().unwrap())
    );
    assert_eq!(
        (&placed["status"], &placed["total"], &placed["currency"]),
        (&json!("placed"), &json!(380), &json!("EUR"))
    );
    assert_eq!(placed["lines"][0]["unit_price"], 190);
    assert_eq!(api.show("camille", &placed["order_id"]).await, (200, placed));
}

#[tokio::test]
async fn an_answer_never_holds_the_payment_method() {
    let (_, placed) = api().send(post("camille", &order())).await;
    assert!(!placed.to_string().contains("pm_card_visa"));
}

#[tokio::test]
async fn an_order_of_another_customer_is_not_found() {
    let api = api();
    let (_, placed) = api.send(post("camille", &order())).await;
    assert_eq!(api.show("noor", &placed["order_id"]).await.0, 404);
    let (_, theirs) = api.send(request("GET /orders", "noor", |_| ())).await;
    assert_eq!(theirs["orders"], json!([]));
}

#[tokio::test]
async fn a_repeated_request_is_answered_with_the_order_in_its_current_state() {
    let api = api();
    let (_, placed) = api.send(post("camille", &order())).await;
    api.advance(&placed["order_id"], &[Trigger::StockReserved]).await;
    let (status, replayed) = api.send(post("camille", &order())).await;
    assert_eq!(
        (status, &replayed["order_id"], &replayed["status"]),
        (202, &placed["order_id"], &json!(Status::Reserved))
    );
}

#[tokio::test]
async fn an_accepted_order_is_replayed_after_the_menu_has_changed_and_the_shop_has_closed() {
    let api = api();
    let mut expecting = order();
    expecting["expected_total"] = json!(380);
    expecting["pickup_at"] = json!("2026-11-24T10:00:00Z");
    let (_, placed) = api.send(post("camille", &expecting)).await;
    api.tables.load(menu(250));
    let (status, replayed) = api.send_at(post("camille", &expecting), "2026-11-25T23:00:00Z").await;
    assert_eq!((status, replayed), (202, placed));
}

#[tokio::test]
async fn an_erased_order_is_neither_shown_nor_placed_again() {
    let api = api();
    let (_, placed) = api.send(post("camille", &order())).await;
    api.advance(&placed["order_id"], &[Trigger::Cancelled, Trigger::ErasureRequested]).await;
    let (status, problem) = api.send(post("camille", &order())).await;
    assert_eq!(
        (status, &problem["type"]),
        (422, &json!("urn:amelie:problem:idempotency-key-reused"))
    );
    assert_eq!(api.show("camille", &placed["order_id"]).await.0, 404);
}

#[tokio::test]
async fn the_same_key_with_another_body_is_refused() {
    let api = api();
    api.send(post("camille", &order())).await;
    let mut other = order();
    other["note"] = json!("for two");
    let (status, problem) = api.send(post("camille", &other)).await;
    assert_eq!(
        (status, &problem["type"]),
        (422, &json!("urn:amelie:problem:idempotency-key-reused"))
    );
    other["location"] = json!("nowhere");
    assert_eq!(
        api.send(post("camille", &other)).await.1["type"],
        "urn:amelie:problem:idempotency-key-reused"
    );
}

#[tokio::test]
async fn the_same_key_of_another_customer_places_another_order() {
    let api = api();
    let (_, camille) = api.send(post("camille", &order())).await;
    let (status, noor) = api.send(post("noor", &order())).await;
    assert_eq!(status, 202);
    assert_ne!(camille["order_id"], noor["order_id"]);
}

#[tokio::test]
async fn an_order_can_be_cancelled_until_it_is_being_made_and_repeating_that_changes_nothing() {
    let api = api();
    let on_the_way: [&[Trigger]; 3] =
        [&[], &[Trigger::StockReserved], &[Trigger::StockReserved, Trigger::PaymentCaptured]];
    for (key, triggers) in on_the_way.into_iter().enumerate() {
        let keyed = request("POST /orders", "camille", |event| {
            event["body"] = json!(order().to_string());
            event["headers"]["idempotency-key"] = json!(key.to_string());
        });
        let (_, placed) = api.send(keyed).await;
        api.advance(&placed["order_id"], triggers).await;
        let (status, cancelled) = api.cancel("camille", &placed["order_id"]).await;
        assert_eq!(
            (status, &cancelled["status"], &cancelled["order_id"]),
            (200, &json!("cancelled"), &placed["order_id"])
        );
        assert_eq!(api.cancel("camille", &placed["order_id"]).await, (200, cancelled.clone()));
        assert_eq!(api.show("camille", &placed["order_id"]).await, (200, cancelled));
    }
}

#[tokio::test]
async fn an_order_that_is_being_made_or_has_ended_is_not_cancelled_and_its_state_is_shown() {
    let made = [Trigger::StockReserved, Trigger::PaymentCaptured, Trigger::PreparationStarted];
    for (triggers, status_shown) in
        [(&made[..], "preparing"), (&[Trigger::StockRejected(vec![])], "rejected")]
    {
        let api = api();
        let (_, placed) = api.send(post("camille", &order())).await;
        api.advance(&placed["order_id"], triggers).await;
        let (status, problem) = api.cancel("camille", &placed["order_id"]).await;
        let kind = json!("urn:amelie:problem:not-cancellable");
        assert_eq!(
            (status, &problem["type"], &problem["order_status"]),
            (409, &kind, &json!(status_shown))
        );
        assert_eq!(api.show("camille", &placed["order_id"]).await.1["status"], status_shown);
    }
}

#[tokio::test]
async fn from_its_pickup_time_on_an_order_is_not_cancelled_in_any_state() {
    let on_the_way: [&[Trigger]; 3] =
        [&[], &[Trigger::StockReserved], &[Trigger::StockReserved, Trigger::PaymentCaptured]];
    for triggers in on_the_way {
        let api = api();
        let (_, placed) = api.send(post("camille", &order())).await;
        let id = &placed["order_id"];
        api.advance(id, triggers).await;
        let before = api.show("camille", id).await;
        let (status, problem) = api.cancel_at("camille", id, fixtures::PICKUP_AT).await;
        assert_eq!(
            (status, &problem["type"], &problem["order_status"]),
            (409, &json!("urn:amelie:problem:not-cancellable"), &before.1["status"])
        );
        // In the time of the shop.
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("until its pickup time, 2026-11-24T09:15:00+01:00"), "{detail}");
        assert_eq!(api.show("camille", id).await, before);
        let (status, _) = api.cancel_at("camille", id, "2026-11-24T08:14:59.999Z").await;
        assert_eq!(status, 200);
        // Repeating it changes nothing, also after the pickup time.
        assert_eq!(api.cancel_at("camille", id, "2026-11-25T08:00:00Z").await.0, 200);
    }
}

#[tokio::test]
async fn a_shop_that_is_closed_for_the_day_names_its_next_opening() {
    let api = api();
    let asked = post("camille", &order());
    let (status, problem) = api.send_at(asked, "2026-11-24T17:50:00Z").await;
    assert_eq!(
        (status, &problem["errors"]),
        (
            422,
            &json!([{
                "field": "pickup_at",
                "detail": "is required, because no pickup is possible any more today; \
                           the next opening allows a pickup from 2026-12-01T07:00:00+01:00"
            }])
        )
    );
}

#[tokio::test]
async fn a_closed_date_is_on_the_menu_and_orders_for_it_are_refused() {
    let api = api();
    let mut menu = menu(190);
    menu.special_hours = serde_json::from_value(json!({
        "2026-12-01": [],
        "2026-12-06": [{"from": "18:00", "to": "24:00"}]
    }))
    .unwrap();
    api.tables.load(menu);

    let asked = request("GET /menu/{location}", "", |event| {
        event["pathParameters"] = json!({"location": "paris"})
    });
    let (_, shown) = api.send(asked).await;
    assert_eq!(shown["lead_time_minutes"], 15);
    let special = json!({
        "2026-12-01": [],
        "2026-12-06": [{"from": "18:00:00", "to": "24:00:00"}]
    });
    assert_eq!(shown["special_hours"], special);

    let mut closed = order();
    closed["pickup_at"] = json!("2026-12-01T10:00:00+01:00");
    let (status, problem) = api.send(post("camille", &closed)).await;
    let error = json!({
        "field": "pickup_at",
        "detail": "the shop is closed then; it next opens at 2026-12-06T18:00:00+01:00"
    });
    assert_eq!((status, &problem["errors"]), (422, &json!([error])));
    closed["pickup_at"] = json!("2026-12-06T23:59:00+01:00");
    assert_eq!(api.send(post("camille", &closed)).await.0, 202);
}

#[tokio::test]
async fn an_order_of_another_customer_or_an_unknown_order_is_not_cancelled() {
    let api = api();
    let (_, placed) = api.send(post("camille", &order())).await;
    let (status, theirs) = api.cancel("noor", &placed["order_id"]).await;
    let nothing = json!("00000000-0000-0000-0000-000000000000");
    assert_eq!((status, theirs), api.cancel("camille", &nothing).await);
    assert_eq!((status, &api.show("camille", &placed["order_id"]).await.1), (404, &placed));
    let (status, problem) = api.cancel("camille", &json!("42")).await;
    assert_eq!((status, &problem["errors"][0]["field"]), (400, &json!("id")));
}

#[tokio::test]
async fn an_outdated_total_is_a_conflict_with_the_current_total() {
    let mut stale = order();
    stale["expected_total"] = json!(360);
    let (status, problem) = api().send(post("camille", &stale)).await;
    assert_eq!(
        (status, &problem["total"], &problem["currency"]),
        (409, &json!(380), &json!("EUR"))
    );
}

#[tokio::test]
async fn an_invalid_order_is_refused_with_its_field_and_leaves_no_trace() {
    let api = api();
    let order = || {
        let mut order = order();
        order["expected_total"] = json!(380);
        order
    };
    let cases: [(&str, Value, i64, &str); 9] = [
        ("/location", json!("nowhere"), 422, "location"),
        ("/lines", json!([]), 400, "lines"),
        ("/lines/0/quantity", json!(101), 400, "lines[0].quantity"),
        ("/lines/0/quantity", json!(1.5), 400, "lines[0].quantity"),
        ("/lines/0", json!(["croissant", 2]), 400, "lines[0]"),
        ("/expected_total", json!(MAX_TOTAL + 1), 400, "expected_total"),
        ("/lines/0/item", json!("bagel"), 422, "lines[0].item"),
        ("/payment_method", json!("pm card"), 400, "payment_method"),
        ("/location", json!("Où?"), 400, "location"),
    ];
    for (pointer, value, expected, field) in cases {
        let mut bad = order();
        *bad.pointer_mut(pointer).unwrap() = value;
        let (status, problem) = api.send(post("camille", &bad)).await;
        assert_eq!(
            (status, problem["errors"][0]["field"].as_str()),
            (expected, Some(field)),
            "{problem}"
        );
    }
    assert_eq!(api.send(request("GET /orders", "camille", |_| ())).await.1["orders"], json!([]));
}

#[tokio::test]
async fn an_order_needs_an_idempotency_key_of_visible_characters() {
    let api = api();
    let with_key = |key: Value| {
        request("POST /orders", "camille", |event| {
            event["body"] = json!(order().to_string());
            event["headers"]["idempotency-key"] = key;
        })
    };
    for key in [json!(""), json!("k".repeat(256)), json!("a\tb")] {
        let (status, problem) = api.send(with_key(key)).await;
        assert_eq!(
            (status, problem["errors"][0]["field"].as_str()),
            (400, Some("Idempotency-Key"))
        );
    }
    let without = request("POST /orders", "camille", |event| {
        event["body"] = json!(order().to_string());
        event["headers"].as_object_mut().unwrap().remove("idempotency-key");
    });
    assert_eq!(api.send(without).await.0, 400);
    assert_eq!(api.send(with_key(json!("k".repeat(255)))).await.0, 202);
}

#[tokio::test]
async fn orders_are_listed_newest_first_in_pages_without_gap_or_repeat() {
    let api = api();
    for n in 0..5 {
        let keyed = request("POST /orders", "camille", |event| {
            event["body"] = json!(order().to_string());
            event["headers"]["idempotency-key"] = json!(n.to_string());
        });
        // Two of them in the same millisecond.
        api.send_at(keyed, &format!("2026-11-24T08:00:0{}Z", n.min(3))).await;
    }
    let mut seen = Vec::new();
    let mut cursor = Value::Null;
    loop {
        let page = request("GET /orders", "camille", |event| {
            event["queryStringParameters"] = if cursor.is_null() {
                json!({"limit": "2"})
            } else {
                json!({"limit": "2", "cursor": cursor})
            };
        });
        let (status, page) = api.send(page).await;
        assert_eq!(status, 200);
        seen.extend(
            page["orders"]
                .as_array()
                .unwrap()
                .iter()
                .map(|order| (order["placed_at"].to_string(), order["order_id"].to_string())),
        );
        cursor = page["next"].clone();
        if cursor.is_null() {
            break;
        }
    }
    let mut sorted = seen.clone();
    sorted.sort();
    sorted.dedup();
    sorted.reverse();
    assert_eq!(seen.len(), 5);
    assert_eq!(seen, sorted);
}

#[tokio::test]
async fn an_invalid_limit_or_cursor_is_refused() {
    let api = api();
    for (name, value) in
        [("limit", "0"), ("limit", "51"), ("limit", "many"), ("cursor", "?"), ("cursor", "e30")]
    {
        let page = request("GET /orders", "camille", |event| {
            event["queryStringParameters"] = json!({name: value})
        });
        let (status, problem) = api.send(page).await;
        assert_eq!((status, problem["errors"][0]["field"].as_str()), (400, Some(name)));
    }
}

#[tokio::test]
async fn an_invalid_order_id_is_a_bad_request() {
    assert_eq!(api().show("camille", &json!("42")).await.0, 400);
}

#[tokio::test]
async fn menus_read_before_the_first_request_are_cached_for_their_maximum_age() {
    let api = api();
    api.intake.prepare(at(NOW)).await;
    api.tables.load(menu(250));
    let total = async |now| api.send_at(post(now, &order()), now).await.1["total"].clone();
    assert_eq!(total("2026-11-24T08:00:59Z").await, 380);
    assert_eq!(total("2026-11-24T08:01:00Z").await, 500);
}

#[tokio::test]
async fn menus_and_locations_are_public_and_cached_for_their_maximum_age() {
    let api = api();
    let price = async |now| {
        let asked = request("GET /menu/{location}", "", |event| {
            event["pathParameters"] = json!({"location": "paris"})
        });
        api.send_at(asked, now).await.1["items"][0]["price"].clone()
    };
    assert_eq!(price(NOW).await, 190);
    api.tables.load(menu(250));
    assert_eq!(price("2026-11-24T08:00:59Z").await, 190);
    assert_eq!(price("2026-11-24T08:01:00Z").await, 250);

    let (status, list) = api.send(request("GET /locations", "", |_| ())).await;
    assert_eq!((status, &list["locations"][0]["location"]), (200, &json!("paris")));
    let nowhere = request("GET /menu/{location}", "", |event| {
        event["pathParameters"] = json!({"location": "nowhere"})
    });
    assert_eq!(api.send(nowhere).await.0, 404);
}

#[tokio::test]
async fn shops_are_listed_by_name_and_then_by_id() {
    let api = api();
    for (location, name) in [("a-berlin", "Zimt"), ("z-lyon", "Amélie"), ("b-lyon", "Amélie")] {
        let location = location.parse().unwrap();
        let name = name.to_owned().try_into().unwrap();
        api.tables.load(Menu { location, name, ..menu(190) });
    }
    let (_, list) = api.send(request("GET /locations", "", |_| ())).await;
    let listed: Vec<_> =
        list["locations"].as_array().unwrap().iter().map(|shop| &shop["location"]).collect();
    assert_eq!(listed, ["b-lyon", "z-lyon", "paris", "a-berlin"]);
}

#[tokio::test]
async fn a_customer_sees_why_a_payment_was_declined_unless_it_is_not_for_them() {
    for (code, reason) in [
        ("insufficient_funds", "insufficient_funds"),
        ("incorrect_cvc", "incorrect_card_details"),
        ("stolen_card", "generic_decline"),
        ("fraudulent", "generic_decline"),
        ("a_code_of_next_year", "generic_decline"),
    ] {
        let api = api();
        let (_, placed) = api.send(post("camille", &order())).await;
        let declined = Trigger::PaymentDeclined(code.to_owned());
        api.advance(&placed["order_id"], &[Trigger::StockReserved, declined]).await;
        let rejection = json!({"code": "payment_declined", "reason": reason});
        // Every answer that holds an order: shown, listed, placed again, refused to be cancelled.
        let (_, shown) = api.show("camille", &placed["order_id"]).await;
        let (_, list) = api.send(request("GET /orders", "camille", |_| ())).await;
        let (_, replayed) = api.send(post("camille", &order())).await;
        for answer in [&shown, &list["orders"][0], &replayed] {
            assert_eq!(answer["rejection"], rejection);
        }
        let (status, problem) = api.cancel("camille", &placed["order_id"]).await;
        assert!(status == 409 && !problem.to_string().contains(code), "{problem}");
    }
}

#[tokio::test]
async fn every_route_is_handled_and_no_other() {
    let unknown = |body: &Value| body["detail"] == "There is no such route.";
    for route in Route::ALL {
        let answer = api().intake.handle(request(route.key(), "camille", |_| ()), at(NOW)).await;
        assert!(!unknown(&json_of(&answer)), "{route:?}");
    }
    for key in ["DELETE /orders", "GET /orders/", "$default"] {
        let answer = api().intake.handle(request(key, "camille", |_| ()), at(NOW)).await;
        assert_eq!((answer.status_code, unknown(&json_of(&answer))), (404, true), "{key}");
    }
}

proptest! {
    #[test]
    fn no_request_makes_the_handler_panic_or_fail(
        route in prop::sample::select(Route::ALL.to_vec()),
        body in any::<String>(),
        key in any::<String>(),
        query in any::<String>(),
        base64 in any::<bool>(),
    ) {
        let event = json!({
            "routeKey": route.key(),
            "body": body,
            "isBase64Encoded": base64,
            "headers": {"content-type": "application/json"},
            "queryStringParameters": {"limit": query, "cursor": query},
            "pathParameters": {"id": key, "location": key},
            "requestContext": {
                "http": {"method": "GET"},
                "authorizer": {"jwt": {"claims": {"sub": key}}}
            }
        });
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let request = serde_json::from_value(event).unwrap();
        let (status, _) = runtime.block_on(api().send(request));
        prop_assert!((200..500).contains(&status), "{}", status);
    }
}
