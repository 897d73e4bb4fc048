//! [`Queue`]: what becomes of a message in SQS after its handler has failed. Which wait it gets is
//! decided without SQS, and tested where that is done.

use std::{collections::HashMap, time::Duration};

use aws_lambda_events::sqs::{SqsEvent, SqsMessage};
use aws_sdk_sqs::{
    Client,
    types::{MessageSystemAttributeName, QueueAttributeName},
};
use platform::queue::{Backoff, Queue, Retryable};
use uuid::Uuid;

use crate::harness::{System, eventually};

/// How long SQS hides a message that nobody has said anything about: longer than any test waits, in
/// seconds.
const VISIBILITY_TIMEOUT: &str = "3600";

#[derive(Debug, thiserror::Error)]
#[error("failed")]
struct Failure {
    transient: bool,
}

impl Retryable for Failure {
    fn is_transient(&self) -> bool {
        self.transient
    }
}

/// A queue of its own with one message in it.
struct OneMessage {
    sqs: Client,
    url: String,
    queue: Queue,
}

impl OneMessage {
    async fn backing_off(backoff: Backoff) -> Self {
        let system = System::shared().await;
        let config = system.stack.aws();
        let sqs = Client::new(&config);
        let created = sqs
            .create_queue()
            .queue_name(format!("conformance-{}", Uuid::new_v4()))
            .attributes(QueueAttributeName::VisibilityTimeout, VISIBILITY_TIMEOUT);
        let url = created.send().await.unwrap().queue_url.unwrap();
        sqs.send_message().queue_url(&url).message_body("\"croissant\"").send().await.unwrap();
        Self { sqs, queue: Queue::new(&config, url.clone(), backoff), url }
    }

    /// What Lambda would hand to a function; none while the message is hidden.
    async fn receive(&self) -> Option<SqsEvent> {
        let receive = self.sqs.receive_message().queue_url(&self.url);
        let received = receive
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount);
        let message = received.send().await.unwrap().messages?.pop()?;
        let mut record = SqsMessage::default();
        record.message_id = message.message_id;
        record.receipt_handle = message.receipt_handle;
        record.body = message.body;
        let attributes = message.attributes.unwrap_or_default().into_iter();
        record.attributes = attributes
            .map(|(name, value)| (name.as_str().to_owned(), value))
            .collect::<HashMap<_, _>>();
        let mut event = SqsEvent::default();
        event.records = vec![record];
        Some(event)
    }

    /// Receives the message and lets its handler fail.
    async fn fail(&self, transient: bool) {
        let event = self.receive().await.unwrap();
        let id = event.records[0].message_id.clone().unwrap();
        let answer = self.queue.process(event, async |_: String| Err(Failure { transient })).await;
        let failed: Vec<_> =
            answer.batch_item_failures.iter().map(|failure| &failure.item_identifier).collect();
        assert_eq!(failed, [&id]);
    }
}

#[tokio::test]
async fn a_message_that_no_retry_will_help_is_offered_again_at_once() {
    let one = OneMessage::backing_off(Backoff::outlasting(36_000)).await;
    one.fail(false).await;
    let again = one.receive().await.expect("the message to be visible");
    assert_eq!(again.records[0].attributes["ApproximateReceiveCount"], "2");
}

#[tokio::test]
async fn a_message_that_a_retry_may_help_is_hidden() {
    let one = OneMessage::backing_off(Backoff::outlasting(36_000)).await;
    one.fail(true).await;
    assert!(one.receive().await.is_none(), "the message is visible");
}

#[tokio::test]
async fn a_hidden_message_comes_again_when_its_wait_is_over_and_not_only_after_its_visibility_timeout()
 {
    let one = OneMessage::backing_off(Backoff {
        floor: Duration::from_secs(1),
        budget: Duration::from_secs(15),
    })
    .await;
    one.fail(true).await;
    let again = eventually("the message to be visible again", async || one.receive().await).await;
    assert_eq!(again.records[0].attributes["ApproximateReceiveCount"], "2");
}

#[tokio::test]
async fn a_batch_is_known_by_the_queue_that_it_came_from() {
    let [one, another] = [(); 2].map(|()| OneMessage::backing_off(Backoff::outlasting(60)));
    let (one, another) = (one.await, another.await);
    let arn = one
        .sqs
        .get_queue_attributes()
        .queue_url(&one.url)
        .attribute_names(QueueAttributeName::QueueArn);
    let arn = arn
        .send()
        .await
        .unwrap()
        .attributes
        .unwrap()
        .remove(&QueueAttributeName::QueueArn)
        .unwrap();
    let mut event = one.receive().await.unwrap();
    event.records[0].event_source_arn = Some(arn);
    assert!(one.queue.sent(&event) && !another.queue.sent(&event));
}
