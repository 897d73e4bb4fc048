//! The API's contract, `openapi.json`: made from the types that requests are read into and answers
//! are written from, with answers that the handler really gives for examples. Whatever the tests of
//! this crate get answered has to be in it.

use std::{collections::BTreeSet, fs, path::PathBuf};

use aws_lambda_events::{encodings::Body, http::header::CONTENT_TYPE};
use jiff::SignedDuration;
use platform::http::{MAX_BODY, Problem, ProblemType, Request, Response};
use schemars::{
    JsonSchema,
    generate::{Contract, SchemaGenerator, SchemaSettings},
};
use serde_json::{Map, Value, json};
use shop::{
    id::{KEY_PATTERN, NAME_PATTERN},
    menu::Menu,
    money::Currency,
    order::{Status, Trigger},
    placement::OrderRequest,
};
use tables::orders::{Orders as _, Outcome, apply_trigger};

use crate::{
    handler::OrderIntake,
    memory::MemoryTables,
    problem::{KEY_REUSED, NOT_CANCELLABLE, PRICE_CHANGED},
    request::{DEFAULT_PAGE, MAX_PAGE},
    view::{LocationsView, OrderView, OrdersView},
};

/// What the gateway answers by itself.
#[derive(Clone, Copy)]
enum Gateway {
    Unauthorized,
    Forbidden,
    NoSuchRoute,
    TooLarge,
    Throttled,
    Failed,
    Unavailable,
}

impl Gateway {
    fn answer(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::Unauthorized => (401, "Unauthorized", "there is no valid token of this system"),
            Self::Forbidden => (403, "Forbidden", "the token is not an access token"),
            Self::NoSuchRoute => (404, "Not Found", "there is no such route"),
            Self::TooLarge => (413, "Request Entity Too Large", "the body has more than 10 MB"),
            Self::Throttled => {
                (429, "Too Many Requests", "there are too many requests; send it again later")
            }
            Self::Failed => {
                (500, "Internal Server Error", "something failed; send the same request again")
            }
            Self::Unavailable => (
                503,
                "Service Unavailable",
                "the function did not answer; send the same request again",
            ),
        }
    }
}

/// One route, being described.
struct Operation {
    route: &'static str,
    object: Value,
}

impl Operation {
    fn new(route: &'static str, id: &str, summary: &str, description: &str) -> Self {
        let object = json!({
            "operationId": id, "summary": summary, "description": description, "parameters": [], "responses": {}
        });
        let everywhere = [Gateway::Throttled, Gateway::Failed, Gateway::Unavailable];
        everywhere.into_iter().fold(Self { route, object }, Self::gateway)
    }

    /// A route for customers, who see what is theirs and nothing else.
    fn customers(mut self) -> Self {
        self.object["security"] = json!([{"customer": []}]);
        self.gateway(Gateway::Unauthorized).gateway(Gateway::Forbidden)
    }

    fn parameter(mut self, parameter: Value) -> Self {
        self.object["parameters"].as_array_mut().unwrap().push(parameter);
        self
    }

    fn body(mut self, description: &str, schema: Value, example: &Value) -> Self {
        let content = json!({"application/json": {"schema": schema, "example": example}});
        self.object["requestBody"] =
            json!({"description": description, "required": true, "content": content});
        self
    }

    /// An answer of the function that goes well.
    fn answer(self, status: u16, description: &str, schema: Value, example: Value) -> Self {
        self.content(
            status,
            description,
            "application/json",
            json!({"schema": schema, "example": example}),
        )
    }

    /// An answer of the function that is a problem of one of these kinds, with members of its own.
    fn problem(
        self,
        status: u16,
        description: &str,
        kinds: &[ProblemType],
        members: Value,
    ) -> Self {
        let Value::Object(mut properties) = members else { panic!("members by name") };
        let own: Vec<_> = properties.keys().cloned().collect();
        let urns: Vec<_> = kinds.iter().map(|kind| kind.urn()).collect();
        let titles: Vec<_> = kinds.iter().map(|kind| kind.title).collect();
        properties.insert("type".to_owned(), json!({"enum": urns}));
        properties.insert("title".to_owned(), json!({"enum": titles}));
        properties.insert("status".to_owned(), json!({"const": status}));
        let schema = json!({
            "allOf": [{"$ref": "#/components/schemas/Problem"}, {"properties": properties, "required": own}]
        });
        self.content(status, description, "application/problem+json", json!({"schema": schema}))
    }

