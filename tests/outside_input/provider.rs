//! Corrupted answers of the payment provider.

use std::{
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    http::{Method, StatusCode},
};
use proptest::prelude::*;
use serde_json::Value;
use shop::{
    money::{Currency, Money},
    payment::IntentId,
};
use stripe::{Client, Error, Intent, IntentStatus, NewIntent, Refund, RetrySettings};
use tokio::net::TcpListener;

use crate::{RUNTIME, block_on, corrupted, read_json};

/// The status and the body of an answer.
type Reply = (u16, String);

/// The answers to all requests of each method.
#[derive(Clone, Debug, Default)]
struct Replies {
    post: Reply,
    get: Reply,
}

/// One client for all cases, and a server that answers with the current replies.
struct Provided {
    stripe: Client,
    replies: Arc<Mutex<Replies>>,
}

static PROVIDED: LazyLock<Mutex<Provided>> = LazyLock::new(|| {
    let replies = Arc::<Mutex<Replies>>::default();
    let url = block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(reply).with_state(replies.clone());
        RUNTIME.spawn(async { axum::serve(listener, app).await });
        url
    });
    let retries = RetrySettings {
        attempt_timeout: Duration::from_secs(20),
        call_timeout: Duration::from_secs(60),
        max_attempts: 1,
        first_delay: Duration::ZERO,
    };
    Mutex::new(Provided {
        stripe: Client::new(&url, "sk_test_provider", retries).unwrap(),
        replies,
    })
});

async fn reply(State(replies): State<Arc<Mutex<Replies>>>, method: Method) -> (StatusCode, String) {
    let replies = replies.lock().unwrap();
    let (status, body) = if method == Method::POST { &replies.post } else { &replies.get };
    (StatusCode::from_u16(*status).unwrap(), body.clone())
}

/// An answer that is close to one that Stripe documents, mostly with its status.
fn near(recorded: &'static [&'static str]) -> impl Strategy<Value = Reply> {
    let answer = prop::sample::select(recorded).prop_flat_map(|name| {
        let recorded = read_json(&format!("crates/local/tests/recorded/{name}.json"));
        let status = u16::try_from(recorded["status"].as_u64().unwrap()).unwrap();
        let status = prop_oneof![4 => Just(status), 1 => 200_u16..600];
        (status, corrupted::text(recorded["body"].clone()))
    });
    answer.boxed()
}

const INTENTS: &[&str] = &[
    "intent_succeeded",
    "intent_canceled",
    "intent_declined",
    "intent_processing",
    "intent_requires_action",
    "intent_requires_confirmation",
    "error_cannot_confirm",
    "error_cannot_cancel",
    "error_card_declined",
    "error_no_such_payment_method",
    "error_rate_limit",
    "error_api",
    "error_api_key",
    "error_key_reused",
    "error_amount_too_small",
    "error_invalid_currency",
];
const REFUNDS: &[&str] =
    &["refund_succeeded", "refund_pending", "error_charge_already_refunded", "error_api"];
const REFUND_LISTS: &[&str] =
    &["refund_list_succeeded", "refund_list_pending", "refund_list_failed", "error_rate_limit"];

/// Whether an answer is successful and has this `status`.
fn has_status((status, body): &Reply, word: &str) -> bool {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    (200..300).contains(status) && body["status"] == word
}

/// Checks that an intent has no status that no answer has had.
fn check(answer: Result<Intent, Error>, replies: &[&Reply]) {
    let Ok(intent) = answer else { return };
    let word = match intent.status {
        IntentStatus::Unconfirmed => "requires_confirmation",
        IntentStatus::AuthenticationRequired(_) => "requires_action",
        IntentStatus::Processing => "processing",
        IntentStatus::Succeeded => "succeeded",
        IntentStatus::Cancelled => "canceled",
        // Many answers are read as a decline: nothing is charged, and the customer is notified.
        IntentStatus::Declined(_) => return,
        // An answer whose status was corrupted. Nothing follows from it.
        IntentStatus::Other(_) => return,
    };
    assert!(replies.iter().any(|reply| has_status(reply, word)), "{intent:?} of {replies:?}");
}

proptest! {
    #[test]
    fn an_intents_status_is_that_of_an_answer(post in near(INTENTS), get in near(INTENTS)) {
        let provided = PROVIDED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let replies = Replies { post, get };
        provided.replies.lock().unwrap().clone_from(&replies);
        let id = IntentId::new("pi_3PgafyB7WZ01zgkW1jxsAJo3");
        let new = NewIntent {
            order_id: "f4d1576a-0a38-56ac-b9f2-64349ee83e7a".parse().unwrap(),
            price: Money { amount: 1099, currency: Currency::Eur },
            payment_method: "pm_card_visa".parse().unwrap(),
        };
        let (Replies { post, get }, stripe) = (&replies, &provided.stripe);
        check(block_on(stripe.create(&new)), &[post]);
        check(block_on(stripe.find(&id)), &[get]);
        // An intent in another state is retrieved.
        check(block_on(stripe.confirm(&id)), &[post, get]);
        check(block_on(stripe.cancel(&id)), &[post, get]);
    }

    #[test]
    fn a_refund_has_succeeded_only_if_the_list_of_refunds_says_so(
        post in near(REFUNDS),
        get in near(REFUND_LISTS),
    ) {
        let provided = PROVIDED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *provided.replies.lock().unwrap() = Replies { post, get: get.clone() };
        let intent = IntentId::new("pi_3PgafyB7WZ01zgkW1jxsAJo3");
        let refund = block_on(provided.stripe.refund(&intent));
        if let Ok(Refund::Succeeded) = refund {
            let list: Value = serde_json::from_str(&get.1).unwrap();
            let listed = &list["data"][0]["status"];
            assert!((200..300).contains(&get.0) && listed == "succeeded", "{get:?}");
        }
    }
}
