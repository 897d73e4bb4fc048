//! The client against recorded answers: how it reads them, and what it sends.

use std::{
    collections::{BTreeMap, VecDeque},
    path::Path,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use stripe::{Client, Error, Intent, IntentStatus, Refund, RetrySettings, Unavailable};
use tokio::net::TcpListener;

use super::{API_KEY, RETRIES, declined, new_intent, order_id, recorded_id};

/// A provider that gives the listed answers, one per request.
struct Scripted {
    client: Client,
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
    /// A file of `crates/local/tests/recorded`.
    Recorded(&'static str),
    /// A status and a body.
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
        let client = Client::new(&url, API_KEY, RETRIES).unwrap();
        let app = Router::new().fallback(reply).with_state(script.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { client, url, script }
    }

    /// Reads each request, in order, after all replies have been given.
    fn received<T>(&self, read: impl Fn(&Received) -> T) -> Vec<T> {
        assert!(self.script.replies.lock().unwrap().is_empty(), "not every reply was requested");
        self.script.received.lock().unwrap().iter().map(read).collect()
    }

    fn lines(&self) -> Vec<String> {
        self.received(|request| request.line.clone())
    }

    fn keys(&self) -> Vec<String> {
        self.received(|request| request.key().unwrap().to_owned())
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
        None => panic!("more requests than replies"),
    };
    let status = StatusCode::from_u16(status).unwrap();
    let headers = [("content-type", "application/json"), ("request-id", "req_Xb2mAJ0BFgSsoO")];
    let mut response = (status, headers, body).into_response();
    if status.is_redirection() {
        response.headers_mut().insert("location", HeaderValue::from_static("/elsewhere"));
    }
    response
}

fn recorded(name: &str) -> (u16, String) {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../local/tests/recorded/{name}.json"));
    let answer: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    (u16::try_from(answer["status"].as_u64().unwrap()).unwrap(), answer["body"].to_string())
}

#[tokio::test]
async fn an_intent_is_requested_in_stripes_form() {
    let provider = Scripted::new(&[Recorded("intent_requires_confirmation")]).await;
    let intent = provider.client.create(&new_intent("pm_card_visa")).await.unwrap();
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
                ("confirmation_method", "manual"),
                ("currency", "eur"),
                ("metadata[order_id]", &order_id),
                ("payment_method", "pm_card_visa"),
                ("payment_method_types[]", "card"),
            ]
        );
        assert_eq!(request.headers["authorization"], format!("Bearer {API_KEY}"));
        assert_eq!(request.headers["stripe-version"], "2025-10-29.clover");
        assert_eq!(request.key(), Some(order_id.as_str()));
    });
}

#[tokio::test]
async fn an_unusable_payment_method_is_left_out_under_a_key_of_its_own() {
    let code = r#"{"error": {"code": "payment_method_microdeposit_failed"}}"#;
    for refusal in [Recorded("error_no_such_payment_method"), Raw(400, code)] {
        let provider = Scripted::new(&[refusal, Recorded("intent_requires_confirmation")]).await;
        provider.client.create(&new_intent("pm_made_up")).await.unwrap();
        let order_id = order_id().to_string();
        assert_eq!(provider.keys(), [order_id.clone(), format!("{order_id}-unpayable")]);
        let methods = provider.received(|request| request.form.get("payment_method").cloned());
        assert_eq!(methods, [Some("pm_made_up".to_owned()), None]);
    }
}

#[tokio::test]
async fn a_base_url_may_have_a_path() {
    let mut provider = Scripted::new(&[Recorded("intent_succeeded")]).await;
    provider.client = Client::new(&format!("{}/stripe/", provider.url), API_KEY, RETRIES).unwrap();
    provider.client.find(&recorded_id()).await.unwrap();
    assert_eq!(provider.lines(), ["GET /stripe/v1/payment_intents/pi_3PgafyB7WZ01zgkW1jxsAJo3"]);
}