    fn gateway(self, gateway: Gateway) -> Self {
        let (status, message, when) = gateway.answer();
        let content = json!({
            "schema": {"$ref": "#/components/schemas/GatewayMessage"}, "example": {"message": message}
        });
        self.content(status, &format!("From the gateway: {when}."), "application/json", content)
    }

    /// Adds a content type to the answers of a status.
    fn content(
        mut self,
        status: u16,
        description: &str,
        content_type: &str,
        content: Value,
    ) -> Self {
        let answer = &mut self.object["responses"][status.to_string()];
        let described = match answer["description"].as_str() {
            Some(before) => format!("{description} {before}"),
            None => description.to_owned(),
        };
        answer["description"] = json!(described);
        answer["content"][content_type] = content;
        self
    }

    /// Adds an example to an answer that is a problem.
    fn example(mut self, (status, problem): (u16, Value)) -> Self {
        let content = &mut self.object["responses"][status.to_string()]["content"]["application/problem+json"];
        assert!(content.is_object(), "{status} is not described");
        content["example"] = problem;
        self
    }

    fn headers(mut self, status: u16, headers: Value) -> Self {
        self.object["responses"][status.to_string()]["headers"] = headers;
        self
    }

    /// Says which other operations what is in the answer is for.
    fn links(mut self, status: u16, links: Value) -> Self {
        self.object["responses"][status.to_string()]["links"] = links;
        self
    }
}

/// The path item and the method that describe a route.
fn place(route: &str) -> (&str, String) {
    let (method, path) = route.split_once(' ').unwrap();
    (path, method.to_lowercase())
}

fn generator(contract: Contract) -> SchemaGenerator {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.contract = contract;
    settings.into_generator()
}

fn order_id() -> Value {
    json!({
        "name": "id", "in": "path", "required": true, "schema": {"type": "string", "format": "uuid"},
        "description": "The order's `order_id`.", "example": EXAMPLE_ORDER
    })
}

/// The order of the sample event.
const EXAMPLE_ORDER: &str = "f4d1576a-0a38-56ac-b9f2-64349ee83e7a";

/// A Tuesday morning.
const NOW: &str = "2026-11-24T08:00:00.120Z";

