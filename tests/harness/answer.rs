//! Answers of the API.

use reqwest::{RequestBuilder, header::HeaderMap};
use serde_json::Value;

/// An answer with a JSON body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// Sends a request and reads the answer.
    pub(crate) async fn to(request: RequestBuilder) -> Self {
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.text().await.unwrap();
        let body = serde_json::from_str(&text)
            .unwrap_or_else(|_| panic!("the body of a {status} is not JSON: {text}"));
        Self { status, headers, body }
    }

    /// Whether this is a problem whose first error is about `field` and contains `words`.
    pub(crate) fn has_error(&self, field: &str, words: &str) -> bool {
        let error = &self.body["errors"][0];
        self.headers["content-type"] == "application/problem+json"
            && self.body["status"] == self.status
            && error["field"] == field
            && error["detail"].as_str().is_some_and(|detail| detail.contains(words))
    }
}
