//! The provider's events, on the bus that EventBridge has for them.

use std::time::Duration;

use aws_sdk_eventbridge::{Client as EventBridge, types::PutEventsRequestEntry};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use stack::embedded;
use tokio::time::sleep;

/// The source of the events. Stripe's begins with `aws.partner/`, which only partners may use.
const SOURCE: &str = "stripe.sandbox";

/// How often an event is sent at most.
const TRIES: u32 = 5;

/// Where events go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bus {
    /// The URL of the embedded AWS.
    pub(super) endpoint: String,
    pub(super) name: String,
}

/// Sends events one by one, without anybody's waiting for that.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    client: EventBridge,
    bus: String,
}

impl Sender {
    pub(super) fn to(Bus { endpoint, name }: Bus) -> Self {
        Self { client: EventBridge::new(&embedded::config(&endpoint)), bus: name }
    }

    pub(super) fn send(&self, event: Value) {
        let this = self.clone();
        tokio::spawn(async move {
            for attempt in 1..=TRIES {
                match this.put(&event).await {
                    Ok(()) => return,
                    Err(error) if attempt == TRIES => {
                        eprintln!("the sandbox drops the event {}: {error}", event["id"]);
                    }
                    Err(_) => sleep(Duration::from_millis(200) * attempt).await,
                }
            }
        });
    }

    async fn put(&self, event: &Value) -> Result<(), String> {
        let entry = PutEventsRequestEntry::builder()
            .source(SOURCE)
            .detail_type(event["type"].as_str().unwrap_or_default())
            .detail(event.to_string())
            .event_bus_name(&self.bus)
            .build();
        let put = self.client.put_events().entries(entry).send().await;
        let put = put.map_err(|error| format!("{error:?}"))?;
        match put.entries().first().and_then(|entry| entry.error_message()) {
            Some(error) => Err(error.to_owned()),
            None => Ok(()),
        }
    }
}
