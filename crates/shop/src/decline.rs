//! What a customer may know about a declined payment.

use schemars::JsonSchema;
use serde::Serialize;

/// Why a payment was declined, as mail and API show it to the customer.
///
/// The order's row and events keep the provider's own code for operators. A customer sees only the
/// reasons that they can do something about, as the provider
/// [recommends](https://docs.stripe.com/declines/codes): the holder of a stolen card must not learn
/// that the theft was reported, nor a thief how a fraud was recognized. What is not listed here, as
/// a code that the provider has added since, is not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(description = "Why a payment was declined, as far as a customer may know it.")]
pub enum DeclineReason {
    /// The account has too little money, or its limit is used up.
    InsufficientFunds,
    /// The card has expired.
    ExpiredCard,
    /// The number, expiry date, security code, PIN or postal code is wrong.
    IncorrectCardDetails,
    /// The card cannot be used for this kind of payment, or in this currency.
    CardNotSupported,
    /// The bank or the provider could not process the payment; a new order may succeed.
    TryAgainLater,
    /// The bank asks the customer to authenticate the payment, and the shop does not let them.
    AuthenticationRequired,
    /// The customer's bank did not accept how they authenticated the payment.
    AuthenticationFailed,
    /// The provider does not know the payment method, or cannot charge it.
    PaymentMethodUnusable,
    /// The provider charges no amount as small as the order's total.
    AmountTooSmall,
    /// The provider charges no amount as large as the order's total.
    AmountTooLarge,
    /// The shop cannot take payments in its currency at this time.
    CurrencyNotAccepted,
    /// Too many payments of the customer were declined within the last hour.
    TooManyDeclines,
    /// Any other reason.
    GenericDecline,
}

impl DeclineReason {
    /// Every reason.
    pub const ALL: [Self; 13] = [
        Self::InsufficientFunds,
        Self::ExpiredCard,
        Self::IncorrectCardDetails,
        Self::CardNotSupported,
        Self::TryAgainLater,
        Self::AuthenticationRequired,
        Self::AuthenticationFailed,
        Self::PaymentMethodUnusable,
        Self::AmountTooSmall,
        Self::AmountTooLarge,
        Self::CurrencyNotAccepted,
        Self::TooManyDeclines,
        Self::GenericDecline,
    ];

    /// The reason that a customer may know for the provider's `code`.
    #[must_use]
    pub fn from_provider_code(code: &str) -> Self {
        match code {
            "insufficient_funds" | "withdrawal_count_limit_exceeded" => Self::InsufficientFunds,
            "expired_card" => Self::ExpiredCard,
            "incorrect_address"
            | "incorrect_cvc"
            | "incorrect_number"
            | "incorrect_pin"
            | "incorrect_zip"
            | "invalid_cvc"
            | "invalid_expiry_month"
            | "invalid_expiry_year"
            | "invalid_number"
            | "invalid_pin" => Self::IncorrectCardDetails,
            "card_not_supported" | "currency_not_supported" => Self::CardNotSupported,
            "issuer_not_available"
            | "processing_error"
            | "reenter_transaction"
            | "try_again_later" => Self::TryAgainLater,
            "authentication_required" => Self::AuthenticationRequired,
            "payment_intent_authentication_failure" => Self::AuthenticationFailed,
            "payment_method_unusable" => Self::PaymentMethodUnusable,
            "amount_too_small" => Self::AmountTooSmall,
            "amount_too_large" => Self::AmountTooLarge,
            "currency_not_accepted" => Self::CurrencyNotAccepted,
            "too_many_declines" => Self::TooManyDeclines,
            _ => Self::GenericDecline,
        }
    }

    /// The reason's name, as the API spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InsufficientFunds => "insufficient_funds",
            Self::ExpiredCard => "expired_card",
            Self::IncorrectCardDetails => "incorrect_card_details",
            Self::CardNotSupported => "card_not_supported",
            Self::TryAgainLater => "try_again_later",
            Self::AuthenticationRequired => "authentication_required",
            Self::AuthenticationFailed => "authentication_failed",
            Self::PaymentMethodUnusable => "payment_method_unusable",
            Self::AmountTooSmall => "amount_too_small",
            Self::AmountTooLarge => "amount_too_large",
            Self::CurrencyNotAccepted => "currency_not_accepted",
            Self::TooManyDeclines => "too_many_declines",
            Self::GenericDecline => "generic_decline",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reason_has_one_name() {
        for reason in DeclineReason::ALL {
            assert_eq!(json!(reason), reason.as_str());
        }
    }

    #[test]
    fn a_customer_learns_the_reasons_that_they_can_do_something_about() {
        use DeclineReason::{
            AmountTooLarge, AmountTooSmall, AuthenticationRequired, CardNotSupported,
            CurrencyNotAccepted, ExpiredCard, IncorrectCardDetails, InsufficientFunds,
            PaymentMethodUnusable, TryAgainLater,
        };
        for (code, reason) in [
            ("insufficient_funds", InsufficientFunds),
            ("withdrawal_count_limit_exceeded", InsufficientFunds),
            ("expired_card", ExpiredCard),
            ("incorrect_cvc", IncorrectCardDetails),
            ("invalid_expiry_year", IncorrectCardDetails),
            ("currency_not_supported", CardNotSupported),
            ("processing_error", TryAgainLater),
            ("authentication_required", AuthenticationRequired),
            ("payment_method_unusable", PaymentMethodUnusable),
            ("amount_too_small", AmountTooSmall),
            ("amount_too_large", AmountTooLarge),
            ("currency_not_accepted", CurrencyNotAccepted),
        ] {
            assert_eq!(DeclineReason::from_provider_code(code), reason, "{code}");
        }
    }

    #[test]
    fn a_customer_does_not_learn_any_other_reason() {
        for code in [
            "stolen_card",
            "lost_card",
            "fraudulent",
            "merchant_blacklist",
            "pickup_card",
            "restricted_card",
            "security_violation",
            "do_not_honor",
            "highest_risk_level",
            "a_code_of_next_year",
            "Insufficient_Funds",
            "",
        ] {
            let reason = DeclineReason::from_provider_code(code);
            assert_eq!(reason, DeclineReason::GenericDecline, "{code}");
        }
    }
}
