//! The Stripe client against the sandbox, and against shapes of Stripe's documented answers.

#![allow(clippy::unwrap_used, reason = "a helper of a test may fail as the test itself may")]

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    future::pending,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use local::sandbox::{self, Control, Fault, FaultyAnswer, LedgerEntry, Route};
use payment::provider::{
    BookedRefundStatus, ConfigError, Intent, IntentStatus, NewIntent, Patience, Provider,
    ProviderError, Refund, Stripe, Trouble,
};
use platform::queue::Retryable;
use shop::{
    id::{CustomerId, OrderId},
    money::{Currency, Money},
    order::PaymentMethod,
    payment::IntentId,
};
use tokio::{net::TcpListener, time::sleep};

const SECRET: &str = "sk_test_provider";

/// Long enough for any answer that comes, with hardly a pause.
const PATIENCE: Patience = Patience {
    request: Duration::from_secs(20),
    call: Duration::from_secs(60),
    attempts: 3,
    first_pause: Duration::from_millis(1),
};

/// For answers that do not come.
const IMPATIENCE: Patience =
    Patience { request: Duration::from_millis(100), attempts: 2, ..PATIENCE };

fn order_id() -> OrderId {
    OrderId::derive(&CustomerId::new("camille"), &"first".parse().unwrap())
}

fn paying_with(payment_method: &str) -> NewIntent {
    NewIntent {
        order_id: order_id(),
        price: Money { amount: 1099, currency: Currency::Eur },
        payment_method: PaymentMethod::new(payment_method),
    }
}

/// The intent of the recorded answers.
fn recorded_id() -> IntentId {
    IntentId::new("pi_3PgafyB7WZ01zgkW1jxsAJo3")
}

fn declined(reason: &str) -> IntentStatus {
    IntentStatus::Declined(reason.to_owned())
}

struct Sandbox {
    stripe: Stripe,
    control: Control,
    url: String,
}

impl Sandbox {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(sandbox::serve(listener, SECRET.into(), pending()));
        Self {
            stripe: Stripe::new(&url, SECRET, PATIENCE).unwrap(),
            control: Control::new(&url),
            url,
        }
    }

    async fn created(&self, payment_method: &str) -> IntentId {
        self.stripe.create(&paying_with(payment_method)).await.unwrap().id
    }

    async fn paid(&self, payment_method: &str) -> IntentId {
        let id = self.created(payment_method).await;
        assert_eq!(self.stripe.confirm(&id).await.unwrap().status, IntentStatus::Succeeded);
        id
    }

    async fn once(&self, route: Route, answer: FaultyAnswer) {
        let fault = Fault { route: Some(route), times: Some(1), answer, ..Fault::default() };
        self.control.set_fault(&fault).await.unwrap();
    }

    async fn ledger(&self) -> Vec<LedgerEntry> {
        self.control.ledger().await.unwrap()
    }

    async fn charged(&self) -> u64 {
        self.ledger().await.iter().map(LedgerEntry::net).sum()
    }
}

#[tokio::test]
async fn an_intent_is_made_for_its_order_and_takes_the_money_once_confirmed() {
    let sandbox = Sandbox::start().await;
    let intent = sandbox.stripe.create(&paying_with("pm_card_visa")).await.unwrap();
    assert_eq!(intent.status, IntentStatus::Unconfirmed);
    assert_eq!(sandbox.stripe.find(&intent.id).await.unwrap(), intent);
    assert_eq!(sandbox.ledger().await[0].order_id, Some(order_id().to_string()));
    assert_eq!(sandbox.charged().await, 0);

    for _ in 0..2 {
        assert_eq!(
            sandbox.stripe.confirm(&intent.id).await.unwrap().status,
            IntentStatus::Succeeded
        );
        assert_eq!(sandbox.charged().await, 1099);
    }
}

