//! HTTP requests to the emulator, the sandbox and the order API.

use std::time::Duration;

use platform::cause::chain;
use reqwest::{Certificate, ClientBuilder, RequestBuilder, Response};
use serde::de::DeserializeOwned;

use crate::Error;

/// A client that connects directly, whatever proxy the environment names.
pub(crate) fn client() -> reqwest::Client {
    direct().build().expect("a client without special settings can be built")
}

/// A client that trusts one certificate and no public authority; `None` if it is not valid PEM.
pub(crate) fn client_trusting(pem: &[u8]) -> Option<reqwest::Client> {
    direct().tls_certs_only([Certificate::from_pem(pem).ok()?]).build().ok()
}

fn direct() -> ClientBuilder {
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30))
}

pub(crate) async fn send(request: RequestBuilder) -> Result<Response, Error> {
    request.send().await.map_err(error)
}

/// The body of a successful answer.
pub(crate) async fn json<T: DeserializeOwned>(answer: Response) -> Result<T, Error> {
    answer.error_for_status().map_err(error)?.json().await.map_err(error)
}

pub(crate) async fn get_json<T: DeserializeOwned>(url: &str) -> Result<T, Error> {
    json(send(client().get(url)).await?).await
}

fn error(error: reqwest::Error) -> Error {
    let url = error.url().map(ToString::to_string).unwrap_or_default();
    Error::Http { url, reason: chain(&error.without_url()) }
}
