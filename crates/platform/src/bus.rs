//! The event bus.

use std::sync::{Mutex, PoisonError};

use aws_sdk_eventbridge::{Client, types::PutEventsRequestEntry};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{cause::chain, queue::Retryable};

/// Publishes events at least once.
///
/// When unsure whether an event got through, publish it again under the same id.
pub trait EventBus {
    /// Publishes events, in order. An event serialises as the `detail-type` and `detail` of an
    /// EventBridge envelope.
    ///
    /// # Errors
    /// At least one event may not have been published. Others may have been.
    async fn publish<E: Serialize>(&self, events: &[E]) -> Result<(), PublishError>;
}

/// Why events may not have been published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The call failed.
    #[error("EventBridge PutEvents failed: {0}")]
    Call(String),
    /// The call succeeded, but the bus rejected some of the entries.
    #[error("EventBridge rejected {count} of the events, the first with {code}: {message}")]
    Refused {
        /// The number of rejected entries.
        count: i32,
        /// The error code of the first.
        code: String,
        /// The error message of the first.
        message: String,
    },
    /// The event does not serialise as `detail-type` and `detail`.
    #[error("the event does not serialise as an envelope")]
    Malformed(#[from] serde_json::Error),
}

/// The most entries that one `PutEvents` accepts.
const MAX_ENTRIES: usize = 10;

/// The largest sum of the sizes of all entries that one `PutEvents` accepts, in bytes.
pub const MAX_SIZE: usize = 256 * 1024 - 1;

/// A bus in Amazon EventBridge.
#[derive(Clone, Debug)]
pub struct EventBridge {
    client: Client,
    bus: String,
    source: &'static str,
}

/// The part of an event that is published. Other fields of the event are dropped.
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
    /// Publishes to the bus called `bus`, as `source`.
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
        for entries in calls(entries) {
            let answer = self
                .client
                .put_events()
                .set_entries(Some(entries))
                .send()
                .await
                .map_err(|error| PublishError::Call(chain(&error)))?;
            // A call that succeeds may still have rejected entries.
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

/// Splits entries, in order, into as many as one call accepts. An entry that is too large by itself
/// is alone in its call, so that its refusal concerns no other.
fn calls(entries: Vec<PutEventsRequestEntry>) -> Vec<Vec<PutEventsRequestEntry>> {
    let mut calls: Vec<Vec<_>> = Vec::new();
    let mut left = 0;
    for entry in entries {
        let size = size(&entry);
        match calls.last_mut() {
            Some(call) if call.len() < MAX_ENTRIES && size <= left => call.push(entry),
            _ => {
                calls.push(vec![entry]);
                left = MAX_SIZE;
            }
        }
        left = left.saturating_sub(size);
    }
    calls
}

/// The size of an entry as EventBridge counts it.
fn size(entry: &PutEventsRequestEntry) -> usize {
    let texts = [entry.source(), entry.detail_type(), entry.detail()];
    texts.into_iter().flatten().map(str::len).sum()
}

/// A bus in memory, for tests, which records what is published.
#[derive(Debug, Default)]
pub struct MemoryBus {
    published: Mutex<Vec<serde_json::Value>>,
}

impl MemoryBus {
    /// All events published so far, in order, as envelopes.
    #[must_use]
    pub fn published(&self) -> Vec<serde_json::Value> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl EventBus for MemoryBus {
    async fn publish<E: Serialize>(&self, events: &[E]) -> Result<(), PublishError> {
        let events = events
            .iter()
            .map(|event| serde_json::to_value(Envelope::of(event)?))
            .collect::<Result<Vec<_>, _>>()?;
        self.published.lock().unwrap_or_else(PoisonError::into_inner).extend(events);
        Ok(())
    }
}

impl Retryable for PublishError {
    fn is_transient(&self) -> bool {
        match self {
            Self::Call(_) | Self::Refused { .. } => true,
            Self::Malformed(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(sizes: &[usize]) -> Vec<PutEventsRequestEntry> {
        let entry = |size: &usize| PutEventsRequestEntry::builder().detail("x".repeat(*size));
        sizes.iter().map(|size| entry(size).build()).collect()
    }

    #[test]
    fn a_call_has_at_most_ten_entries_of_together_less_than_256_kilobytes_in_their_order() {
        let most = 256 * 1024 - 1;
        for (sizes, expected) in [
            (vec![], vec![]),
            (vec![1; 10], vec![vec![1; 10]]),
            (vec![1; 11], vec![vec![1; 10], vec![1]]),
            (vec![most - 1, 1, 1], vec![vec![most - 1, 1], vec![1]]),
            (vec![1, most, 1], vec![vec![1], vec![most], vec![1]]),
            (vec![1, most + 1, 1], vec![vec![1], vec![most + 1], vec![1]]),
            (vec![45_000; 12], vec![vec![45_000; 5], vec![45_000; 5], vec![45_000; 2]]),
        ] {
            let calls = calls(entries(&sizes)).into_iter();
            let calls: Vec<Vec<_>> = calls.map(|call| call.iter().map(size).collect()).collect();
            assert_eq!(calls, expected, "{sizes:?}");
        }
    }

    #[test]
    fn errors_say_once_what_is_wrong_and_only_a_malformed_event_is_permanent() {
        let malformed = Envelope::of(&"text").map(drop).unwrap_err();
        let reason = malformed.to_string();
        let refused = PublishError::Refused {
            count: 1,
            code: "InternalFailure".to_owned(),
            message: "try again".to_owned(),
        };
        for (error, transient, text) in [
            (
                PublishError::Call("timed out".to_owned()),
                true,
                "EventBridge PutEvents failed: timed out".to_owned(),
            ),
            (
                refused,
                true,
                "EventBridge rejected 1 of the events, the first with InternalFailure: try again"
                    .to_owned(),
            ),
            (
                PublishError::Malformed(malformed),
                false,
                format!("the event does not serialise as an envelope: {reason}"),
            ),
        ] {
            assert_eq!(error.is_transient(), transient, "{error}");
            assert_eq!(chain(&error), text);
        }
    }
}
