//! Disputes: a customer asks their bank to take a payment back, and the bank decides who keeps it.
//!
//! Only the provider knows of a dispute. Nobody here begins, answers or ends one: the shop answers
//! it in the provider's dashboard.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// All disputes of a payment in one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Dispute {
    /// The state of the dispute that matters most.
    pub state: DisputeState,
    /// The sum of the disputes in that state, in minor units of the order's currency.
    pub amount: u64,
}

/// How far a dispute got. Those that matter more come later.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum DisputeState {
    /// It ended before the bank took any money.
    Closed,
    /// The bank has decided for the shop, which has the money again.
    Won,
    /// The bank only asks. The money may still be given back, which ends it.
    Inquiry,
    /// The bank has decided for the customer, who has the money.
    Lost,
    /// The bank has taken the money and has not decided.
    Open,
}

impl DisputeState {
    /// Whether nothing may be given back: the customer would get the money twice.
    #[must_use]
    pub const fn blocks_refunds(self) -> bool {
        matches!(self, Self::Open | Self::Lost)
    }

    /// Whether it is decided, for good.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Closed | Self::Won | Self::Lost)
    }
}

impl Dispute {
    /// Summarizes disputes: the state that matters most, with the sum of the amounts in that state.
    /// `None` for no disputes.
    #[must_use]
    pub fn summary(disputes: impl IntoIterator<Item = Self>) -> Option<Self> {
        disputes.into_iter().reduce(|summary, next| {
            let Self { state, amount } = next;
            match state.cmp(&summary.state) {
                std::cmp::Ordering::Less => summary,
                std::cmp::Ordering::Equal => Self { state, amount: summary.amount + amount },
                std::cmp::Ordering::Greater => next,
            }
        })
    }

    /// What the customer has got back by it for good, in minor units.
    #[must_use]
    pub const fn lost(self) -> u64 {
        match self.state {
            DisputeState::Lost => self.amount,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dispute(state: DisputeState, amount: u64) -> Dispute {
        Dispute { state, amount }
    }

    #[test]
    fn of_several_disputes_the_one_that_matters_most_counts() {
        use DisputeState::{Closed, Lost, Open, Won};
        assert_eq!(Dispute::summary([]), None);
        for (disputes, summary) in [
            (vec![dispute(Won, 380)], dispute(Won, 380)),
            (vec![dispute(Won, 380), dispute(Open, 190)], dispute(Open, 190)),
            (vec![dispute(Lost, 100), dispute(Won, 380), dispute(Lost, 90)], dispute(Lost, 190)),
            (vec![dispute(Lost, 100), dispute(Closed, 380)], dispute(Lost, 100)),
        ] {
            assert_eq!(Dispute::summary(disputes), Some(summary));
        }
    }

    #[test]
    fn an_inquiry_lets_money_be_given_back_and_a_lost_dispute_has_given_it_back() {
        use DisputeState::{Closed, Inquiry, Lost, Open, Won};
        let blocks = [Closed, Won, Inquiry, Lost, Open].map(DisputeState::blocks_refunds);
        assert_eq!(blocks, [false, false, false, true, true]);
        let lost = [Open, Won, Lost].map(|state| dispute(state, 380).lost());
        assert_eq!(lost, [0, 0, 380]);
    }
}
