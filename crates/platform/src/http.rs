//! Requests and responses of an HTTP API, and errors as RFC 9457 problem details.

use aws_lambda_events::{
    apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse},
    encodings::Body,
    http::{HeaderValue, header},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::decode;

/// A request as API Gateway passes it to a function, in payload format 2.0: header names are in
/// lower case.
pub type Request = ApiGatewayV2httpRequest;
/// A response to API Gateway.
pub type Response = ApiGatewayV2httpResponse;

/// The largest body that is accepted, in bytes.
pub const MAX_BODY: usize = 64 * 1024;

/// The problem details of an error, as RFC 9457 defines them.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Problem {
    /// A URN that names the kind of problem.
    #[serde(rename = "type")]
    kind: String,
    /// The kind of problem in English.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What is wrong or what to do about it, for people to read.
    detail: String,
    /// The invalid fields, each with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    #[serde(flatten)]
    extensions: Map<String, Value>,
}

/// A kind of problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProblemType {
    /// The last part of its URN: a few words in lower case with hyphens.
    pub name: &'static str,
    /// The `title` of its problems, in English.
    pub title: &'static str,
}

impl ProblemType {
    /// The request has invalid fields.
    pub const INVALID_REQUEST: Self =
        Self { name: "invalid-request", title: "The request is not valid" };
    /// The resource does not exist, or the caller may not see it.
    pub const NOT_FOUND: Self = Self { name: "not-found", title: "Not found" };
    /// The server could not process the request. A retry may succeed.
    pub const UNAVAILABLE: Self = Self { name: "unavailable", title: "Temporarily unavailable" };
    /// The caller has no token.
    pub const UNAUTHORIZED: Self = Self { name: "unauthorized", title: "Unauthorized" };
    /// The content type of the body is not JSON.
    pub const UNSUPPORTED_MEDIA_TYPE: Self =
        Self { name: "unsupported-media-type", title: "Unsupported media type" };
    /// The body is larger than [`MAX_BODY`].
    pub const CONTENT_TOO_LARGE: Self =
        Self { name: "content-too-large", title: "Content too large" };
    /// The body is not one JSON object.
    pub const MALFORMED_JSON: Self =
        Self { name: "malformed-json", title: "The body is not a JSON object" };

    /// The `type` of problems of this kind.
    #[must_use]
    pub fn urn(self) -> String {
        format!("urn:amelie:problem:{}", self.name)
    }
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FieldError {
    /// The path in the body, such as `lines[0].quantity`, or the name of a header or parameter.
    pub field: String,
    /// What is wrong, with the limit that applies.
    pub detail: String,
}

impl Problem {
    /// Creates a problem without field errors or extension members.
    #[must_use]
    pub fn new(status: u16, kind: ProblemType, detail: impl Into<String>) -> Self {
        let (title, kind) = (kind.title, kind.urn());
        Self {
            kind,
            title,
            status,
            detail: detail.into(),
            errors: Vec::new(),
            extensions: Map::new(),
        }
    }

    /// Creates a problem from the invalid fields of the request.
    #[must_use]
    pub fn invalid(status: u16, errors: Vec<FieldError>) -> Self {
        let fields = errors.iter().map(|error| error.field.as_str()).collect::<Vec<_>>().join(", ");
        let detail = format!("Correct {fields}; see `errors`.");
        Self { errors, ..Self::new(status, ProblemType::INVALID_REQUEST, detail) }
    }

    /// Creates a problem about a single field of the request.
    #[must_use]
    pub fn invalid_field(status: u16, field: impl Into<String>, detail: impl ToString) -> Self {
        Self::invalid(status, vec![FieldError { field: field.into(), detail: detail.to_string() }])
    }

    /// Creates a 404 problem: the resource does not exist, or the caller may not see it.
    #[must_use]
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(404, ProblemType::NOT_FOUND, detail)
    }

    /// Creates a 503 problem. It does not reveal the reason, which the caller logs.
    #[must_use]
    pub fn unavailable() -> Self {
        let detail =
            "Send the same request again in a moment; with the same Idempotency-Key it is safe.";
        Self::new(503, ProblemType::UNAVAILABLE, detail)
    }

    /// Adds an invalid field.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>, detail: impl ToString) -> Self {
        self.errors.push(FieldError { field: field.into(), detail: detail.to_string() });
        self
    }

    /// Adds an extension member.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.extensions.insert(name.to_owned(), value.into());
        self
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }
}

impl From<Problem> for Response {
    fn from(problem: Problem) -> Self {
        answer(problem.status, "application/problem+json", &problem)
    }
}

/// A response in JSON.
#[must_use]
pub fn json(status: u16, body: &impl Serialize) -> Response {
    answer(status, "application/json", body)
}

/// A 202 response in JSON. `path` is where the client can follow what it has started.
#[must_use]
pub fn accepted(path: &str, body: &impl Serialize) -> Response {
    let mut response = json(202, body);
    if let Ok(path) = HeaderValue::from_str(path) {
        response.headers.insert(header::LOCATION, path);
    }
    response
}

fn answer(status: u16, content_type: &'static str, body: &impl Serialize) -> Response {
    let mut response = Response::default();
    match serde_json::to_string(body) {
        Ok(json) => {
            response.status_code = status.into();
            response.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
            response.body = Some(Body::Text(json));
        }
        Err(error) => {
            tracing::error!(%error, "the response does not serialise");
            response.status_code = 500;
        }
    }
    response
}

