//! Disputes: what a customer's bank does with a charge, and what the merchant answers.

use serde::{Deserialize, Serialize};

/// The state of a dispute. The `warning` states are those of an inquiry, which moves no money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisputeStatus {
    WarningNeedsResponse,
    WarningUnderReview,
    WarningClosed,
    NeedsResponse,
    UnderReview,
    /// The bank has decided for the merchant.
    Won,
    /// The bank has decided for the customer, who has the money.
    Lost,
}

impl DisputeStatus {
    /// Whether it is decided.
    pub(super) const fn is_over(self) -> bool {
        matches!(self, Self::WarningClosed | Self::Won | Self::Lost)
    }

    pub(super) const fn is_inquiry(self) -> bool {
        matches!(self, Self::WarningNeedsResponse | Self::WarningUnderReview | Self::WarningClosed)
    }

    /// Whether the charge cannot be refunded.
    pub(super) const fn blocks_refunds(self) -> bool {
        matches!(self, Self::NeedsResponse | Self::UnderReview | Self::Lost)
    }

    /// The state after the merchant has answered with this evidence, of which Stripe documents two
    /// texts that decide at once.
    pub(super) fn answered(self, evidence: &str) -> Self {
        match (evidence, self.is_inquiry()) {
            ("winning_evidence", true) => Self::WarningClosed,
            ("winning_evidence", false) => Self::Won,
            ("losing_evidence", false) => Self::Lost,
            (_, true) => Self::WarningUnderReview,
            (_, false) => Self::UnderReview,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Dispute {
    pub(super) id: String,
    pub(super) intent: String,
    pub(super) charge: String,
    pub(super) amount: u64,
    pub(super) currency: String,
    pub(super) reason: &'static str,
    pub(super) status: DisputeStatus,
    pub(super) created: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_decides_a_dispute_and_only_closes_an_inquiry() {
        use DisputeStatus::{
            Lost, NeedsResponse, UnderReview, WarningClosed, WarningNeedsResponse,
            WarningUnderReview, Won,
        };
        for (before, evidence, after) in [
            (NeedsResponse, "winning_evidence", Won),
            (NeedsResponse, "losing_evidence", Lost),
            (NeedsResponse, "the receipt", UnderReview),
            (WarningNeedsResponse, "winning_evidence", WarningClosed),
            (WarningNeedsResponse, "losing_evidence", WarningUnderReview),
        ] {
            assert_eq!(before.answered(evidence), after, "{evidence}");
        }
    }
}
