//! Queues of a system.

use aws_sdk_sqs::types::{QueueAttributeName, SendMessageBatchRequestEntry};

use super::System;

/// A queue of a system.
pub(crate) struct Queue<'a> {
    system: &'a System,
    pub(crate) url: String,
}

impl<'a> Queue<'a> {
    pub(super) fn new(system: &'a System, url: String) -> Self {
        Self { system, url }
    }

    /// Sends messages that can be received at once. They are probably received in one batch.
    pub(crate) async fn send(&self, bodies: &[String]) {
        self.send_delayed(bodies, 0).await;
    }

    /// Sends messages that can be received after a delay.
    pub(crate) async fn send_delayed(&self, bodies: &[String], seconds: u16) {
        let entry = |(id, body): (usize, &String)| {
            let entry =
                SendMessageBatchRequestEntry::builder().id(id.to_string()).message_body(body);
            entry.delay_seconds(seconds.into()).build().unwrap()
        };
        let entries = bodies.iter().enumerate().map(entry).collect();
        let sent = self
            .system
            .sqs
            .send_message_batch()
            .queue_url(&self.url)
            .set_entries(Some(entries))
            .send()
            .await
            .unwrap();
        assert!(sent.failed.is_empty(), "{:?}", sent.failed);
    }

    /// The number of messages that can be received now.
    pub(crate) async fn waiting(&self) -> usize {
        let waiting = QueueAttributeName::ApproximateNumberOfMessages;
        let attributes = self
            .system
            .sqs
            .get_queue_attributes()
            .queue_url(&self.url)
            .attribute_names(waiting.clone());
        attributes.send().await.unwrap().attributes.unwrap()[&waiting].parse().unwrap()
    }

    /// The bodies of all messages in the queue. Receives none of them.
    pub(crate) async fn messages(&self) -> Vec<String> {
        self.system.messages().await.remove(&self.url).unwrap()
    }
}
