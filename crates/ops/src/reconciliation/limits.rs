//! How long things may take before they are wrong.

use jiff::SignedDuration;
use stack::Deployment;

use crate::error::Error;

/// The time that queues and functions need in addition to all retries.
const MARGIN: SignedDuration = SignedDuration::from_mins(5);

/// How long things may take, by the parameters of a stack.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How long after its placing an order that is not confirmed expires.
    pub(crate) confirm_within: SignedDuration,
    /// How long it may take to undo the payment of an order that ended early, unless an attempt is
    /// given up.
    pub(crate) undo_within: SignedDuration,
}

impl Limits {
    pub(crate) fn of(deployment: &Deployment) -> Result<Self, Error> {
        // An undo and its event are retried one after the other, and each wait may be up to a
        // quarter longer than the schedule says.
        let refund = seconds(deployment, "RefundRetryBudgetSeconds")?;
        let budgets = refund + seconds(deployment, "RetryBudgetSeconds")?;
        Ok(Self {
            confirm_within: SignedDuration::from_secs(seconds(deployment, "ConfirmWithinSeconds")?),
            undo_within: SignedDuration::from_secs(budgets + budgets / 4) + MARGIN,
        })
    }
}

fn seconds(deployment: &Deployment, parameter: &str) -> Result<i64, Error> {
    Ok(deployment.parameter(parameter)?.parse().unwrap_or_default())
}