async fn document() -> Value {
    let (mut requests, mut answers) =
        (generator(Contract::Deserialize), generator(Contract::Serialize));
    let mut schema = Schemas { requests: &mut requests, answers: &mut answers };
    let api = Example::new();
    let wanted: Value =
        serde_json::from_str(api.sample("order-intake-post-order").body.as_deref().unwrap())
            .unwrap();

    let not_found = (ProblemType::NOT_FOUND, "It is not there, or not yours.");
    let invalid = (ProblemType::INVALID_REQUEST, "Fields are wrong: see `errors`.");
    let unavailable = |operation: Operation| {
        let operation = operation.problem(
            503,
            "The function could not reach its tables: send the same request again.",
            &[ProblemType::UNAVAILABLE],
            json!({}),
        );
        operation.example(example_of(Problem::unavailable()))
    };

    let placed = api.answer(api.sample("order-intake-post-order")).await;
    assert_eq!((placed.0, placed.1["order_id"].as_str()), (202, Some(EXAMPLE_ORDER)));
    let place_order = Operation::new(
        "POST /orders",
        "placeOrder",
        "Place an order",
        "Accepts an order; stock and payment follow, and `GET /orders/{id}` shows what becomes of it. The same key and body \
         again is the same order in its current state.",
    )
    .customers()
    .parameter(json!({
        "name": "Idempotency-Key", "in": "header", "required": true,
        "description": "A name of the customer's own for this order, such as a UUID. It makes a repeated request the same.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": KEY_PATTERN},
        "example": "5f0c1c1e-3f57-4a55-9d0a-6d1f3a5f8c12"
    }))
    .body(&format!("At most {MAX_BODY} bytes."), schema.request::<OrderRequest>(), &wanted)
    .answer(202, "The order is accepted.", schema.answer::<OrderView>(), placed.1.clone())
    .headers(
        202,
        json!({"Location": {
            "description": "Where to ask what becomes of it.", "required": true,
            "schema": {"type": "string", "pattern": "^/orders/[0-9a-f-]{36}$"}
        }}),
    )
    .links(
        202,
        json!({
            "show": {"operationId": "getOrder", "parameters": {"id": "$response.body#/order_id"}},
            "cancel": {"operationId": "cancelOrder", "parameters": {"id": "$response.body#/order_id"}}
        }),
    )
    .problem(
        400,
        "Fields are wrong, see `errors`, or the body is not one JSON object.",
        &[ProblemType::INVALID_REQUEST, ProblemType::MALFORMED_JSON],
        json!({}),
    )
    .example(api.refusal(|order| order["lines"][0]["quantity"] = json!(0)).await)
    .problem(
        409,
        "The total is not what the customer expected: show `total`, and send it as `expected_total`.",
        &[PRICE_CHANGED],
        json!({"total": {"type": "integer", "minimum": 0}, "currency": schema.answer::<Currency>()}),
    )
    .example(api.refusal(|order| order["expected_total"] = json!(1)).await)
    .gateway(Gateway::TooLarge)
    .problem(413, &format!("The body has more than {MAX_BODY} bytes."), &[ProblemType::CONTENT_TOO_LARGE], json!({}))
    .problem(415, "The body is not sent as `application/json`.", &[ProblemType::UNSUPPORTED_MEDIA_TYPE], json!({}))
    .problem(
        422,
        "This shop, its menu or the clock refuses what is otherwise right, see `errors`; or the key has placed another order.",
        &[ProblemType::INVALID_REQUEST, KEY_REUSED],
        json!({}),
    )
    .example(api.refusal(|order| order["lines"][0]["item"] = json!("bagel")).await);

    let listed = api.answer(api.sample("order-intake-list-orders")).await;
    let list_orders = Operation::new(
        "GET /orders",
        "listOrders",
        "List one's orders",
        "The customer's own orders, newest first. An order placed within the last moments may be missing.",
    )
    .customers()
    .parameter(json!({
        "name": "limit", "in": "query", "description": "The most orders of a page.",
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": DEFAULT_PAGE}
    }))
    .parameter(json!({
        "name": "cursor", "in": "query", "description": "`next` of the page before; without it, the first page.",
        "schema": {"type": "string", "minLength": 1}
    }))
    .answer(200, "A page of orders.", schema.answer::<OrdersView>(), listed.1)
    .problem(400, invalid.1, &[invalid.0], json!({}));

    let shown = api.answer(api.sample("order-intake-get-order")).await;
    let get_order = Operation::new(
        "GET /orders/{id}",
        "getOrder",
        "Show an order",
        "Its state, prices, what became of the money, and its history.",
    )
    .customers()
    .parameter(order_id())
    .answer(200, "The order.", schema.answer::<OrderView>(), shown.1)
    .problem(400, invalid.1, &[invalid.0], json!({}))
    .gateway(Gateway::NoSuchRoute)
    .problem(404, not_found.1, &[not_found.0], json!({}));

    let cancelled = api.answer(api.sample("order-intake-cancel-order")).await;
    let too_late = Example::new();
    too_late.answer(api.sample("order-intake-post-order")).await;
    too_late
        .go_through(&[
            Trigger::StockReserved,
            Trigger::PaymentCaptured,
            Trigger::PreparationStarted,
        ])
        .await;
    let too_late = too_late.answer(api.sample("order-intake-cancel-order")).await;
    let cancel_order = Operation::new(
        "POST /orders/{id}/cancel",
        "cancelOrder",
        "Cancel an order",
        "Calls an order off, as long as the shop has not begun to make it: its stock goes back, and so does its money. Again is \
         the same. There is nothing to send beside the path; a body is ignored.",
    )
    .customers()
    .parameter(order_id())
    .answer(200, "The order is cancelled.", schema.answer::<OrderView>(), cancelled.1)
    .problem(400, invalid.1, &[invalid.0], json!({}))
    .gateway(Gateway::NoSuchRoute)
    .problem(404, not_found.1, &[not_found.0], json!({}))
    .problem(
        409,
        "The shop has begun to make it, or it has ended: `order_status` says which.",
        &[NOT_CANCELLABLE],
        json!({"order_status": schema.answer::<Status>()}),
    )
    .example(too_late)
    .gateway(Gateway::TooLarge);

    let menu = api.answer(api.sample("order-intake-get-menu")).await;
    let get_menu = Operation::new("GET /menu/{location}", "getMenu", "Show a menu", "What a shop sells, when, and for how much.")
        .parameter(json!({
            "name": "location", "in": "path", "required": true, "schema": {"type": "string", "pattern": NAME_PATTERN},
            "description": "The shop, as `GET /locations` names it.", "example": "paris-marais"
        }))
        .answer(200, "The menu.", schema.answer::<Menu>(), menu.1)
        .problem(400, invalid.1, &[invalid.0], json!({}))
        .gateway(Gateway::NoSuchRoute)
        .problem(404, "There is no such shop.", &[not_found.0], json!({}));

    let locations = api.answer(api.sample("order-intake-list-locations")).await;
    let list_locations = Operation::new("GET /locations", "listLocations", "List the shops", "All shops, sorted by name.")
        .answer(200, "The shops.", schema.answer::<LocationsView<'_>>(), locations.1)
        .links(
            200,
            json!({"menu": {"operationId": "getMenu", "parameters": {"location": "$response.body#/locations/0/location"}}}),
        );

    let mut paths = Map::new();
    for operation in [place_order, list_orders, get_order, cancel_order, get_menu, list_locations] {
        let operation = unavailable(operation);
        let (path, method) = place(operation.route);
        paths.entry(path).or_insert(json!({}))[method] = operation.object;
    }
    schema.answer::<Problem>();
    let mut schemas = requests.take_definitions(true);
    schemas.extend(answers.take_definitions(true));
    schemas.insert(
        "GatewayMessage".to_owned(),
        json!({
            "description": "What the gateway answers when a request does not come through to the function.",
            "type": "object", "properties": {"message": {"type": "string"}}, "required": ["message"]
        }),
    );
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Amelie",
            "version": "1",
            "description": "Orders of a pastry business. Amounts are whole minor units of the shop's currency; times are RFC 3339. \
                            Errors are problem details (RFC 9457), save those of the gateway itself."
        },
        "servers": [{
            "url": "https://{api}.execute-api.{region}.amazonaws.com",
            "variables": {"api": {"default": "a1b2c3d4e5"}, "region": {"default": "eu-central-1"}}
        }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"customer": {
                "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                "description": "An access token of the stack's user pool."
            }}
        }
    })
}

