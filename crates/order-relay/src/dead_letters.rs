//! The relay's own dead-letter queue.

use aws_config::SdkConfig;
use aws_sdk_sqs::{Client, types::MessageAttributeValue};
use platform::cause::chain;
use serde_json::value::RawValue;

use crate::handler::{DeadLetters, SendError, Unreadable};

/// A queue in SQS. The message is the record, unchanged; the attribute `reason` says why it cannot
/// be read.
#[derive(Clone, Debug)]
pub struct Sqs {
    client: Client,
    url: String,
}

impl Sqs {
    /// The queue at `url`.
    #[must_use]
    pub fn new(config: &SdkConfig, url: String) -> Self {
        Self { client: Client::new(config), url }
    }
}

impl DeadLetters for Sqs {
    async fn send(&self, record: &RawValue, reason: &Unreadable) -> Result<(), SendError> {
        let reason = MessageAttributeValue::builder()
            .data_type("String")
            .string_value(reason.to_string())
            .build();
        let reason = reason.map_err(|error| SendError(chain(&error)))?;
        let send = self
            .client
            .send_message()
            .queue_url(&self.url)
            .message_body(record.get())
            .message_attributes("reason", reason);
        match send.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(SendError(chain(&error))),
        }
    }
}
