//! The events of the bus, kept in a file.

use std::{
    fs::File,
    io::{Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use aws_config::SdkConfig;
use aws_sdk_eventbridge::{Client as EventBridge, types::Target};
use aws_sdk_sqs::{
    Client as Sqs,
    types::{DeleteMessageBatchRequestEntry, Message, QueueAttributeName},
};
use serde_json::Value;

use crate::{
    Error,
    error::{aws, io},
};

/// The queue that a rule of its own feeds with everything on the bus.
const QUEUE: &str = "local-event-recorder";

/// How long a look into the queue waits for something to come, in seconds.
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
    /// Makes queue and file, both empty.
    pub(crate) async fn create(config: &SdkConfig, state: &Path) -> Result<Self, Error> {
        let sqs = Sqs::new(config);
        let queue =
            sqs.create_queue().queue_name(QUEUE).send().await.map_err(aws("sqs:CreateQueue"))?;
        let path = file(state);
        let file = File::create(&path).map_err(io(format!("creating {}", path.display())))?;
        Ok(Self { sqs, queue: queue.queue_url.unwrap_or_default(), file, path })
    }

    /// Records until something fails.
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
            .wait_time_seconds(WAIT);
        let messages =
            received.send().await.map_err(aws("sqs:ReceiveMessage"))?.messages.unwrap_or_default();
        if messages.is_empty() {
            return Ok(());
        }
        let lines: String =
            messages.iter().filter_map(Message::body).flat_map(|body| [body, "\n"]).collect();
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

/// Sends everything on the bus to the recorder's queue as well.
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
    let target = target.map_err(|error| Error::Aws {
        operation: "events:PutTargets",
        reason: error.to_string(),
    })?;
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

fn file(state: &Path) -> PathBuf {
    state.join("events.jsonl")
}

/// Reads what is recorded, and goes on reading while there is more.
#[derive(Debug)]
pub struct Events {
    file: File,
    path: PathBuf,
    /// The beginning of a line whose end is still to come.
    partial: Vec<u8>,
}

impl Events {
    /// Starts with the first event since the stack was started.
    pub(crate) fn open(state: &Path) -> Result<Self, Error> {
        let path = file(state);
        let file = File::open(&path).map_err(io(format!("opening {}", path.display())))?;
        Ok(Self { file, path, partial: Vec::new() })
    }

    /// The events that were recorded since the last call, as whole EventBridge envelopes.
    ///
    /// # Errors
    /// The file could not be read.
    pub fn recorded(&mut self) -> Result<Vec<Value>, Error> {
        self.file
            .read_to_end(&mut self.partial)
            .map_err(io(format!("reading {}", self.path.display())))?;
        let end =
            self.partial.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let complete: Vec<u8> = self.partial.drain(..end).collect();
        Ok(complete
            .split(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect())
    }

    /// The next events, as soon as there are any.
    ///
    /// # Errors
    /// The file could not be read.
    pub async fn next(&mut self) -> Result<Vec<Value>, Error> {
        loop {
            let events = self.recorded()?;
            if !events.is_empty() {
                return Ok(events);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use aws_sdk_eventbridge::types::PutEventsRequestEntry;
    use serde_json::json;

    use super::*;
    use crate::{Host, Options, aws, workspace::scratch};

    #[tokio::test]
    async fn what_passes_on_a_bus_is_recorded_whole() {
        let options = Options::new(&scratch("recorder"));
        let host = Host::start(&options).await.unwrap();
        let config = aws::config(&host.address().endpoint);
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

    #[test]
    fn an_event_is_read_once_it_is_written_to_its_end() {
        let state = scratch("events");
        let mut file = OpenOptions::new().create(true).append(true).open(file(&state)).unwrap();
        let mut events = Events::open(&state).unwrap();

        file.write_all(b"{\"n\": 1}\n{\"n\"").unwrap();
        assert_eq!(events.recorded().unwrap(), [json!({"n": 1})]);
        file.write_all(b": 2}\n").unwrap();
        assert_eq!(events.recorded().unwrap(), [json!({"n": 2})]);
        assert!(events.recorded().unwrap().is_empty());
    }
}
