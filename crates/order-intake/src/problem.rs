//! The problems of this API, in addition to those of every API.

use platform::http::{Problem, ProblemType};
use serde_json::json;
use shop::{
    calendar::LocalTime,
    id::LocationId,
    order::{Order, Status},
    placement::Refusal,
};

/// The total is not the one that the customer expected.
pub(crate) const PRICE_CHANGED: ProblemType =
    ProblemType { name: "price-changed", title: "The price has changed" };
/// The idempotency key belongs to a different order.
pub(crate) const KEY_REUSED: ProblemType =
    ProblemType { name: "idempotency-key-reused", title: "Idempotency key reused" };
/// The order has ended, the shop has started to make it, or its pickup time has come.
pub(crate) const NOT_CANCELLABLE: ProblemType =
    ProblemType { name: "not-cancellable", title: "The order can no longer be cancelled" };

/// An order at a shop that does not exist.
pub(crate) fn unknown_location(location: &LocationId) -> Problem {
    let detail = format!("there is no shop `{location}`; GET /locations lists all shops");
    Problem::invalid_field(422, "location", detail)
}

/// The menu of a shop that does not exist.
pub(crate) fn no_such_menu(location: &LocationId) -> Problem {
    let detail = format!("There is no shop `{location}`; GET /locations lists all shops.");
    Problem::not_found(detail)
}

pub(crate) fn no_such_route() -> Problem {
    Problem::not_found("There is no such route.")
}

pub(crate) fn no_such_order() -> Problem {
    Problem::not_found("You have no order with this id.")
}

pub(crate) fn key_reused() -> Problem {
    let detail = "You have placed a different order with this Idempotency-Key. \
                  Use a new key for a new order.";
    Problem::new(422, KEY_REUSED, detail).field("Idempotency-Key", "belongs to a different order")
}

pub(crate) fn refused(refusal: &Refusal) -> Problem {
    let field = field(refusal);
    match refusal {
        Refusal::PriceChanged { total } => {
            let detail = "The total is not the one that you expected. \
                          To accept it, repeat the request with the new `expected_total`.";
            Problem::new(409, PRICE_CHANGED, detail)
                .field(field, refusal)
                .with("total", total.amount)
                .with("currency", total.currency.code())
        }
        Refusal::UnknownItem { .. } | Refusal::NotSold { .. } => {
            let detail =
                format!("{refusal}; GET /menu/{{location}} lists all items and their days");
            Problem::invalid_field(422, field, detail)
        }
        Refusal::TooMany { .. }
        | Refusal::TooCheap { .. }
        | Refusal::TooExpensive { .. }
        | Refusal::PickupTooSoon { .. }
        | Refusal::PickupTooFar { .. }
        | Refusal::Closed { .. }
        | Refusal::ClosedToday { .. } => Problem::invalid_field(422, field, refusal),
    }
}

/// The path of the field that the refusal is about.
fn field(refusal: &Refusal) -> String {
    match refusal {
        Refusal::UnknownItem { line, .. } | Refusal::NotSold { line, .. } => {
            format!("lines[{line}].item")
        }
        Refusal::TooMany { line, .. } => format!("lines[{line}].quantity"),
        Refusal::TooCheap { .. } | Refusal::TooExpensive { .. } => "lines".into(),
        Refusal::PickupTooSoon { .. }
        | Refusal::PickupTooFar { .. }
        | Refusal::Closed { .. }
        | Refusal::ClosedToday { .. } => "pickup_at".into(),
        Refusal::PriceChanged { .. } => "expected_total".into(),
    }
}

/// The refusal to cancel an order, in which the trigger of its customer does not apply.
pub(crate) fn not_cancellable(order: &Order) -> Problem {
    let detail = match order.status {
        Status::Rejected | Status::Cancelled | Status::Expired => {
            "The order has already ended, and you do not pay for it.".to_owned()
        }
        Status::Preparing | Status::Ready | Status::Collected => {
            "The shop has started to make the order. Please ask the shop.".to_owned()
        }
        Status::Placed | Status::Reserved | Status::Confirmed => {
            let until = LocalTime::not_after(order.pickup_at, &order.time_zone);
            format!(
                "The order could be cancelled until its pickup time, {until}. Please ask the shop."
            )
        }
    };
    Problem::new(409, NOT_CANCELLABLE, detail).with("order_status", json!(order.status))
}
