//! Requests of customers to the API.

use aws_lambda_events::encodings::Body;
use jiff::SignedDuration;
use platform::http::{Request, Response};
use serde_json::{Value, json};
use shop::id::{CustomerId, OrderId};

use crate::{
    functions::Functions,
    observation::{Answer, Observation},
    world::World,
};

/// An order that a customer wants.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) customer: CustomerId,
    pub(crate) key: String,
    pub(crate) id: OrderId,
    pub(crate) body: String,
    /// When the customer first asks for it, from the start of the run.
    pub(crate) at: SignedDuration,
}

/// Asks for an order once. Returns whether the response is final.
pub(crate) async fn place(world: &World, functions: &Functions, wish: &Wish, body: &str) -> bool {
    let customer = wish.customer.as_str();
    world.core.trace(customer, || format!("POST /orders {} {body}", wish.id));
    let Some(response) = functions.request(placing(wish, body)).await else {
        return false;
    };
    let status = response.status_code;
    world.core.trace(customer, || format!("{status} for {}", wish.id));
    world.log.add(Observation::PlacingAnswered(Answer {
        customer: wish.customer.clone(),
        key: wish.key.clone(),
        body: body.to_owned(),
        status,
        order: (status == 202).then(|| order_of(&response)),
    }));
    status < 500
}

/// Cancels an order once. Returns whether the response is final: 404 is not, since the order may
/// yet be placed.
pub(crate) async fn cancel(world: &World, functions: &Functions, wish: &Wish) -> bool {
    let customer = wish.customer.as_str();
    world.core.trace(customer, || format!("POST /orders/{}/cancel", wish.id));
    let Some(response) = functions.request(cancellation(wish)).await else {
        return false;
    };
    let status = response.status_code;
    world.core.trace(customer, || format!("{status} for cancelling {}", wish.id));
    if status == 200 {
        world.log.add(Observation::CancellationAccepted(wish.id));
    }
    matches!(status, 200 | 409)
}

fn placing(wish: &Wish, body: &str) -> Request {
    let mut request = request_of(wish, "POST /orders");
    request["headers"] = json!({"content-type": "application/json", "idempotency-key": wish.key});
    request["body"] = json!(body);
    serde_json::from_value(request).expect("a request")
}

fn cancellation(wish: &Wish) -> Request {
    let mut request = request_of(wish, "POST /orders/{id}/cancel");
    request["pathParameters"] = json!({"id": wish.id});
    serde_json::from_value(request).expect("a request")
}

/// A customer's request as the gateway passes it to a function.
fn request_of(wish: &Wish, route: &str) -> Value {
    json!({
        "version": "2.0", "routeKey": route, "rawPath": "/", "headers": {},
        "isBase64Encoded": false,
        "requestContext": {
            "http": {"method": "POST", "path": "/"},
            "authorizer": {"jwt": {"claims": {"sub": wish.customer}, "scopes": null}},
        },
    })
}

fn order_of(response: &Response) -> OrderId {
    let Some(Body::Text(body)) = &response.body else {
        panic!("an accepted order is answered in JSON");
    };
    let body: Value = serde_json::from_str(body).expect("a response in JSON");
    serde_json::from_value(body["order_id"].clone()).expect("an order's id")
}
