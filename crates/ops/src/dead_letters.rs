//! The dead-letter queues of a stack and what lies in them.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::{Duration, Instant},
};

use aws_sdk_sqs::{
    Client as Sqs,
    types::{
        ChangeMessageVisibilityBatchRequestEntry, Message, MessageAttributeValue,
        MessageSystemAttributeName, QueueAttributeName,
    },
};
use futures::future::try_join_all;
use jiff::Timestamp;
use local::error::aws;
use order_relay::handler::{Unreadable, read};
use platform::decode;
use serde_json::{Value, value::RawValue};
use shop::event::OrderEvent;

use crate::{deployment::Deployment, error::Error};

/// How the logical ids of dead-letter queues end; what is before that names them here.
const SUFFIX: &str = "DeadLetters";

/// For how long a message is hidden from others while it is looked at, in seconds. Whoever dies
/// meanwhile leaves it hidden for no longer.
const LOOK: i32 = 120;

/// How long SQS gathers messages for one answer, in seconds. With none of it, it asks a part of its
/// servers alone, and an empty answer would not mean an empty queue.
const LONG_POLL: i32 = 1;

/// As many messages as one call takes.
const BATCH: usize = 10;

/// All dead-letter queues of a stack.
pub(crate) struct DeadLetterQueues {
    client: Sqs,
    queues: Vec<DeadLetterQueue>,
    /// URLs of all queues of the stack, by ARN.
    urls: BTreeMap<String, String>,
}

/// A dead-letter queue.
#[derive(Clone, Debug)]
pub(crate) struct DeadLetterQueue {
    /// What it is called here, such as `charge`.
    pub(crate) name: String,
    /// The queue whose messages end here; none where no queue feeds it.
    pub(crate) source: Option<Source>,
    /// How many messages it holds, about.
    pub(crate) depth: u64,
    url: String,
}

/// A queue whose messages are dead-lettered.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// Its name in SQS.
    pub(crate) name: String,
    url: String,
}

impl DeadLetterQueues {
    /// Finds the queues among the resources of a stack.
    pub(crate) async fn of(deployment: &Deployment) -> Result<Self, Error> {
        let client = Sqs::new(&deployment.config);
        let described = deployment.resources("AWS::SQS::Queue").map(async |(logical_id, url)| {
            Ok::<_, Error>((logical_id, url, attributes(&client, url).await?))
        });
        let described = try_join_all(described).await?;

        let attribute = |attributes: &HashMap<_, String>, name| {
            attributes.get(&name).cloned().unwrap_or_default()
        };
        let mut urls = BTreeMap::new();
        let mut sources = HashMap::new();
        for (_, url, attributes) in &described {
            let arn = attribute(attributes, QueueAttributeName::QueueArn);
            let policy: Value = attribute(attributes, QueueAttributeName::RedrivePolicy)
                .parse()
                .unwrap_or_default();
            if let Some(target) = policy["deadLetterTargetArn"].as_str() {
                let name = arn.rsplit(':').next().unwrap_or_default().to_owned();
                sources.insert(target.to_owned(), Source { name, url: (*url).to_owned() });
            }
            urls.insert(arn, (*url).to_owned());
        }
        let queues = described.iter().filter_map(|(logical_id, url, attributes)| {
            Some(DeadLetterQueue {
                name: logical_id.strip_suffix(SUFFIX)?.to_lowercase(),
                source: sources.get(&attribute(attributes, QueueAttributeName::QueueArn)).cloned(),
                depth: depth(attributes),
                url: (*url).to_owned(),
            })
        });
        let queues = queues.collect();
        Ok(Self { client, queues, urls })
    }

    pub(crate) fn all(&self) -> &[DeadLetterQueue] {
        &self.queues
    }

    /// The queue of that name.
    pub(crate) fn named(&self, name: &str) -> Result<&DeadLetterQueue, Error> {
        self.queues.iter().find(|queue| queue.name == name).ok_or_else(|| {
            let known = self.queues.iter().map(|queue| &*queue.name).collect::<Vec<_>>().join(", ");
            Error::NoQueue { queue: name.to_owned(), known }
        })
    }

