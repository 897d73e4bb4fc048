//! A message of a dead-letter queue.

use std::collections::HashMap;

use aws_sdk_sqs::types::{Message, MessageAttributeValue, MessageSystemAttributeName};
use jiff::Timestamp;
use serde_json::Value;
use shop::id::OrderId;
use tables::orders;

use super::record;

/// The attribute with the ARN of the queue to which a rule could not deliver an event.
const TARGET_ARN: &str = "TARGET_ARN";

/// The attribute with the reason why the relay gave a record up.
const REASON: &str = "reason";

/// A message of a dead-letter queue.
#[derive(Clone, Debug)]
pub(crate) struct DeadLetter {
    /// The id of the message. It is the same as in the queue that the message comes from, and in
    /// the log lines about it.
    pub(crate) id: String,
    /// After how many receives SQS moved it here, if it comes from a queue. How often SQS counts it
    /// as received since then only says how often somebody looked.
    pub(crate) given_up_after: Option<u32>,
    /// When it was first sent.
    pub(crate) sent: Timestamp,
    pub(crate) content: Content,
    pub(super) body: String,
    pub(super) receipt: String,
    pub(super) attributes: HashMap<String, MessageAttributeValue>,
}

/// The content of a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// An event of the bus.
    Event {
        /// Its detail type.
        event_type: String,
        /// The id of its order, if it has one.
        order: Option<String>,
    },
    /// A record of the stream of orders that the relay could not read.
    StreamRecord {
        /// The key of its row.
        order: Option<String>,
    },
    /// A part of the stream of orders whose records were given up and are lost.
    StreamGap(StreamGap),
    /// Anything else.
    Unknown {
        /// Its length in bytes.
        bytes: usize,
        /// The id of the order that it names.
        order: Option<String>,
    },
}

/// A part of the stream of orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StreamGap {
    /// Why Lambda gave the records up.
    pub(crate) condition: String,
    /// The number of records.
    pub(crate) records: u64,
    /// When the first of them was written.
    pub(crate) from: Timestamp,
    /// When the last of them was written.
    pub(crate) to: Timestamp,
}

impl DeadLetter {
    /// A message of a dead-letter queue to which a queue sends what was received `max_receives`
    /// times.
    pub(crate) fn of(message: Message, max_receives: Option<u32>) -> Self {
        let system = message.attributes.unwrap_or_default();
        let moment = |name| {
            let at = system.get(&name).and_then(|at| at.parse().ok()).filter(|at| *at > 0);
            at.and_then(|at| Timestamp::from_millisecond(at).ok())
        };
        let was_moved = system.contains_key(&MessageSystemAttributeName::DeadLetterQueueSourceArn);
        let body = message.body.unwrap_or_default();
        Self {
            id: message.message_id.unwrap_or_default(),
            given_up_after: max_receives.filter(|_| was_moved),
            sent: moment(MessageSystemAttributeName::SentTimestamp).unwrap_or_default(),
            content: Content::parse(&body),
            body,
            receipt: message.receipt_handle.unwrap_or_default(),
            attributes: message.message_attributes.unwrap_or_default(),
        }
    }

    /// The id of its order as it is written in the letter.
    pub(crate) fn order(&self) -> Option<&str> {
        match &self.content {
            Content::Event { order, .. }
            | Content::StreamRecord { order, .. }
            | Content::Unknown { order, .. } => order.as_deref(),
            Content::StreamGap(_) => None,
        }
    }

    /// Whether its contents hold a text.
    pub(crate) fn mentions(&self, text: &str) -> bool {
        self.body.contains(text)
    }

    /// Its contents, without what is confidential.
    pub(crate) fn record(&self) -> String {
        record::shown(&self.body)
    }

    /// The ARN of the queue to which a rule could not deliver it.
    pub(super) fn target(&self) -> Option<&str> {
        self.attribute(TARGET_ARN)
    }

    /// The reason for its failure, if the letter itself contains it.
    pub(crate) fn reason(&self) -> Option<String> {
        let (code, message) = (self.attribute("ERROR_CODE"), self.attribute("ERROR_MESSAGE"));
        match (self.attribute(REASON), code, message, &self.content) {
            (Some(reason), ..) => Some(reason.to_owned()),
            (None, Some(code), Some(message), _) => Some(format!("{code}: {message}")),
            (None, Some(reason), None, _) | (None, None, Some(reason), _) => {
                Some(reason.to_owned())
            }
            (None, None, None, Content::StreamGap(gap)) => Some(gap.condition.clone()),
            _ => None,
        }
    }

    fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).and_then(MessageAttributeValue::string_value)
    }
}

impl Content {
    pub(super) fn parse(body: &str) -> Self {
        let unknown = Self::Unknown { bytes: body.len(), order: named_order(body) };
        let Ok(message) = serde_json::from_str::<Value>(body) else {
            return unknown;
        };
        if let Some(event_type) = text(&message["detail-type"]) {
            let detail = &message["detail"];
            let order = text(&detail["metadata"]["correlation_id"])
                .or_else(|| text(&detail["data"]["order_id"]))
                .or_else(|| named_order(body));
            return Self::Event { event_type, order };
        }
        if message["dynamodb"].is_object() {
            let order = text(&message["dynamodb"]["Keys"][orders::KEY]["S"]);
            let order = order.or_else(|| named_order(body));
            return Self::StreamRecord { order };
        }
        StreamGap::parse(&message).map_or(unknown, Self::StreamGap)
    }
}

impl StreamGap {
    /// Parses what Lambda sends to an on-failure destination.
    fn parse(message: &Value) -> Option<Self> {
        let batch = &message["DDBStreamBatchInfo"];
        let moment = |value: &Value| value.as_str()?.parse().ok();
        Some(Self {
            condition: text(&message["requestContext"]["condition"]).unwrap_or_default(),
            records: batch["batchSize"].as_u64().unwrap_or_default(),
            from: moment(&batch["approximateArrivalOfFirstRecord"])?,
            to: moment(&batch["approximateArrivalOfLastRecord"])?,
        })
    }
}

/// The id of the order that a text names somewhere, even if it is torn or has another form.
fn named_order(body: &str) -> Option<String> {
    const MEMBERS: [&str; 2] = [orders::KEY, "correlation_id"];
    /// What may stand between the name of a member and its value, such as `": {"S": "`.
    const BETWEEN: usize = 16;
    const LENGTH: usize = 36;
    let named = MEMBERS
        .into_iter()
        .flat_map(|member| body.match_indices(member).map(|(at, _)| &body[at + member.len()..]));
    let mut ids = named.flat_map(|rest| {
        (0..BETWEEN).filter_map(|at| rest.get(at..at + LENGTH)?.parse::<OrderId>().ok())
    });
    ids.next().map(|id| id.to_string())
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}
