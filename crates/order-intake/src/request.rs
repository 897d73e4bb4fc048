//! Parses HTTP requests into what the use cases need. A problem names each wrong field with its
//! limit.

pub(crate) mod body;
pub(crate) mod page;

use platform::http::{Problem, ProblemType, Request, json_body};
use shop::{
    id::{CustomerId, IdempotencyKey, LocationId, OrderId},
    placement::OrderRequest,
    trace::TraceParent,
};

pub use page::{Page, Position};

pub(crate) fn customer(request: &Request) -> Result<CustomerId, Problem> {
    let claims =
        request.request_context.authorizer.as_ref().and_then(|authorizer| authorizer.jwt.as_ref());
    let subject = claims.and_then(|jwt| jwt.claims.get("sub"));
    // API Gateway rejects a request without a token; the function may also be invoked directly.
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
            "is required: send a new UUID with each new order",
        ));
    };
    // A header with bytes beyond ASCII is not text, and so not a key.
    value
        .to_str()
        .unwrap_or_default()
        .parse()
        .map_err(|error| Problem::invalid_field(400, HEADER, error))
}

pub(crate) fn order(request: &Request) -> Result<OrderRequest, Problem> {
    let body: body::OrderBody = json_body(request)?;
    body.parse().map_err(|errors| Problem::invalid(400, errors))
}

pub(crate) fn order_id(request: &Request) -> Result<OrderId, Problem> {
    path_parameter(request, "id").parse().map_err(|error| Problem::invalid_field(400, "id", error))
}

pub(crate) fn location(request: &Request) -> Result<LocationId, Problem> {
    path_parameter(request, "location")
        .parse()
        .map_err(|error| Problem::invalid_field(400, "location", error))
}

/// The trace that the caller began, or else the one of API Gateway.
pub(crate) fn trace(request: &Request) -> Option<TraceParent> {
    let header = |name| request.headers.get(name)?.to_str().ok();
    let callers = header("traceparent").and_then(|text| text.parse().ok());
    callers.or_else(|| header("X-Amzn-Trace-Id").and_then(TraceParent::from_amazon))
}

fn path_parameter<'a>(request: &'a Request, name: &str) -> &'a str {
    request.path_parameters.get(name).map_or("", String::as_str)
}