    /// Everything in a queue that nobody else is looking at, oldest first. Nothing is taken out of
    /// it, and what was to be had is to be had afterwards.
    pub(crate) async fn look(&self, queue: &DeadLetterQueue) -> Result<Vec<DeadLetter>, Error> {
        let mut letters = Vec::new();
        let collect = async |letter: &DeadLetter| {
            letters.push(letter.clone());
            Ok(Fate::Stays)
        };
        self.visit(queue, Duration::ZERO, collect).await?;
        letters.sort_by_key(|letter| letter.sent);
        Ok(letters)
    }

    /// All letters of all queues.
    pub(crate) async fn look_everywhere(
        &self,
    ) -> Result<Vec<(&DeadLetterQueue, DeadLetter)>, Error> {
        let looks = self.queues.iter().map(async |queue| {
            let letters = self.look(queue).await?;
            Ok::<_, Error>(letters.into_iter().map(|letter| (queue, letter)).collect::<Vec<_>>())
        });
        Ok(try_join_all(looks).await?.concat())
    }

    /// Visits each message once, and waits so long for those that others are looking at. What stays
    /// is given free at the end, whatever happens.
    ///
    /// Returns how many it has missed, about.
    pub(crate) async fn visit(
        &self,
        queue: &DeadLetterQueue,
        patience: Duration,
        visit: impl AsyncFnMut(&DeadLetter) -> Result<Fate, Error>,
    ) -> Result<u64, Error> {
        let mut hidden = Vec::new();
        let visited = self.visit_all(queue, patience, visit, &mut hidden).await;
        let freed = self.free(queue, &hidden).await;
        let missed = visited?;
        freed.map(|()| missed)
    }

    async fn visit_all(
        &self,
        queue: &DeadLetterQueue,
        patience: Duration,
        mut visit: impl AsyncFnMut(&DeadLetter) -> Result<Fate, Error>,
        hidden: &mut Vec<String>,
    ) -> Result<u64, Error> {
        let started = Instant::now();
        let mut seen = HashSet::new();
        loop {
            let received = self
                .client
                .receive_message()
                .queue_url(&queue.url)
                .max_number_of_messages(10)
                .visibility_timeout(LOOK)
                .wait_time_seconds(LONG_POLL)
                .message_system_attribute_names(MessageSystemAttributeName::All)
                .message_attribute_names("All")
                .send();
            let received =
                received.await.map_err(aws("sqs:ReceiveMessage"))?.messages.unwrap_or_default();
            if received.is_empty() {
                // Others may have had them in sight just then.
                let missed = depth(&attributes(&self.client, &queue.url).await?)
                    .saturating_sub(hidden.len() as u64);
                if missed > 0 && started.elapsed() < patience {
                    continue;
                }
                return Ok(missed);
            }
            let letters: Vec<DeadLetter> = received.into_iter().map(DeadLetter::of).collect();
            hidden.extend(letters.iter().map(|letter| letter.receipt.clone()));
            // A queue so long that its first messages come into sight again has been seen to its
            // end.
            let new: Vec<_> =
                letters.iter().filter(|letter| seen.insert(letter.id.clone())).collect();
            if new.is_empty() {
                return Ok(0);
            }
            for letter in new {
                if visit(letter).await? == Fate::Gone {
                    hidden.retain(|receipt| *receipt != letter.receipt);
                }
            }
        }
    }

