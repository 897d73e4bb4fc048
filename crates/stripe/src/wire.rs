//! Stripe's JSON, as far as the client reads it.

use serde::Deserialize;
use shop::payment::IntentId;

use crate::intent::{Intent, IntentStatus, Refund};

/// The decline code for an intent without a payment method: the one that the customer chose is
/// unknown to the provider, used up, or another customer's.
const UNUSABLE: &str = "payment_method_unusable";

#[derive(Deserialize)]
pub(crate) struct WireIntent {
    pub(crate) id: IntentId,
    status: WireIntentStatus,
    last_payment_error: Option<ErrorDetail>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum WireIntentStatus {
    RequiresPaymentMethod,
    RequiresConfirmation,
    RequiresAction,
    Processing,
    Succeeded,
    Canceled,
}

impl From<WireIntent> for Intent {
    fn from(wire: WireIntent) -> Self {
        let status = match wire.status {
            WireIntentStatus::RequiresPaymentMethod => IntentStatus::Declined(
                wire.last_payment_error
                    .map_or_else(|| UNUSABLE.to_owned(), ErrorDetail::decline_reason),
            ),
            WireIntentStatus::RequiresConfirmation => IntentStatus::Unconfirmed,
            WireIntentStatus::RequiresAction => {
                IntentStatus::Declined("authentication_required".to_owned())
            }
            WireIntentStatus::Processing => IntentStatus::Processing,
            WireIntentStatus::Succeeded => IntentStatus::Succeeded,
            WireIntentStatus::Canceled => IntentStatus::Cancelled,
        };
        Self { id: wire.id, status }
    }
}

/// The refunds of one intent, newest first.
#[derive(Deserialize)]
pub(crate) struct WireRefunds {
    data: Vec<WireRefund>,
}

#[derive(Deserialize)]
pub(crate) struct WireRefund {
    status: WireRefundStatus,
    failure_reason: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WireRefundStatus {
    Pending,
    RequiresAction,
    Succeeded,
    Failed,
    Canceled,
}

impl WireRefunds {
    /// The outcome of refunding the full amount, or `None` without any refund.
    ///
    /// The newest refund decides: the money of a failed one is back on our account, and a later one
    /// tried again.
    pub(crate) fn outcome(self) -> Option<Refund> {
        use WireRefundStatus::{Canceled, Failed, Pending, RequiresAction, Succeeded};
        if self.data.iter().any(|refund| matches!(refund.status, Pending | RequiresAction)) {
            return Some(Refund::Pending);
        }
        let newest = self.data.into_iter().next()?;
        Some(match newest.status {
            Pending | RequiresAction => Refund::Pending,
            Succeeded => Refund::Succeeded,
            Failed | Canceled => Refund::Failed {
                reason: newest.failure_reason.unwrap_or_else(|| "unknown".to_owned()),
            },
        })
    }
}

/// The body of an answer with an error status.
#[derive(Deserialize)]
pub(crate) struct WireError {
    pub(crate) error: ErrorDetail,
}

/// Stripe's error object without its message, which may repeat what was sent, such as a payment
/// method.
#[derive(Default, Deserialize)]
pub(crate) struct ErrorDetail {
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) code: Option<String>,
    decline_code: Option<String>,
    pub(crate) param: Option<String>,
}

impl ErrorDetail {
    /// Why a charge was declined: the bank's code where Stripe's own is only `card_declined`.
    pub(crate) fn decline_reason(self) -> String {
        match (self.code.as_deref(), self.decline_code) {
            (Some("resource_missing"), _) => UNUSABLE.to_owned(),
            (Some("card_declined") | None, Some(reason)) => reason,
            (Some(code), _) => code.to_owned(),
            (None, None) => UNUSABLE.to_owned(),
        }
    }
}
