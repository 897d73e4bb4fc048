//! The runtime API of Lambda, for one function.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    http::StatusCode,
    response::IntoResponse,
    routing::{get, post},
};
use jiff::Timestamp;
use serde_json::Value;
use tokio::{
    net::TcpListener,
    sync::{Mutex, mpsc},
    task::JoinHandle,
};
use uuid::Uuid;

/// The runtime API of a function whose invocations time out.
pub(super) struct Runtime {
    address: SocketAddr,
    events: mpsc::UnboundedSender<String>,
    answers: mpsc::UnboundedReceiver<String>,
    server: JoinHandle<()>,
}

struct Shared {
    timeout: Duration,
    events: Mutex<mpsc::UnboundedReceiver<String>>,
    answers: mpsc::UnboundedSender<String>,
}

impl Runtime {
    pub(super) async fn start(timeout: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (events, to_function) = mpsc::unbounded_channel();
        let (from_function, answers) = mpsc::unbounded_channel();
        let shared = Shared { timeout, events: Mutex::new(to_function), answers: from_function };
        let invocation = "/2018-06-01/runtime/invocation";
        let routes = Router::new()
            .route(&format!("{invocation}/next"), get(next))
            .route(&format!("{invocation}/{{id}}/response"), post(answer))
            .route(&format!("{invocation}/{{id}}/error"), post(answer))
            .route("/2018-06-01/runtime/init/error", post(answer))
            .with_state(Arc::new(shared));
        let server = tokio::spawn(async { axum::serve(listener, routes).await.unwrap() });
        Self { address, events, answers, server }
    }

    /// The value of `AWS_LAMBDA_RUNTIME_API`.
    pub(super) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Hands an event to the function and waits for its answer, or for its error.
    pub(super) async fn invoke(&mut self, event: &Value) -> Value {
        self.events.send(event.to_string()).unwrap();
        let answer = tokio::time::timeout(Duration::from_secs(60), self.answers.recv());
        serde_json::from_str(&answer.await.expect("an answer within a minute").unwrap()).unwrap()
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn next(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let event = shared.events.lock().await.recv().await.ok_or(StatusCode::GONE)?;
    let deadline = Timestamp::now() + shared.timeout;
    let arn = "arn:aws:lambda:eu-central-1:000000000000:function:frozen";
    Ok::<_, StatusCode>((
        [
            ("content-type", "application/json".to_owned()),
            ("lambda-runtime-aws-request-id", Uuid::new_v4().to_string()),
            ("lambda-runtime-deadline-ms", deadline.as_millisecond().to_string()),
            ("lambda-runtime-invoked-function-arn", arn.to_owned()),
        ],
        event,
    ))
}

async fn answer(State(shared): State<Arc<Shared>>, body: String) -> StatusCode {
    // The test that waits for it may be over.
    let _ = shared.answers.send(body);
    StatusCode::ACCEPTED
}
