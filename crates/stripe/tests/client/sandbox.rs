//! The client against the sandbox: which amounts are charged and refunded.

use std::{collections::BTreeSet, future::pending, slice, time::Duration};

use local::sandbox::{self, Control, DisputeStatus, Fault, FaultyAnswer, LedgerEntry, Route};
use shop::{
    dispute::{Dispute, DisputeState},
    id::{CustomerId, OrderId},
    payment::IntentId,
};
use stripe::{
    BookedDispute, BookedRefundStatus, Client, ConfigError, Error, Intent, IntentStatus, NewIntent,
    Refund, RetrySettings, Unavailable,
};
use tokio::{net::TcpListener, time::sleep};

use super::{API_KEY, RETRIES, declined, new_intent, order_id, recorded_id};

/// Gives up soon, for answers that never come.
const IMPATIENT: RetrySettings =
    RetrySettings { attempt_timeout: Duration::from_millis(100), max_attempts: 2, ..RETRIES };

struct Sandbox {
    client: Client,
    control: Control,
    url: String,
}

impl Sandbox {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(sandbox::serve(listener, API_KEY.into(), pending()));
        Self {
            client: Client::new(&url, API_KEY, RETRIES).unwrap(),
            control: Control::new(&url),
            url,
        }
    }

    async fn created(&self, payment_method: &str) -> IntentId {
        self.client.create(&new_intent(payment_method)).await.unwrap().id
    }

    async fn paid(&self, payment_method: &str) -> IntentId {
        let id = self.created(payment_method).await;
        assert_eq!(self.client.confirm(&id).await.unwrap().status, IntentStatus::Succeeded);
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
async fn an_intent_takes_the_money_once_it_is_confirmed() {
    let sandbox = Sandbox::start().await;
    let intent = sandbox.client.create(&new_intent("pm_card_visa")).await.unwrap();
    assert_eq!(intent.status, IntentStatus::Unconfirmed);
    assert_eq!(sandbox.client.find(&intent.id).await.unwrap(), intent);
    assert_eq!(sandbox.ledger().await[0].order_id, Some(order_id().to_string()));
    assert_eq!(sandbox.charged().await, 0);

    for _ in 0..2 {
        assert_eq!(
            sandbox.client.confirm(&intent.id).await.unwrap().status,
            IntentStatus::Succeeded
        );
        assert_eq!(sandbox.charged().await, 1099);
    }
}

#[tokio::test]
async fn a_declined_card_gives_the_same_reason_every_time() {
    let sandbox = Sandbox::start().await;
    for (card, reason) in [
        ("pm_card_chargeDeclined", "generic_decline"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "insufficient_funds"),
        ("pm_card_visa_chargeDeclinedLostCard", "lost_card"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card"),
        ("pm_card_chargeDeclinedProcessingError", "processing_error"),
        ("pm_card_authenticationRequired", "authentication_required"),
        ("pm_card_threeDSecureRequired", "authentication_required"),
    ] {
        sandbox.control.reset().await.unwrap();
        let id = sandbox.created(card).await;
        let expected = Intent { id: id.clone(), status: declined(reason) };
        assert_eq!(sandbox.client.confirm(&id).await.unwrap(), expected, "{card}");
        assert_eq!(sandbox.client.confirm(&id).await.unwrap(), expected, "{card}");
        assert_eq!(sandbox.client.find(&id).await.unwrap(), expected, "{card}");
        assert_eq!(sandbox.charged().await, 0);
    }
}

#[tokio::test]
async fn a_customer_who_authenticates_pays_at_the_next_confirmation() {
    let sandbox = Sandbox::start().await;
    let client =
        sandbox.client.clone().with_authentication("https://amelie.example/orders").unwrap();
    let page = async |card: &str, outcome: &str| {
        let id = sandbox.created(card).await;
        let asked = client.confirm(&id).await.unwrap();
        let IntentStatus::AuthenticationRequired(url) = &asked.status else { panic!("{asked:?}") };
        assert_eq!(client.find(&id).await.unwrap(), asked);
        assert_eq!(client.confirm(&id).await.unwrap(), asked);
        assert_eq!(sandbox.charged().await, 0);
        let form = reqwest::Client::new().post(url.expose()).form(&[("outcome", outcome)]);
        // It leads to a page of the shop that is not there.
        form.send().await.ok();
        id
    };
    let failed = page("pm_card_authenticationRequired", "fail").await;
    let status = declined("payment_intent_authentication_failure");
    assert_eq!(client.find(&failed).await.unwrap().status, status);
    sandbox.control.reset().await.unwrap();

    let refused = page("pm_card_threeDSecureRequiredChargeDeclined", "complete").await;
    assert_eq!(client.find(&refused).await.unwrap().status, IntentStatus::Unconfirmed);
    assert_eq!(client.confirm(&refused).await.unwrap().status, declined("generic_decline"));
    sandbox.control.reset().await.unwrap();

    let paid = page("pm_card_authenticationRequired", "complete").await;
    assert_eq!(client.find(&paid).await.unwrap().status, IntentStatus::Unconfirmed);
    assert_eq!(sandbox.charged().await, 0);
    assert_eq!(client.confirm(&paid).await.unwrap().status, IntentStatus::Succeeded);
    assert_eq!(sandbox.charged().await, 1099);
}

#[tokio::test]
async fn who_has_the_client_secret_of_an_intent_cannot_pay_it() {
    let sandbox = Sandbox::start().await;
    let id = sandbox.created("pm_card_visa").await;
    let url = format!("{}/v1/payment_intents/{}/confirm", sandbox.url, id.as_str());
    let secret = format!("{}_secret_sandbox", id.as_str());
    let form = [("client_secret", secret.as_str()), ("payment_method", "pm_card_visa")];
    let by_browser = reqwest::Client::new().post(url).bearer_auth(sandbox::PUBLISHABLE_KEY);
    let answer = by_browser.form(&form).send().await.unwrap();
    assert_eq!(answer.status(), 400);
    assert!(answer.text().await.unwrap().contains("`confirmation_method` is set to `manual`"));
    assert_eq!(sandbox.charged().await, 0);
    assert_eq!(sandbox.client.find(&id).await.unwrap().status, IntentStatus::Unconfirmed);
}

#[tokio::test]
async fn an_unknown_payment_method_yields_a_declined_intent() {
    let sandbox = Sandbox::start().await;
    let intent = sandbox.client.create(&new_intent("pm_made_up")).await.unwrap();
    assert_eq!(intent.status, declined("payment_method_unusable"));
    assert_eq!(sandbox.client.confirm(&intent.id).await.unwrap(), intent);
    assert_eq!(sandbox.client.create(&new_intent("pm_made_up")).await.unwrap(), intent);
}

#[tokio::test]
async fn creating_an_intent_twice_for_one_order_yields_the_same_intent() {
    let sandbox = Sandbox::start().await;
    assert_eq!(sandbox.created("pm_card_visa").await, sandbox.created("pm_card_visa").await);
    assert_eq!(sandbox.ledger().await.len(), 1);
}

#[tokio::test]
async fn a_cancelled_intent_stays_cancelled() {
    let sandbox = Sandbox::start().await;
    let id = sandbox.created("pm_card_visa").await;
    let cancelled = Intent { id: id.clone(), status: IntentStatus::Cancelled };
    assert_eq!(sandbox.client.cancel(&id).await.unwrap(), cancelled);
    assert_eq!(sandbox.client.cancel(&id).await.unwrap(), cancelled);
    assert_eq!(sandbox.client.confirm(&id).await.unwrap(), cancelled);
    assert_eq!(sandbox.charged().await, 0);
}

#[tokio::test]
async fn cancelling_a_succeeded_intent_leaves_it_succeeded() {
    let sandbox = Sandbox::start().await;
    let id = sandbox.paid("pm_card_visa").await;
    assert_eq!(sandbox.client.cancel(&id).await.unwrap().status, IntentStatus::Succeeded);
}

#[tokio::test]
async fn a_repeated_refund_refunds_the_full_amount_once() {
    let sandbox = Sandbox::start().await;
    let id = sandbox.paid("pm_card_visa").await;
    for _ in 0..2 {
        assert_eq!(sandbox.client.refund(&id).await.unwrap(), Refund::Succeeded);
        assert_eq!(sandbox.charged().await, 0);
    }
    assert_eq!(sandbox.ledger().await[0].refunds.len(), 1);
}

#[tokio::test]
async fn a_refund_covers_what_a_partial_refund_left() {
    let sandbox = Sandbox::start().await;
    let id = sandbox.paid("pm_card_visa").await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let partial = [("payment_intent", id.as_str()), ("amount", "99")];
    let request =
        http.post(format!("{}/v1/refunds", sandbox.url)).bearer_auth(API_KEY).form(&partial);
    request.send().await.unwrap().error_for_status().unwrap();

    assert_eq!(sandbox.client.refund(&id).await.unwrap(), Refund::Succeeded);
    assert_eq!(sandbox.charged().await, 0);
}

#[tokio::test]
async fn a_refund_that_fails_after_its_answer_is_reported_as_failed() {
    let sandbox = Sandbox::start().await;
    let id = sandbox.paid("pm_card_refundFail").await;
    let failed = Refund::Failed { reason: "expired_or_canceled_card".to_owned() };
    assert_eq!(sandbox.client.refund(&id).await.unwrap(), failed);
    assert_eq!(sandbox.charged().await, 1099);
}

#[tokio::test]
async fn a_dispute_is_listed_with_its_state_and_refuses_refunds_until_it_is_won() {
    let sandbox = Sandbox::start().await;
    let id = sandbox.paid("pm_card_createDispute").await;
    let listed = async || {
        let of_intent = sandbox.client.disputes_of(&id).await.unwrap();
        let all: Vec<_> = sandbox.client.disputes(None).await.unwrap();
        assert_eq!(all, of_intent.iter().cloned().map(Ok).collect::<Vec<_>>());
        let [BookedDispute { id, dispute, .. }] = &of_intent[..] else { panic!("{of_intent:?}") };
        (id.clone(), *dispute)
    };
    let (dispute, open) = listed().await;
    assert_eq!(open, Dispute { state: DisputeState::Open, amount: 1099 });
    let refused = sandbox.client.refund(&id).await.unwrap_err();
    assert!(refused.is_dispute() && !refused.is_transient(), "{refused}");
    sandbox.control.decide_dispute(&dispute, DisputeStatus::Won).await.unwrap();
    assert_eq!(listed().await.1.state, DisputeState::Won);
    assert_eq!(sandbox.client.refund(&id).await.unwrap(), Refund::Succeeded);
}

#[tokio::test]
async fn an_intent_that_the_provider_does_not_know_is_unknown() {
    let sandbox = Sandbox::start().await;
    let error = sandbox.client.intent(&IntentId::new("pi_unknown")).await.unwrap_err();
    assert!(error.is_unknown(), "{error}");
}

#[tokio::test]
async fn the_books_are_read_to_the_last_page() {
    let sandbox = Sandbox::start().await;
    let refunded = sandbox.paid("pm_card_visa").await;
    sandbox.client.refund(&refunded).await.unwrap();
    // One full page, and the refunded intent on a second.
    for number in 0..100 {
        let order_id =
            OrderId::derive(&CustomerId::new("camille"), &number.to_string().parse().unwrap());
        let new = NewIntent { order_id, ..new_intent("pm_card_visa") };
        sandbox.client.create(&new).await.unwrap();
    }

    let intents = sandbox.client.intents(None).await.unwrap().into_iter();
    let intents: Vec<_> = intents.map(Result::unwrap).collect();
    let ids: BTreeSet<_> = intents.iter().map(|intent| intent.id.as_str()).collect();
    assert_eq!((intents.len(), ids.len()), (101, 101));
    let oldest = intents.last().unwrap();
    assert_eq!(*oldest, sandbox.client.intent(&refunded).await.unwrap());
    assert_eq!((&oldest.id, &oldest.status), (&refunded, &IntentStatus::Succeeded));
    assert_eq!((oldest.amount, oldest.taken, &*oldest.currency), (1099, 1099, "eur"));
    assert_eq!(oldest.order, Some(order_id().to_string()));
    assert_eq!((&intents[0].status, intents[0].taken), (&IntentStatus::Unconfirmed, 0));

    let refunds = sandbox.client.refunds(None).await.unwrap();
    let [Ok(refund)] = &refunds[..] else { panic!("expected one refund: {refunds:?}") };
    assert_eq!(
        (&refund.intent, refund.amount, refund.status),
        (&Some(refunded.clone()), 1099, BookedRefundStatus::Succeeded)
    );
    let of_intent = sandbox.client.refunds_of(&refunded).await.unwrap();
    assert_eq!(of_intent, slice::from_ref(refund));
    assert_eq!(sandbox.client.refunds_of(&intents[0].id).await.unwrap(), []);
}

#[tokio::test]
async fn lost_answers_leave_one_intent_one_charge_and_one_refund() {
    let sandbox = Sandbox::start().await;
    sandbox.once(Route::Create, FaultyAnswer::Lose).await;
    let id = sandbox.created("pm_card_visa").await;
    sandbox.once(Route::Confirm, FaultyAnswer::Lose).await;
    assert_eq!(sandbox.client.confirm(&id).await.unwrap().status, IntentStatus::Succeeded);
    assert_eq!(sandbox.charged().await, 1099);
    sandbox.once(Route::Refund, FaultyAnswer::Lose).await;
    assert_eq!(sandbox.client.refund(&id).await.unwrap(), Refund::Succeeded);

    let ledger = sandbox.ledger().await;
    assert_eq!((ledger.len(), ledger[0].refunds.len(), ledger[0].net()), (1, 1, 0));
}

#[tokio::test]
async fn work_that_a_server_error_hides_is_found() {
    let sandbox = Sandbox::start().await;
    let id = sandbox.created("pm_card_visa").await;
    sandbox.once(Route::Confirm, FaultyAnswer::FailAfterWork(500)).await;
    assert_eq!(sandbox.client.confirm(&id).await.unwrap().status, IntentStatus::Succeeded);
    sandbox.once(Route::Cancel, FaultyAnswer::FailAfterWork(500)).await;
    assert_eq!(sandbox.client.cancel(&id).await.unwrap().status, IntentStatus::Succeeded);
    sandbox.once(Route::Refund, FaultyAnswer::FailAfterWork(500)).await;
    assert_eq!(sandbox.client.refund(&id).await.unwrap(), Refund::Succeeded);
    assert_eq!(sandbox.charged().await, 0);

    sandbox.control.reset().await.unwrap();
    let id = sandbox.created("pm_card_chargeDeclined").await;
    sandbox.once(Route::Confirm, FaultyAnswer::FailAfterWork(500)).await;
    assert_eq!(sandbox.client.confirm(&id).await.unwrap().status, declined("generic_decline"));
}

#[tokio::test]
async fn an_intent_that_a_server_error_hides_is_never_charged() {
    let sandbox = Sandbox::start().await;
    sandbox.once(Route::Create, FaultyAnswer::FailAfterWork(500)).await;
    let id = sandbox.paid("pm_card_visa").await;
    let ledger = sandbox.ledger().await;
    assert_eq!(ledger.len(), 2);
    assert!(ledger.iter().all(|entry| entry.net() == 0 || entry.intent == id.as_str()));
    assert_eq!(sandbox.charged().await, 1099);
}

#[tokio::test]
async fn a_call_that_timed_out_can_be_repeated() {
    let sandbox = Sandbox::start().await;
    let id = sandbox.created("pm_card_visa").await;
    let slow = Fault { route: Some(Route::Confirm), delay_ms: 60_000, ..Fault::default() };
    sandbox.control.set_fault(&slow).await.unwrap();
    let impatient = Client::new(&sandbox.url, API_KEY, IMPATIENT).unwrap();
    let error = impatient.confirm(&id).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(Unavailable::TimedOut)), "{error:?}");
    sandbox.control.clear_faults().await.unwrap();
    assert_eq!(sandbox.client.confirm(&id).await.unwrap().status, IntentStatus::Succeeded);
}

