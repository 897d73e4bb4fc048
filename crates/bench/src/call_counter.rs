//! Counting and timing a function's calls of AWS.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Result;
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use reqwest::Client;
use tokio::{net::TcpListener, task::JoinHandle};

/// The durations of all calls, until the emulator's answer was complete, by operation.
pub(crate) type Calls = BTreeMap<String, Vec<Duration>>;

/// An HTTP proxy in front of the emulator, which runs until it is dropped.
pub(crate) struct CallCounter {
    endpoint: String,
    calls: Arc<Mutex<Calls>>,
    server: JoinHandle<std::io::Result<()>>,
}

#[derive(Clone)]
struct Proxy {
    target: String,
    client: Client,
    calls: Arc<Mutex<Calls>>,
}

impl CallCounter {
    /// Starts a proxy that forwards to `target`.
    pub(crate) async fn start(target: &str, client: &Client) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let calls = Arc::default();
        let proxy =
            Proxy { target: target.to_owned(), client: client.clone(), calls: Arc::clone(&calls) };
        let routes = Router::new().fallback(forward).with_state(proxy);
        let server = tokio::spawn(async { axum::serve(listener, routes).await });
        Ok(Self { endpoint, calls, server })
    }

    /// The URL to send calls to.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Removes and returns the calls since the last time.
    pub(crate) fn take(&self) -> Calls {
        std::mem::take(&mut self.calls.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for CallCounter {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn forward(
    State(proxy): State<Proxy>,
    method: Method,
    uri: Uri,
    mut headers: HeaderMap,
    body: Bytes,
) -> Result<Response, (StatusCode, String)> {
    let operation = operation(&method, &uri, &headers);
    headers.remove(header::HOST);
    let url = format!("{}{uri}", proxy.target);
    let sent = Instant::now();
    let answer = proxy.client.request(method, url).headers(headers).body(body).send().await;
    let unreachable = |error: reqwest::Error| (StatusCode::BAD_GATEWAY, error.to_string());
    let answer = answer.map_err(unreachable)?;
    let status = answer.status();
    let mut headers = answer.headers().clone();
    headers.remove(header::TRANSFER_ENCODING);
    let body = answer.bytes().await.map_err(unreachable)?;
    proxy
        .calls
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .entry(operation)
        .or_default()
        .push(sent.elapsed());
    Ok((status, headers, body).into_response())
}

/// The name of an operation: `PutItem` for a service with a target header, and the method and path,
/// such as `POST /v2/email/outbound-emails`, for other services.
fn operation(method: &Method, uri: &Uri, headers: &HeaderMap) -> String {
    let target =
        headers.get("x-amz-target").and_then(|target| target.to_str().ok()?.rsplit('.').next());
    target.map_or_else(|| format!("{method} {}", uri.path()), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn calls_are_counted_by_operation_and_answered_by_the_target() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let target = format!("http://{}", server.local_addr().unwrap());
        let echo = Router::new().fallback(async |body: String| (StatusCode::IM_A_TEAPOT, body));
        tokio::spawn(async { axum::serve(server, echo).await });

        let client = Client::builder().no_proxy().build().unwrap();
        let counter = CallCounter::start(&target, &client).await.unwrap();
        for target in
            ["DynamoDB_20120810.PutItem", "DynamoDB_20120810.GetItem", "DynamoDB_20120810.PutItem"]
        {
            let request =
                client.post(counter.endpoint()).header("x-amz-target", target).body("an item");
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::IM_A_TEAPOT);
            assert_eq!(answer.text().await.unwrap(), "an item");
        }
        client.get(format!("{}/v2/email", counter.endpoint())).send().await.unwrap();

        let counts: Vec<_> =
            counter.take().into_iter().map(|(operation, times)| (operation, times.len())).collect();
        assert_eq!(
            counts,
            [("GET /v2/email", 1), ("GetItem", 1), ("PutItem", 2)]
                .map(|(name, count)| (name.to_owned(), count))
        );
        assert_eq!(counter.take(), Calls::new());
    }
}
