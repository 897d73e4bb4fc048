//! The relay's own dead-letter queue.

use aws_config::SdkConfig;
use aws_sdk_sqs::{Client, types::MessageAttributeValue};
use platform::cause::chain;
use serde_json::value::RawValue;

use crate::handler::{BuryError, DeadLetters, Unreadable};

/// A queue of SQS. The message is the record as it came; its attribute `reason` says why it is
/// there.
#[derive(Clone, Debug)]
pub struct Sqs {
    client: Client,
    url: String,
}

impl Sqs {
    /// The queue of that URL.
    #[must_use]
    pub fn new(config: &SdkConfig, url: String) -> Self {
        Self { client: Client::new(config), url }
    }
}

impl DeadLetters for Sqs {
    async fn bury(&self, record: &RawValue, reason: &Unreadable) -> Result<(), BuryError> {
        let reason = MessageAttributeValue::builder()
            .data_type("String")
            .string_value(reason.to_string())
            .build();
        let reason = reason.map_err(|error| BuryError(chain(&error)))?;
        let send = self
            .client
            .send_message()
            .queue_url(&self.url)
            .message_body(record.get())
            .message_attributes("reason", reason);
        match send.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(BuryError(chain(&error))),
        }
    }
}
