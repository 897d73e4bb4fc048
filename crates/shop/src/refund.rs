//! Money that a shop gives back of a paid order: a part of it, or all of it.
//!
//! The order's row holds what was asked for, in the order in which it was asked for. What became of
//! it at the provider is in the payment's row, and comes back as [`RefundState`].

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::reason::Reason;

/// A refund of an order that goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refund {
    /// Its number among the refunds of the order, from 1.
    pub id: u32,
    /// How much is given back, in minor units of the order's currency. Never 0.
    pub amount: u64,
    /// Why, for the customer.
    pub reason: Reason,
    /// When it was asked for first.
    pub requested_at: Timestamp,
    /// How often it was asked for: once, and again after each failure that somebody wants to retry.
    pub attempt: u32,
    /// How far it got.
    pub state: RefundState,
}

/// How far a refund got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RefundState {
    /// The provider has not taken it yet.
    Requested,
    /// The provider has taken it, and the bank has not. That may last for days.
    Pending,
    /// The customer has the money, or will once their bank has booked it.
    Succeeded,
    /// The provider or the bank refuses it.
    Failed,
    /// The order ended before it was made, and all that the customer has paid is given back.
    Covered,
}

/// How far a refund got, according to the payment's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefundReport {
    /// Its number among the refunds of the order.
    pub id: u32,
    /// How often it had been asked for.
    pub attempt: u32,
    /// How far it got.
    pub state: RefundState,
}

impl RefundState {
    /// Whether the amount is given back, or still may be, as a refund of its own.
    #[must_use]
    pub const fn is_live(self) -> bool {
        match self {
            Self::Requested | Self::Pending | Self::Succeeded => true,
            Self::Failed | Self::Covered => false,
        }
    }
}

/// The sum of the refunds that are made or still may be, in minor units.
#[must_use]
pub fn live_amount(refunds: &[Refund]) -> u64 {
    let live = refunds.iter().filter(|refund| refund.state.is_live());
    live.map(|refund| refund.amount).sum()
}

/// Whether a version is 0, and left out of its row.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it")]
pub(crate) const fn is_zero(version: &u32) -> bool {
    *version == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_or_is_covered_is_not_given_back() {
        use RefundState::{Covered, Failed, Pending, Requested, Succeeded};
        let refund = |(id, state)| Refund {
            id,
            amount: 1 << id,
            reason: "burnt".parse().unwrap(),
            requested_at: Timestamp::UNIX_EPOCH,
            attempt: 1,
            state,
        };
        let all = [Requested, Pending, Succeeded, Failed, Covered];
        let refunds: Vec<_> = (1..).zip(all).map(refund).collect();
        assert_eq!(live_amount(&refunds), 2 + 4 + 8);
    }
}
