//! Virtual time, which only moves forward.

use std::cell::Cell;

use jiff::{SignedDuration, Timestamp};

/// A Tuesday morning on which the shops are open.
const START: Timestamp = Timestamp::constant(1_795_503_600, 0);

#[derive(Debug)]
pub(crate) struct Clock {
    now: Cell<Timestamp>,
}

impl Default for Clock {
    fn default() -> Self {
        Self { now: Cell::new(START) }
    }
}

impl Clock {
    pub(crate) fn now(&self) -> Timestamp {
        self.now.get()
    }

    /// Moves on to `at`, unless that has passed already.
    pub(crate) fn advance_to(&self, at: Timestamp) {
        self.now.set(self.now().max(at));
    }

    pub(crate) fn advance_by(&self, time: SignedDuration) {
        self.advance_to(self.now() + time);
    }
}
