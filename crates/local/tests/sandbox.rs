//! The sandbox over HTTP, compared with Stripe's documented answers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use local::sandbox::{
    Control, DisputeStatus, Fault, FaultyAnswer, IntentStatus, LedgerEntry, RefundStatus, Route,
    serve,
};
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle, time::sleep};

const SECRET: &str = "sk_test_sandbox";

struct Sandbox {
    http: Client,
    url: String,
    control: Control,
}

impl Sandbox {
    async fn start() -> Self {
        Self::serve(std::future::pending()).await.0
    }

    async fn serve(
        until: impl Future<Output = ()> + Send + 'static,
    ) -> (Self, JoinHandle<std::io::Result<()>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let served = tokio::spawn(serve(listener, SECRET.into(), until));
        (
            Self {
                http: Client::builder().no_proxy().build().unwrap(),
                control: Control::new(&url),
                url,
            },
            served,
        )
    }

    fn request(&self, path: &str, form: &str) -> reqwest::RequestBuilder {
        self.http
            .post(format!("{}{path}", self.url))
            .bearer_auth(SECRET)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.to_owned())
    }

    async fn post(&self, path: &str, form: &str) -> Answer {
        Answer::read(self.request(path, form).send().await.unwrap()).await
    }

    async fn post_with_key(&self, key: &str, path: &str, form: &str) -> Answer {
        Answer::read(self.request(path, form).header("idempotency-key", key).send().await.unwrap())
            .await
    }

    async fn get(&self, path: &str) -> Answer {
        let request = self.http.get(format!("{}{path}", self.url)).bearer_auth(SECRET);
        Answer::read(request.send().await.unwrap()).await
    }

    async fn intent_with(&self, payment_method: &str) -> String {
        self.post("/v1/payment_intents", &format!("{CREATE}&payment_method={payment_method}"))
            .await
            .id()
    }

    async fn confirm(&self, intent: &str) -> Answer {
        self.post(&format!("/v1/payment_intents/{intent}/confirm"), "error_on_requires_action=true")
            .await
    }

    async fn paid_with(&self, payment_method: &str) -> String {
        let intent = self.intent_with(payment_method).await;
        assert_eq!(self.confirm(&intent).await.status, StatusCode::OK);
        intent
    }

    async fn only_entry(&self) -> LedgerEntry {
        let mut ledger = self.control.ledger().await.unwrap();
        assert_eq!(ledger.len(), 1, "{ledger:?}");
        ledger.remove(0)
    }
}

const CREATE: &str = "amount=1099&currency=eur&payment_method_types[]=card&metadata[order_id]=6735";

struct Answer {
    status: StatusCode,
    replayed: bool,
    body: Value,
}

impl Answer {
    async fn read(response: Response) -> Self {
        assert!(response.headers().contains_key("request-id"));
        Self {
            status: response.status(),
            replayed: response
                .headers()
                .get("idempotent-replayed")
                .is_some_and(|value| value == "true"),
            body: response.json().await.unwrap(),
        }
    }

    fn id(&self) -> String {
        self.body["id"].as_str().unwrap_or_else(|| panic!("no id in {}", self.body)).to_owned()
    }

    /// Asserts that the answer has the status of the recorded one, the same fields with the same
    /// types, and the same values in the fields that clients interpret.
    #[track_caller]
    fn assert_is_like(&self, recorded: &str) {
        let path = format!("{}/tests/recorded/{recorded}.json", env!("CARGO_MANIFEST_DIR"));
        let recorded: Value =
            serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!(recorded["status"], self.status.as_u16());
        assert_same_shape("", &recorded["body"], &self.body);
    }
}

/// The fields whose values, not only their types, are documented.
const DOCUMENTED: [&str; 8] =
    ["object", "status", "type", "code", "decline_code", "param", "url", "failure_reason"];