    async fn free(&self, queue: &DeadLetterQueue, receipts: &[String]) -> Result<(), Error> {
        for batch in receipts.chunks(BATCH) {
            let entry = |(id, receipt): (usize, &String)| {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(id.to_string())
                    .receipt_handle(receipt);
                entry.visibility_timeout(0).build().expect("an entry has an id and a receipt")
            };
            let entries = batch.iter().enumerate().map(entry).collect();
            let change = self
                .client
                .change_message_visibility_batch()
                .queue_url(&queue.url)
                .set_entries(Some(entries));
            // Entries that fail are free by themselves after a while.
            change.send().await.map_err(aws("sqs:ChangeMessageVisibilityBatch"))?;
        }
        Ok(())
    }

    /// What is to be done with a letter of that queue.
    pub(crate) fn remedy(&self, queue: &DeadLetterQueue, letter: &DeadLetter) -> Remedy {
        remedy(queue.source.as_ref(), &self.urls, letter)
    }

    /// Sends a letter to the queue of that URL, then takes it out of this one. A failure in between
    /// leaves it in both, which consumers bear.
    ///
    /// Returns the id of what was sent.
    pub(crate) async fn resend(
        &self,
        queue: &DeadLetterQueue,
        letter: &DeadLetter,
        to: &str,
    ) -> Result<String, Error> {
        let send = self.client.send_message().queue_url(to).message_body(&letter.body);
        // At once, also where the queue delays what is new: it has waited long enough.
        let send = send.delay_seconds(0).set_message_attributes(Some(letter.attributes.clone()));
        let sent = send.send().await.map_err(aws("sqs:SendMessage"))?;
        self.delete(queue, letter).await?;
        Ok(sent.message_id.unwrap_or_default())
    }

    /// Takes a letter out of its queue, for good.
    pub(crate) async fn delete(
        &self,
        queue: &DeadLetterQueue,
        letter: &DeadLetter,
    ) -> Result<(), Error> {
        let delete =
            self.client.delete_message().queue_url(&queue.url).receipt_handle(&letter.receipt);
        delete.send().await.map_err(aws("sqs:DeleteMessage"))?;
        Ok(())
    }
}

async fn attributes(client: &Sqs, url: &str) -> Result<HashMap<QueueAttributeName, String>, Error> {
    let attributes = client
        .get_queue_attributes()
        .queue_url(url)
        .attribute_names(QueueAttributeName::All)
        .send();
    Ok(attributes.await.map_err(aws("sqs:GetQueueAttributes"))?.attributes.unwrap_or_default())
}

/// How many messages a queue holds, whether or not somebody is looking at them. SQS may need a
/// minute to get that right.
fn depth(attributes: &HashMap<QueueAttributeName, String>) -> u64 {
    let count = |name| {
        attributes.get(&name).and_then(|count| count.parse::<u64>().ok()).unwrap_or_default()
    };
    count(QueueAttributeName::ApproximateNumberOfMessages)
        + count(QueueAttributeName::ApproximateNumberOfMessagesNotVisible)
}

/// What a visit makes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It stays where it is.
    Stays,
    /// It was deleted.
    Gone,
}

/// A message of a dead-letter queue.
#[derive(Clone, Debug)]
pub(crate) struct DeadLetter {
    /// Its id: the one it had in the queue that it comes from, and in the log of whoever failed
    /// with it.
    pub(crate) id: String,
    /// How often it was received, by whomever; each look of this tool counts as well.
    pub(crate) receives: u32,
    /// When it was first sent.
    pub(crate) sent: Timestamp,
    /// When it was first received.
    pub(crate) first_received: Option<Timestamp>,
    /// What it says.
    pub(crate) content: Content,
    body: String,
    receipt: String,
    attributes: HashMap<String, MessageAttributeValue>,
}

impl DeadLetter {
    fn of(message: Message) -> Self {
        let system = message.attributes.unwrap_or_default();
        let number = |name| system.get(&name).and_then(|value| value.parse().ok());
        let moment = |name| {
            number(name).filter(|at| *at > 0).and_then(|at| Timestamp::from_millisecond(at).ok())
        };
        let body = message.body.unwrap_or_default();
        Self {
            id: message.message_id.unwrap_or_default(),
            receives: number(MessageSystemAttributeName::ApproximateReceiveCount)
                .and_then(|count| count.try_into().ok())
                .unwrap_or_default(),
            sent: moment(MessageSystemAttributeName::SentTimestamp).unwrap_or_default(),
            first_received: moment(MessageSystemAttributeName::ApproximateFirstReceiveTimestamp),
            content: Content::read(&body),
            body,
            receipt: message.receipt_handle.unwrap_or_default(),
            attributes: message.message_attributes.unwrap_or_default(),
        }
    }