#[tokio::test]
async fn a_declined_card_is_no_error_and_gives_the_same_reason_ever_after() {
    let sandbox = Sandbox::start().await;
    for (card, reason) in [
        ("pm_card_chargeDeclined", "generic_decline"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "insufficient_funds"),
        ("pm_card_visa_chargeDeclinedLostCard", "lost_card"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card"),
        ("pm_card_chargeDeclinedProcessingError", "processing_error"),
        // A customer who would have to authenticate is not there to do so.
        ("pm_card_authenticationRequired", "authentication_required"),
        ("pm_card_threeDSecureRequired", "authentication_required"),
    ] {
        sandbox.control.reset().await.unwrap();
        let id = sandbox.created(card).await;
        let expected = Intent { id: id.clone(), status: declined(reason) };
        assert_eq!(sandbox.stripe.confirm(&id).await.unwrap(), expected, "{card}");
        assert_eq!(sandbox.stripe.confirm(&id).await.unwrap(), expected, "{card}");
        assert_eq!(sandbox.stripe.find(&id).await.unwrap(), expected, "{card}");
        assert_eq!(sandbox.charged().await, 0);
    }
}

#[tokio::test]
async fn a_payment_method_that_nobody_knows_is_declined_and_not_refused() {
    let sandbox = Sandbox::start().await;
    let intent = sandbox.stripe.create(&paying_with("pm_made_up")).await.unwrap();
    assert_eq!(intent.status, declined("payment_method_unusable"));
    assert_eq!(sandbox.stripe.confirm(&intent.id).await.unwrap(), intent);
    assert_eq!(sandbox.stripe.create(&paying_with("pm_made_up")).await.unwrap(), intent);
}

#[tokio::test]
async fn an_order_asked_for_twice_gets_the_same_intent() {
    let sandbox = Sandbox::start().await;
    assert_eq!(sandbox.created("pm_card_visa").await, sandbox.created("pm_card_visa").await);
    assert_eq!(sandbox.ledger().await.len(), 1);
}

#[tokio::test]
async fn an_intent_that_has_taken_nothing_can_be_cancelled_and_stays_so() {
    let sandbox = Sandbox::start().await;
    let id = sandbox.created("pm_card_visa").await;
    let cancelled = Intent { id: id.clone(), status: IntentStatus::Cancelled };
    assert_eq!(sandbox.stripe.cancel(&id).await.unwrap(), cancelled);
    assert_eq!(sandbox.stripe.cancel(&id).await.unwrap(), cancelled);
    assert_eq!(sandbox.stripe.confirm(&id).await.unwrap(), cancelled);
    assert_eq!(sandbox.charged().await, 0);
}

#[tokio::test]
async fn cancelling_an_intent_that_has_succeeded_says_that_it_has() {
    let sandbox = Sandbox::start().await;
    let id = sandbox.paid("pm_card_visa").await;
    assert_eq!(sandbox.stripe.cancel(&id).await.unwrap().status, IntentStatus::Succeeded);
}

#[tokio::test]
async fn a_refund_gives_everything_back_however_often_it_is_asked_for() {
    let sandbox = Sandbox::start().await;
    let id = sandbox.paid("pm_card_visa").await;
    for _ in 0..2 {
        assert_eq!(sandbox.stripe.refund(&id).await.unwrap(), Refund::Succeeded);
        assert_eq!(sandbox.charged().await, 0);
    }
    assert_eq!(sandbox.ledger().await[0].refunds.len(), 1);
}

#[tokio::test]
async fn a_refund_gives_back_what_a_partial_one_has_left() {
    let sandbox = Sandbox::start().await;
    let id = sandbox.paid("pm_card_visa").await;
    let by_hand = reqwest::Client::builder().no_proxy().build().unwrap();
    let form = [("payment_intent", id.as_str()), ("amount", "99")];
    let request =
        by_hand.post(format!("{}/v1/refunds", sandbox.url)).bearer_auth(SECRET).form(&form);
    request.send().await.unwrap().error_for_status().unwrap();

    assert_eq!(sandbox.stripe.refund(&id).await.unwrap(), Refund::Succeeded);
    assert_eq!(sandbox.charged().await, 0);
}

#[tokio::test]
async fn a_refund_that_fails_after_its_answer_is_seen_to_fail() {
    let sandbox = Sandbox::start().await;
    let id = sandbox.paid("pm_card_refundFail").await;
    let failed = Refund::Failed { reason: "expired_or_canceled_card".to_owned() };
    assert_eq!(sandbox.stripe.refund(&id).await.unwrap(), failed);
    assert_eq!(sandbox.charged().await, 1099);
}

#[tokio::test]
async fn the_books_are_read_to_the_last_page() {
    let sandbox = Sandbox::start().await;
    let refunded = sandbox.paid("pm_card_visa").await;
    sandbox.stripe.refund(&refunded).await.unwrap();
    // As many as fill a page and begin another.
    for number in 0..100 {
        let order_id =
            OrderId::derive(&CustomerId::new("camille"), &number.to_string().parse().unwrap());
        let new = NewIntent { order_id, ..paying_with("pm_card_visa") };
        sandbox.stripe.create(&new).await.unwrap();
    }

    let intents = sandbox.stripe.intents().await.unwrap();
    let ids: BTreeSet<_> = intents.iter().map(|intent| intent.id.as_str()).collect();
    assert_eq!((intents.len(), ids.len()), (101, 101));
    let oldest = intents.last().unwrap();
    assert_eq!(*oldest, sandbox.stripe.intent(&refunded).await.unwrap());
    assert_eq!((&oldest.id, &oldest.status), (&refunded, &IntentStatus::Succeeded));
    assert_eq!((oldest.amount, oldest.taken, &*oldest.currency), (1099, 1099, "eur"));
    assert_eq!(oldest.order, Some(order_id().to_string()));
    assert_eq!((&intents[0].status, intents[0].taken), (&IntentStatus::Unconfirmed, 0));

    let [refund] = &sandbox.stripe.refunds(None).await.unwrap()[..] else {
        panic!("more or less than one refund")
    };
    assert_eq!(
        (&refund.intent, refund.amount, refund.status),
        (&Some(refunded.clone()), 1099, BookedRefundStatus::Succeeded)
    );
    assert_eq!(
        sandbox.stripe.refunds(Some(&refunded)).await.unwrap(),
        std::slice::from_ref(refund)
    );
    assert_eq!(sandbox.stripe.refunds(Some(&intents[0].id)).await.unwrap(), []);
}

#[tokio::test]
async fn a_lost_answer_leaves_neither_a_second_intent_nor_a_second_charge_nor_a_second_refund() {
    let sandbox = Sandbox::start().await;
    sandbox.once(Route::Create, FaultyAnswer::Lose).await;
    let id = sandbox.created("pm_card_visa").await;
    sandbox.once(Route::Confirm, FaultyAnswer::Lose).await;
    assert_eq!(sandbox.stripe.confirm(&id).await.unwrap().status, IntentStatus::Succeeded);
    assert_eq!(sandbox.charged().await, 1099);
    sandbox.once(Route::Refund, FaultyAnswer::Lose).await;
    assert_eq!(sandbox.stripe.refund(&id).await.unwrap(), Refund::Succeeded);

    let ledger = sandbox.ledger().await;
    assert_eq!((ledger.len(), ledger[0].refunds.len(), ledger[0].net()), (1, 1, 0));
}

#[tokio::test]
async fn a_failure_that_hides_its_work_is_asked_about() {
    let sandbox = Sandbox::start().await;
    let id = sandbox.created("pm_card_visa").await;
    sandbox.once(Route::Confirm, FaultyAnswer::FailAfterWork(500)).await;
    assert_eq!(sandbox.stripe.confirm(&id).await.unwrap().status, IntentStatus::Succeeded);
    sandbox.once(Route::Cancel, FaultyAnswer::FailAfterWork(500)).await;
    assert_eq!(sandbox.stripe.cancel(&id).await.unwrap().status, IntentStatus::Succeeded);
    sandbox.once(Route::Refund, FaultyAnswer::FailAfterWork(500)).await;
    assert_eq!(sandbox.stripe.refund(&id).await.unwrap(), Refund::Succeeded);
    assert_eq!(sandbox.charged().await, 0);

    sandbox.control.reset().await.unwrap();
    let id = sandbox.created("pm_card_chargeDeclined").await;
    sandbox.once(Route::Confirm, FaultyAnswer::FailAfterWork(500)).await;
    assert_eq!(sandbox.stripe.confirm(&id).await.unwrap().status, declined("generic_decline"));
}

#[tokio::test]
async fn an_intent_whose_creation_was_answered_with_a_failure_is_left_behind_harmless() {
    let sandbox = Sandbox::start().await;
    sandbox.once(Route::Create, FaultyAnswer::FailAfterWork(500)).await;
    let id = sandbox.paid("pm_card_visa").await;
    let ledger = sandbox.ledger().await;
    assert_eq!(ledger.len(), 2);
    assert!(ledger.iter().all(|entry| entry.net() == 0 || entry.intent == id.as_str()));
    assert_eq!(sandbox.charged().await, 1099);
}

#[tokio::test]
async fn a_call_that_ran_out_of_time_may_be_made_again() {
    let sandbox = Sandbox::start().await;
    let id = sandbox.created("pm_card_visa").await;
    let slow = Fault { route: Some(Route::Confirm), delay_ms: 60_000, ..Fault::default() };
    sandbox.control.set_fault(&slow).await.unwrap();
    let impatient = Stripe::new(&sandbox.url, SECRET, IMPATIENCE).unwrap();
    let error = impatient.confirm(&id).await.unwrap_err();
    assert!(matches!(error, ProviderError::Transient(Trouble::TimedOut)), "{error:?}");
    sandbox.control.clear_faults().await.unwrap();
    assert_eq!(sandbox.stripe.confirm(&id).await.unwrap().status, IntentStatus::Succeeded);
}

#[tokio::test]
async fn a_whole_call_is_bounded_however_many_attempts_are_left() {
    let sandbox = Sandbox::start().await;
    sandbox.control.set_fault(&Fault { delay_ms: 60_000, ..Fault::default() }).await.unwrap();
    let patience = Patience { call: Duration::from_millis(100), ..PATIENCE };
    let stripe = Stripe::new(&sandbox.url, SECRET, patience).unwrap();
    let error = stripe.find(&recorded_id()).await.unwrap_err();
    assert!(matches!(error, ProviderError::Transient(Trouble::TimedOut)), "{error:?}");
}

#[tokio::test]
async fn a_charge_that_succeeds_after_the_client_gave_up_is_found() {
    let sandbox = Sandbox::start().await;
    let id = sandbox.created("pm_card_visa").await;
    let slow =
        Fault { route: Some(Route::Confirm), delay_ms: 1_000, times: Some(2), ..Fault::default() };
    sandbox.control.set_fault(&slow).await.unwrap();
    let impatient = Stripe::new(&sandbox.url, SECRET, IMPATIENCE).unwrap();
    impatient.confirm(&id).await.unwrap_err();
    while sandbox.stripe.find(&id).await.unwrap().status != IntentStatus::Succeeded {
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(sandbox.charged().await, 1099);
}

#[tokio::test]
async fn a_refused_key_is_told_apart_and_worth_another_try() {
    let sandbox = Sandbox::start().await;
    let stripe = Stripe::new(&sandbox.url, "sk_test_expired", PATIENCE).unwrap();
    let error = stripe.create(&paying_with("pm_card_visa")).await.unwrap_err();
    assert!(matches!(error, ProviderError::Unauthorized), "{error:?}");
    assert!(error.is_transient());
}

#[tokio::test]
async fn a_secret_may_end_in_a_line_break_and_must_otherwise_be_a_key() {
    let sandbox = Sandbox::start().await;
    let stripe = Stripe::new(&sandbox.url, &format!("{SECRET}\n"), PATIENCE).unwrap();
    stripe.create(&paying_with("pm_card_visa")).await.unwrap();
    for bad in ["", "\n", "a\nb"] {
        assert!(
            matches!(Stripe::new(&sandbox.url, bad, PATIENCE), Err(ConfigError::Secret)),
            "{bad:?}"
        );
    }
    assert!(matches!(Stripe::new("stripe", SECRET, PATIENCE), Err(ConfigError::Url)));
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_transient() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let stripe = Stripe::new(&url, SECRET, PATIENCE).unwrap();
    stripe.connect().await;
    let error = stripe.find(&recorded_id()).await.unwrap_err();
    assert!(matches!(error, ProviderError::Transient(Trouble::Disconnected)), "{error:?}");
}

/// A provider that says what it is told to say.
struct Scripted {
    stripe: Stripe,
    url: String,
    script: Arc<Script>,
}

#[derive(Default)]
struct Script {
    replies: Mutex<VecDeque<Reply>>,
    received: Mutex<Vec<Received>>,
}

#[derive(Clone, Copy)]
enum Reply {
    /// A shape of Stripe's documented answers.
    Recorded(&'static str),
    Raw(u16, &'static str),
}

use Reply::{Raw, Recorded};

struct Received {
    line: String,
    headers: HeaderMap,
    form: BTreeMap<String, String>,
}

impl Received {
    fn key(&self) -> Option<&str> {
        self.headers.get("idempotency-key").map(|key| key.to_str().unwrap())
    }
}

impl Scripted {
    async fn new(replies: &[Reply]) -> Self {
        let script = Arc::new(Script {
            replies: Mutex::new(replies.iter().copied().collect()),
            ..Script::default()
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stripe = Stripe::new(&url, SECRET, PATIENCE).unwrap();
        let app = Router::new().fallback(reply).with_state(script.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { stripe, url, script }
    }

    /// Of each request, in order; all replies must have been asked for.
    fn received<T>(&self, read: impl Fn(&Received) -> T) -> Vec<T> {
        assert!(self.script.replies.lock().unwrap().is_empty(), "not everything was asked for");
        self.script.received.lock().unwrap().iter().map(read).collect()
    }

    fn lines(&self) -> Vec<String> {
        self.received(|request| request.line.clone())
    }
}

async fn reply(State(script): State<Arc<Script>>, request: Request) -> Response {
    let line = format!("{} {}", request.method(), request.uri());
    let headers = request.headers().clone();
    let body = axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap();
    let form = form_urlencoded::parse(&body).into_owned().collect();
    script.received.lock().unwrap().push(Received { line, headers, form });
    let (status, body) = match script.replies.lock().unwrap().pop_front() {
        Some(Recorded(name)) => recorded(name),
        Some(Raw(status, body)) => (status, body.to_owned()),
        None => panic!("asked more often than expected"),
    };
    let headers = [("content-type", "application/json"), ("request-id", "req_Xb2mAJ0BFgSsoO")];
    (StatusCode::from_u16(status).unwrap(), headers, body).into_response()
}

fn recorded(name: &str) -> (u16, String) {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../local/tests/recorded/{name}.json"));
    let answer: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    (u16::try_from(answer["status"].as_u64().unwrap()).unwrap(), answer["body"].to_string())
}

#[tokio::test]
async fn an_intent_is_asked_for_in_stripes_words() {
    let provider = Scripted::new(&[Recorded("intent_requires_confirmation")]).await;
    let intent = provider.stripe.create(&paying_with("pm_card_visa")).await.unwrap();
    assert_eq!(intent, Intent { id: recorded_id(), status: IntentStatus::Unconfirmed });

    assert_eq!(provider.lines(), ["POST /v1/payment_intents"]);
    let order_id = order_id().to_string();
    provider.received(|request| {
        let form: Vec<_> =
            request.form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(
            form,
            [
                ("amount", "1099"),
                ("currency", "eur"),
                ("metadata[order_id]", &order_id),
                ("payment_method", "pm_card_visa"),
                ("payment_method_types[]", "card"),
            ]
        );
        assert_eq!(request.headers["authorization"], format!("Bearer {SECRET}"));
        assert_eq!(request.headers["stripe-version"], "2025-10-29.clover");
        assert_eq!(request.key(), Some(order_id.as_str()));
    });
}

#[tokio::test]
async fn a_provider_may_live_below_a_path() {
    let mut provider = Scripted::new(&[Recorded("intent_succeeded")]).await;
    provider.stripe = Stripe::new(&format!("{}/stripe/", provider.url), SECRET, PATIENCE).unwrap();
    provider.stripe.find(&recorded_id()).await.unwrap();
    assert_eq!(provider.lines(), ["GET /stripe/v1/payment_intents/pi_3PgafyB7WZ01zgkW1jxsAJo3"]);
}

#[tokio::test]
async fn every_documented_state_of_an_intent_is_known() {
    for (recorded, status) in [
        ("intent_requires_confirmation", IntentStatus::Unconfirmed),
        ("intent_processing", IntentStatus::Processing),
        ("intent_succeeded", IntentStatus::Succeeded),
        ("intent_canceled", IntentStatus::Cancelled),
        ("intent_declined", declined("insufficient_funds")),
        ("intent_requires_action", declined("authentication_required")),
    ] {
        let provider = Scripted::new(&[Recorded(recorded)]).await;
        let found = provider.stripe.find(&recorded_id()).await.unwrap();
        assert_eq!(found, Intent { id: recorded_id(), status }, "{recorded}");
    }
}

#[tokio::test]
async fn a_documented_card_error_is_a_declined_intent() {
    for (recorded, reason) in [
        ("error_card_declined", "insufficient_funds"),
        ("error_expired_card", "expired_card"),
        ("error_authentication_required", "authentication_required"),
        ("error_no_such_payment_method", "payment_method_unusable"),
    ] {
        let provider = Scripted::new(&[Recorded(recorded)]).await;
        assert_eq!(
            provider.stripe.confirm(&recorded_id()).await.unwrap().status,
            declined(reason),
            "{recorded}"
        );
        provider.received(|request| assert_eq!(request.form["error_on_requires_action"], "true"));
    }
}

#[tokio::test]
async fn an_unexpected_state_is_asked_about() {
    let path = "/v1/payment_intents/pi_3PgafyB7WZ01zgkW1jxsAJo3";
    let provider =
        Scripted::new(&[Recorded("error_cannot_confirm"), Recorded("intent_succeeded")]).await;
    assert_eq!(
        provider.stripe.confirm(&recorded_id()).await.unwrap().status,
        IntentStatus::Succeeded
    );
    assert_eq!(provider.lines(), [format!("POST {path}/confirm"), format!("GET {path}")]);

    let provider =
        Scripted::new(&[Recorded("error_cannot_cancel"), Recorded("intent_succeeded")]).await;
    assert_eq!(
        provider.stripe.cancel(&recorded_id()).await.unwrap().status,
        IntentStatus::Succeeded
    );
    assert_eq!(provider.lines(), [format!("POST {path}/cancel"), format!("GET {path}")]);
}

#[tokio::test]
async fn a_refund_is_what_the_list_of_refunds_says() {
    let failed = Refund::Failed { reason: "expired_or_canceled_card".to_owned() };
    for (answer, list, outcome) in [
        ("refund_succeeded", "refund_list_succeeded", Refund::Succeeded),
        ("refund_succeeded", "refund_list_failed", failed),
        ("refund_pending", "refund_list_pending", Refund::Pending),
        ("error_charge_already_refunded", "refund_list_succeeded", Refund::Succeeded),
        ("error_charge_already_refunded", "refund_list_pending", Refund::Pending),
    ] {
        let provider = Scripted::new(&[Recorded(answer), Recorded(list)]).await;
        assert_eq!(
            provider.stripe.refund(&recorded_id()).await.unwrap(),
            outcome,
            "{answer}, then {list}"
        );
        assert_eq!(
            provider.lines(),
            [
                "POST /v1/refunds",
                "GET /v1/refunds?payment_intent=pi_3PgafyB7WZ01zgkW1jxsAJo3&limit=100"
            ]
        );
    }
}

#[tokio::test]
async fn a_busy_provider_is_asked_again_with_the_same_key() {
    for busy in ["error_rate_limit", "error_key_in_use"] {
        let provider =
            Scripted::new(&[Recorded(busy), Recorded("intent_requires_confirmation")]).await;
        provider.stripe.create(&paying_with("pm_card_visa")).await.unwrap();
        let keys = provider.received(|request| request.key().unwrap().to_owned());
        assert_eq!(keys[0], keys[1], "{busy}");
    }
}

#[tokio::test]
async fn an_answered_failure_and_a_misused_key_spend_the_key() {
    for spent in ["error_api", "error_key_reused"] {
        let provider =
            Scripted::new(&[Recorded(spent), Recorded("intent_requires_confirmation")]).await;
        provider.stripe.create(&paying_with("pm_card_visa")).await.unwrap();
        let keys = provider.received(|request| request.key().unwrap().to_owned());
        assert_ne!(keys[0], keys[1], "{spent}");
    }
}

#[tokio::test]
async fn a_fault_that_does_not_pass_is_transient_after_three_attempts() {
    for (recorded, trouble) in
        [("error_api", Trouble::Failed(500)), ("error_rate_limit", Trouble::Busy(429))]
    {
        let provider = Scripted::new(&[Recorded(recorded); 3]).await;
        let error = provider.stripe.confirm(&recorded_id()).await.unwrap_err();
        assert!(matches!(error, ProviderError::Transient(told) if told == trouble), "{error:?}");
        assert!(error.is_transient());
        assert_eq!(provider.lines().len(), 3);
    }
}

#[tokio::test]
async fn an_answer_from_something_else_is_judged_by_its_status() {
    let page = "<html>";
    let provider =
        Scripted::new(&[Raw(502, page), Raw(200, page), Recorded("intent_succeeded")]).await;
    assert_eq!(provider.stripe.find(&recorded_id()).await.unwrap().status, IntentStatus::Succeeded);

    let provider = Scripted::new(&[Raw(200, page); 3]).await;
    let error = provider.stripe.find(&recorded_id()).await.unwrap_err();
    assert!(matches!(error, ProviderError::Transient(Trouble::Unreadable)), "{error:?}");
}

#[tokio::test]
async fn what_can_never_succeed_is_asked_once_and_said_with_the_providers_code() {
    for (reply, status, code) in [
        (Recorded("error_resource_missing"), 404, Some("resource_missing")),
        (Recorded("error_parameter_missing"), 400, Some("parameter_missing")),
        (Recorded("error_amount_too_small"), 400, Some("amount_too_small")),
        (Raw(404, "<html>"), 404, None),
    ] {
        let provider = Scripted::new(&[reply]).await;
        let error = provider.stripe.create(&paying_with("pm_card_visa")).await.unwrap_err();
        assert!(!error.is_transient());
        match error {
            ProviderError::Refused { status: told, code: said, request_id, .. } => {
                assert_eq!((told, said.as_deref()), (status, code));
                assert_eq!(request_id.as_deref(), Some("req_Xb2mAJ0BFgSsoO"));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(provider.lines().len(), 1);
    }
}

#[tokio::test]
async fn a_key_that_stripe_refuses_is_unauthorized() {
    for reply in [Recorded("error_api_key"), Raw(403, "{}")] {
        let provider = Scripted::new(&[reply]).await;
        let error = provider.stripe.find(&recorded_id()).await.unwrap_err();
        assert!(matches!(error, ProviderError::Unauthorized), "{error:?}");
    }
}

#[tokio::test]
async fn neither_secret_nor_payment_method_is_ever_printed() {
    let missing = r#"{"error": {"type": "invalid_request_error", "code": "resource_missing", "param": "customer",
                      "message": "No such PaymentMethod: 'pm_private'"}}"#;
    let provider = Scripted::new(&[Raw(400, missing)]).await;
    let new = paying_with("pm_private");
    let error = provider.stripe.create(&new).await.unwrap_err();
    for printed in [
        format!("{error}"),
        format!("{error:?}"),
        format!("{:?}", provider.stripe),
        format!("{new:?}"),
    ] {
        assert!(!printed.contains(SECRET), "{printed}");
        assert!(!printed.contains("pm_private"), "{printed}");
    }
}