#[track_caller]
fn assert_same_shape(at: &str, recorded: &Value, actual: &Value) {
    match (recorded, actual) {
        (Value::Object(recorded), Value::Object(actual)) => {
            assert!(
                recorded.keys().eq(actual.keys()),
                "{at}: {:?} is not {:?}",
                actual.keys(),
                recorded.keys()
            );
            for (name, value) in recorded {
                if DOCUMENTED.contains(&name.as_str()) {
                    assert_eq!(value, &actual[name], "{at}.{name}");
                }
                assert_same_shape(&format!("{at}.{name}"), value, &actual[name]);
            }
        }
        (Value::Array(recorded), Value::Array(actual)) => {
            assert_eq!(recorded.len(), actual.len(), "{at}");
            for (recorded, actual) in recorded.iter().zip(actual) {
                assert_same_shape(&format!("{at}[]"), recorded, actual);
            }
        }
        _ => assert_eq!(
            std::mem::discriminant(recorded),
            std::mem::discriminant(actual),
            "{at}: {actual} is not of the type of {recorded}"
        ),
    }
}

#[tokio::test]
async fn an_intent_has_its_documented_form_in_every_state() {
    let sandbox = Sandbox::start().await;
    let created =
        sandbox.post("/v1/payment_intents", &format!("{CREATE}&payment_method=pm_card_visa")).await;
    created.assert_is_like("intent_requires_confirmation");
    let intent = format!("/v1/payment_intents/{}", created.id());
    sandbox.get(&intent).await.assert_is_like("intent_requires_confirmation");
    sandbox.post(&format!("{intent}/confirm"), "").await.assert_is_like("intent_succeeded");
    sandbox.get(&intent).await.assert_is_like("intent_succeeded");

    let unpaid = sandbox.intent_with("pm_card_visa").await;
    let cancel = format!("/v1/payment_intents/{unpaid}/cancel");
    sandbox.post(&cancel, "cancellation_reason=abandoned").await.assert_is_like("intent_canceled");

    let asked = sandbox.intent_with("pm_card_authenticationRequired").await;
    let confirm = format!("/v1/payment_intents/{asked}/confirm");
    sandbox.post(&confirm, "").await.assert_is_like("intent_requires_action");
}

#[tokio::test]
async fn a_card_error_has_its_documented_form_and_removes_the_payment_method() {
    let sandbox = Sandbox::start().await;
    for (card, recorded) in [
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "error_card_declined"),
        ("pm_card_chargeDeclinedExpiredCard", "error_expired_card"),
        ("pm_card_threeDSecure2Required", "error_authentication_required"),
    ] {
        let intent = sandbox.intent_with(card).await;
        sandbox.confirm(&intent).await.assert_is_like(recorded);
    }
    let declined = sandbox.intent_with("pm_card_visa_chargeDeclinedInsufficientFunds").await;
    sandbox.confirm(&declined).await;
    sandbox.get(&format!("/v1/payment_intents/{declined}")).await.assert_is_like("intent_declined");
    let again = sandbox.confirm(&declined).await;
    assert_eq!(again.body["error"]["code"], "payment_intent_unexpected_state");
}

#[tokio::test]
async fn an_intent_can_be_created_and_confirmed_in_one_request() {
    let sandbox = Sandbox::start().await;
    let both = format!("{CREATE}&confirm=true&error_on_requires_action=true&payment_method=");
    sandbox
        .post("/v1/payment_intents", &format!("{both}pm_card_visa"))
        .await
        .assert_is_like("intent_succeeded");
    let declined =
        sandbox.post("/v1/payment_intents", &format!("{both}pm_card_authenticationRequired")).await;
    declined.assert_is_like("error_authentication_required");
}

