//! Orders as a customer of the API places and follows them.

use std::{fs, path::Path, time::Duration};

use jiff::Timestamp;
use reqwest::header;
use serde::Deserialize;
use serde_json::Value;
use shop::order::Status;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{Error, Stack, error::io, http, workspace};

/// How often an order that is followed is looked at.
const POLL: Duration = Duration::from_millis(50);

/// How long an order is followed before that is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// A transition in the history that the API shows of an order.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct HistoryEntry {
    /// The state that the order went to.
    pub status: Status,
    /// When that was decided.
    pub at: Timestamp,
}

/// An order as the API shows it, as far as it matters here.
#[derive(Clone, Debug, Deserialize)]
pub struct Order {
    /// Where it stands.
    pub status: Status,
    /// How it got there, oldest first.
    pub history: Vec<HistoryEntry>,
    /// Why it was rejected, if it was.
    #[serde(default)]
    pub rejection: Option<Value>,
}

/// The order that is placed to see that everything works: the one of the sample event.
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

impl Stack {
    /// Places an order under an idempotency key of its own and returns its id.
    ///
    /// # Errors
    /// The API refuses it, or does not answer.
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
            _ => Err(Error::Refused {
                status: answer.status().as_u16(),
                body: answer.text().await.unwrap_or_default(),
            }),
        }
    }

    /// One of the customer's orders.
    ///
    /// # Errors
    /// There is none of that id, or the API does not answer.
    pub async fn order(&self, token: &str, id: &str) -> Result<Order, Error> {
        let request =
            http::client().get(format!("{}/orders/{id}", self.api_url)).bearer_auth(token);
        http::json(http::send(request).await?).await
    }

    /// Watches an order until it is confirmed or has ended early, and tells of each transition
    /// once.
    ///
    /// # Errors
    /// Nothing of that happens within a minute, or the API does not answer.
    pub async fn follow(
        &self,
        token: &str,
        id: &str,
        mut tell: impl FnMut(&HistoryEntry),
    ) -> Result<Order, Error> {
        let deadline = Instant::now() + PATIENCE;
        let mut told = 0;
        loop {
            let order = self.order(token, id).await?;
            order.history.iter().skip(told).for_each(&mut tell);
            told = order.history.len();
            if !matches!(order.status, Status::Placed | Status::Reserved) {
                return Ok(order);
            }
            if Instant::now() > deadline {
                let status = format!("{:?}", order.status).to_lowercase();
                return Err(Error::Stuck {
                    order: id.to_owned(),
                    status,
                    seconds: PATIENCE.as_secs(),
                });
            }
            tokio::time::sleep(POLL).await;
        }
    }
}
