//! How long things may take before they are wrong.

use jiff::SignedDuration;

/// The time that queues and functions need in addition to all retries.
const MARGIN: SignedDuration = SignedDuration::from_mins(5);

/// How long things may take, by the parameters of a stack.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long after its placing an order that is not confirmed expires.
    pub confirm_within: SignedDuration,
    /// How long it may take to undo the payment of an order that ended early, unless an attempt is
    /// given up.
    pub undo_within: SignedDuration,
}

impl Limits {
    /// The limits of a stack in which an order that is not confirmed expires after
    /// `confirm_within`, and messages of the refund queue and of the results queue are retried for
    /// these many seconds.
    #[must_use]
    pub fn new(confirm_within: i64, refund_budget: i64, results_budget: i64) -> Self {
        // An undo and its event are retried one after the other, and each wait may be up to a
        // quarter longer than the schedule says.
        let budgets = refund_budget + results_budget;
        Self {
            confirm_within: SignedDuration::from_secs(confirm_within),
            undo_within: SignedDuration::from_secs(budgets + budgets / 4) + MARGIN,
        }
    }
}
