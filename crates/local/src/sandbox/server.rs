//! The sandbox as an HTTP server.

use std::{
    collections::BTreeMap,
    panic,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Form, Json, Router,
    body::Bytes,
    extract::{Path, Query, State},
    http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::{any, delete, get, post, put},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::{net::TcpListener, time::sleep};

use super::{
    authentication,
    control::{Decision, LedgerEntry, NewDispute, Settlement},
    disputes::DisputeStatus,
    events::{Bus, Sender},
    faults::{Fault, FaultId, Faults, FaultyAnswer},
    idempotency::{Answer, Claim, Keys},
    ledger::{Confirmation, Ledger, Refusal},
    request::Operation,
    wire::{self, ApiError},
};

/// Serves the sandbox until `shutdown` completes, and drops requests that are in progress then.
/// Requests must carry the API key `secret`. The control API under `/_sandbox` needs no key, so
/// listen where other machines cannot reach it.
///
/// # Errors
/// The listener fails.
pub async fn serve(
    listener: TcpListener,
    secret: String,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let sandbox = Arc::new(Sandbox {
        secret,
        books: Mutex::new(Books {
            ledger: Ledger::new(fastrand::u32(..), authentication::pages(listener.local_addr()?)),
            keys: Keys::default(),
            faults: Faults::default(),
            disguises: BTreeMap::new(),
            requests: 0,
            sender: None,
        }),
    });
    let app = Router::new()
        .route("/v1/{*path}", any(api))
        .route("/_sandbox/authentication/{intent}", get(authentication_page).post(authenticate))
        .route(authentication::RETURNED, get(async || authentication::returned()))
        .route("/_sandbox/faults", get(faults).post(set_fault).delete(clear_faults))
        .route("/_sandbox/faults/{id}", delete(remove_fault))
        .route("/_sandbox/idempotency_keys", delete(forget_keys))
        .route("/_sandbox/disputes", post(open_dispute))
        .route("/_sandbox/disputes/{id}", post(decide_dispute))
        .route("/_sandbox/event_bus", put(send_events))
        .route("/_sandbox/ledger", get(ledger))
        .route("/_sandbox/objects/{id}", put(disguise))
        .route("/_sandbox/refunds/{id}", post(settle_refund))
        .route("/_sandbox/reset", post(reset))
        .with_state(sandbox);
    // Not gracefully, because a fault may make a request take very long.
    tokio::select! {
        served = axum::serve(listener, app).into_future() => served,
        () = shutdown => Ok(()),
    }
}

/// Who sends a request, by the key.
enum Caller {
    Merchant,
    /// A customer's browser.
    Customer,
}

/// The key that a shop's page in a customer's browser holds.
pub const PUBLISHABLE_KEY: &str = "pk_test_sandbox";

struct Sandbox {
    secret: String,
    books: Mutex<Books>,
}

struct Books {
    ledger: Ledger,
    keys: Keys,
    faults: Faults,
    /// The fields with which objects are shown, by the ids of these.
    disguises: BTreeMap<String, Map<String, Value>>,
    requests: u64,
    /// Where events go, if anywhere.
    sender: Option<Sender>,
}

/// A request to Stripe's API.
struct Call {
    method: Method,
    path: String,
    /// The query of a GET, the body of a POST.
    params: Vec<u8>,
    headers: HeaderMap,
}

async fn api(
    State(sandbox): State<Arc<Sandbox>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let params = match method {
        Method::GET => uri.query().unwrap_or_default().into(),
        _ => body.into(),
    };
    let call = Call { method, path: uri.path().to_owned(), params, headers };
    // On its own task, so that the work continues if the client hangs up.
    let answered = tokio::spawn(async move { sandbox.answer(call).await }).await;
    match answered {
        Ok(Some(response)) => response,
        // A handler must return a response. Unwinding closes the connection without one, and this
        // way of unwinding prints nothing.
        Ok(None) => panic::resume_unwind(Box::new("the answer is lost")),
        Err(failed) => panic::resume_unwind(Box::new(failed)),
    }
}

async fn faults(State(sandbox): State<Arc<Sandbox>>) -> Json<BTreeMap<FaultId, Fault>> {
    Json(sandbox.books().faults.list())
}

async fn set_fault(
    State(sandbox): State<Arc<Sandbox>>,
    Json(fault): Json<Fault>,
) -> (StatusCode, Json<FaultId>) {
    (StatusCode::CREATED, Json(sandbox.books().faults.set(fault)))
}

async fn remove_fault(State(sandbox): State<Arc<Sandbox>>, Path(id): Path<FaultId>) -> StatusCode {
    if sandbox.books().faults.remove(id) { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}

/// The faults to remove.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cleared {
    /// Only the faults of this order; all faults if absent.
    order_id: Option<String>,
}

async fn clear_faults(
    State(sandbox): State<Arc<Sandbox>>,
    Query(cleared): Query<Cleared>,
) -> StatusCode {
    let faults = &mut sandbox.books().faults;
    match cleared.order_id {
        Some(order_id) => faults.clear_for(&order_id),
        None => faults.clear(),
    }
    StatusCode::NO_CONTENT
}

async fn forget_keys(State(sandbox): State<Arc<Sandbox>>) -> StatusCode {
    sandbox.books().keys.forget();
    StatusCode::NO_CONTENT
}

async fn ledger(State(sandbox): State<Arc<Sandbox>>) -> Json<Vec<LedgerEntry>> {
    let books = sandbox.books();
    Json(books.ledger.intents().map(|intent| LedgerEntry::of(intent, &books.ledger)).collect())
}

async fn authentication_page(
    State(sandbox): State<Arc<Sandbox>>,
    Path(intent): Path<String>,
) -> Response {
    authentication::page(sandbox.books().ledger.find(&intent))
}

/// The form that a customer sends.
#[derive(Deserialize)]
struct Authentication {
    outcome: authentication::Outcome,
}

async fn authenticate(
    State(sandbox): State<Arc<Sandbox>>,
    Path(intent): Path<String>,
    Form(Authentication { outcome }): Form<Authentication>,
) -> Response {
    let succeeds = outcome == authentication::Outcome::Complete;
    let mut books = sandbox.books();
    authentication::decided(books.ledger.authenticate(&intent, succeeds, unix_now()), outcome)
}

/// Shows an object with these fields from then on, whatever the ledger says, as a later version of
/// the API or another product of Stripe's might.
async fn disguise(
    State(sandbox): State<Arc<Sandbox>>,
    Path(id): Path<String>,
    Json(fields): Json<Map<String, Value>>,
) -> StatusCode {
    sandbox.books().disguises.insert(id, fields);
    StatusCode::NO_CONTENT
}

/// The reason of a dispute that the control API opens.
const FRAUDULENT: &str = "fraudulent";

async fn open_dispute(
    State(sandbox): State<Arc<Sandbox>>,
    Json(NewDispute { intent, status }): Json<NewDispute>,
) -> Response {
    sandbox.control(|ledger| {
        let dispute = ledger.open_dispute(&intent, status, FRAUDULENT, unix_now())?;
        Ok(Json(dispute.id.clone()))
    })
}

async fn decide_dispute(
    State(sandbox): State<Arc<Sandbox>>,
    Path(id): Path<String>,
    Json(Decision { status }): Json<Decision>,
) -> Response {
    sandbox.control(|ledger| {
        ledger.change_dispute(&id, |_| status)?;
        Ok(StatusCode::NO_CONTENT)
    })
}

async fn settle_refund(
    State(sandbox): State<Arc<Sandbox>>,
    Path(id): Path<String>,
    Json(Settlement { status }): Json<Settlement>,
) -> Response {
    sandbox.control(|ledger| {
        ledger.settle_refund(&id, status)?;
        Ok(StatusCode::NO_CONTENT)
    })
}

async fn send_events(State(sandbox): State<Arc<Sandbox>>, Json(bus): Json<Bus>) -> StatusCode {
    sandbox.books().sender = Some(Sender::to(bus));
    StatusCode::NO_CONTENT
}

async fn reset(State(sandbox): State<Arc<Sandbox>>) -> StatusCode {
    let mut books = sandbox.books();
    books.ledger.reset();
    books.faults.clear();
    books.disguises.clear();
    books.keys.forget();
    StatusCode::NO_CONTENT
}

impl Sandbox {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the ledger as a bank would, and sends the events of that.
    fn control<A: IntoResponse>(
        &self,
        change: impl FnOnce(&mut Ledger) -> Result<A, Refusal>,
    ) -> Response {
        let mut books = self.books();
        let changed = change(&mut books.ledger);
        books.send_events();
        changed.map_or_else(
            |refusal| {
                let answer = ApiError::refused(refusal, None).answer("control");
                respond(answer, "control", false)
            },
            IntoResponse::into_response,
        )
    }

    /// Answers a call; `None` if a fault loses the answer.
    async fn answer(&self, call: Call) -> Option<Response> {
        let request_id = self.books().request_id();
        let refuse = |error: ApiError| Some(respond(error.answer(&request_id), &request_id, false));

        let parsed = self.authenticate(&call.headers).and_then(|caller| {
            let operation = Operation::parse(&call.method, &call.path, &call.params)?;
            let is_allowed = match caller {
                Caller::Merchant => true,
                Caller::Customer => operation.is_for_customers(),
            };
            if is_allowed { Ok(operation) } else { Err(ApiError::secret_key_needed()) }
        });
        let operation = match parsed {
            Ok(operation) => operation,
            Err(error) => return refuse(error),
        };

        let key =
            (call.method == Method::POST).then(|| text(&call.headers, &IDEMPOTENCY_KEY)).flatten();
        if let Some(key) = key {
            let params = String::from_utf8_lossy(&call.params);
            let request = format!("{}?{params}", call.path);
            let claim = self.books().keys.claim(key, &request);
            match claim {
                Claim::New => {}
                Claim::Replay(answer) => return Some(respond(answer, &request_id, true)),
                Claim::InUse => return refuse(ApiError::key_in_use(key)),
                Claim::Misused => return refuse(ApiError::key_misused(key)),
            }
        }

        let fault = self.books().fault(&operation);
        sleep(Duration::from_millis(fault.delay_ms)).await;

        let mut books = self.books();
        let answer = match fault.answer {
            FaultyAnswer::Normal | FaultyAnswer::Lose => books.execute(operation, &request_id),
            FaultyAnswer::Fail(status) => ApiError::of_fault(status).answer(&request_id),
            FaultyAnswer::FailAfterWork(status) => {
                books.execute(operation, &request_id);
                ApiError::of_fault(status).answer(&request_id)
            }
        };
        books.send_events();
        if let Some(key) = key {
            // Stripe keeps an answer once the work has begun, and gives these before.
            if matches!(answer.status, 401 | 409 | 429) {
                books.keys.release(key);
            } else {
                books.keys.keep(key, &answer);
            }
        }
        (fault.answer != FaultyAnswer::Lose).then(|| respond(answer, &request_id, false))
    }

    /// Checks the key, which is a bearer token or the user name of basic authentication.
    fn authenticate(&self, headers: &HeaderMap) -> Result<Caller, ApiError> {
        let given = text(headers, &header::AUTHORIZATION).ok_or_else(ApiError::no_key)?;
        let key = match given.split_once(' ') {
            Some(("Bearer", token)) => Some(token.to_owned()),
            Some(("Basic", encoded)) => BASE64_STANDARD
                .decode(encoded)
                .ok()
                .and_then(|pair| String::from_utf8(pair).ok())
                .and_then(|pair| Some(pair.split_once(':')?.0.to_owned())),
            _ => None,
        };
        match key {
            None => Err(ApiError::no_key()),
            Some(key) if key == self.secret => Ok(Caller::Merchant),
            Some(key) if key == PUBLISHABLE_KEY => Ok(Caller::Customer),
            Some(key) => Err(ApiError::wrong_key(&redacted(&key))),
        }
    }
}

impl Books {
    /// Sends the events of what has changed.
    fn send_events(&mut self) {
        let now = unix_now();
        for change in self.ledger.take_changes() {
            let Some(sender) = &self.sender else { continue };
            let id = format!("evt_{:016x}", fastrand::u64(..));
            sender.send(wire::event(&id, &change, now));
        }
    }

    fn request_id(&mut self) -> String {
        self.requests += 1;
        format!("req_{:014}", self.requests)
    }

    fn fault(&mut self, operation: &Operation) -> Fault {
        let (order_id, amount) = match operation {
            Operation::Create { new, .. } => {
                (new.metadata.get("order_id").map(String::as_str), Some(new.amount))
            }
            Operation::Retrieve { intent }
            | Operation::Confirm { intent, .. }
            | Operation::Cancel { intent, .. }
            | Operation::Refund { intent, .. }
            | Operation::ListRefunds { intent: Some(intent), .. }
            | Operation::ListDisputes { intent: Some(intent), .. } => {
                let intent = self.ledger.find(intent).ok();
                (intent.and_then(|intent| intent.order_id()), intent.map(|intent| intent.amount))
            }
            Operation::RetrieveDispute { dispute } | Operation::AnswerDispute { dispute, .. } => {
                let dispute = self.ledger.dispute(dispute).ok();
                let intent = dispute.and_then(|it| self.ledger.find(&it.intent).ok());
                (intent.and_then(|intent| intent.order_id()), intent.map(|intent| intent.amount))
            }
            Operation::List { .. }
            | Operation::ListRefunds { intent: None, .. }
            | Operation::ListDisputes { intent: None, .. } => (None, None),
        };
        self.faults.take(operation.route(), order_id, amount)
    }

    fn execute(&mut self, operation: Operation, request_id: &str) -> Answer {
        match self.perform(operation) {
            Ok(mut body) => {
                self.disguise(&mut body);
                Answer { status: 200, body }
            }
            Err(error) => error.answer(request_id),
        }
    }

    /// Replaces the fields of an object, or of those in a list.
    fn disguise(&self, shown: &mut Value) {
        if let Some(objects) = shown.get_mut("data").and_then(Value::as_array_mut) {
            objects.iter_mut().for_each(|object| self.disguise(object));
            return;
        }
        let fields = shown["id"].as_str().and_then(|id| self.disguises.get(id));
        if let Some((object, fields)) = shown.as_object_mut().zip(fields) {
            object.extend(fields.clone());
        }
    }

    fn perform(&mut self, operation: Operation) -> Result<Value, ApiError> {
        let now = unix_now();
        let ledger = &mut self.ledger;
        let named_in_path = |refusal| ApiError::refused(refusal, None);
        let named_in_form = |refusal| ApiError::refused(refusal, Some("payment_intent"));
        match operation {
            Operation::Create { new, confirmation: None } => {
                ledger.create(new, now).map(wire::intent).map_err(named_in_path)
            }
            Operation::Create { new, confirmation: Some(with) } => {
                let id = ledger.create(new, now).map_err(named_in_path)?.id.clone();
                let with = Confirmation { payment_method: None, ..with };
                ledger.confirm(&id, &with, now).map(wire::intent).map_err(named_in_path)
            }
            Operation::Retrieve { intent } => {
                ledger.find(&intent).map(wire::intent).map_err(named_in_path)
            }
            Operation::Confirm { intent, confirmation: with } => {
                ledger.confirm(&intent, &with, now).map(wire::intent).map_err(named_in_path)
            }
            Operation::Cancel { intent, reason } => {
                ledger.cancel(&intent, reason, now).map(wire::intent).map_err(named_in_path)
            }
            Operation::Refund { intent, new } => ledger
                .refund(&intent, new, now)
                .map(|refund| wire::refund(&refund))
                .map_err(named_in_form),
            Operation::List { page } => {
                let intents: Vec<_> = ledger.intents().rev().map(wire::intent).collect();
                wire::list("/v1/payment_intents", "payment_intent", intents, &page)
            }
            Operation::ListRefunds { intent, page } => {
                let refunds = match &intent {
                    Some(intent) => {
                        ledger.find(intent).map_err(named_in_form)?;
                        let shown = ledger.refunds_of(intent).map(wire::refund).collect();
                        ledger.settle(intent);
                        shown
                    }
                    None => ledger.refunds().map(wire::refund).collect(),
                };
                wire::list("/v1/refunds", "refund", refunds, &page)
            }
            Operation::RetrieveDispute { dispute } => {
                ledger.dispute(&dispute).map(wire::dispute).map_err(named_in_path)
            }
            Operation::AnswerDispute { dispute, evidence } => ledger
                .change_dispute(&dispute, |status| match &evidence {
                    Some(evidence) => status.answered(evidence),
                    None => DisputeStatus::Lost,
                })
                .map(wire::dispute)
                .map_err(named_in_path),
            Operation::ListDisputes { intent, page } => {
                let disputes = match &intent {
                    Some(intent) => {
                        ledger.find(intent).map_err(named_in_form)?;
                        ledger.disputes_of(intent).map(wire::dispute).collect()
                    }
                    None => ledger.disputes().map(wire::dispute).collect(),
                };
                wire::list("/v1/disputes", "dispute", disputes, &page)
            }
        }
    }
}

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

fn respond(answer: Answer, request_id: &str, replayed: bool) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let named = [("request-id", request_id), ("stripe-version", wire::API_VERSION)];
    let mut response = (status, named, Json(answer.body)).into_response();
    if replayed {
        let replayed = HeaderName::from_static("idempotent-replayed");
        response.headers_mut().insert(replayed, header::HeaderValue::from_static("true"));
    }
    response
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The last four characters of a key, which Stripe's error message for a wrong key contains.
fn redacted(key: &str) -> String {
    let from = key.char_indices().rev().nth(3).map_or(0, |(at, _)| at);
    format!("****{}", &key[from..])
}

fn unix_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