#[tokio::test]
async fn a_call_ends_at_its_timeout_with_attempts_left() {
    let sandbox = Sandbox::start().await;
    sandbox.control.set_fault(&Fault { delay_ms: 60_000, ..Fault::default() }).await.unwrap();
    let retries = RetrySettings { call_timeout: Duration::from_millis(100), ..RETRIES };
    let client = Client::new(&sandbox.url, API_KEY, retries).unwrap();
    let error = client.find(&recorded_id()).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(Unavailable::TimedOut)), "{error:?}");
}

#[tokio::test]
async fn a_charge_that_succeeds_after_the_timeout_is_found() {
    let sandbox = Sandbox::start().await;
    let id = sandbox.created("pm_card_visa").await;
    let slow =
        Fault { route: Some(Route::Confirm), delay_ms: 1_000, times: Some(2), ..Fault::default() };
    sandbox.control.set_fault(&slow).await.unwrap();
    let impatient = Client::new(&sandbox.url, API_KEY, IMPATIENT).unwrap();
    impatient.confirm(&id).await.unwrap_err();
    while sandbox.client.find(&id).await.unwrap().status != IntentStatus::Succeeded {
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(sandbox.charged().await, 1099);
}

#[tokio::test]
async fn a_rejected_api_key_is_reported_as_unauthorized() {
    let sandbox = Sandbox::start().await;
    let client = Client::new(&sandbox.url, "sk_test_expired", RETRIES).unwrap();
    let error = client.create(&new_intent("pm_card_visa")).await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized), "{error:?}");
}

