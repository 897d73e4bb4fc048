//! Corrupted requests to the API.

use aws_lambda_events::encodings::Body;
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use jiff::{SignedDuration, Timestamp};
use local::shops;
use order_intake::{
    handler::{OrderIntake, Orders},
    memory::MemoryTables,
    request::Page,
};
use platform::http::Response;
use proptest::prelude::*;
use resources::Template;
use serde_json::{Value, json};
use shop::{id::CustomerId, order::Order};

use crate::{block_on, corrupted, read_json, repository};

/// The function `order-intake` with the demo shops.
struct Api {
    intake: OrderIntake<MemoryTables>,
    tables: MemoryTables,
    now: Timestamp,
}

impl Api {
    fn new() -> Self {
        let tables = MemoryTables::default();
        for shop in shops::read(&repository().join("crates/local/demo/shops.json")).unwrap() {
            tables.load(shop.menu);
        }
        let intake = OrderIntake::new(
            tables.clone(),
            SignedDuration::from_mins(15),
            SignedDuration::from_mins(1),
        );
        Self { intake, tables, now: "2026-11-24T08:00:00Z".parse().unwrap() }
    }

    /// The answer to a request. `None` if API Gateway cannot send such a request.
    fn answer(&self, request: Value) -> Option<Response> {
        let request = serde_json::from_value(request).ok()?;
        Some(block_on(self.intake.handle(request, self.now)))
    }

    /// All orders of the sample's customer.
    fn orders(&self) -> Vec<Order> {
        let sample = sample();
        let customer = CustomerId::new(
            sample["requestContext"]["authorizer"]["jwt"]["claims"]["sub"].as_str().unwrap(),
        );
        block_on(self.tables.list(&customer, &Page { limit: 50, after: None })).unwrap()
    }
}

/// The request of the sample order.
fn sample() -> Value {
    read_json("events/order-intake-post-order.json")
}

fn sample_order() -> Value {
    let mut order: Value = serde_json::from_str(sample()["body"].as_str().unwrap()).unwrap();
    // All optional fields.
    order["pickup_at"] = json!("2026-11-24T12:00:00+01:00");
    order["expected_total"] = json!(600);
    order["note"] = json!("For two.");
    order
}

fn body(response: &Response) -> Value {
    match response.body.as_ref().unwrap() {
        Body::Text(text) => serde_json::from_str(text).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Checks that an answer has the status of success or is a client error with a problem.
fn check(response: &Response, accepted: i64) {
    let body = body(response);
    if response.status_code == accepted {
        return;
    }
    assert!((400..500).contains(&response.status_code), "{} {body}", response.status_code);
    assert_eq!(response.headers["content-type"], "application/problem+json");
    assert_eq!(body["status"], response.status_code);
    assert!(
        body["type"].as_str().unwrap().starts_with("urn:amelie:problem:")
            && body["detail"].is_string(),
        "{body}"
    );
}

#[test]
fn the_valid_order_is_accepted() {
    let api = Api::new();
    let mut request = sample();
    request["body"] = json!(sample_order().to_string());
    let answer = api.answer(request).unwrap();
    assert_eq!((answer.status_code, api.orders().len()), (202, 1), "{}", body(&answer));
}

proptest! {
    #[test]
    fn a_body_is_an_order_or_is_refused_and_leaves_no_trace(
        body in corrupted::text(sample_order()),
        base64 in any::<bool>(),
    ) {
        let api = Api::new();
        let mut request = sample();
        request["body"] = json!(if base64 { BASE64_STANDARD.encode(&body) } else { body });
        request["isBase64Encoded"] = json!(base64);
        let answer = api.answer(request).unwrap();
        check(&answer, 202);
        assert_eq!(api.orders().len(), usize::from(answer.status_code == 202));
    }

    #[test]
    fn no_request_that_the_gateway_can_send_makes_the_function_fail(
        request in corrupted::json(sample()),
        route in prop::sample::select(routes()),
    ) {
        let api = Api::new();
        let mut request = request;
        if request.is_object() {
            request["routeKey"] = json!(route);
        }
        if let Some(answer) = api.answer(request) {
            check(&answer, if route == "POST /orders" { 202 } else { 200 });
        }
    }

    #[test]
    fn a_page_is_shown_or_refused_whatever_its_cursor(
        position in corrupted::text(position()),
        limit in any::<Option<String>>(),
    ) {
        let api = Api::new();
        let mut request = sample();
        request["routeKey"] = json!("GET /orders");
        let cursor = BASE64_URL_SAFE_NO_PAD.encode(position);
        request["queryStringParameters"] = json!({"cursor": cursor});
        if let Some(limit) = limit {
            request["queryStringParameters"]["limit"] = json!(limit);
        }
        check(&api.answer(request).unwrap(), 200);
    }

    #[test]
    fn a_path_parameter_is_answered_or_refused(name in "\\PC{0,80}", id in any::<bool>()) {
        let api = Api::new();
        let mut request = sample();
        request["routeKey"] = json!(if id { "GET /orders/{id}" } else { "GET /menu/{location}" });
        request["pathParameters"] = json!({"id": name, "location": name});
        check(&api.answer(request).unwrap(), 200);
    }
}

/// The content of a cursor.
fn position() -> Value {
    json!({
        "placed_at": "2026-11-24T08:00:00.120Z",
        "order_id": "f4d1576a-0a38-56ac-b9f2-64349ee83e7a"
    })
}

/// The keys of all routes.
fn routes() -> Vec<String> {
    let template = Template::on_aws();
    template.routes().iter().map(|route| route.key.to_owned()).collect()
}
