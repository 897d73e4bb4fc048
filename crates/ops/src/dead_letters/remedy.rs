//! What can be done with a dead letter.

use std::collections::BTreeMap;

use order_relay::handler::{Unreadable, read};
use platform::decode;
use serde_json::value::RawValue;
use shop::{
    event::{InventoryEvent, OrderEvent, PaymentEvent},
    intent_changed::IntentChanged,
};

use super::letter::{Content, DeadLetter, StreamGap};

/// What can be done with a dead letter.
#[derive(Debug)]
pub(crate) enum Remedy {
    /// Send it to the queue with this URL.
    Send(String),
    /// Discard it, since no consumer of the queue with this URL reads it.
    Discard(String),
    /// Publish the event that it stands for.
    Publish(Box<OrderEvent>),
    /// Publish the last events of the orders that changed in this part of the stream.
    PublishOrdersOf(StreamGap),
    /// Correct first why it cannot be read.
    Unreadable(Unreadable),
    /// Nothing, because it does not say where it belongs.
    Unknown,
}

impl Remedy {
    /// Finds the remedy for a letter.
    ///
    /// A letter of a rule names its target. A message that a function failed to process goes back
    /// to `source`, the URL of the queue that it comes from. The relay's letters do not come from
    /// a queue, so their events are published instead.
    ///
    /// `urls` has the URLs of all queues of the stack by ARN.
    pub(super) fn of(
        letter: &DeadLetter,
        source: Option<&str>,
        urls: &BTreeMap<String, String>,
    ) -> Self {
        let send = |url: &str| {
            let url = url.to_owned();
            if is_readable(&letter.body) { Self::Send(url) } else { Self::Discard(url) }
        };
        match (letter.target(), source, &letter.content) {
            (Some(target), ..) => urls.get(target).map_or(Self::Unknown, |url| send(url)),
            (None, Some(source), _) => send(source),
            (None, None, Content::StreamGap(gap)) => Self::PublishOrdersOf(gap.clone()),
            (None, None, Content::StreamRecord { .. }) => Self::of_stream_record(&letter.body),
            (None, None, Content::Event { .. } | Content::Unknown { .. }) => Self::Unknown,
        }
    }

    fn of_stream_record(body: &str) -> Self {
        let record = decode::json::<Box<RawValue>>(body).map_err(Unreadable::Record);
        match record.and_then(|record| read(&record)) {
            Ok(Some(event)) => Self::Publish(Box::new(event)),
            // A deleted row. The relay does not make dead letters of these.
            Ok(None) => Self::Unknown,
            Err(reason) => Self::Unreadable(reason),
        }
    }
}

/// Whether this version reads the text as an event of one of the sources, or as a message about an
/// intent.
fn is_readable(body: &str) -> bool {
    decode::json::<OrderEvent>(body).is_ok()
        || decode::json::<InventoryEvent>(body).is_ok()
        || decode::json::<PaymentEvent>(body).is_ok()
        || decode::json::<IntentChanged>(body).is_ok()
}
