//! The description of one route.

use platform::http::ProblemType;
use serde_json::{Value, json};

use crate::route::{Access, Route};

/// Answers of API Gateway itself.
#[derive(Clone, Copy)]
pub(super) enum Gateway {
    Unauthorized,
    Forbidden,
    NoSuchRoute,
    TooLarge,
    Throttled,
    Failed,
    Unavailable,
}

impl Gateway {
    /// Status, message, and when API Gateway answers so.
    fn answer(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::Unauthorized => (401, "Unauthorized", "The token is missing or not valid."),
            Self::Forbidden => (403, "Forbidden", "The token is not an access token."),
            Self::NoSuchRoute => (404, "Not Found", "There is no such route."),
            Self::TooLarge => (413, "Request Entity Too Large", "The body exceeds 10 MB."),
            Self::Throttled => {
                (429, "Too Many Requests", "There are too many requests. Retry later.")
            }
            Self::Failed => {
                (500, "Internal Server Error", "API Gateway failed. Retry the same request.")
            }
            Self::Unavailable => {
                (503, "Service Unavailable", "The function did not answer. Retry the same request.")
            }
        }
    }
}

/// A route and its OpenAPI operation.
pub(super) struct Operation {
    pub(super) route: Route,
    pub(super) object: Value,
}

impl Operation {
    pub(super) fn new(route: Route, id: &str, summary: &str, description: &str) -> Self {
        let object = json!({
            "operationId": id,
            "summary": summary,
            "description": description,
            "parameters": [],
            "responses": {}
        });
        let operation = [Gateway::Throttled, Gateway::Failed, Gateway::Unavailable]
            .into_iter()
            .fold(Self { route, object }, Self::gateway);
        match route.access() {
            Access::Public => operation,
            Access::Customer => operation.customers(),
        }
    }

    /// Requires the token of a customer.
    fn customers(mut self) -> Self {
        self.object["security"] = json!([{"customer": []}]);
        self.gateway(Gateway::Unauthorized).gateway(Gateway::Forbidden)
    }

    pub(super) fn parameter(mut self, parameter: Value) -> Self {
        self.object["parameters"].as_array_mut().unwrap().push(parameter);
        self
    }

    pub(super) fn body(mut self, description: &str, schema: Value, example: &Value) -> Self {
        let content = json!({"application/json": {"schema": schema, "example": example}});
        self.object["requestBody"] =
            json!({"description": description, "required": true, "content": content});
        self
    }

    /// Adds an answer to a request that succeeds.
    pub(super) fn answer(
        self,
        status: u16,
        description: &str,
        schema: Value,
        example: Value,
    ) -> Self {
        let content = json!({"schema": schema, "example": example});
        self.content(status, description, "application/json", content)
    }

    /// Adds an answer that is a problem of one of these kinds, with additional members.
    pub(super) fn problem(
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
            "allOf": [
                {"$ref": "#/components/schemas/Problem"},
                {"properties": properties, "required": own}
            ]
        });
        self.content(status, description, "application/problem+json", json!({"schema": schema}))
    }

    pub(super) fn gateway(self, gateway: Gateway) -> Self {
        let (status, message, when) = gateway.answer();
        let content = json!({
            "schema": {"$ref": "#/components/schemas/GatewayMessage"},
            "example": {"message": message}
        });
        self.content(status, &format!("From API Gateway: {when}"), "application/json", content)
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
        let description = match answer["description"].as_str() {
            Some(gateway) => format!("{description} {gateway}"),
            None => description.to_owned(),
        };
        answer["description"] = json!(description);
        answer["content"][content_type] = content;
        self
    }

    /// Adds an example to an answer that is a problem.
    pub(super) fn example(mut self, (status, problem): (u16, Value)) -> Self {
        let answer = &mut self.object["responses"][status.to_string()];
        let content = &mut answer["content"]["application/problem+json"];
        assert!(content.is_object(), "{status} is not described");
        content["example"] = problem;
        self
    }

    pub(super) fn headers(mut self, status: u16, headers: Value) -> Self {
        self.object["responses"][status.to_string()]["headers"] = headers;
        self
    }

    /// Links values of the answer to the operations that take them.
    pub(super) fn links(mut self, status: u16, links: Value) -> Self {
        self.object["responses"][status.to_string()]["links"] = links;
        self
    }
}