#[tokio::test]
async fn white_space_around_the_api_key_is_ignored() {
    let sandbox = Sandbox::start().await;
    let client = Client::new(&sandbox.url, &format!(" {API_KEY}\n"), RETRIES).unwrap();
    client.create(&new_intent("pm_card_visa")).await.unwrap();
}

#[test]
fn an_api_key_or_url_that_cannot_be_used_is_refused() {
    for key in ["", "\n", "a\nb"] {
        let client = Client::new("https://api.stripe.com", key, RETRIES);
        assert!(matches!(client, Err(ConfigError::ApiKey)), "{key:?}");
    }
    for url in ["", "stripe", "/v1", "mailto:stripe@example.com"] {
        assert!(matches!(Client::new(url, API_KEY, RETRIES), Err(ConfigError::Url)), "{url:?}");
    }
}

#[tokio::test]
async fn a_provider_that_cannot_be_reached_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let client = Client::new(&url, API_KEY, RETRIES).unwrap();
    assert_eq!(client.connect().await, Err(Unavailable::Disconnected));
    let error = client.find(&recorded_id()).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(Unavailable::Disconnected)), "{error:?}");
}

#[tokio::test]
async fn connecting_succeeds_whatever_the_provider_answers() {
    let sandbox = Sandbox::start().await;
    assert_eq!(sandbox.client.connect().await, Ok(()));
}
