//! What a message is about.

use std::rc::Rc;

use serde_json::Value;
use shop::id::OrderId;

#[derive(Clone, Debug)]
pub(crate) enum Content {
    Event(EventTag),
    /// Something has happened to an intent.
    Intent,
    /// Something that the queue should not carry.
    Poison,
}

/// An event's type and subject.
#[derive(Clone, Debug)]
pub(crate) struct EventTag {
    pub(crate) detail_type: Rc<str>,
    pub(crate) order: OrderId,
    /// The order's revision, which only its own events have.
    pub(crate) revision: Option<u32>,
}

impl EventTag {
    /// The tag of an event from its envelope, or from its entry as the bus gets it.
    pub(crate) fn of(envelope: &Value) -> Self {
        let detail = &envelope["detail"];
        let order = serde_json::from_value(detail["metadata"]["correlation_id"].clone());
        let revision = detail["data"]["revision"].as_u64();
        Self {
            detail_type: envelope["detail-type"].as_str().expect("a detail-type").into(),
            order: order.expect("an order"),
            revision: revision.and_then(|revision| u32::try_from(revision).ok()),
        }
    }
}

/// A message in a queue or among its dead letters.
#[derive(Clone, Debug)]
pub(crate) struct QueuedMessage {
    /// The queue's logical id in the template.
    pub(crate) queue: &'static str,
    pub(crate) body: Rc<str>,
    pub(crate) content: Content,
}

impl QueuedMessage {
    /// The event, unless it is poison.
    pub(crate) fn event(&self) -> Option<&EventTag> {
        match &self.content {
            Content::Event(tag) => Some(tag),
            Content::Intent | Content::Poison => None,
        }
    }
}