#[tokio::test]
async fn an_invalid_request_is_refused_in_the_documented_form() {
    let sandbox = Sandbox::start().await;
    sandbox.get("/v1/payment_intents/pi_missing").await.assert_is_like("error_resource_missing");
    for (form, recorded) in [
        ("currency=eur", "error_parameter_missing"),
        ("amount=5.80&currency=eur", "error_parameter_invalid_integer"),
        ("amount=49&currency=eur", "error_amount_too_small"),
        ("amount=50&currency=usd", "error_amount_too_small"),
        ("amount=580&currency=ron", "error_invalid_currency"),
        ("amount=580&currency=eur&payment_method=pm_missing", "error_no_such_payment_method"),
    ] {
        sandbox.post("/v1/payment_intents", form).await.assert_is_like(recorded);
    }
    let paid = sandbox.paid_with("pm_card_visa").await;
    sandbox.confirm(&paid).await.assert_is_like("error_cannot_confirm");
    let cancel = format!("/v1/payment_intents/{paid}/cancel");
    sandbox.post(&cancel, "").await.assert_is_like("error_cannot_cancel");
    assert_eq!(sandbox.get("/v1/charges").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_wrong_key_is_refused_and_the_right_one_is_a_bearer_token_or_user_name() {
    let sandbox = Sandbox::start().await;
    let intents = format!("{}/v1/payment_intents/pi_missing", sandbox.url);
    let wrong = sandbox.http.get(&intents).bearer_auth("sk_test_wrong_key").send().await.unwrap();
    Answer::read(wrong).await.assert_is_like("error_api_key");
    let none = sandbox.http.get(&intents).send().await.unwrap();
    assert_eq!(none.status(), StatusCode::UNAUTHORIZED);
    let basic = sandbox.http.get(&intents).basic_auth(SECRET, None::<&str>).send().await.unwrap();
    assert_eq!(basic.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_object_is_shown_as_the_control_api_wants_it_and_stays_what_it_is() {
    let sandbox = Sandbox::start().await;
    let paid = sandbox.paid_with("pm_card_visa").await;
    let disguise = json!({"status": "frozen", "amount_received": "some"});
    sandbox.control.disguise(&paid, &disguise).await.unwrap();
    let shown = sandbox.get(&format!("/v1/payment_intents/{paid}")).await.body;
    assert_eq!((&shown["status"], &shown["amount_received"]), (&json!("frozen"), &json!("some")));
    let listed = sandbox.get("/v1/payment_intents").await.body;
    assert_eq!(listed["data"][0], shown);
    assert_eq!(sandbox.only_entry().await.status, IntentStatus::Succeeded);
}

#[tokio::test]
async fn a_refund_has_its_documented_form_and_cannot_exceed_what_was_taken() {
    let sandbox = Sandbox::start().await;
    let paid = sandbox.paid_with("pm_card_visa").await;
    let refund = format!("payment_intent={paid}");
    sandbox.post("/v1/refunds", &refund).await.assert_is_like("refund_succeeded");
    sandbox.get(&format!("/v1/refunds?{refund}")).await.assert_is_like("refund_list_succeeded");
    sandbox.post("/v1/refunds", &refund).await.assert_is_like("error_charge_already_refunded");

    let entry = sandbox.only_entry().await;
    assert_eq!((entry.captured, entry.net()), (1099, 0));
}

#[tokio::test]
async fn a_refund_may_fail_after_its_answer() {
    let sandbox = Sandbox::start().await;
    let paid = sandbox.paid_with("pm_card_refundFail").await;
    let refund = format!("payment_intent={paid}");
    sandbox.post("/v1/refunds", &refund).await.assert_is_like("refund_succeeded");
    sandbox.get(&format!("/v1/refunds?{refund}")).await.assert_is_like("refund_list_failed");
    let entry = sandbox.only_entry().await;
    assert_eq!(entry.refunds[0].status, RefundStatus::Failed);
    assert_eq!(entry.net(), 1099);

    let slow = sandbox.paid_with("pm_card_pendingRefund").await;
    sandbox
        .post("/v1/refunds", &format!("payment_intent={slow}"))
        .await
        .assert_is_like("refund_pending");
}

#[tokio::test]
async fn a_partial_refund_leaves_the_rest() {
    let sandbox = Sandbox::start().await;
    let paid = sandbox.paid_with("pm_card_visa").await;
    sandbox.post("/v1/refunds", &format!("payment_intent={paid}&amount=99")).await;
    assert_eq!(sandbox.only_entry().await.net(), 1000);
    let rest = sandbox.post("/v1/refunds", &format!("payment_intent={paid}")).await;
    assert_eq!(rest.body["amount"], 1000);
    let page = sandbox.get(&format!("/v1/refunds?payment_intent={paid}&limit=1")).await;
    assert_eq!(page.body["has_more"], true);
    assert_eq!(page.body["data"][0]["amount"], 1000);
}

#[tokio::test]
async fn intents_and_refunds_are_listed_in_pages_newest_first() {
    let sandbox = Sandbox::start().await;
    let mut made = Vec::new();
    for _ in 0..3 {
        made.insert(0, sandbox.paid_with("pm_card_visa").await);
    }
    for paid in made.iter().rev() {
        sandbox.post("/v1/refunds", &format!("payment_intent={paid}")).await;
    }
    for (list, named) in [("/v1/payment_intents", "id"), ("/v1/refunds", "payment_intent")] {
        let first = sandbox.get(&format!("{list}?limit=2")).await.body;
        let last = first["data"][1]["id"].as_str().unwrap();
        let second = sandbox.get(&format!("{list}?limit=2&starting_after={last}")).await.body;
        let listed: Vec<_> =
            [&first, &second].iter().flat_map(|page| page["data"].as_array().unwrap()).collect();
        assert!(listed.iter().map(|object| &object[named]).eq(made.iter()), "{listed:?}");
        assert_eq!(
            (&first["has_more"], &second["has_more"]),
            (&Value::Bool(true), &Value::Bool(false))
        );
        assert_eq!((&first["object"], &first["url"]), (&Value::from("list"), &Value::from(list)));
        let nowhere = sandbox.get(&format!("{list}?starting_after=pi_missing")).await;
        assert_eq!(
            (nowhere.status, &nowhere.body["error"]["param"]),
            (StatusCode::BAD_REQUEST, &"starting_after".into())
        );
    }
    let intent = sandbox.get("/v1/payment_intents?limit=1").await.body["data"][0].clone();
    let retrieved = sandbox.get(&format!("/v1/payment_intents/{}", made[0])).await;
    assert_eq!(intent, retrieved.body);
}

#[tokio::test]
async fn the_first_answer_is_replayed_until_keys_are_forgotten() {
    let sandbox = Sandbox::start().await;
    let create = || sandbox.post_with_key("a-key", "/v1/payment_intents", CREATE);
    let first = create().await;
    let second = create().await;
    assert!(!first.replayed && second.replayed);
    assert_eq!(first.body, second.body);
    let other =
        sandbox.post_with_key("a-key", "/v1/payment_intents", "amount=1100&currency=eur").await;
    other.assert_is_like("error_key_reused");

    sandbox.control.forget_keys().await.unwrap();
    let third = create().await;
    assert!(!third.replayed);
    assert_ne!(first.id(), third.id());
}

#[tokio::test]
async fn a_server_error_is_replayed_but_a_rate_limit_is_not() {
    let sandbox = Sandbox::start().await;
    let create = || sandbox.post_with_key("a-key", "/v1/payment_intents", CREATE);
    for status in [429, 500] {
        let fault =
            Fault { times: Some(1), answer: FaultyAnswer::Fail(status), ..Fault::default() };
        sandbox.control.set_fault(&fault).await.unwrap();
    }
    create().await.assert_is_like("error_rate_limit");
    create().await.assert_is_like("error_api");
    let replay = create().await;
    replay.assert_is_like("error_api");
    assert!(replay.replayed);
    assert!(sandbox.control.ledger().await.unwrap().is_empty());
}

/// Sends requests that take a minute under the same key until one is answered because another is in
/// progress.
async fn key_in_use(sandbox: &Sandbox) -> Answer {
    sandbox.control.set_fault(&Fault { delay_ms: 60_000, ..Fault::default() }).await.unwrap();
    loop {
        let request =
            sandbox.request("/v1/payment_intents", CREATE).header("idempotency-key", "a-key");
        if let Ok(answer) = request.timeout(Duration::from_millis(100)).send().await {
            return Answer::read(answer).await;
        }
    }
}

#[tokio::test]
async fn a_key_in_use_is_a_conflict() {
    let sandbox = Sandbox::start().await;
    key_in_use(&sandbox).await.assert_is_like("error_key_in_use");
}

#[tokio::test]
async fn a_lost_answer_closes_the_connection_after_the_work() {
    let sandbox = Sandbox::start().await;
    let intent = sandbox.intent_with("pm_card_visa").await;
    let lose = Fault {
        route: Some(Route::Confirm),
        times: Some(1),
        answer: FaultyAnswer::Lose,
        ..Fault::default()
    };
    sandbox.control.set_fault(&lose).await.unwrap();
    let confirm = format!("/v1/payment_intents/{intent}/confirm");
    let lost = sandbox.request(&confirm, "").send().await;
    assert!(lost.unwrap_err().is_request());
    assert_eq!(sandbox.only_entry().await.captured, 1099);
    sandbox.confirm(&intent).await.assert_is_like("error_cannot_confirm");
}

#[tokio::test]
async fn work_continues_if_the_client_hangs_up() {
    let sandbox = Sandbox::start().await;
    let intent = sandbox.intent_with("pm_card_visa").await;
    let slow = Fault { delay_ms: 1_000, times: Some(1), ..Fault::default() };
    sandbox.control.set_fault(&slow).await.unwrap();
    let confirm = sandbox.request(&format!("/v1/payment_intents/{intent}/confirm"), "");
    assert!(confirm.timeout(Duration::from_millis(50)).send().await.unwrap_err().is_timeout());
    while sandbox.only_entry().await.status != IntentStatus::Succeeded {
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn the_work_may_be_done_although_the_answer_is_an_error() {
    let sandbox = Sandbox::start().await;
    let intent = sandbox.intent_with("pm_card_visa").await;
    let fault =
        Fault { times: Some(1), answer: FaultyAnswer::FailAfterWork(500), ..Fault::default() };
    sandbox.control.set_fault(&fault).await.unwrap();
    sandbox.confirm(&intent).await.assert_is_like("error_api");
    assert_eq!(sandbox.only_entry().await.status, IntentStatus::Succeeded);
}

#[tokio::test]
async fn a_fault_can_be_limited_to_one_order_and_cleared() {
    let sandbox = Sandbox::start().await;
    let fault = Fault {
        order_id: Some("6735".into()),
        answer: FaultyAnswer::Fail(503),
        ..Fault::default()
    };
    sandbox.control.set_fault(&fault).await.unwrap();
    let other = "amount=580&currency=eur&metadata[order_id]=6736";
    assert_eq!(sandbox.post("/v1/payment_intents", other).await.status, StatusCode::OK);
    assert_eq!(
        sandbox.post("/v1/payment_intents", CREATE).await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    sandbox.control.clear_faults().await.unwrap();
    assert_eq!(sandbox.post("/v1/payment_intents", CREATE).await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_intent_that_is_confirmed_concurrently_is_charged_once() {
    let sandbox = Sandbox::start().await;
    let intent = sandbox.intent_with("pm_card_visa").await;
    let answers = futures::future::join_all((0..20).map(|_| sandbox.confirm(&intent))).await;
    let succeeded = answers.iter().filter(|answer| answer.status == StatusCode::OK).count();
    assert_eq!(succeeded, 1);
    assert_eq!(sandbox.only_entry().await.captured, 1099);
}

#[tokio::test]
async fn a_bank_decides_a_dispute_and_sends_refunds_back() {
    let sandbox = Sandbox::start().await;
    let intent = sandbox.paid_with("pm_card_visa").await;
    let control = &sandbox.control;
    let dispute = control.open_dispute(&intent, DisputeStatus::NeedsResponse).await.unwrap();
    let refund = format!("payment_intent={intent}");
    assert_eq!(sandbox.post("/v1/refunds", &refund).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(sandbox.only_entry().await.net(), 1099);
    control.decide_dispute(&dispute, DisputeStatus::Won).await.unwrap();
    assert!(control.decide_dispute(&dispute, DisputeStatus::Lost).await.is_err(), "it is over");
    let refund = sandbox.post("/v1/refunds", &refund).await.id();
    assert_eq!(sandbox.only_entry().await.net(), 0);
    control.settle_refund(&refund, RefundStatus::Failed).await.unwrap();
    assert_eq!(sandbox.only_entry().await.net(), 1099);
    let lost = control.open_dispute(&intent, DisputeStatus::NeedsResponse).await.unwrap();
    control.decide_dispute(&lost, DisputeStatus::Lost).await.unwrap();
    assert_eq!(sandbox.only_entry().await.net(), 0);
}

#[tokio::test]
async fn a_reset_forgets_everything() {
    let sandbox = Sandbox::start().await;
    let before = sandbox.post_with_key("a-key", "/v1/payment_intents", CREATE).await;
    sandbox
        .control
        .set_fault(&Fault { answer: FaultyAnswer::Fail(500), ..Fault::default() })
        .await
        .unwrap();
    sandbox.control.reset().await.unwrap();
    assert!(sandbox.control.ledger().await.unwrap().is_empty());
    let after = sandbox.post_with_key("a-key", "/v1/payment_intents", CREATE).await;
    assert_eq!(after.status, StatusCode::OK);
    assert_ne!(before.id(), after.id());
}

#[tokio::test]
async fn it_shuts_down_at_once_even_if_a_request_is_in_progress() {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (sandbox, served) = Sandbox::serve(async { stopped.await.unwrap() }).await;
    key_in_use(&sandbox).await;
    stop.send(()).unwrap();
    served.await.unwrap().unwrap();
}
