//! What a message is about.

use std::rc::Rc;

use shop::id::OrderId;

#[derive(Clone, Debug)]
pub(crate) enum Content {
    Event(EventTag),
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
            Content::Poison => None,
        }
    }
}