/// The components that the document has of types.
struct Schemas<'a> {
    requests: &'a mut SchemaGenerator,
    answers: &'a mut SchemaGenerator,
}

impl Schemas<'_> {
    fn request<T: JsonSchema>(&mut self) -> Value {
        self.requests.subschema_for::<T>().to_value()
    }

    fn answer<T: JsonSchema>(&mut self) -> Value {
        self.answers.subschema_for::<T>().to_value()
    }
}

/// The demo shops.
struct Example {
    tables: MemoryTables,
}

impl Example {
    fn new() -> Self {
        let tables = MemoryTables::default();
        let shops: Value =
            serde_json::from_str(include_str!("../../local/demo/shops.json")).unwrap();
        for shop in shops.as_array().unwrap() {
            tables.load(serde_json::from_value(shop["menu"].clone()).unwrap());
        }
        Self { tables }
    }

    /// A request of `events/`.
    fn sample(&self, name: &str) -> Request {
        self.spoiled(name, |_| ())
    }

    /// The same, spoiled.
    fn spoiled(&self, name: &str, spoil: impl FnOnce(&mut Value)) -> Request {
        let path =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../events/{name}.json"));
        let mut event = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        spoil(&mut event);
        serde_json::from_value(event).unwrap()
    }

    async fn answer(&self, request: Request) -> (u16, Value) {
        let intake = OrderIntake::new(
            self.tables.clone(),
            SignedDuration::from_mins(15),
            SignedDuration::from_secs(60),
        );
        let response = intake.handle(request, NOW.parse().unwrap()).await;
        (response.status_code.try_into().unwrap(), json_of(&response))
    }

