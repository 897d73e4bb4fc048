//! Calls of AWS services in the emulator, by their JSON protocols.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use local::Emulator;
use reqwest::{Client, RequestBuilder, header::CONTENT_TYPE};
use serde_json::Value;

/// The services of a running emulator. It allows every call, so none is signed.
pub(crate) struct Aws {
    emulator: Emulator,
}

impl Aws {
    pub(crate) fn new(emulator: Emulator) -> Self {
        Self { emulator }
    }

    /// The URL of every service.
    pub(crate) fn endpoint(&self) -> &str {
        self.emulator.endpoint()
    }

    /// A client that trusts the emulator's certificate and no other.
    pub(crate) fn client(&self) -> &Client {
        self.emulator.client()
    }

    /// The emulator's certificate, which the functions trust instead of all public authorities.
    /// Lambda has about 140 of those. Reading them takes a function 3 to 5 ms of its init, which
    /// the figures do not include.
    pub(crate) fn certificate(&self) -> Option<&Path> {
        self.emulator.certificate()
    }

    /// Calls a service that takes the operation from a header, such as
    /// `DynamoDB_20120810.PutItem`.
    pub(crate) async fn call(&self, operation: &str, parameters: &Value) -> Result<Value> {
        let request = self.client().post(self.endpoint()).header("x-amz-target", operation);
        send(request, parameters).await.context(operation.to_owned())
    }

    /// Calls a service that takes the operation from the path.
    pub(crate) async fn post(&self, path: &str, parameters: &Value) -> Result<Value> {
        let request = self.client().post(format!("{}{path}", self.endpoint()));
        send(request, parameters).await.context(path.to_owned())
    }
}

async fn send(request: RequestBuilder, parameters: &Value) -> Result<Value> {
    let request =
        request.header(CONTENT_TYPE, "application/x-amz-json-1.1").body(parameters.to_string());
    let answer = request.send().await?;
    let status = answer.status();
    let body = answer.bytes().await?;
    ensure!(status.is_success(), "{}", String::from_utf8_lossy(&body));
    Ok(serde_json::from_slice(&body)?)
}
