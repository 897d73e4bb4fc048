//! Placing and following orders through the API, as a customer does.

use std::{fs, path::Path, time::Duration};

use jiff::Timestamp;
use reqwest::{Response, header};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shop::order::{OrderEventType, Status};
use tokio::time::Instant;
use uuid::Uuid;

use stack::workspace;

use crate::{Error, error::io, http, local_stack::Stack};

/// How often an order is requested while it is followed.
const POLL: Duration = Duration::from_millis(50);

/// How long an order is followed before it counts as stuck.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A transition in the history of an order.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct HistoryEntry {
    /// The kind of transition.
    pub event: OrderEventType,
    /// The state after the transition.
    pub status: Status,
    pub at: Timestamp,
}

/// The part of an order in the API that is needed here.
#[derive(Clone, Debug, Deserialize)]
pub struct Order {
    pub status: Status,
    /// What became of the money, as the API puts it.
    pub payment: String,
    /// Where the customer authenticates the payment, while they have to.
    #[serde(default)]
    pub authentication_url: Option<String>,
    /// All its transitions, oldest first.
    pub history: Vec<HistoryEntry>,
    /// The reason for its rejection, if it was rejected.
    #[serde(default)]
    pub rejection: Option<Value>,
}

/// The order in the sample event, which is placed to check a new stack.
///
/// # Errors
/// The sample event cannot be read.
pub fn sample() -> Result<Value, Error> {
    #[derive(Deserialize)]
    struct Event {
        body: String,
    }
    let path = workspace::root().join("events/order-intake-post-order.json");
    let read = |path: &Path| -> std::io::Result<Value> {
        let event: Event = serde_json::from_slice(&fs::read(path)?)?;
        Ok(serde_json::from_str(&event.body)?)
    };
    read(&path).map_err(io(format!("reading the sample order {}", path.display())))
}

/// A state of an order or its payment, as the API spells it.
#[must_use]
pub fn name(state: &impl Serialize) -> String {
    match serde_json::to_value(state) {
        Ok(Value::String(name)) => name,
        other => format!("{other:?}"),
    }
}

/// The reason for a refusal: what is wrong with each field, or the problem's detail, or else the
/// whole body.
fn reason(body: &str) -> String {
    #[derive(Deserialize)]
    struct Problem {
        detail: String,
        #[serde(default)]
        errors: Vec<FieldError>,
    }
    #[derive(Deserialize)]
    struct FieldError {
        field: String,
        detail: String,
    }
    match serde_json::from_str::<Problem>(body) {
        Ok(Problem { errors, .. }) if !errors.is_empty() => errors
            .iter()
            .map(|error| format!("{}: {}", error.field, error.detail))
            .collect::<Vec<_>>()
            .join("; "),
        Ok(problem) => problem.detail,
        Err(_) => body.to_owned(),
    }
}

impl Stack {
    /// Places an order under a new idempotency key, and returns its id.
    ///
    /// # Errors
    /// The API refuses the order, or does not answer.
    pub async fn place(&self, token: &str, order: &Value) -> Result<String, Error> {
        let request = http::client()
            .post(format!("{}/orders", self.api_url))
            .bearer_auth(token)
            .header("idempotency-key", Uuid::new_v4().to_string())
            .json(order);
        let answer = http::send(request).await?;
        let location =
            answer.headers().get(header::LOCATION).and_then(|location| location.to_str().ok());
        match location.and_then(|location| location.rsplit('/').next()) {
            Some(id) if answer.status().is_success() => Ok(id.to_owned()),
            _ => Err(refused(answer).await),
        }
    }

    /// Cancels one of the customer's orders.
    ///
    /// # Errors
    /// The customer has no such order, it can no longer be cancelled, or the API does not answer.
    pub async fn cancel(&self, token: &str, id: &str) -> Result<Order, Error> {
        let request =
            http::client().post(format!("{}/orders/{id}/cancel", self.api_url)).bearer_auth(token);
        let answer = http::send(request).await?;
        if answer.status().is_success() {
            http::json(answer).await
        } else {
            Err(refused(answer).await)
        }
    }

    /// One of the customer's orders.
    ///
    /// # Errors
    /// The customer has no such order, or the API does not answer.
    pub async fn order(&self, token: &str, id: &str) -> Result<Order, Error> {
        let request =
            http::client().get(format!("{}/orders/{id}", self.api_url)).bearer_auth(token);
        http::json(http::send(request).await?).await
    }

    /// Follows an order until it is confirmed or has ended early. Calls `on_transition` once for
    /// each transition, with the order as it stands.
    ///
    /// # Errors
    /// The order is still placed or reserved after a minute, or a minute after its customer has
    /// authenticated, or the API does not answer.
    pub async fn follow(
        &self,
        token: &str,
        id: &str,
        mut on_transition: impl FnMut(&Order, &HistoryEntry),
    ) -> Result<Order, Error> {
        let mut seen = 0;
        let until = |order: &Order| {
            order.history.iter().skip(seen).for_each(|entry| on_transition(order, entry));
            seen = order.history.len();
            !matches!(order.status, Status::Placed | Status::Reserved)
        };
        self.watch(token, id, until).await
    }

    /// Follows an order that has ended early until its money was given back, or could not be.
    ///
    /// # Errors
    /// The money is still with the shop after a minute, or the API does not answer.
    pub async fn follow_refund(&self, token: &str, id: &str) -> Result<Order, Error> {
        self.watch(token, id, |order| order.payment != "captured").await
    }

    async fn watch(
        &self,
        token: &str,
        id: &str,
        mut until: impl FnMut(&Order) -> bool,
    ) -> Result<Order, Error> {
        let mut deadline = Instant::now() + TIMEOUT;
        loop {
            let order = self.order(token, id).await?;
            if order.authentication_url.is_some() {
                // It waits for its customer.
                deadline = Instant::now() + TIMEOUT;
            }
            if until(&order) {
                return Ok(order);
            }
            if Instant::now() > deadline {
                return Err(Error::Stuck {
                    order: id.to_owned(),
                    status: name(&order.status),
                    payment: order.payment,
                    seconds: TIMEOUT.as_secs(),
                });
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

async fn refused(answer: Response) -> Error {
    Error::Refused {
        status: answer.status().as_u16(),
        reason: reason(&answer.text().await.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::reason;

    #[test]
    fn a_refusal_is_reduced_to_its_reasons() {
        let fields = r#"{"status": 422, "detail": "Correct lines[0].item; see `errors`.",
            "errors": [{"field": "lines[0].item", "detail": "must have 1 to 64 characters"}]}"#;
        assert_eq!(reason(fields), "lines[0].item: must have 1 to 64 characters");
        assert_eq!(reason(r#"{"detail": "Try again."}"#), "Try again.");
        assert_eq!(reason(r#"{"message": "Unauthorized"}"#), r#"{"message": "Unauthorized"}"#);
    }
}
