//! The client against the sandbox, and against recorded answers of Stripe's documentation.

#![allow(clippy::unwrap_used, reason = "a helper of a test may fail as the test itself may")]

mod recorded;
mod sandbox;

use std::time::Duration;

use shop::{
    id::{CustomerId, OrderId},
    money::{Currency, Money},
    payment::IntentId,
};
use stripe::{IntentStatus, NewIntent, RetrySettings};

const API_KEY: &str = "sk_test_provider";

/// Waits long enough for every answer that comes, and retries almost at once.
const RETRIES: RetrySettings = RetrySettings {
    attempt_timeout: Duration::from_secs(20),
    call_timeout: Duration::from_secs(60),
    max_attempts: 3,
    first_delay: Duration::from_millis(1),
};

fn order_id() -> OrderId {
    OrderId::derive(&CustomerId::new("camille"), &"first".parse().unwrap())
}

fn new_intent(payment_method: &str) -> NewIntent {
    NewIntent {
        order_id: order_id(),
        price: Money { amount: 1099, currency: Currency::Eur },
        payment_method: payment_method.parse().unwrap(),
    }
}

/// The intent in the recorded answers.
fn recorded_id() -> IntentId {
    IntentId::new("pi_3PgafyB7WZ01zgkW1jxsAJo3")
}

fn declined(reason: &str) -> IntentStatus {
    IntentStatus::Declined(reason.to_owned())
}
