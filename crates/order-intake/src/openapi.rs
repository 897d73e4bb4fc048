//! The contract of the API, `openapi.json`: generated from the types of requests and answers, with
//! real answers of the handler as examples. The tests of this crate hold every answer to it.

mod operation;
mod operations;

use std::{collections::BTreeSet, env, fmt::Write, fs, path::PathBuf};

use aws_lambda_events::{encodings::Body, http::header::CONTENT_TYPE};
use jiff::SignedDuration;
use platform::http::{MAX_BODY, Problem, Request, Response};
use schemars::{
    JsonSchema,
    generate::{Contract, SchemaGenerator, SchemaSettings},
};
use serde_json::{Map, Value, json};
use shop::{order::Trigger, text::is_printable};
use tables::orders::{Orders as _, Outcome, apply_trigger};

use crate::{
    handler::OrderIntake,
    memory::MemoryTables,
    route::{Access, Route},
};

/// The id of the order of the sample request.
const EXAMPLE_ORDER: &str = "f4d1576a-0a38-56ac-b9f2-64349ee83e7a";

/// A Tuesday morning.
const NOW: &str = "2026-11-24T08:00:00.120Z";

/// When the order of the sample request can no longer be cancelled.
const AFTER_PICKUP: &str = "2026-11-24T08:20:00Z";

async fn document() -> Value {
    let (mut requests, mut answers) =
        (generator(Contract::Deserialize), generator(Contract::Serialize));
    let mut schemas = Schemas { requests: &mut requests, answers: &mut answers };
    let mut paths = Map::new();
    for operation in operations::operations(&Example::new(), &mut schemas).await {
        let (path, method) = (operation.route.path(), operation.route.method().to_lowercase());
        paths.entry(path).or_insert(json!({}))[method] = operation.object;
    }
    schemas.answer::<Problem>();
    let mut schemas = requests.take_definitions(true);
    schemas.extend(answers.take_definitions(true));
    schemas.insert(
        "GatewayMessage".to_owned(),
        json!({
            "description": "The answer of API Gateway to a request that does not reach the \
                            function.",
            "type": "object",
            "properties": {"message": {"type": "string"}},
            "required": ["message"]
        }),
    );
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Amelie",
            "version": "1",
            "description": "Orders of a pastry business. Amounts are whole minor units of the \
                            shop's currency; times are in RFC 3339. Errors are problem details \
                            (RFC 9457), except those of API Gateway itself."
        },
        "servers": [{
            "url": "https://{api}.execute-api.{region}.amazonaws.com",
            "variables": {
                "api": {"default": "a1b2c3d4e5"},
                "region": {"default": "eu-central-1"}
            }
        }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"customer": {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "JWT",
                "description": "An access token of the stack's user pool."
            }}
        }
    })
}

fn generator(contract: Contract) -> SchemaGenerator {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.contract = contract;
    settings.into_generator()
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

    /// A sample request from `events/`.
    fn sample(&self, name: &str) -> Request {
        self.changed(name, |_| ())
    }

    /// The sample request after a change.
    fn changed(&self, name: &str, change: impl FnOnce(&mut Value)) -> Request {
        let path =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../events/{name}.json"));
        let mut event = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        change(&mut event);
        serde_json::from_value(event).unwrap()
    }

    async fn answer(&self, request: Request) -> (u16, Value) {
        self.answer_at(request, NOW).await
    }

    async fn answer_at(&self, request: Request, now: &str) -> (u16, Value) {
        let intake = OrderIntake::new(
            self.tables.clone(),
            SignedDuration::from_mins(15),
            SignedDuration::from_secs(60),
        );
        let response = intake.handle(request, now.parse().unwrap()).await;
        (response.status_code.try_into().unwrap(), json_of(&response))
    }

    /// The sample order with a change that makes it invalid, under another key.
    fn invalid_order(&self, change: impl FnOnce(&mut Value)) -> Request {
        self.changed("order-intake-post-order", |event| {
            let mut order: Value = serde_json::from_str(event["body"].as_str().unwrap()).unwrap();
            change(&mut order);
            event["body"] = json!(order.to_string());
            event["headers"]["idempotency-key"] = json!("another");
        })
    }

    /// The answer to the sample order with a change that makes it invalid.
    async fn refusal(&self, change: impl FnOnce(&mut Value)) -> (u16, Value) {
        self.answer(self.invalid_order(change)).await
    }

    /// Moves the sample order on, as other functions would.
    async fn advance(&self, triggers: &[Trigger]) {
        for trigger in triggers {
            let order = self.tables.get(EXAMPLE_ORDER.parse().unwrap()).await.unwrap().unwrap();
            let outcome = apply_trigger(&self.tables, order, trigger, None, NOW.parse().unwrap())
                .await
                .unwrap();
            assert!(matches!(outcome, Outcome::Changed(_)), "{outcome:?}");
        }
    }
}

