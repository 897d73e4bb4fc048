//! Dead letters and their queues, in words.

use std::time::Duration;

use crate::{
    dead_letters::{Content, DeadLetter, DeadLetterQueue},
    output::moment,
};

/// How long to wait for letters that another consumer holds. Consumers of dead letters are tools
/// like this one, which hold them for a second or two.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);

/// Where the messages of a dead-letter queue come from.
pub(super) fn origin(queue: &DeadLetterQueue) -> String {
    match (&queue.source, &*queue.name) {
        (Some(source), _) => format!("the queue {}", source.name),
        (None, "relay") => "order-relay, and the stream of orders".to_owned(),
        (None, "rule") => "the rules of the event bus".to_owned(),
        (None, _) => "nothing in this stack".to_owned(),
    }
}

/// The content of a letter. Unknown content is not repeated, because it may be confidential.
pub(super) fn summary(letter: &DeadLetter) -> String {
    let order = |order: &Option<String>| {
        order.as_ref().map_or_else(|| "names no order".to_owned(), |order| format!("order {order}"))
    };
    match &letter.content {
        Content::Event { event_type, order: about } => format!("{event_type}  {}", order(about)),
        Content::StreamRecord { order: about } => {
            format!("a record of the stream  {}", order(about))
        }
        Content::StreamGap(gap) => format!(
            "{} records of the stream, written from {} to {}",
            gap.records,
            moment(gap.from),
            moment(gap.to)
        ),
        Content::Unknown { bytes, order: about } => {
            format!("{bytes} bytes that are not an event  {}", order(about))
        }
    }
}

/// How a letter came into its queue.
pub(super) fn arrival(letter: &DeadLetter) -> String {
    match letter.given_up_after {
        Some(receives) => {
            format!("sent {}, given up after {receives} receives", moment(letter.sent))
        }
        None => format!("sent to this queue {}", moment(letter.sent)),
    }
}

/// Advice about letters that another consumer may hold.
pub(super) fn missed(count: u64) -> String {
    format!(
        "about {count} more may be there, held by another consumer: run `cargo ops dlq list` in \
         two minutes"
    )
}
