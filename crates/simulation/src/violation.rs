//! The rules of the system, and violations of them.

use std::fmt;

/// What must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Every accepted order reaches an end or `confirmed` and beyond. None is stuck, and no message
    /// is lost or left over.
    I1,
    /// A customer has paid exactly once for a confirmed order, and net zero for every other.
    I2,
    /// Held stock is never above capacity, and equals the quantities of all live orders.
    I3,
    /// The same idempotency key gives the same order, and is refused with another body.
    I4,
    /// A customer is notified of each state that concerns them, in order, once.
    I5,
    /// Nothing is reserved or charged from the deadline on.
    Deadline,
    /// An order is accepted for a time when its shop is open and can have made it, expires by then,
    /// and is not cancelled by its customer from then on.
    Pickup,
    /// Every published event was committed before.
    Commit,
    /// After an outage, an order waits about as long as the outage lasted.
    Wait,
    /// A charge is asked for again with one copy of its message, and never at or after its
    /// deadline.
    Ask,
    /// A customer whose bank asks them to authenticate is told so, and shown the page no longer
    /// than the order can be paid.
    Authentication,
    /// The provider is not asked for a payment while too many of its customer's are open or
    /// declined.
    Limit,
    /// A tombstone outlives every message that it has to stop.
    Tombstone,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A rule that did not hold in a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The rule.
    pub rule: Rule,
    /// What was seen that contradicts it.
    pub what: String,
}

impl Violation {
    pub(crate) fn new(rule: Rule, what: impl Into<String>) -> Self {
        Self { rule, what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.what)
    }
}
