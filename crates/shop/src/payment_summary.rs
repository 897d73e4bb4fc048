//! What has become of the money of an order, in one word.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    dispute::DisputeState,
    order::{Order, PaymentStatus},
    refund::RefundState,
};

/// What happened to the customer's money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "PaymentStatus")]
pub enum PaymentSummary {
    /// No money was taken.
    None,
    /// No money is taken before the customer has authenticated the payment on the page at
    /// `authentication_url`, before `deadline`.
    AuthenticationRequired,
    /// The full amount was taken.
    Captured,
    /// The charge was voided before it took anything.
    Voided,
    /// A part of the amount was refunded: `refunds`.
    PartlyRefunded,
    /// The full amount was refunded.
    Refunded,
    /// The provider could not refund what is owed, so staff have to.
    RefundFailed,
    /// The customer disputes the payment: their bank has taken the money back for now, and nothing
    /// is refunded before it has decided.
    Disputed,
    /// The bank has decided a dispute for the customer, and has given them the money.
    ChargedBack,
}

impl PaymentSummary {
    /// Every summary.
    pub const ALL: [Self; 9] = [
        Self::None,
        Self::AuthenticationRequired,
        Self::Captured,
        Self::Voided,
        Self::PartlyRefunded,
        Self::Refunded,
        Self::RefundFailed,
        Self::Disputed,
        Self::ChargedBack,
    ];

    /// The summary of an order's payment status, its refunds, its dispute and its authentication.
    #[must_use]
    pub fn of(order: &Order) -> Self {
        match order.dispute.map(|dispute| dispute.state) {
            Some(DisputeState::Open) => return Self::Disputed,
            Some(DisputeState::Lost) => return Self::ChargedBack,
            Some(DisputeState::Inquiry | DisputeState::Won | DisputeState::Closed) | None => {}
        }
        match order.payment {
            PaymentStatus::None if order.authentication_url.is_some() => {
                Self::AuthenticationRequired
            }
            PaymentStatus::None => Self::None,
            PaymentStatus::Voided => Self::Voided,
            PaymentStatus::Refunded => Self::Refunded,
            PaymentStatus::RefundFailed => Self::RefundFailed,
            PaymentStatus::Captured => Self::captured(order),
        }
    }

    fn captured(order: &Order) -> Self {
        let is_given = |state| matches!(state, RefundState::Pending | RefundState::Succeeded);
        let given = order.refunds.iter().filter(|refund| is_given(refund.state));
        let given: u64 = given.map(|refund| refund.amount).sum();
        if order.has_failed_refund() {
            Self::RefundFailed
        } else if given == order.total {
            Self::Refunded
        } else if given > 0 {
            Self::PartlyRefunded
        } else {
            Self::Captured
        }
    }
}
