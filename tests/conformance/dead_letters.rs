//! [`DeadLetters`]: the queue for stream records that the relay cannot read.

use aws_sdk_sqs::Client;
use order_relay::{
    dead_letters::Sqs,
    handler::{DeadLetters, SendError, Unreadable},
    memory::MemoryDeadLetters,
};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::conformance;
use crate::harness::System;

conformance!(
    [a_record_is_kept_unchanged_with_the_reason, a_record_sent_twice_is_kept_twice];
    memory: MemoryDeadLetters::default(),
    sqs: NewQueue::new().await,
);

/// Dead letters that can be read.
trait Observed: DeadLetters {
    /// All records so far, each with its reason.
    async fn kept(&self) -> Vec<(String, String)>;
}

impl Observed for MemoryDeadLetters {
    async fn kept(&self) -> Vec<(String, String)> {
        self.letters()
    }
}

/// A new queue.
struct NewQueue {
    queue: Sqs,
    sqs: Client,
    url: String,
}

impl NewQueue {
    async fn new() -> Self {
        let config = System::shared().await.stack.aws();
        let sqs = Client::new(&config);
        let created = sqs
            .create_queue()
            .queue_name(format!("conformance-{}", Uuid::new_v4()))
            .send()
            .await
            .unwrap();
        let url = created.queue_url.unwrap();
        Self { queue: Sqs::new(&config, url.clone()), sqs, url }
    }
}

impl DeadLetters for NewQueue {
    async fn send(&self, record: &RawValue, reason: &Unreadable) -> Result<(), SendError> {
        self.queue.send(record, reason).await
    }
}

impl Observed for NewQueue {
    async fn kept(&self) -> Vec<(String, String)> {
        let mut kept = Vec::new();
        loop {
            let received = self
                .sqs
                .receive_message()
                .queue_url(&self.url)
                .message_attribute_names("All")
                .send()
                .await
                .unwrap();
            let Some(messages) = received.messages.filter(|messages| !messages.is_empty()) else {
                return kept;
            };
            kept.extend(messages.into_iter().map(|mut message| {
                let reason = message.message_attributes.as_mut().unwrap().remove("reason").unwrap();
                (message.body.unwrap(), reason.string_value.unwrap())
            }));
        }
    }
}

/// A record with white space, escapes and letters that must be kept.
fn record() -> Box<RawValue> {
    let text = format!(
        "{{ \"eventID\":\"{}\",\n\t\"note\": \"\\u0000 caf\\u00e9 café \u{1f370}\" }}",
        Uuid::new_v4()
    );
    RawValue::from_string(text).unwrap()
}

async fn a_record_is_kept_unchanged_with_the_reason(dead_letters: impl Observed) {
    let record = record();
    dead_letters.send(&record, &Unreadable::NoHistory).await.unwrap();
    assert_eq!(
        dead_letters.kept().await,
        [(record.get().to_owned(), Unreadable::NoHistory.to_string())]
    );
}

async fn a_record_sent_twice_is_kept_twice(dead_letters: impl Observed) {
    let record = record();
    for _ in 0..2 {
        dead_letters.send(&record, &Unreadable::NoHistory).await.unwrap();
    }
    assert_eq!(dead_letters.kept().await.len(), 2);
}
