//! Money that a shop gives back of a paid order: a part of it, or all of it.
//!
//! The order's row holds what was asked for, in the order in which it was asked for. What became of
//! it at the provider is in the payment's row, and comes back as [`RefundState`].

use std::str::FromStr;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::{self, Unprintable};

/// A refund of an order that goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refund {
    /// Its number among the refunds of the order, from 1.
    pub id: u32,
    /// How much is given back, in minor units of the order's currency. Never 0.
    pub amount: u64,
    /// Why, for the customer.
    pub reason: RefundReason,
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

/// The shop's words to the customer about a refund: 1 to 200 characters of [text].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct RefundReason(String);

impl RefundReason {
    /// The length of the longest reason, in characters.
    pub const MAX_LENGTH: usize = 200;

    /// What stands instead of the reason once the order's customer is erased: a shop may have named
    /// them.
    #[must_use]
    pub fn erased() -> Self {
        Self("erased".to_owned())
    }

    /// The reason as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text is not the reason of a refund.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidReason {
    /// It is blank, or has too many characters.
    #[error("must be 1 to {} characters, and not blank", RefundReason::MAX_LENGTH)]
    Length,
    /// A character is not printable.
    #[error(transparent)]
    Unprintable(#[from] Unprintable),
}

impl TryFrom<String> for RefundReason {
    type Error = InvalidReason;

    fn try_from(text: String) -> Result<Self, InvalidReason> {
        if text.trim().is_empty() || text.chars().count() > Self::MAX_LENGTH {
            return Err(InvalidReason::Length);
        }
        text::check(&text)?;
        Ok(Self(text))
    }
}

impl FromStr for RefundReason {
    type Err = InvalidReason;

    fn from_str(text: &str) -> Result<Self, InvalidReason> {
        text.to_owned().try_into()
    }
}

impl From<RefundReason> for String {
    fn from(reason: RefundReason) -> Self {
        reason.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_line_that_says_something() {
        let longest = "é".repeat(RefundReason::MAX_LENGTH);
        for (text, valid) in [
            ("One croissant was burnt", true),
            (longest.as_str(), true),
            (&format!("{longest}!"), false),
            ("", false),
            (" \u{a0}", false),
            ("two\nlines", false),
        ] {
            assert_eq!(text.parse::<RefundReason>().is_ok(), valid, "{text:?}");
        }
    }

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
