//! The [Lambda runtime API](https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html), for
//! one execution environment.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use uuid::Uuid;

/// How long a function may take to become ready, and to answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Why a function did not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The function reported an error during its init or an invocation.
    #[error("the function failed: {0}")]
    Failed(String),
    /// The function made no call for 30 s.
    #[error("the function did not call the runtime API within {} s", TIMEOUT.as_secs())]
    Silent,
    /// The function answered without an invocation, or asked for the next one without answering.
    #[error("the function called the runtime API out of turn")]
    OutOfTurn,
}

/// An answer and its duration: from sending the event until the answer was complete.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The unchanged body.
    pub(crate) body: Bytes,
    /// Includes the overhead of this server, a few hundredths of a millisecond. The floor shows
    /// it.
    pub(crate) elapsed: Duration,
}

/// A server of the runtime API on its own port, which runs until it is dropped.
pub(crate) struct RuntimeApi {
    address: SocketAddr,
    calls: mpsc::UnboundedReceiver<Call>,
    waiting: Option<oneshot::Sender<Bytes>>,
    server: JoinHandle<std::io::Result<()>>,
}

/// A call of the runtime API by the function.
enum Call {
    Next(Instant, oneshot::Sender<Bytes>),
    Answered(Instant, Bytes),
    Failed(Bytes),
}

type Calls = mpsc::UnboundedSender<Call>;

impl RuntimeApi {
    pub(crate) async fn start() -> std::io::Result<Self> {
        // Without TCP_NODELAY an answer in two segments waits 40 ms for a delayed ACK.
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
        let (sender, calls) = mpsc::unbounded_channel();
        let invocation = "/2018-06-01/runtime/invocation";
        let routes = Router::new()
            .route(&format!("{invocation}/next"), get(next))
            .route(&format!("{invocation}/{{id}}/response"), post(response))
            .route(&format!("{invocation}/{{id}}/error"), post(error))
            .route("/2018-06-01/runtime/init/error", post(error))
            .with_state(sender);
        let server = tokio::spawn(async { axum::serve(listener, routes).await });
        Ok(Self { address, calls, waiting: None, server })
    }

    /// The value of `AWS_LAMBDA_RUNTIME_API`.
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Waits until the function asks for an event, and returns the time of that call.
    pub(crate) async fn ready(&mut self) -> Result<Instant, Error> {
        match self.call().await? {
            Call::Next(at, event) => {
                self.waiting = Some(event);
                Ok(at)
            }
            Call::Failed(body) => Err(failed(&body)),
            Call::Answered(..) => Err(Error::OutOfTurn),
        }
    }

    /// Sends an event and waits for its answer.
    pub(crate) async fn invoke(&mut self, event: Bytes) -> Result<Answer, Error> {
        if self.waiting.is_none() {
            self.ready().await?;
        }
        let function = self.waiting.take().ok_or(Error::OutOfTurn)?;
        let handed_over = Instant::now();
        function.send(event).map_err(|_| Error::Silent)?;
        match self.call().await? {
            Call::Answered(at, body) => Ok(Answer { body, elapsed: at - handed_over }),
            Call::Failed(body) => Err(failed(&body)),
            Call::Next(..) => Err(Error::OutOfTurn),
        }
    }

    async fn call(&mut self) -> Result<Call, Error> {
        tokio::time::timeout(TIMEOUT, self.calls.recv()).await.ok().flatten().ok_or(Error::Silent)
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn failed(body: &Bytes) -> Error {
    Error::Failed(String::from_utf8_lossy(body).into_owned())
}

async fn next(State(calls): State<Calls>) -> impl IntoResponse {
    let (sender, event) = oneshot::channel();
    // The receiver is only gone when the run is over.
    let _ = calls.send(Call::Next(Instant::now(), sender));
    let event = event.await.map_err(|_| StatusCode::GONE)?;
    let deadline = Timestamp::now().as_millisecond() + TIMEOUT.as_millis() as i64;
    Ok::<_, StatusCode>((
        [
            ("content-type", "application/json".to_owned()),
            ("lambda-runtime-aws-request-id", Uuid::new_v4().to_string()),
            ("lambda-runtime-deadline-ms", deadline.to_string()),
            (
                "lambda-runtime-invoked-function-arn",
                "arn:aws:lambda:us-east-1:000000000000:function:bench".to_owned(),
            ),
        ],
        event,
    ))
}

async fn response(State(calls): State<Calls>, body: Bytes) -> StatusCode {
    let _ = calls.send(Call::Answered(Instant::now(), body));
    StatusCode::ACCEPTED
}

async fn error(State(calls): State<Calls>, body: Bytes) -> StatusCode {
    let _ = calls.send(Call::Failed(body));
    StatusCode::ACCEPTED
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A function's side of the API.
    struct Function {
        http: reqwest::Client,
        base: String,
    }

    impl Function {
        fn of(api: &RuntimeApi) -> Self {
            let base = format!("http://{}/2018-06-01/runtime", api.address());
            let http = reqwest::Client::builder().no_proxy().build().unwrap();
            Self { http, base }
        }

        async fn next(&self) -> reqwest::Response {
            self.http.get(format!("{}/invocation/next", self.base)).send().await.unwrap()
        }

        async fn post(&self, path: &str, body: &'static str) -> reqwest::StatusCode {
            let request = self.http.post(format!("{}/{path}", self.base)).body(body);
            request.send().await.unwrap().status()
        }
    }

    #[tokio::test]
    async fn an_event_has_an_id_that_the_answer_refers_to() {
        let mut api = RuntimeApi::start().await.unwrap();
        let function = Function::of(&api);
        let served = tokio::spawn(async move {
            let event = function.next().await;
            let id = event.headers()["lambda-runtime-aws-request-id"].to_str().unwrap().to_owned();
            assert_eq!(event.text().await.unwrap(), "an event");
            function.post(&format!("invocation/{id}/response"), "an answer").await
        });
        api.ready().await.unwrap();
        assert_eq!(api.invoke(Bytes::from("an event")).await.unwrap().body, "an answer");
        assert_eq!(served.await.unwrap(), StatusCode::ACCEPTED);
    }

    #[tokio::test]
    async fn a_function_that_cannot_start_is_never_ready() {
        let mut api = RuntimeApi::start().await.unwrap();
        Function::of(&api).post("init/error", "no table").await;
        assert!(matches!(api.ready().await, Err(Error::Failed(reason)) if reason == "no table"));
    }

    #[tokio::test]
    async fn a_failed_invocation_is_an_error() {
        let mut api = RuntimeApi::start().await.unwrap();
        let function = Function::of(&api);
        tokio::spawn(async move {
            function.next().await;
            function.post("invocation/1/error", "out of luck").await
        });
        let invoked = api.invoke(Bytes::new()).await;
        assert!(matches!(invoked, Err(Error::Failed(reason)) if reason == "out of luck"));
    }

    #[tokio::test]
    async fn an_answer_without_an_event_is_out_of_turn() {
        let mut api = RuntimeApi::start().await.unwrap();
        Function::of(&api).post("invocation/1/response", "unasked").await;
        assert!(matches!(api.ready().await, Err(Error::OutOfTurn)));
    }
}
