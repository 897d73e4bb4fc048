//! The Notices table: one row per order, with the last revision that its customer was notified of.

use serde::{Deserialize, Serialize};

/// The key: the order's id.
pub const KEY: &str = "order_id";

/// The attribute with the [`Outcome`] of the last notice.
pub const OUTCOME: &str = "outcome";

/// What became of a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was sent.
    Sent,
    /// It was dropped, because it came too late to help.
    TooLate,
    /// It was dropped, because the customer has not confirmed their address.
    Unverified,
    /// It was dropped, because the account is deleted or has no address.
    NoAddress,
}

impl Outcome {
    /// The outcome's name, as the row spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::TooLate => "too_late",
            Self::Unverified => "unverified",
            Self::NoAddress => "no_address",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_has_one_name() {
        use Outcome::{NoAddress, Sent, TooLate, Unverified};
        for outcome in [Sent, TooLate, Unverified, NoAddress] {
            assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.as_str());
        }
    }
}