pub(crate) fn json_of(response: &Response) -> Value {
    match response.body.as_ref().unwrap() {
        Body::Text(text) => serde_json::from_str(text).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// The committed document.
pub(crate) struct Document(Value);

impl Document {
    fn path() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("openapi.json")
    }

    pub(crate) fn committed() -> Self {
        let text = fs::read_to_string(Self::path()).expect("commit the document of the API");
        Self(serde_json::from_str(&text).unwrap())
    }

    /// Fails unless the document has this answer for the route with that key: its status, content
    /// type, headers and kind of problem. The schema of a body is generated from its type.
    pub(crate) fn check(&self, route: &str, response: &Response) {
        let (method, path) = route.split_once(' ').unwrap();
        let method = method.to_lowercase();
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

/// JSON in which characters beyond U+FFFF that nobody can see are escaped. The pattern of a note
/// names some.
fn visible(json: &str) -> String {
    let mut visible = String::with_capacity(json.len());
    for character in json.chars() {
        if u32::from(character) > 0xffff && !is_printable(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(visible, "\\u{unit:04x}").unwrap();
            }
        } else {
            visible.push(character);
        }
    }
    visible
}

/// Outside CI, this test writes the document if it is missing.
#[tokio::test]
async fn the_committed_document_matches_the_code() {
    let generated = document().await;
    let path = Document::path();
    if !path.exists() && env::var_os("CI").is_none() {
        fs::write(&path, visible(&format!("{generated:#}\n"))).unwrap();
    }
    assert!(
        generated == Document::committed().0,
        "the API has changed: delete {}, run this test, and commit the new document",
        path.display()
    );
}

#[tokio::test]
async fn every_documented_problem_is_the_answer_to_some_request() {
    let api = Example::new();
    api.answer(api.sample("order-intake-post-order")).await;
    api.advance(&[Trigger::StockReserved, Trigger::PaymentCaptured, Trigger::PreparationStarted])
        .await;
    let (post, show, cancel, menu) = (
        "order-intake-post-order",
        "order-intake-get-order",
        "order-intake-cancel-order",
        "order-intake-get-menu",
    );
    let nothing = json!("00000000-0000-0000-0000-000000000000");
    let requests = [
        api.invalid_order(|order| order["lines"] = json!([])),
        api.changed(post, |event| event["body"] = json!("[")),
        api.invalid_order(|order| order["expected_total"] = json!(1)),
        api.changed(post, |event| event["body"] = json!(" ".repeat(MAX_BODY + 1))),
        api.changed(post, |event| event["headers"]["content-type"] = json!("text/plain")),
        api.invalid_order(|order| order["location"] = json!("nowhere")),
        api.changed(post, |event| {
            event["body"] = json!(event["body"].as_str().unwrap().replace(":2", ":3"))
        }),
        api.changed("order-intake-list-orders", |event| {
            event["queryStringParameters"] = json!({"limit": "0"})
        }),
        api.changed(show, |event| event["pathParameters"]["id"] = json!("42")),
        api.changed(show, |event| event["pathParameters"]["id"] = nothing.clone()),
        api.changed(cancel, |event| event["pathParameters"]["id"] = json!("42")),
        api.changed(cancel, |event| event["pathParameters"]["id"] = nothing.clone()),
        api.sample(cancel),
        api.changed(menu, |event| event["pathParameters"]["location"] = json!("No shop")),
        api.changed(menu, |event| event["pathParameters"]["location"] = json!("nowhere")),
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
                let schema = &answer["content"]["application/problem+json"]["schema"];
                let kinds = &schema["allOf"][1]["properties"]["type"]["enum"];
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

#[test]
fn the_document_has_the_routes_of_the_code_and_says_which_need_a_token() {
    let document = Document::committed().0;
    let mut documented = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let route = Route::from_key(&format!("{} {path}", method.to_uppercase()));
            let route = route.unwrap_or_else(|| panic!("{method} {path} is not a route"));
            let for_customers = operation["security"] == json!([{"customer": []}]);
            assert_eq!(for_customers, route.access() == Access::Customer, "{route:?}");
            documented.insert(route);
        }
    }
    assert_eq!(documented, BTreeSet::from(Route::ALL));
}
