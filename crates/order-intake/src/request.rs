//! From an HTTP request to what the use cases need. Whatever is wrong is told with its field and
//! limit.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use garde::Validate;
use jiff::Timestamp;
use platform::http::{FieldError, Problem, ProblemType, Request, json_body};
use serde::{Deserialize, Serialize};
use shop::{
    id::{CustomerId, IdempotencyKey, LocationId, OrderId},
    order::Order,
    placement::OrderRequest,
};

/// How many orders a page of the list holds when the customer does not say.
pub(crate) const DEFAULT_PAGE: usize = 20;
/// The most that it can.
pub(crate) const MAX_PAGE: usize = 50;

/// A page of a customer's orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// At most so many orders, from 1 on.
    pub limit: usize,
    /// Those after this one; from the newest on when absent.
    pub after: Option<Position>,
}

/// Where in a customer's orders a page ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The last order's time, written as the row has it: it is part of the key from which the next
    /// page starts.
    #[serde(with = "shop::order::milliseconds")]
    pub placed_at: Timestamp,
    /// The last order's id.
    pub order_id: OrderId,
}

pub(crate) fn customer(request: &Request) -> Result<CustomerId, Problem> {
    let claims =
        request.request_context.authorizer.as_ref().and_then(|authorizer| authorizer.jwt.as_ref());
    let subject = claims.and_then(|jwt| jwt.claims.get("sub"));
    // The gateway admits nobody without a token; this is for whoever calls the function past it.
    subject
        .map(CustomerId::new)
        .ok_or_else(|| Problem::new(401, ProblemType::UNAUTHORIZED, "Send a bearer token."))
}

pub(crate) fn idempotency_key(request: &Request) -> Result<IdempotencyKey, Problem> {
    const HEADER: &str = "Idempotency-Key";
    let Some(value) = request.headers.get(HEADER) else {
        return Err(Problem::invalid_field(
            400,
            HEADER,
            "is required: a name of your own for this order, such as a UUID",
        ));
    };
    // A header with bytes beyond ASCII is no text, and no key either.
    value
        .to_str()
        .unwrap_or_default()
        .parse()
        .map_err(|error| Problem::invalid_field(400, HEADER, error))
}

pub(crate) fn order(request: &Request) -> Result<OrderRequest, Problem> {
    let order: OrderRequest = json_body(request)?;
    order.validate().map_err(|report| {
        let error = |(path, error): &(garde::Path, garde::Error)| FieldError {
            field: path.to_string(),
            detail: error.to_string(),
        };
        Problem::invalid(400, report.iter().map(error).collect())
    })?;
    Ok(order)
}

pub(crate) fn order_id(request: &Request) -> Result<OrderId, Problem> {
    path_parameter(request, "id").parse().map_err(|error| Problem::invalid_field(400, "id", error))
}

pub(crate) fn location(request: &Request) -> Result<LocationId, Problem> {
    path_parameter(request, "location")
        .parse()
        .map_err(|error| Problem::invalid_field(400, "location", error))
}

fn path_parameter<'a>(request: &'a Request, name: &str) -> &'a str {
    request.path_parameters.get(name).map_or("", String::as_str)
}

pub(crate) fn page(request: &Request) -> Result<Page, Problem> {
    let limit = match request.query_string_parameters.first("limit") {
        None => DEFAULT_PAGE,
        Some(limit) => {
            limit.parse().ok().filter(|limit| (1..=MAX_PAGE).contains(limit)).ok_or_else(|| {
                Problem::invalid_field(
                    400,
                    "limit",
                    format!("must be a whole number from 1 to {MAX_PAGE}"),
                )
            })?
        }
    };
    let after = match request.query_string_parameters.first("cursor") {
        None => None,
        Some(cursor) => {
            let position = BASE64_URL_SAFE_NO_PAD
                .decode(cursor)
                .ok()
                .and_then(|json| serde_json::from_slice(&json).ok());
            Some(position.ok_or_else(|| {
                Problem::invalid_field(400, "cursor", "must be `next` of the page before")
            })?)
        }
    };
    Ok(Page { limit, after })
}

/// What a customer sends back for the orders after this one.
pub(crate) fn cursor(last: &Order) -> String {
    let position = Position { placed_at: last.placed_at, order_id: last.order_id };
    // Two texts: they always serialise.
    BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(&position).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_has_the_time_as_the_row_has_it() {
        let order_id = "0b7c55f2-9d4e-4c6b-8a1f-3e2d7c9014aa".parse().unwrap();
        let position = Position { placed_at: "2026-11-24T08:00:00.12Z".parse().unwrap(), order_id };
        assert_eq!(
            serde_json::to_value(position).unwrap()["placed_at"],
            "2026-11-24T08:00:00.120Z"
        );
    }
}
