//! Stripe's documented test payment methods, and the results of charging and refunding them.

/// A test card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Card {
    pub(super) charge: Charge,
    pub(super) refund: Refunding,
}

/// The result of charging the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Charge {
    Succeeds,
    Declines(Decline),
    /// The bank requires the customer to authenticate (3-D Secure) first.
    NeedsAuthentication,
}

/// The result of a refund to the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refunding {
    Succeeds,
    /// Pending in the answer, succeeded afterwards.
    StartsPending,
    /// Succeeded in the answer, failed afterwards.
    FailsLater,
}

/// Why a charge was declined, in Stripe's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decline {
    pub(super) code: &'static str,
    pub(super) decline_code: Option<&'static str>,
    pub(super) message: &'static str,
}

/// The decline of a payment that needs authentication while `error_on_requires_action` is set.
pub(super) const NOT_AUTHENTICATED: Decline = Decline {
    code: "authentication_required",
    decline_code: Some("authentication_not_handled"),
    message: "This payment required an authentication action to complete, but \
              `error_on_requires_action` was set. When you're ready, you can upgrade your \
              integration to handle actions at \
              https://stripe.com/docs/payments/payment-intents/upgrade-to-handle-actions.",
};

impl Card {
    /// The card behind a test payment method, such as `pm_card_visa`.
    pub(super) fn named(token: &str) -> Option<Self> {
        let name = token.strip_prefix("pm_card_")?;
        // Stripe documents the declining cards both with and without the brand.
        let name = name
            .strip_prefix("visa_")
            .filter(|rest| rest.starts_with("chargeDeclined"))
            .unwrap_or(name);

        let refund = match name {
            "pendingRefund" => Refunding::StartsPending,
            "refundFail" => Refunding::FailsLater,
            _ => Refunding::Succeeds,
        };
        let charge = match name {
            "visa"
            | "visa_debit"
            | "mastercard"
            | "mastercard_debit"
            | "mastercard_prepaid"
            | "amex"
            | "discover"
            | "diners"
            | "jcb"
            | "unionpay"
            | "us"
            | "de"
            | "fr"
            | "gb"
            | "jp"
            | "amex_threeDSecureNotSupported"
            | "authenticationRequiredSetupForOffSession"
            | "threeDSecureOptional"
            | "pendingRefund"
            | "refundFail" => Charge::Succeeds,

            "authenticationRequired"
            | "authenticationRequiredOnSetup"
            | "authenticationRequiredChargeDeclinedInsufficientFunds"
            | "threeDSecureRequired"
            | "threeDSecure2Required"
            | "threeDSecureRequiredChargeDeclined"
            | "threeDSecureRequiredProcessingError" => Charge::NeedsAuthentication,

            "chargeDeclined" | "chargeCustomerFail" => declined("generic_decline", DECLINED),
            "chargeDeclinedInsufficientFunds" => {
                declined("insufficient_funds", "Your card has insufficient funds.")
            }
            "chargeDeclinedLostCard" => declined("lost_card", DECLINED),
            "chargeDeclinedStolenCard" => declined("stolen_card", DECLINED),
            "chargeDeclinedVelocityLimitExceeded" => declined(
                "card_velocity_exceeded",
                "Your card was declined for making repeated attempts too frequently or exceeding \
                 its amount limit.",
            ),
            "chargeDeclinedFraudulent" | "radarBlock" => declined("fraudulent", DECLINED),
            "chargeDeclinedExpiredCard" => failed("expired_card", "Your card has expired."),
            "chargeDeclinedIncorrectCvc" => {
                failed("incorrect_cvc", "Your card's security code is incorrect.")
            }
            "chargeDeclinedProcessingError" => failed(
                "processing_error",
                "An error occurred while processing your card. Try again in a little bit.",
            ),
            _ => return None,
        };
        Some(Self { charge, refund })
    }
}

const DECLINED: &str = "Your card was declined.";

/// A decline by the bank, whose reason is the decline code.
const fn declined(decline_code: &'static str, message: &'static str) -> Charge {
    Charge::Declines(Decline { code: "card_declined", decline_code: Some(decline_code), message })
}

/// A failure whose reason is the error code itself.
const fn failed(code: &'static str, message: &'static str) -> Charge {
    Charge::Declines(Decline { code, decline_code: None, message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declining_card_is_known_with_and_without_its_brand() {
        let plain = Card::named("pm_card_chargeDeclinedInsufficientFunds");
        assert!(plain.is_some());
        assert_eq!(plain, Card::named("pm_card_visa_chargeDeclinedInsufficientFunds"));
    }

    #[test]
    fn an_invented_payment_method_is_not_a_card() {
        for token in ["pm_card_", "pm_card_visa_visa", "pm_card_visa_fr", "visa", "pm_1PgaX", ""] {
            assert_eq!(Card::named(token), None, "{token}");
        }
    }
}
