//! What lies in the queues of a stack.

use std::collections::BTreeMap;

use dashboard::Depth;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::{Error, http, local_stack::Stack};

/// The emulator's answer: the messages by account, region and URL of the queue.
#[derive(Deserialize)]
struct Messages {
    messages: BTreeMap<String, BTreeMap<String, BTreeMap<String, Vec<Message>>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Message {
    /// In seconds since the epoch.
    sent_timestamp: i64,
    is_visible: bool,
    receive_count: u32,
}

impl Stack {
    /// What the messages of all queues wait for, by the queues' URLs. No message is received.
    ///
    /// # Errors
    /// The emulator does not answer.
    pub async fn queues(&self) -> Result<BTreeMap<String, Depth>, Error> {
        let url = format!("{}/_ministack/sqs/messages", self.embedded.endpoint);
        let Messages { messages } = http::get_json(&url).await?;
        let now = Timestamp::now().as_second();
        let queues = messages.into_values().flat_map(BTreeMap::into_values).flatten();
        let depths = queues.map(|(url, messages)| {
            let mut depth = Depth::default();
            for Message { sent_timestamp, is_visible, receive_count } in messages {
                let age = SignedDuration::from_secs((now - sent_timestamp).max(0));
                depth.add(age, is_visible, receive_count);
            }
            (url, depth)
        });
        Ok(depths.collect())
    }
}
