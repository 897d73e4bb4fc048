//! The archive of the bus: what it took, for a replay.

use std::{cell::RefCell, rc::Rc};

use jiff::Timestamp;

use crate::transport::{message::EventTag, topology::TOPOLOGY};

/// An event as it passed the bus.
#[derive(Clone, Debug)]
pub(crate) struct Passed {
    pub(crate) at: Timestamp,
    pub(crate) source: &'static str,
    pub(crate) event: EventTag,
    /// The whole envelope.
    pub(crate) body: Rc<str>,
}

/// The events that have passed the bus, except for those that the template leaves out.
#[derive(Debug, Default)]
pub(crate) struct Archive(RefCell<Vec<Passed>>);

impl Archive {
    pub(crate) fn add(&self, passed: Passed) {
        if TOPOLOGY.is_archived(&passed.event.detail_type) {
            self.0.borrow_mut().push(passed);
        }
    }

    /// The events that passed the bus from `from` to `to`.
    pub(crate) fn between(&self, from: Timestamp, to: Timestamp) -> Vec<Passed> {
        let time = from..=to;
        self.0.borrow().iter().filter(|passed| time.contains(&passed.at)).cloned().collect()
    }
}
