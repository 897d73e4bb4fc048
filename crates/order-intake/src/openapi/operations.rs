//! The operations of the API, one per route.

use platform::http::{MAX_BODY, Problem, ProblemType};
use serde_json::{Value, json};
use shop::{
    id::{KEY_PATTERN, NAME_PATTERN},
    menu::Menu,
    money::Currency,
    order::{Status, Trigger},
};

use super::{
    AFTER_PICKUP, EXAMPLE_ORDER, Example, Schemas,
    operation::{Gateway, Operation},
};
use crate::{
    problem::{KEY_REUSED, NOT_CANCELLABLE, PRICE_CHANGED},
    request::{
        body::OrderBody,
        page::{DEFAULT_PAGE, MAX_PAGE},
    },
    route::Route,
    view::{LocationsView, OrderView, OrdersView},
};

/// The operation of each route. Its examples are answers of the handler to the sample requests.
pub(super) async fn operations(api: &Example, schemas: &mut Schemas<'_>) -> Vec<Operation> {
    let mut operations = Vec::new();
    for route in Route::ALL {
        let operation = match route {
            Route::PlaceOrder => place_order(api, schemas).await,
            Route::ListOrders => list_orders(api, schemas).await,
            Route::ShowOrder => get_order(api, schemas).await,
            Route::CancelOrder => cancel_order(api, schemas).await,
            Route::ShowMenu => get_menu(api, schemas).await,
            Route::ListLocations => list_locations(api, schemas).await,
        };
        operations.push(unavailable(operation));
    }
    operations
}

async fn place_order(api: &Example, schemas: &mut Schemas<'_>) -> Operation {
    let wanted = api.sample("order-intake-post-order").body.unwrap();
    let wanted = serde_json::from_str(&wanted).unwrap();
    let placed = api.answer(api.sample("order-intake-post-order")).await;
    assert_eq!((placed.0, placed.1["order_id"].as_str()), (202, Some(EXAMPLE_ORDER)));

    let operation = Operation::new(
        Route::PlaceOrder,
        "placeOrder",
        "Place an order",
        "Accepts an order. Its stock is reserved and its payment charged afterwards; \
         `GET /orders/{id}` shows the current state. Repeating a request with the same key and \
         body does not place another order: the answer is the first order in its current state.",
    )
    .parameter(json!({
        "name": "Idempotency-Key",
        "in": "header",
        "required": true,
        "description": "The customer's own name for this order, such as a UUID. \
                        It makes the request safe to repeat.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": KEY_PATTERN},
        "example": "5f0c1c1e-3f57-4a55-9d0a-6d1f3a5f8c12"
    }))
    .body(&format!("At most {MAX_BODY} bytes."), schemas.request::<OrderBody>(), &wanted)
    .answer(202, "The order is accepted.", schemas.answer::<OrderView>(), placed.1)
    .headers(
        202,
        json!({"Location": {
            "description": "The path of the order.",
            "required": true,
            "schema": {"type": "string", "pattern": "^/orders/[0-9a-f-]{36}$"}
        }}),
    )
    .links(
        202,
        json!({
            "show": {
                "operationId": "getOrder",
                "parameters": {"id": "$response.body#/order_id"}
            },
            "cancel": {
                "operationId": "cancelOrder",
                "parameters": {"id": "$response.body#/order_id"}
            }
        }),
    );
    place_order_problems(operation, api, schemas).await
}

async fn place_order_problems(
    operation: Operation,
    api: &Example,
    schemas: &mut Schemas<'_>,
) -> Operation {
    operation
        .problem(
            400,
            "Fields are invalid (see `errors`), or the body is not a JSON object.",
            &[ProblemType::INVALID_REQUEST, ProblemType::MALFORMED_JSON],
            json!({}),
        )
        .example(api.refusal(|order| order["lines"][0]["quantity"] = json!(0)).await)
        .problem(
            409,
            "The total is not the expected one. Show `total` to the customer, \
             and send it as `expected_total` if they accept it.",
            &[PRICE_CHANGED],
            json!({
                "total": {"type": "integer", "minimum": 0},
                "currency": schemas.answer::<Currency>()
            }),
        )
        .example(api.refusal(|order| order["expected_total"] = json!(1)).await)
        .gateway(Gateway::TooLarge)
        .problem(
            413,
            &format!("The body exceeds {MAX_BODY} bytes."),
            &[ProblemType::CONTENT_TOO_LARGE],
            json!({}),
        )
        .problem(
            415,
            "The body is not sent as `application/json`.",
            &[ProblemType::UNSUPPORTED_MEDIA_TYPE],
            json!({}),
        )
        .problem(
            422,
            "The shop, its menu or its opening hours do not allow the order (see `errors`; times \
             are the shop's), or the key belongs to a different order.",
            &[ProblemType::INVALID_REQUEST, KEY_REUSED],
            json!({}),
        )
        .example(api.refusal(|order| order["lines"][0]["item"] = json!("bagel")).await)
}