    /// The order that it is about, as it is written there.
    pub(crate) fn order(&self) -> Option<&str> {
        match &self.content {
            Content::Event { order, .. } | Content::StreamRecord { order, .. } => order.as_deref(),
            Content::StreamGap(_) | Content::Unknown { .. } => None,
        }
    }

    /// Why it is here, where the letter itself tells that.
    pub(crate) fn reason(&self) -> Option<String> {
        let said = |name| self.attributes.get(name).and_then(MessageAttributeValue::string_value);
        match (said("reason"), said("ERROR_CODE"), said("ERROR_MESSAGE"), &self.content) {
            (Some(reason), ..) => Some(reason.to_owned()),
            (None, Some(code), Some(message), _) => Some(format!("{code}: {message}")),
            (None, Some(reason), None, _) | (None, None, Some(reason), _) => {
                Some(reason.to_owned())
            }
            (None, None, None, Content::StreamGap(gap)) => Some(gap.condition.clone()),
            _ => None,
        }
    }
}

/// What a dead letter says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// An event of the bus.
    Event {
        /// Its `detail-type`.
        event_type: String,
        /// The order that it is about, if it tells.
        order: Option<String>,
    },
    /// A record of the stream of orders that the relay could not read.
    StreamRecord {
        /// The key of its row.
        order: Option<String>,
    },
    /// A place in the stream of orders whose records were given up, and are no longer to be had.
    StreamGap(StreamGap),
    /// Anything else.
    Unknown {
        /// Its length in bytes.
        bytes: usize,
    },
}

/// A place in the stream of orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StreamGap {
    /// Why Lambda gave the records up.
    pub(crate) condition: String,
    /// How many they were.
    pub(crate) records: u64,
    /// When the first of them was written.
    pub(crate) from: Timestamp,
    /// When the last of them was written.
    pub(crate) to: Timestamp,
}

impl Content {
    fn read(body: &str) -> Self {
        let unknown = Self::Unknown { bytes: body.len() };
        let Ok(message) = serde_json::from_str::<Value>(body) else {
            return unknown;
        };
        let text = |value: &Value| value.as_str().map(str::to_owned);
        if let Some(event_type) = text(&message["detail-type"]) {
            let detail = &message["detail"];
            let order = text(&detail["metadata"]["correlation_id"])
                .or_else(|| text(&detail["data"]["order_id"]));
            return Self::Event { event_type, order };
        }
        if message["dynamodb"].is_object() {
            return Self::StreamRecord {
                order: text(&message["dynamodb"]["Keys"]["order_id"]["S"]),
            };
        }
        let batch = &message["DDBStreamBatchInfo"];
        let moment = |value: &Value| value.as_str()?.parse().ok();
        match (
            moment(&batch["approximateArrivalOfFirstRecord"]),
            moment(&batch["approximateArrivalOfLastRecord"]),
        ) {
            (Some(from), Some(to)) => Self::StreamGap(StreamGap {
                condition: text(&message["requestContext"]["condition"]).unwrap_or_default(),
                records: batch["batchSize"].as_u64().unwrap_or_default(),
                from,
                to,
            }),
            _ => unknown,
        }
    }
}

/// What is to be done with a dead letter.
#[derive(Debug)]
pub(crate) enum Remedy {
    /// Send it to the queue of that URL.
    Send(String),
    /// Announce what it tells of.
    Announce(Box<OrderEvent>),
    /// Announce the orders that changed then.
    AnnounceOrdersOf(StreamGap),
    /// Mend what makes it unreadable first.
    Unreadable(Unreadable),
    /// It does not say where it belongs.
    Unknown,
}