#[tokio::test]
async fn every_documented_status_of_an_intent_is_read() {
    for (recorded, status) in [
        ("intent_requires_confirmation", IntentStatus::Unconfirmed),
        ("intent_processing", IntentStatus::Processing),
        ("intent_succeeded", IntentStatus::Succeeded),
        ("intent_canceled", IntentStatus::Cancelled),
        ("intent_declined", declined("insufficient_funds")),
        ("intent_requires_action", declined("authentication_required")),
    ] {
        let provider = Scripted::new(&[Recorded(recorded)]).await;
        let found = provider.client.find(&recorded_id()).await.unwrap();
        assert_eq!(found, Intent { id: recorded_id(), status }, "{recorded}");
    }
}

#[tokio::test]
async fn a_documented_card_error_is_read_as_a_declined_intent() {
    for (recorded, reason) in [
        ("error_card_declined", "insufficient_funds"),
        ("error_expired_card", "expired_card"),
        ("error_authentication_required", "authentication_required"),
        ("error_no_such_payment_method", "payment_method_unusable"),
    ] {
        let provider = Scripted::new(&[Recorded(recorded)]).await;
        assert_eq!(
            provider.client.confirm(&recorded_id()).await.unwrap().status,
            declined(reason),
            "{recorded}"
        );
        provider.received(|request| assert_eq!(request.form["error_on_requires_action"], "true"));
    }
}

#[tokio::test]
async fn an_intent_in_an_unexpected_state_is_looked_up() {
    let path = "/v1/payment_intents/pi_3PgafyB7WZ01zgkW1jxsAJo3";
    let provider =
        Scripted::new(&[Recorded("error_cannot_confirm"), Recorded("intent_succeeded")]).await;
    assert_eq!(
        provider.client.confirm(&recorded_id()).await.unwrap().status,
        IntentStatus::Succeeded
    );
    assert_eq!(provider.lines(), [format!("POST {path}/confirm"), format!("GET {path}")]);

    let provider =
        Scripted::new(&[Recorded("error_cannot_cancel"), Recorded("intent_succeeded")]).await;
    assert_eq!(
        provider.client.cancel(&recorded_id()).await.unwrap().status,
        IntentStatus::Succeeded
    );
    assert_eq!(provider.lines(), [format!("POST {path}/cancel"), format!("GET {path}")]);
}

