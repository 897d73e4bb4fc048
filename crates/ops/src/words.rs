//! The project's and the provider's terms, explained where an operator meets them.

use shop::{
    decline::DeclineReason,
    dispute::{Dispute, DisputeState},
    payment::{Payment, Progress},
};

/// What the state of a payment means.
pub(crate) fn payment(payment: &Payment) -> &'static str {
    let progress = match payment {
        Payment::Forbidden => {
            return "the order ended before a charge began, and none may begin any more";
        }
        Payment::Refused { .. } => return "no money was taken",
        Payment::Committed { progress, .. } => progress,
    };
    match progress {
        Progress::Charging => "the charge was begun, and its outcome is not known yet",
        Progress::Authenticating => {
            "the bank asks the customer to authenticate the payment; their order shows the page"
        }
        Progress::Captured => "the money was taken",
        Progress::Declined { .. } => "no money was taken",
        Progress::Undoing => "the order ended early, and its charge is being voided or refunded",
        Progress::Voided => "the charge was cancelled before it took any money",
        Progress::Refunded => "the money was given back",
        Progress::RefundFailed { .. } => "the money could not be given back",
    }
}

/// What a dispute of the payment means for its order.
pub(crate) fn dispute(dispute: Dispute) -> String {
    match dispute.state {
        DisputeState::Inquiry => {
            "its customer's bank asks about the payment: answer it in the \
                                  provider's dashboard, or give the money back"
        }
        DisputeState::Open => {
            "its customer disputes the payment, and the bank has taken the money \
                               back: answer it in the provider's dashboard, and give nothing back \
                               meanwhile"
        }
        DisputeState::Won => "its customer disputed the payment, and the bank decided for the shop",
        DisputeState::Lost => "its customer disputed the payment, and the bank gave them the money",
        DisputeState::Closed => "its customer's bank asked about the payment, and took nothing",
    }
    .to_owned()
}

/// Why a charge was declined, by the provider's code.
pub(crate) fn decline(code: &str) -> &'static str {
    match code {
        "lost_card" | "stolen_card" | "pickup_card" => {
            "the card was reported lost or stolen; the customer only learns that it was declined"
        }
        "fraudulent" | "merchant_blacklist" | "highest_risk_level" | "security_violation" => {
            "the payment looks like fraud; the customer only learns that it was declined"
        }
        "cancelled" => "the payment was cancelled at the provider by hand",
        _ => match DeclineReason::from_provider_code(code) {
            DeclineReason::InsufficientFunds => "the account has too little money",
            DeclineReason::ExpiredCard => "the card has expired",
            DeclineReason::IncorrectCardDetails => "the details of the card are wrong",
            DeclineReason::CardNotSupported => "the card cannot be used for this payment",
            DeclineReason::TryAgainLater => "the bank or the provider could not process it",
            DeclineReason::AuthenticationRequired => {
                "the bank asks the customer to authenticate the payment, which needs the parameter \
                 AuthenticationReturnUrl"
            }
            DeclineReason::AuthenticationFailed => {
                "the customer's bank did not accept how they authenticated the payment"
            }
            DeclineReason::PaymentMethodUnusable => "the payment method cannot be charged",
            DeclineReason::AmountTooSmall => {
                "the total is below the provider's minimum in our settlement currency"
            }
            DeclineReason::AmountTooLarge => "the total is above the provider's maximum",
            DeclineReason::CurrencyNotAccepted => {
                "our account at the provider does not take the currency of the shop"
            }
            DeclineReason::TooManyDeclines => {
                "too many payments of the customer were declined lately, so that the provider was \
                 not asked"
            }
            DeclineReason::GenericDecline => "the bank gave no reason",
        },
    }
}

/// What can be done after a charge was declined, by the provider's code.
pub(crate) fn after_decline(code: &str) -> &'static str {
    match DeclineReason::from_provider_code(code) {
        DeclineReason::AmountTooSmall => "The customer can order more at once",
        DeclineReason::AmountTooLarge => "The customer can order less at once",
        DeclineReason::CurrencyNotAccepted => {
            "Nobody can pay this shop until the provider's dashboard enables its currency"
        }
        DeclineReason::TooManyDeclines => {
            "The customer can order again once the declines are older than DeclineWindowSeconds"
        }
        DeclineReason::InsufficientFunds
        | DeclineReason::ExpiredCard
        | DeclineReason::IncorrectCardDetails
        | DeclineReason::CardNotSupported
        | DeclineReason::TryAgainLater
        | DeclineReason::AuthenticationRequired
        | DeclineReason::AuthenticationFailed
        | DeclineReason::PaymentMethodUnusable
        | DeclineReason::GenericDecline => {
            "The customer can order again with another payment method"
        }
    }
}

/// Why a refund failed, by the provider's code.
pub(crate) fn refund_failure(code: &str) -> &'static str {
    match code {
        "expired_or_canceled_card" => "the card has expired or was cancelled since",
        "lost_or_stolen_card" => "the card was reported lost or stolen since",
        "insufficient_funds" => "our account at the provider has too little money",
        "charge_for_pending_refund_disputed" => "the customer disputes the charge at their bank",
        "declined" => "the bank refused it",
        "charge_already_refunded" => "all of the charge was refunded before",
        "charge_disputed" => "the customer disputes the charge at their bank",
        "amount_exceeds_charge" => "less than that is left of the charge",
        "merchant_request" => "somebody cancelled it at the provider",
        _ => "the provider gave no reason",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_explained_whether_the_customer_may_know_it_or_not() {
        assert_eq!(decline("insufficient_funds"), "the account has too little money");
        assert!(decline("stolen_card").contains("lost or stolen"));
        assert_eq!(decline("a_code_of_next_year"), "the bank gave no reason");
        assert!(refund_failure("expired_or_canceled_card").contains("expired"));
        assert_eq!(refund_failure("a_code_of_next_year"), "the provider gave no reason");
    }
}
