//! The event bus.

use std::sync::Mutex;

use aws_sdk_eventbridge::{Client, types::PutEventsRequestEntry};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::cause::chain;

/// Tells everybody what happened.
///
/// Publishing is at least once: who is not sure that an event got through publishes it again, with
/// the same id.
pub trait EventBus {
    /// Publishes events, in order. An event serialises as the `detail-type` and `detail` of an
    /// EventBridge envelope.
    ///
    /// # Errors
    /// When any of them may not have been taken; some may have been all the same.
    async fn publish<E: Serialize>(&self, events: &[E]) -> Result<(), PublishError>;
}

/// Why events may not have been published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The call failed.
    #[error("the event bus did not answer: {0}")]
    Call(String),
    /// The bus answered, but did not take all entries.
    #[error("the event bus refused {count} of the events, the first with {code}: {message}")]
    Refused {
        /// How many.
        count: i32,
        /// The first one's error code.
        code: String,
        /// The first one's message.
        message: String,
    },
    /// The event is not an envelope's `detail-type` and `detail`.
    #[error("the event does not serialise as an envelope: {0}")]
    Malformed(#[from] serde_json::Error),
}

/// As many entries as one `PutEvents` takes.
const MAX_ENTRIES: usize = 10;

/// A bus of Amazon EventBridge.
#[derive(Clone, Debug)]
pub struct EventBridge {
    client: Client,
    bus: String,
    source: &'static str,
}

/// What an event has to serialise as; whatever else it has stays here.
#[derive(Serialize, Deserialize)]
struct Envelope {
    #[serde(rename = "detail-type")]
    detail_type: String,
    detail: Box<RawValue>,
}

impl Envelope {
    fn of<E: Serialize>(event: &E) -> Result<Self, serde_json::Error> {
        serde_json::from_str(&serde_json::to_string(event)?)
    }
}

impl EventBridge {
    /// Publishes to the bus of that name, as `source`.
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig, bus: String, source: &'static str) -> Self {
        Self { client: Client::new(config), bus, source }
    }

    fn entry<E: Serialize>(&self, event: &E) -> Result<PutEventsRequestEntry, serde_json::Error> {
        let envelope = Envelope::of(event)?;
        Ok(PutEventsRequestEntry::builder()
            .event_bus_name(&self.bus)
            .source(self.source)
            .detail_type(envelope.detail_type)
            .detail(envelope.detail.get())
            .build())
    }
}

impl EventBus for EventBridge {
    async fn publish<E: Serialize>(&self, events: &[E]) -> Result<(), PublishError> {
        let entries =
            events.iter().map(|event| self.entry(event)).collect::<Result<Vec<_>, _>>()?;
        for entries in entries.chunks(MAX_ENTRIES) {
            let answer = self
                .client
                .put_events()
                .set_entries(Some(entries.to_vec()))
                .send()
                .await
                .map_err(|error| PublishError::Call(chain(&error)))?;
            // A call that succeeds may still have lost entries.
            if answer.failed_entry_count() > 0 {
                let first = answer.entries().iter().find(|entry| entry.error_code().is_some());
                return Err(PublishError::Refused {
                    count: answer.failed_entry_count(),
                    code: first
                        .and_then(|entry| entry.error_code())
                        .unwrap_or("no code")
                        .to_owned(),
                    message: first
                        .and_then(|entry| entry.error_message())
                        .unwrap_or("no message")
                        .to_owned(),
                });
            }
        }
        Ok(())
    }
}

/// A bus in memory, for tests: it keeps what was published.
#[derive(Debug, Default)]
pub struct MemoryBus {
    published: Mutex<Vec<serde_json::Value>>,
}

impl MemoryBus {
    /// Everything published so far, in order.
    #[must_use]
    pub fn published(&self) -> Vec<serde_json::Value> {
        self.published.lock().map(|events| events.clone()).unwrap_or_default()
    }
}

impl EventBus for MemoryBus {
    async fn publish<E: Serialize>(&self, events: &[E]) -> Result<(), PublishError> {
        let events = events
            .iter()
            .map(|event| serde_json::to_value(Envelope::of(event)?))
            .collect::<Result<Vec<_>, _>>()?;
        if let Ok(mut published) = self.published.lock() {
            published.extend(events);
        }
        Ok(())
    }
}

impl crate::queue::Retryable for PublishError {
    fn is_transient(&self) -> bool {
        !matches!(self, Self::Malformed(_))
    }
}
