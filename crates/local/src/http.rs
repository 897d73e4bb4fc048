//! HTTP to the emulator and the order API.

use std::time::Duration;

use reqwest::{RequestBuilder, Response};
use serde::de::DeserializeOwned;

use crate::{Error, error::chain};

/// A client that goes straight to this machine, whatever proxy the environment names.
pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(30))
        .build()
        .expect("a client without special settings can be built")
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