/// A rule's letters name their target; what was received in vain goes back to the queue it was
/// received from; the relay's own letters have no way back, but for being announced.
fn remedy(source: Option<&Source>, urls: &BTreeMap<String, String>, letter: &DeadLetter) -> Remedy {
    let target = letter.attributes.get("TARGET_ARN").and_then(MessageAttributeValue::string_value);
    match (target, source, &letter.content) {
        (Some(target), ..) => urls.get(target).cloned().map_or(Remedy::Unknown, Remedy::Send),
        (None, Some(source), _) => Remedy::Send(source.url.clone()),
        (None, None, Content::StreamGap(gap)) => Remedy::AnnounceOrdersOf(gap.clone()),
        (None, None, Content::StreamRecord { .. }) => {
            let record = decode::json::<Box<RawValue>>(&letter.body).map_err(Unreadable::Record);
            match record.and_then(|record| read(&record)) {
                Ok(Some(event)) => Remedy::Announce(Box::new(event)),
                // Of a row that was deleted: the relay does not bury these.
                Ok(None) => Remedy::Unknown,
                Err(reason) => Remedy::Unreadable(reason),
            }
        }
        (None, None, Content::Event { .. } | Content::Unknown { .. }) => Remedy::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ORDER: &str = "0b7c55f2-9d4e-4c6b-8a1f-3e2d7c9014aa";
    const CHARGE: &str = "arn:aws:sqs:eu-central-1:000000000000:amelie-charge";

    fn letter(body: &Value, attributes: &[(&str, &str)]) -> DeadLetter {
        let value = |value| {
            MessageAttributeValue::builder()
                .data_type("String")
                .string_value(value)
                .build()
                .unwrap()
        };
        let attributes =
            attributes.iter().map(|(name, text)| ((*name).to_owned(), value(*text))).collect();
        DeadLetter::of(
            Message::builder()
                .body(body.to_string())
                .set_message_attributes(Some(attributes))
                .build(),
        )
    }

    fn charge() -> Source {
        Source { name: "amelie-charge".to_owned(), url: "http://sqs/amelie-charge".to_owned() }
    }

    fn asked(source: Option<Source>, letter: &DeadLetter) -> Remedy {
        remedy(source.as_ref(), &BTreeMap::from([(CHARGE.to_owned(), charge().url)]), letter)
    }

    fn event() -> Value {
        let metadata = json!({"correlation_id": ORDER});
        json!({"detail-type": "order.reserved", "detail": {"metadata": metadata, "data": {"order_id": ORDER}}})
    }

    fn record(total: &Value) -> Value {
        let at = "2026-11-24T08:00:00.000Z";
        let order = json!({
            "order_id": ORDER, "customer_id": "camille", "location": "paris", "location_name": "Amélie Paris",
            "time_zone": "Europe/Paris", "status": "placed", "revision": 1, "payment": "none", "total": total,
            "currency": "EUR", "placed_at": at, "pickup_at": at, "pickup_day": "2026-11-24",
            "lines": [{"item": "croissant", "name": "Butter croissant", "quantity": 2, "unit_price": 190}],
            "deadline": "2026-11-24T08:15:00Z", "fingerprint": "f",
            "history": [{"revision": 1, "event": "order.placed", "status": "placed", "at": at}]
        });
        let image: serde_dynamo::Item = serde_dynamo::to_item(order).unwrap();
        json!({
            "eventID": "1", "eventName": "INSERT", "awsRegion": "eu-west-3",
            "dynamodb": {
                "ApproximateCreationDateTime": 1_795_000_000.0, "Keys": {"order_id": {"S": ORDER}}, "NewImage": image,
                "SequenceNumber": "1", "SizeBytes": 1, "StreamViewType": "NEW_IMAGE"
            }
        })
    }

    /// What Lambda sends to an on-failure destination, as its documentation shows it.
    fn gap() -> Value {
        json!({
            "requestContext": {
                "requestId": "316aa6d0-8154-xmpl-9af7-85d5f4a6bc81",
                "functionArn": "arn:aws:lambda:eu-central-1:123456789012:function:relay",
                "condition": "RecordAgeExceeded", "approximateInvokeCount": 1
            },
            "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
            "version": "1.0", "timestamp": "2026-11-14T00:13:19.717Z",
            "DDBStreamBatchInfo": {
                "shardId": "shardId-00000001573689847184-864758bb",
                "startSequenceNumber": "800000000003126276362", "endSequenceNumber": "800000000003126276363",
                "approximateArrivalOfFirstRecord": "2026-11-14T00:13:19Z",
                "approximateArrivalOfLastRecord": "2026-11-14T00:13:20Z", "batchSize": 2,
                "streamArn": "arn:aws:dynamodb:eu-central-1:123456789012:table/orders/stream/2026-11-14T00:04:06.388"
            }
        })
    }

    #[test]
    fn an_event_is_read_with_its_order() {
        let letter = letter(&event(), &[]);
        assert_eq!(
            letter.content,
            Content::Event { event_type: "order.reserved".into(), order: Some(ORDER.into()) }
        );
        assert_eq!(letter.order(), Some(ORDER));
    }

    #[test]
    fn what_is_no_event_is_measured_and_not_repeated() {
        assert_eq!(Content::read("pm_card_visa"), Content::Unknown { bytes: 12 });
        assert_eq!(Content::read("[1]"), Content::Unknown { bytes: 3 });
    }

    #[test]
    fn what_a_queue_could_not_handle_goes_back_to_it_readable_or_not() {
        for body in [event(), json!("poison")] {
            assert!(
                matches!(asked(Some(charge()), &letter(&body, &[])), Remedy::Send(url) if url == charge().url)
            );
        }
    }

    #[test]
    fn what_a_rule_could_not_deliver_goes_to_the_target_that_it_names() {
        let refused = letter(
            &event(),
            &[
                ("TARGET_ARN", CHARGE),
                ("ERROR_CODE", "NO_PERMISSIONS"),
                ("ERROR_MESSAGE", "denied"),
            ],
        );
        assert!(matches!(asked(None, &refused), Remedy::Send(url) if url == charge().url));
        assert_eq!(refused.reason().unwrap(), "NO_PERMISSIONS: denied");
        let elsewhere =
            letter(&event(), &[("TARGET_ARN", "arn:aws:sqs:eu-central-1:000000000000:another")]);
        assert!(matches!(asked(None, &elsewhere), Remedy::Unknown));
    }

    #[test]
    fn a_stream_record_that_can_be_read_by_now_is_announced() {
        let buried =
            letter(&record(&json!(380)), &[("reason", "the new image is not an order: much")]);
        let Remedy::Announce(event) = asked(None, &buried) else { panic!("not to be announced") };
        assert_eq!(event.detail.data.order_id.to_string(), ORDER);
        assert_eq!(buried.reason().unwrap(), "the new image is not an order: much");
    }

    #[test]
    fn a_stream_record_that_still_cannot_be_read_is_not_thrown_away() {
        let buried = letter(&record(&json!("much")), &[]);
        assert_eq!(buried.order(), Some(ORDER));
        assert!(matches!(asked(None, &buried), Remedy::Unreadable(_)));
    }

    #[test]
    fn a_place_in_the_stream_tells_when_its_orders_changed() {
        let letter = letter(&gap(), &[]);
        let Remedy::AnnounceOrdersOf(gap) = asked(None, &letter) else {
            panic!("no place in the stream")
        };
        assert_eq!((gap.records, gap.to.duration_since(gap.from).as_secs()), (2, 1));
        assert_eq!(letter.reason().unwrap(), "RecordAgeExceeded");
    }
}