#[tokio::test]
async fn the_list_of_refunds_decides_the_outcome_of_a_refund() {
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
            provider.client.refund(&recorded_id()).await.unwrap(),
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
async fn the_newest_refund_decides_unless_one_is_pending() {
    let failed = |reason: &str| Refund::Failed { reason: reason.to_owned() };
    for (list, outcome) in [
        (r#"{"data": [{"status": "failed"}, {"status": "succeeded"}]}"#, failed("unknown")),
        (r#"{"data": [{"status": "succeeded"}, {"status": "failed"}]}"#, Refund::Succeeded),
        (r#"{"data": [{"status": "succeeded"}, {"status": "pending"}]}"#, Refund::Pending),
        (r#"{"data": [{"status": "requires_action"}]}"#, Refund::Pending),
        (r#"{"data": [{"status": "canceled", "failure_reason": "declined"}]}"#, failed("declined")),
    ] {
        let provider = Scripted::new(&[Recorded("refund_succeeded"), Raw(200, list)]).await;
        assert_eq!(provider.client.refund(&recorded_id()).await.unwrap(), outcome, "{list}");
    }

    let empty = Raw(200, r#"{"data": []}"#);
    let provider = Scripted::new(&[Recorded("refund_succeeded"), empty]).await;
    let error = provider.client.refund(&recorded_id()).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(Unavailable::Unreadable)), "{error:?}");
}

#[tokio::test]
async fn the_idempotency_key_is_kept_while_the_answer_is_unknown() {
    for reply in
        [Recorded("error_rate_limit"), Recorded("error_key_in_use"), Raw(200, "half an answer")]
    {
        let provider = Scripted::new(&[reply, Recorded("intent_requires_confirmation")]).await;
        provider.client.create(&new_intent("pm_card_visa")).await.unwrap();
        let keys = provider.keys();
        assert_eq!(keys[0], keys[1]);
    }
}

#[tokio::test]
async fn the_idempotency_key_changes_after_an_answered_failure() {
    for failure in ["error_api", "error_key_reused"] {
        let provider = Scripted::new(&[
            Recorded(failure),
            Recorded(failure),
            Recorded("intent_requires_confirmation"),
        ])
        .await;
        provider.client.create(&new_intent("pm_card_visa")).await.unwrap();
        let keys = provider.keys();
        assert_eq!(keys[0], order_id().to_string(), "{failure}");
        assert_ne!(keys[0], keys[1], "{failure}");
        assert_ne!(keys[1], keys[2], "{failure}");
    }
}

#[tokio::test]
async fn only_a_busy_or_failing_provider_is_asked_again() {
    for (status, attempts) in [
        (400, 1),
        (401, 1),
        (403, 1),
        (404, 1),
        (408, 1),
        (409, 3),
        (410, 1),
        (428, 1),
        (429, 3),
        (431, 1),
        (499, 1),
        (500, 3),
        (501, 3),
        (502, 3),
        (503, 3),
        (504, 3),
        (599, 3),
    ] {
        let provider = Scripted::new(&vec![Raw(status, "<html>"); attempts]).await;
        let error = provider.client.find(&recorded_id()).await.unwrap_err();
        assert_eq!(provider.lines().len(), attempts, "{status}");
        let transient = attempts > 1 || status == 401 || status == 403;
        assert_eq!(error.is_transient(), transient, "{status}");
        let as_expected = match status {
            401 | 403 => matches!(error, Error::Unauthorized),
            409 | 429 => matches!(error, Error::Unavailable(Unavailable::Busy(s)) if s == status),
            500.. => matches!(error, Error::Unavailable(Unavailable::Failed(s)) if s == status),
            _ => matches!(error, Error::Refused { status: s, .. } if s == status),
        };
        assert!(as_expected, "{status}: {error:?}");
    }
}

#[tokio::test]
async fn a_request_is_sent_as_often_as_allowed_and_at_least_once() {
    for (max_attempts, requests) in [(0, 1), (1, 1), (2, 2), (4, 4)] {
        let mut provider = Scripted::new(&vec![Recorded("error_api"); requests]).await;
        let retries = RetrySettings { max_attempts, ..RETRIES };
        provider.client = Client::new(&provider.url, API_KEY, retries).unwrap();
        provider.client.confirm(&recorded_id()).await.unwrap_err();
        assert_eq!(provider.lines().len(), requests);
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let provider = Scripted::new(&[Raw(302, "")]).await;
    let error = provider.client.find(&recorded_id()).await.unwrap_err();
    assert!(matches!(error, Error::Refused { status: 302, .. }), "{error:?}");
    assert_eq!(provider.lines().len(), 1);
}

const PAGE: &str = r#"{"has_more": true, "data": [
    {"id": "pi_3", "status": "succeeded", "amount": 380, "amount_received": 380, "currency": "eur",
     "created": 1796000003, "metadata": {"order_id": "o-3"}},
    {"id": "pi_2", "status": "succeeded", "amount": "many", "metadata": {"order_id": "o-2"}}
]}"#;
const LAST_PAGE: &str = r#"{"has_more": false, "data": [
    {"id": "pi_1", "status": "requires_capture", "amount": 380, "amount_received": 0,
     "currency": "eur", "created": 1796000001, "metadata": {}}
]}"#;

#[tokio::test]
async fn what_cannot_be_read_of_the_books_is_named_and_the_rest_is_read() {
    let provider = Scripted::new(&[Raw(200, PAGE), Raw(200, LAST_PAGE)]).await;
    let since = Some(Timestamp::from_second(1_796_000_000).unwrap());
    let intents = provider.client.intents(since).await.unwrap();
    let [Ok(newest), Err(unreadable), Ok(oldest)] = &intents[..] else { panic!("{intents:?}") };
    assert_eq!((newest.id.as_str(), newest.taken), ("pi_3", 380));
    let status = IntentStatus::Other("requires_capture".to_owned());
    assert_eq!((oldest.id.as_str(), &oldest.status), ("pi_1", &status));
    assert_eq!(
        unreadable.to_string(),
        "the provider's intent pi_2 cannot be read: `amount` is missing or not what it should be"
    );
    assert_eq!(unreadable.order.as_deref(), Some("o-2"));
    let list = "GET /v1/payment_intents?limit=100&created%5Bgte%5D=1796000000";
    assert_eq!(provider.lines(), [list.to_owned(), format!("{list}&starting_after=pi_2")]);
}

#[tokio::test]
async fn a_list_that_cannot_be_continued_is_not_taken_for_the_whole() {
    let page = Raw(200, r#"{"has_more": true, "data": [{"status": "succeeded"}]}"#);
    let provider = Scripted::new(&[page]).await;
    let error = provider.client.refunds(None).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(Unavailable::Unreadable)), "{error:?}");
}

#[tokio::test]
async fn an_answer_that_is_not_stripes_is_judged_by_its_status() {
    let page = "<html>";
    let provider =
        Scripted::new(&[Raw(502, page), Raw(200, page), Recorded("intent_succeeded")]).await;
    assert_eq!(provider.client.find(&recorded_id()).await.unwrap().status, IntentStatus::Succeeded);

    let provider = Scripted::new(&[Raw(200, page); 3]).await;
    let error = provider.client.find(&recorded_id()).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(Unavailable::Unreadable)), "{error:?}");
}