    /// The sample order, spoiled, under a key of its own.
    fn spoiled_order(&self, spoil: impl FnOnce(&mut Value)) -> Request {
        self.spoiled("order-intake-post-order", |event| {
            let mut order: Value = serde_json::from_str(event["body"].as_str().unwrap()).unwrap();
            spoil(&mut order);
            event["body"] = json!(order.to_string());
            event["headers"]["idempotency-key"] = json!("another");
        })
    }

    /// The answer to the sample order, spoiled.
    async fn refusal(&self, spoil: impl FnOnce(&mut Value)) -> (u16, Value) {
        self.answer(self.spoiled_order(spoil)).await
    }

    /// Lets the sample order go through states.
    async fn go_through(&self, triggers: &[Trigger]) {
        for trigger in triggers {
            let order = self.tables.get(EXAMPLE_ORDER.parse().unwrap()).await.unwrap().unwrap();
            let outcome = apply_trigger(&self.tables, order, trigger, None, NOW.parse().unwrap())
                .await
                .unwrap();
            assert!(matches!(outcome, Outcome::Changed(_)), "{outcome:?}");
        }
    }
}

fn example_of(problem: Problem) -> (u16, Value) {
    (problem.status(), serde_json::to_value(problem).unwrap())
}

pub(crate) fn json_of(response: &Response) -> Value {
    match response.body.as_ref().unwrap() {
        Body::Text(text) => serde_json::from_str(text).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// The committed document, which answers are held to.
pub(crate) struct Document(Value);

impl Document {
    fn path() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("openapi.json")
    }

    pub(crate) fn committed() -> Self {
        let text = fs::read_to_string(Self::path()).expect("commit the document of the API");
        Self(serde_json::from_str(&text).unwrap())
    }

    /// Fails unless the document has this answer for that route: its status, content type, headers,
    /// and which problem it is. What a body looks like follows from the types.
    pub(crate) fn check(&self, route: &str, response: &Response) {
        let (path, method) = place(route);
        let status = response.status_code.to_string();
        let answer = &self.0["paths"][path][method]["responses"][&status];
        let body = json_of(response);
        let content_type = response.headers[CONTENT_TYPE].to_str().unwrap();
        let schema = &answer["content"][content_type]["schema"];
        assert!(schema.is_object(), "{route}: {status} {content_type} is not documented: {body}");

        if content_type == "application/problem+json" {
            let [_, kind] = schema["allOf"].as_array().unwrap().as_slice() else {
                panic!("{schema}")
            };
            for member in ["type", "title"] {
                let documented = kind["properties"][member]["enum"].as_array().unwrap();
                assert!(
                    documented.contains(&body[member]),
                    "{route}: {status} of this {member} is not documented: {body}"
                );
            }
            let general = ["type", "title", "status", "detail", "errors"];
            let own: BTreeSet<_> = body
                .as_object()
                .unwrap()
                .keys()
                .filter(|name| !general.contains(&&***name))
                .collect();
            let documented: BTreeSet<_> =
                kind["required"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
            assert!(
                own.iter().map(|name| name.as_str()).eq(documented),
                "{route}: {status} has other members: {body}"
            );
        }

        let documented: BTreeSet<_> = answer["headers"]
            .as_object()
            .into_iter()
            .flat_map(Map::keys)
            .map(|name| name.to_lowercase())
            .collect();
        let sent = response
            .headers
            .keys()
            .filter(|name| **name != CONTENT_TYPE)
            .map(ToString::to_string)
            .collect();
        assert_eq!(documented, sent, "headers of {route}: {status}");
    }
}

/// Writes the document when there is none.
#[tokio::test]
async fn the_document_says_what_the_code_does() {
    let generated = document().await;
    let path = Document::path();
    if !path.exists() && std::env::var_os("CI").is_none() {
        fs::write(&path, format!("{generated:#}\n")).unwrap();
    }
    assert!(
        generated == Document::committed().0,
        "the API has changed: delete {}, run this test, and commit what it writes",
        path.display()
    );
}

#[tokio::test]
async fn every_problem_that_is_documented_is_given_to_somebody() {
    let api = Example::new();
    api.answer(api.sample("order-intake-post-order")).await;
    api.go_through(&[
        Trigger::StockReserved,
        Trigger::PaymentCaptured,
        Trigger::PreparationStarted,
    ])
    .await;
    let (post, show, cancel, menu) = (
        "order-intake-post-order",
        "order-intake-get-order",
        "order-intake-cancel-order",
        "order-intake-get-menu",
    );
    let nothing = json!("00000000-0000-0000-0000-000000000000");
    let requests = [
        api.spoiled_order(|order| order["lines"] = json!([])),
        api.spoiled(post, |event| event["body"] = json!("[")),
        api.spoiled_order(|order| order["expected_total"] = json!(1)),
        api.spoiled(post, |event| event["body"] = json!(" ".repeat(MAX_BODY + 1))),
        api.spoiled(post, |event| event["headers"]["content-type"] = json!("text/plain")),
        api.spoiled_order(|order| order["location"] = json!("nowhere")),
        api.spoiled(post, |event| {
            event["body"] = json!(event["body"].as_str().unwrap().replace(":2", ":3"))
        }),
        api.spoiled("order-intake-list-orders", |event| {
            event["queryStringParameters"] = json!({"limit": "0"})
        }),
        api.spoiled(show, |event| event["pathParameters"]["id"] = json!("42")),
        api.spoiled(show, |event| event["pathParameters"]["id"] = nothing.clone()),
        api.spoiled(cancel, |event| event["pathParameters"]["id"] = json!("42")),
        api.spoiled(cancel, |event| event["pathParameters"]["id"] = nothing.clone()),
        api.sample(cancel),
        api.spoiled(menu, |event| event["pathParameters"]["location"] = json!("No shop")),
        api.spoiled(menu, |event| event["pathParameters"]["location"] = json!("nowhere")),
    ];
    let mut given = BTreeSet::new();
    for request in requests {
        let route = request.route_key.clone().unwrap();
        let (status, problem) = api.answer(request).await;
        given.insert((route, status.to_string(), problem["type"].to_string()));
    }

    let mut documented = BTreeSet::new();
    for (path, methods) in Document::committed().0["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            for (status, answer) in operation["responses"].as_object().unwrap() {
                let kinds = &answer["content"]["application/problem+json"]["schema"]["allOf"][1]["properties"]
                    ["type"]["enum"];
                for kind in kinds.as_array().into_iter().flatten() {
                    documented.insert((
                        format!("{} {path}", method.to_uppercase()),
                        status.clone(),
                        kind.to_string(),
                    ));
                }
            }
        }
    }
    // Tables in memory do not fail.
    documented.retain(|(_, status, _)| status != "503");
    assert_eq!(given, documented);
}

#[tokio::test]
async fn every_documented_route_is_handled() {
    let document = Document::committed().0;
    let api = Example::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let mut request = api.sample("order-intake-get-order");
            request.route_key = Some(format!("{} {path}", method.to_uppercase()));
            let (status, body) = api.answer(request).await;
            assert_ne!(
                (status, body["detail"].as_str()),
                (404, Some("There is no such route.")),
                "{method} {path}"
            );
        }
    }
}
