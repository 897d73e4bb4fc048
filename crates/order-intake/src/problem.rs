//! What this API refuses, beyond what every API does.

use platform::http::{Problem, ProblemType};
use serde_json::json;
use shop::{id::LocationId, order::Status, placement::Refusal};

/// The prices have changed since the customer has seen them.
pub(crate) const PRICE_CHANGED: ProblemType =
    ProblemType { name: "price-changed", title: "The price has changed" };
/// The customer has placed another order with the key.
pub(crate) const KEY_REUSED: ProblemType =
    ProblemType { name: "idempotency-key-reused", title: "Idempotency key reused" };
/// The order has gone too far to be called off.
pub(crate) const NOT_CANCELLABLE: ProblemType =
    ProblemType { name: "not-cancellable", title: "The order can no longer be cancelled" };

pub(crate) fn unknown_location(location: &LocationId) -> Problem {
    Problem::invalid_field(
        422,
        "location",
        format!("there is no shop `{location}`; GET /locations lists all"),
    )
}

pub(crate) fn key_reused() -> Problem {
    let detail = "This Idempotency-Key has placed another order; use a new key for a new order.";
    Problem::new(422, KEY_REUSED, detail)
        .field("Idempotency-Key", "belongs to an order with another body")
}

pub(crate) fn refused(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::PriceChanged { total } => {
            let detail = "The total is no longer what you expected; repeat the order with the new one to accept it.";
            Problem::new(409, PRICE_CHANGED, detail)
                .field(refusal.field(), &refusal)
                .with("total", total.amount)
                .with("currency", total.currency.code())
        }
        _ => Problem::invalid_field(422, refusal.field(), &refusal),
    }
}

pub(crate) fn no_such_order() -> Problem {
    Problem::not_found("You have no such order.")
}

pub(crate) fn not_cancellable(status: Status) -> Problem {
    let detail = if status.ended_early() {
        "The order has come to nothing already and costs nothing; there is nothing left to cancel."
    } else {
        "The shop has begun to make the order; ask the shop."
    };
    Problem::new(409, NOT_CANCELLABLE, detail).with("order_status", json!(status))
}