async fn list_orders(api: &Example, schemas: &mut Schemas<'_>) -> Operation {
    let listed = api.answer(api.sample("order-intake-list-orders")).await;
    let operation = Operation::new(
        Route::ListOrders,
        "listOrders",
        "List your orders",
        "Lists the customer's own orders, newest first. \
         An order that was placed in the last seconds may be missing.",
    )
    .parameter(json!({
        "name": "limit",
        "in": "query",
        "description": "The most orders on the page.",
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": DEFAULT_PAGE}
    }))
    .parameter(json!({
        "name": "cursor",
        "in": "query",
        "description": "`next` of the previous page. If absent, the first page is shown.",
        "schema": {"type": "string", "minLength": 1}
    }))
    .answer(200, "A page of orders.", schemas.answer::<OrdersView>(), listed.1);
    invalid_request(operation)
}

async fn get_order(api: &Example, schemas: &mut Schemas<'_>) -> Operation {
    let shown = api.answer(api.sample("order-intake-get-order")).await;
    let operation = Operation::new(
        Route::ShowOrder,
        "getOrder",
        "Show an order",
        "Shows an order with its state, prices, payment and history.",
    )
    .parameter(order_id())
    .answer(200, "The order.", schemas.answer::<OrderView>(), shown.1);
    order_not_found(invalid_request(operation))
}

async fn cancel_order(api: &Example, schemas: &mut Schemas<'_>) -> Operation {
    let cancelled = api.answer(api.sample("order-intake-cancel-order")).await;
    let too_late = Example::new();
    too_late.answer(api.sample("order-intake-post-order")).await;
    too_late.advance(&[Trigger::StockReserved, Trigger::PaymentCaptured]).await;
    let cancel = too_late.sample("order-intake-cancel-order");
    let too_late = too_late.answer_at(cancel, AFTER_PICKUP).await;

    let operation = Operation::new(
        Route::CancelOrder,
        "cancelOrder",
        "Cancel an order",
        "Cancels an order before its pickup time, unless the shop has started to make it. Its \
         stock is released, and its payment voided or refunded. Repeating the request changes \
         nothing. A body is ignored.",
    )
    .parameter(order_id())
    .answer(200, "The order is cancelled.", schemas.answer::<OrderView>(), cancelled.1);
    order_not_found(invalid_request(operation))
        .problem(
            409,
            "The shop has started to make the order, its pickup time has come, or the order has \
             ended. `order_status` is its state.",
            &[NOT_CANCELLABLE],
            json!({"order_status": schemas.answer::<Status>()}),
        )
        .example(too_late)
        .gateway(Gateway::TooLarge)
}

async fn get_menu(api: &Example, schemas: &mut Schemas<'_>) -> Operation {
    let menu = api.answer(api.sample("order-intake-get-menu")).await;
    let operation = Operation::new(
        Route::ShowMenu,
        "getMenu",
        "Show a menu",
        "Shows what a shop sells, at which prices, and when it is open.",
    )
    .parameter(json!({
        "name": "location",
        "in": "path",
        "required": true,
        "schema": {"type": "string", "pattern": NAME_PATTERN},
        "description": "The id of the shop: `location` in the answer of `GET /locations`.",
        "example": "paris-marais"
    }))
    .answer(200, "The menu.", schemas.answer::<Menu>(), menu.1);
    invalid_request(operation).gateway(Gateway::NoSuchRoute).problem(
        404,
        "There is no such shop.",
        &[ProblemType::NOT_FOUND],
        json!({}),
    )
}

async fn list_locations(api: &Example, schemas: &mut Schemas<'_>) -> Operation {
    let locations = api.answer(api.sample("order-intake-list-locations")).await;
    Operation::new(
        Route::ListLocations,
        "listLocations",
        "List the shops",
        "Lists all shops, sorted by name.",
    )
    .answer(200, "The shops.", schemas.answer::<LocationsView<'_>>(), locations.1)
    .links(
        200,
        json!({"menu": {
            "operationId": "getMenu",
            "parameters": {"location": "$response.body#/locations/0/location"}
        }}),
    )
}

/// The parameter of the routes of one order.
fn order_id() -> Value {
    json!({
        "name": "id",
        "in": "path",
        "required": true,
        "schema": {"type": "string", "format": "uuid"},
        "description": "The order's `order_id`.",
        "example": EXAMPLE_ORDER
    })
}

fn invalid_request(operation: Operation) -> Operation {
    let description = "Parameters are invalid; see `errors`.";
    operation.problem(400, description, &[ProblemType::INVALID_REQUEST], json!({}))
}

fn order_not_found(operation: Operation) -> Operation {
    let description = "The customer has no such order.";
    operation.gateway(Gateway::NoSuchRoute).problem(
        404,
        description,
        &[ProblemType::NOT_FOUND],
        json!({}),
    )
}

fn unavailable(operation: Operation) -> Operation {
    let problem = Problem::unavailable();
    let status = problem.status();
    operation
        .problem(
            status,
            "The function could not reach its tables. Retry the same request.",
            &[ProblemType::UNAVAILABLE],
            json!({}),
        )
        .example((status, serde_json::to_value(problem).unwrap()))
}