#[tokio::test]
async fn a_refused_request_is_reported_with_the_providers_code() {
    let card_error = r#"{"error": {"type": "card_error"}}"#;
    for (reply, status, code) in [
        (Recorded("error_resource_missing"), 404, Some("resource_missing")),
        (Recorded("error_parameter_missing"), 400, Some("parameter_missing")),
        (Recorded("error_amount_too_small"), 400, Some("amount_too_small")),
        (Recorded("error_invalid_currency"), 400, None),
        (Raw(404, "<html>"), 404, None),
    ] {
        let provider = Scripted::new(&[reply]).await;
        let error = provider.client.create(&new_intent("pm_card_visa")).await.unwrap_err();
        match error {
            Error::Refused { status: reported, code: reported_code, request_id, .. } => {
                assert_eq!((reported, reported_code.as_deref()), (status, code));
                assert_eq!(request_id.as_deref(), Some("req_Xb2mAJ0BFgSsoO"));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(provider.lines().len(), 1);
    }
    // The status outweighs the body.
    let provider = Scripted::new(&[Raw(500, card_error); 3]).await;
    let error = provider.client.confirm(&recorded_id()).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(Unavailable::Failed(500))), "{error:?}");
}

#[tokio::test]
async fn only_a_documented_refusal_of_the_amount_or_the_currency_is_for_good() {
    for (reply, reason) in [
        (Recorded("error_amount_too_small"), Some("amount_too_small")),
        (Recorded("error_invalid_currency"), Some("currency_not_accepted")),
        (Recorded("error_parameter_missing"), None),
        (Recorded("error_parameter_invalid_integer"), None),
        (Recorded("error_api_key"), None),
        (Raw(400, "<html>"), None),
    ] {
        let provider = Scripted::new(&[reply]).await;
        let error = provider.client.create(&new_intent("pm_card_visa")).await.unwrap_err();
        assert_eq!(error.unchargeable(), reason, "{error}");
    }
}

#[tokio::test]
async fn a_key_that_stripe_refuses_is_unauthorized() {
    for reply in [Recorded("error_api_key"), Raw(403, "{}")] {
        let provider = Scripted::new(&[reply]).await;
        let error = provider.client.find(&recorded_id()).await.unwrap_err();
        assert!(matches!(error, Error::Unauthorized), "{error:?}");
    }
}

#[tokio::test]
async fn neither_api_key_nor_payment_method_is_ever_printed() {
    let missing = r#"{"error": {
        "type": "invalid_request_error",
        "code": "resource_missing",
        "param": "customer",
        "message": "No such PaymentMethod: 'pm_private'"
    }}"#;
    let provider = Scripted::new(&[Raw(400, missing)]).await;
    let new = new_intent("pm_private");
    let error = provider.client.create(&new).await.unwrap_err();
    for printed in [
        format!("{error}"),
        format!("{error:?}"),
        format!("{:?}", provider.client),
        format!("{new:?}"),
    ] {
        assert!(!printed.contains(API_KEY), "{printed}");
        assert!(!printed.contains("pm_private"), "{printed}");
    }
}
