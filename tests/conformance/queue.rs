//! [`Queue`]: what happens to a message in SQS after its handler has failed. The length of the wait
//! is tested in `platform`.

use std::{collections::HashMap, time::Duration};

use aws_lambda_events::sqs::{SqsEvent, SqsMessage, SqsMessageAttribute};
use aws_sdk_sqs::{
    Client,
    types::{MessageSystemAttributeName, QueueAttributeName},
};
use platform::queue::{ASK, Backoff, NextAsk, Queue, Retryable};

use crate::harness::{System, eventually};
use uuid::Uuid;

/// How long SQS hides a message by default, in seconds: longer than a test waits.
const VISIBILITY_TIMEOUT: &str = "3600";

#[derive(Debug, thiserror::Error)]
#[error("failed")]
struct Failure {
    transient: bool,
    next_ask: Option<NextAsk>,
}

impl Retryable for Failure {
    fn is_transient(&self) -> bool {
        self.transient
    }

    fn next_ask(&self, _asks: u32, _jitter: f64) -> Option<NextAsk> {
        self.next_ask
    }
}

/// A new queue with one message.
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

    /// The batch that Lambda would hand to a function. `None` while the message is hidden.
    async fn receive(&self) -> Option<SqsEvent> {
        let receive = self.sqs.receive_message().queue_url(&self.url);
        let received = receive
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .message_attribute_names("All");
        let message = received.send().await.unwrap().messages?.pop()?;
        let mut record = SqsMessage::default();
        record.message_id = message.message_id;
        record.receipt_handle = message.receipt_handle;
        record.body = message.body;
        let attributes = message.attributes.unwrap_or_default().into_iter();
        record.attributes = attributes
            .map(|(name, value)| (name.as_str().to_owned(), value))
            .collect::<HashMap<_, _>>();
        for (name, value) in message.message_attributes.unwrap_or_default() {
            let mut attribute = SqsMessageAttribute::default();
            (attribute.data_type, attribute.string_value) =
                (Some(value.data_type), value.string_value);
            record.message_attributes.insert(name, attribute);
        }
        let mut event = SqsEvent::default();
        event.records = vec![record];
        Some(event)
    }

    /// Receives the message and fails it.
    async fn fail(&self, transient: bool) {
        let event = self.receive().await.unwrap();
        let id = event.records[0].message_id.clone().unwrap();
        assert_eq!(self.failed(event, transient, None).await, [id]);
    }

    /// Handles a batch, each record of which fails. Returns the ids that are not acknowledged.
    async fn failed(
        &self,
        event: SqsEvent,
        transient: bool,
        next_ask: Option<NextAsk>,
    ) -> Vec<String> {
        let handle = async |_: String| Err(Failure { transient, next_ask });
        let answer = self.queue.process(&fixtures::context(), event, handle).await;
        let failures = answer.batch_item_failures.into_iter();
        failures.map(|failure| failure.item_identifier).collect()
    }

    /// Fails a batch whose one message is then asked for again, and acknowledges it as Lambda does.
    async fn ask_again(&self, event: SqsEvent, wait: Duration) {
        let receipt = event.records[0].receipt_handle.clone().unwrap();
        let failed = self.failed(event, true, Some(NextAsk::After(wait))).await;
        assert!(failed.is_empty(), "{failed:?}");
        let delete = self.sqs.delete_message().queue_url(&self.url).receipt_handle(receipt);
        delete.send().await.unwrap();
    }
}

#[tokio::test]
async fn a_message_with_a_permanent_failure_is_visible_at_once() {
    let one = OneMessage::backing_off(Backoff::outlasting(36_000)).await;
    one.fail(false).await;
    let again = one.receive().await.expect("the message to be visible");
    assert_eq!(again.records[0].attributes["ApproximateReceiveCount"], "2");
}

#[tokio::test]
async fn a_message_with_a_transient_failure_is_hidden() {
    let one = OneMessage::backing_off(Backoff::outlasting(36_000)).await;
    one.fail(true).await;
    assert!(one.receive().await.is_none(), "the message is visible");
}

#[tokio::test]
async fn a_hidden_message_is_received_again_after_its_wait() {
    let one = OneMessage::backing_off(Backoff::outlasting(15)).await;
    one.fail(true).await;
    let again = eventually("the message to be visible again", async || one.receive().await).await;
    assert_eq!(again.records[0].attributes["ApproximateReceiveCount"], "2");
}

#[tokio::test]
async fn a_copy_of_a_message_has_its_body_arrives_after_the_wait_and_counts_the_asks() {
    let one = OneMessage::backing_off(Backoff::outlasting(36_000)).await;
    let first = one.receive().await.unwrap();
    let (id, body) = (first.records[0].message_id.clone(), first.records[0].body.clone());
    let begin = std::time::Instant::now();
    one.ask_again(first, Duration::from_secs(2)).await;
    assert!(one.receive().await.is_none(), "the copy is visible at once");
    let second = eventually("the copy", async || one.receive().await).await;
    assert!(begin.elapsed() >= Duration::from_secs(1), "SQS counts whole seconds");
    let ask = |event: &SqsEvent| event.records[0].message_attributes[ASK].string_value.clone();
    assert_eq!(second.records[0].attributes["ApproximateReceiveCount"], "1");
    assert_eq!((&second.records[0].body, ask(&second)), (&body, Some("1".to_owned())));
    assert_ne!(second.records[0].message_id, id);

    one.ask_again(second, Duration::from_secs(1)).await;
    let third = eventually("the next copy", async || one.receive().await).await;
    assert_eq!((&third.records[0].body, ask(&third)), (&body, Some("2".to_owned())));
}

#[tokio::test]
async fn a_queue_recognizes_its_own_batches() {
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
    assert!(one.queue.is_source_of(&event) && !another.queue.is_source_of(&event));
}