/// Reads a JSON body.
///
/// # Errors
/// 415 for another content type, 413 for a body larger than [`MAX_BODY`], 400 for malformed JSON,
/// and 400 with the field for JSON that does not fit the type.
pub fn json_body<T: DeserializeOwned>(request: &Request) -> Result<T, Problem> {
    let content_type = request
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        let detail = "Send the body as JSON, with the header Content-Type: application/json.";
        return Err(Problem::new(415, ProblemType::UNSUPPORTED_MEDIA_TYPE, detail)
            .field("Content-Type", "must be application/json"));
    }
    let text = request.body.as_deref().unwrap_or_default();
    let decoded;
    let bytes = if request.is_base64_encoded {
        decoded =
            BASE64_STANDARD.decode(text).map_err(|_| malformed("the body is not valid base64"))?;
        &decoded[..]
    } else {
        text.as_bytes()
    };
    if bytes.len() > MAX_BODY {
        let detail = format!("The body has {} bytes; at most {MAX_BODY} are read.", bytes.len());
        return Err(Problem::new(413, ProblemType::CONTENT_TOO_LARGE, detail)
            .field("body", format!("must be at most {MAX_BODY} bytes")));
    }
    // Serde would also take an array for a struct, by the order of its fields.
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Err(malformed("must be one JSON object"));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        match error.inner().classify() {
            serde_json::error::Category::Data => unfit(&error),
            _ => malformed(error.inner()),
        }
    })?;
    json.end().map_err(malformed)?;
    Ok(value)
}

/// A field that is missing, or of another type or value.
fn unfit(error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let place = decode::place(error);
    let field = if place == "." { "body" } else { &place };
    let message = error.inner().to_string();
    let detail = match decode::missing_field(&message) {
        Some(_) => "is required",
        // The field says where it is; the line and the column add nothing.
        None => message.rsplit_once(" at line ").map_or(message.as_str(), |(reason, _)| reason),
    };
    Problem::invalid_field(400, field, detail)
}

fn malformed(error: impl ToString) -> Problem {
    Problem::new(400, ProblemType::MALFORMED_JSON, "Send one JSON object, encoded in UTF-8.")
        .field("body", error)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(content_type: Option<&'static str>, body: &str) -> Request {
        let mut request = Request::default();
        if let Some(content_type) = content_type {
            request.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        request.body = Some(body.to_owned());
        request
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        lines: Vec<u8>,
    }

    fn read(content_type: Option<&'static str>, body: &str) -> Result<Body, Problem> {
        json_body(&request(content_type, body))
    }

    const JSON: Option<&str> = Some("application/json; charset=utf-8");

    #[test]
    fn json_is_read_with_or_without_its_charset() {
        assert_eq!(read(JSON, r#"{"lines": [1]}"#), Ok(Body { lines: vec![1] }));
        assert!(read(Some("application/json"), r#"{"lines": []}"#).is_ok());
    }

    #[test]
    fn a_base64_body_is_decoded() {
        let mut encoded = request(JSON, &BASE64_STANDARD.encode(r#"{"lines": [1]}"#));
        encoded.is_base64_encoded = true;
        assert_eq!(json_body(&encoded), Ok(Body { lines: vec![1] }));
    }

    #[test]
    fn another_content_type_is_unsupported() {
        for content_type in [None, Some("text/plain"), Some("application/jsonp")] {
            assert_eq!(read(content_type, "{}").unwrap_err().status(), 415);
        }
    }

    #[test]
    fn a_body_over_64_kib_is_too_large() {
        let json = r#"{"lines": []}"#;
        let at_the_limit = json.to_owned() + &" ".repeat(MAX_BODY - json.len());
        assert!(read(JSON, &at_the_limit).is_ok());
        assert_eq!(read(JSON, &format!("{at_the_limit} ")).unwrap_err().status(), 413);
    }

    #[test]
    fn an_error_names_the_invalid_field() {
        let problem = read(JSON, r#"{"lines": [1, 300]}"#).unwrap_err();
        assert_eq!(problem.errors[0].field, "lines[1]");
        assert!(!problem.errors[0].detail.contains("column"), "{problem:?}");
        let problem = read(JSON, "{}").unwrap_err();
        assert_eq!(
            (problem.errors[0].field.as_str(), problem.errors[0].detail.as_str()),
            ("lines", "is required")
        );
        let problem = read(JSON, r#"{"lines": [], "lime": 1}"#).unwrap_err();
        assert!(problem.errors[0].detail.contains("unknown field `lime`"));
    }

    #[test]
    fn a_body_that_is_not_one_json_object_is_malformed() {
        for body in ["", "{", "{} {}", "\u{1}", "[[1]]", "null"] {
            let problem = read(JSON, body).unwrap_err();
            assert_eq!(problem.status(), 400, "{body:?}");
        }
    }

    proptest! {
        #[test]
        fn no_body_makes_reading_panic(body in any::<String>(), base64 in any::<bool>()) {
            let mut request = request(JSON, &body);
            request.is_base64_encoded = base64;
            let _ = json_body::<Body>(&request);
        }
    }
}
