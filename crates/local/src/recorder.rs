//! Recording the events on the bus in a file.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};

use aws_config::SdkConfig;
use aws_sdk_eventbridge::{Client as EventBridge, types::Target};
use aws_sdk_sqs::{
    Client as Sqs,
    types::{
        DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName, QueueAttributeName,
    },
};
use jiff::Timestamp;
use serde_json::{Value, json};
use stack::{RECORDED_AT, state_dir};

use crate::{
    Error,
    error::{aws, failed, io},
};

/// The name of the queue, and of the rule that sends all events on the bus to it.
const QUEUE: &str = "local-event-recorder";

/// How long one call waits for messages, in seconds.
const WAIT: i32 = 10;

/// Moves events from its queue to a file.
#[derive(Debug)]
pub(crate) struct Recorder {
    sqs: Sqs,
    queue: String,
    file: File,
    path: PathBuf,
}

impl Recorder {
    /// Creates an empty queue and an empty file.
    pub(crate) async fn create(config: &SdkConfig, state: &Path) -> Result<Self, Error> {
        let sqs = Sqs::new(config);
        let queue =
            sqs.create_queue().queue_name(QUEUE).send().await.map_err(aws("sqs:CreateQueue"))?;
        let path = state_dir::events(state);
        let file = File::create(&path).map_err(io(format!("creating {}", path.display())))?;
        Ok(Self { sqs, queue: queue.queue_url.unwrap_or_default(), file, path })
    }

    /// Records until an error occurs.
    pub(crate) async fn run(mut self) -> Error {
        loop {
            if let Err(error) = self.record().await {
                return error;
            }
        }
    }

    async fn record(&mut self) -> Result<(), Error> {
        let received = self
            .sqs
            .receive_message()
            .queue_url(&self.queue)
            .max_number_of_messages(10)
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
            .wait_time_seconds(WAIT);
        let messages =
            received.send().await.map_err(aws("sqs:ReceiveMessage"))?.messages.unwrap_or_default();
        if messages.is_empty() {
            return Ok(());
        }
        let lines: String = messages.iter().filter_map(line).collect();
        self.file
            .write_all(lines.as_bytes())
            .map_err(io(format!("writing {}", self.path.display())))?;

        let entry = |(id, message): (usize, Message)| {
            DeleteMessageBatchRequestEntry::builder()
                .id(id.to_string())
                .set_receipt_handle(message.receipt_handle)
                .build()
                .ok()
        };
        let entries = messages.into_iter().enumerate().filter_map(entry).collect();
        let deletion =
            self.sqs.delete_message_batch().queue_url(&self.queue).set_entries(Some(entries));
        deletion.send().await.map_err(aws("sqs:DeleteMessageBatch"))?;
        Ok(())
    }
}

/// An event as a line of the file, with the time when it passed the bus. An event that is published
/// again says itself only when it occurred.
fn line(message: &Message) -> Option<String> {
    let mut envelope: Value = serde_json::from_str(message.body()?).ok()?;
    let sent = message.attributes()?.get(&MessageSystemAttributeName::SentTimestamp)?;
    let sent = Timestamp::from_millisecond(sent.parse().ok()?).ok()?;
    envelope.as_object_mut()?.insert(RECORDED_AT.to_owned(), json!(sent));
    Some(format!("{envelope}\n"))
}

/// Creates the rule that sends all events on a bus to the recorder's queue.
pub(crate) async fn connect(config: &SdkConfig, bus: &str) -> Result<(), Error> {
    let sqs = Sqs::new(config);
    let queue =
        sqs.get_queue_url().queue_name(QUEUE).send().await.map_err(aws("sqs:GetQueueUrl"))?;
    let attributes = sqs
        .get_queue_attributes()
        .set_queue_url(queue.queue_url)
        .attribute_names(QueueAttributeName::QueueArn)
        .send()
        .await
        .map_err(aws("sqs:GetQueueAttributes"))?;
    let arn = attributes
        .attributes
        .unwrap_or_default()
        .remove(&QueueAttributeName::QueueArn)
        .unwrap_or_default();

    let events = EventBridge::new(config);
    let rule = events
        .put_rule()
        .name(QUEUE)
        .event_bus_name(bus)
        .event_pattern(r#"{"source": [{"prefix": ""}]}"#);
    rule.send().await.map_err(aws("events:PutRule"))?;
    let target = Target::builder().id("recorder").arn(arn).build();
    let target = target.map_err(|error| failed("events:PutTargets", error))?;
    events
        .put_targets()
        .rule(QUEUE)
        .event_bus_name(bus)
        .targets(target)
        .send()
        .await
        .map_err(aws("events:PutTargets"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use aws_sdk_eventbridge::types::PutEventsRequestEntry;
    use serde_json::json;
    use stack::{Events, embedded};

    use super::*;
    use crate::{Host, Options, scratch::scratch};

    #[tokio::test]
    async fn events_are_recorded_with_their_whole_envelopes() {
        let options = Options::new(&scratch("recorder"));
        let host = Host::start(&options).await.unwrap();
        let config = embedded::config(&host.address().endpoint);
        let bus = EventBridge::new(&config);
        bus.create_event_bus().name("bus").send().await.unwrap();
        connect(&config, "bus").await.unwrap();

        let entry = PutEventsRequestEntry::builder()
            .event_bus_name("bus")
            .source("test")
            .detail_type("greeting");
        bus.put_events()
            .entries(entry.detail(r#"{"hello": "world"}"#).build())
            .send()
            .await
            .unwrap();

        let recorded = Events::open(&options.state_dir).unwrap().next().await.unwrap();
        assert_eq!(recorded.len(), 1);
        assert_eq!(recorded[0]["detail-type"], "greeting");
        assert_eq!(recorded[0]["detail"], json!({"hello": "world"}));
    }
}
