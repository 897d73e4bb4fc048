//! Stripe's documented test payment methods, and the results of charging and refunding them.

use super::disputes::DisputeStatus;

/// A test card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Card {
    pub(super) charge: Charge,
    pub(super) refund: Refunding,
    /// The dispute that its customer begins as soon as it is charged, and why.
    pub(super) dispute: Option<(DisputeStatus, &'static str)>,
}

/// The result of charging the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Charge {
    Succeeds,
    Declines(Decline),
    /// The bank requires the customer to authenticate (3-D Secure) first, and may decline all the
    /// same.
    NeedsAuthentication(Option<Decline>),
}

/// The result of a refund to the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refunding {
    Succeeds,
    /// Pending in the answer and when it is looked at first, succeeded afterwards.
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

/// The failure of a payment that the customer could not or did not want to authenticate.
pub(super) const AUTHENTICATION_FAILED: Decline = Decline {
    code: "payment_intent_authentication_failure",
    decline_code: None,
    message: "The provided PaymentMethod has failed authentication. You can provide \
              payment_method_data or a new PaymentMethod to attempt to fulfill this PaymentIntent \
              again.",
};

/// Every test card, by the end of its payment method's name. Stripe documents the declining cards
/// with the brand as well: `pm_card_visa_chargeDeclined`.
const CARDS: &[(&str, Charge)] = {
    use Charge::{NeedsAuthentication, Succeeds};
    &[
        ("visa", Succeeds),
        ("visa_debit", Succeeds),
        ("mastercard", Succeeds),
        ("mastercard_debit", Succeeds),
        ("mastercard_prepaid", Succeeds),
        ("amex", Succeeds),
        ("discover", Succeeds),
        ("diners", Succeeds),
        ("jcb", Succeeds),
        ("unionpay", Succeeds),
        ("us", Succeeds),
        ("de", Succeeds),
        ("fr", Succeeds),
        ("gb", Succeeds),
        ("jp", Succeeds),
        ("amex_threeDSecureNotSupported", Succeeds),
        ("threeDSecureOptional", Succeeds),
        (PENDING_REFUND, Succeeds),
        (REFUND_FAIL, Succeeds),
        (DISPUTE, Succeeds),
        (DISPUTE_NOT_RECEIVED, Succeeds),
        (DISPUTE_INQUIRY, Succeeds),
        ("chargeDeclined", declined("generic_decline", DECLINED)),
        ("chargeCustomerFail", declined("generic_decline", DECLINED)),
        ("chargeDeclinedInsufficientFunds", declined("insufficient_funds", NO_FUNDS_MESSAGE)),
        ("chargeDeclinedLostCard", declined("lost_card", DECLINED)),
        ("chargeDeclinedStolenCard", declined("stolen_card", DECLINED)),
        (
            "chargeDeclinedVelocityLimitExceeded",
            declined(
                "card_velocity_exceeded",
                "Your card was declined for making repeated attempts too frequently or exceeding \
                 its amount limit.",
            ),
        ),
        ("chargeDeclinedFraudulent", declined("fraudulent", DECLINED)),
        ("radarBlock", declined("fraudulent", DECLINED)),
        ("chargeDeclinedExpiredCard", failed("expired_card", "Your card has expired.")),
        (
            "chargeDeclinedIncorrectCvc",
            failed("incorrect_cvc", "Your card's security code is incorrect."),
        ),
        (
            "chargeDeclinedProcessingError",
            failed(
                "processing_error",
                "An error occurred while processing your card. Try again in a little bit.",
            ),
        ),
        ("threeDSecureOptionalProcessingError", Succeeds),
        ("threeDSecureRequiredProcessingError", declined("generic_decline", DECLINED)),
        ("authenticationRequired", NeedsAuthentication(None)),
        ("authenticationRequiredOnSetup", NeedsAuthentication(None)),
        // Only payments without the customer need no authentication.
        ("authenticationRequiredSetupForOffSession", NeedsAuthentication(None)),
        ("threeDSecureRequired", NeedsAuthentication(None)),
        ("threeDSecure2Required", NeedsAuthentication(None)),
        ("authenticationRequiredChargeDeclinedInsufficientFunds", NeedsAuthentication(NO_FUNDS)),
        ("threeDSecureRequiredChargeDeclined", NeedsAuthentication(REFUSED)),
    ]
};

const PENDING_REFUND: &str = "pendingRefund";
const REFUND_FAIL: &str = "refundFail";
const DISPUTE: &str = "createDispute";
const DISPUTE_NOT_RECEIVED: &str = "createDisputeProductNotReceived";
const DISPUTE_INQUIRY: &str = "createDisputeInquiry";

/// The beginning of the name of every test payment method.
const PREFIX: &str = "pm_card_";

impl Card {
    /// The card behind a test payment method, such as `pm_card_visa`.
    pub(super) fn named(token: &str) -> Option<Self> {
        let name = token.strip_prefix(PREFIX)?;
        let name = name
            .strip_prefix("visa_")
            .filter(|rest| rest.starts_with("chargeDeclined"))
            .unwrap_or(name);
        let (name, charge) = CARDS.iter().find(|(known, _)| *known == name)?;
        let refund = match *name {
            PENDING_REFUND => Refunding::StartsPending,
            REFUND_FAIL => Refunding::FailsLater,
            _ => Refunding::Succeeds,
        };
        let dispute = match *name {
            DISPUTE => Some((DisputeStatus::NeedsResponse, "fraudulent")),
            DISPUTE_NOT_RECEIVED => Some((DisputeStatus::NeedsResponse, "product_not_received")),
            DISPUTE_INQUIRY => Some((DisputeStatus::WarningNeedsResponse, "fraudulent")),
            _ => None,
        };
        Some(Self { charge: *charge, refund, dispute })
    }
}

const DECLINED: &str = "Your card was declined.";
const NO_FUNDS_MESSAGE: &str = "Your card has insufficient funds.";

const NO_FUNDS: Option<Decline> = Some(by_bank("insufficient_funds", NO_FUNDS_MESSAGE));
const REFUSED: Option<Decline> = Some(by_bank("generic_decline", DECLINED));

/// A decline by the bank, whose reason is the decline code.
const fn by_bank(decline_code: &'static str, message: &'static str) -> Decline {
    Decline { code: "card_declined", decline_code: Some(decline_code), message }
}

const fn declined(decline_code: &'static str, message: &'static str) -> Charge {
    Charge::Declines(by_bank(decline_code, message))
}

/// A failure whose reason is the error code itself.
const fn failed(code: &'static str, message: &'static str) -> Charge {
    Charge::Declines(Decline { code, decline_code: None, message })
}

#[cfg(test)]
mod tests {
    use shop::decline::DeclineReason;

    use super::*;

    /// What becomes of an order that is paid for with a card, as the documents put it.
    fn outcome(card: Card) -> String {
        match card.dispute.map(|(status, _)| status.is_inquiry()) {
            Some(true) => {
                return "confirmed; its customer's bank asks about it, and refunds are possible"
                    .to_owned();
            }
            Some(false) => {
                return "confirmed and disputed: `payment` is `disputed`, and nothing is refunded"
                    .to_owned();
            }
            None => {}
        }
        let code = match (card.charge, card.refund) {
            (Charge::Succeeds, Refunding::Succeeds) => return "confirmed".to_owned(),
            (Charge::Succeeds, Refunding::StartsPending) => {
                return "confirmed; a refund takes a moment, then `payment` is `refunded`"
                    .to_owned();
            }
            (Charge::Succeeds, Refunding::FailsLater) => {
                return "confirmed; a refund fails: `payment` is `refund_failed`".to_owned();
            }
            (Charge::Declines(decline), _) => decline.decline_code.unwrap_or(decline.code),
            (Charge::NeedsAuthentication(None), _) => {
                return "confirmed once its customer has authenticated; rejected with \
                        `authentication_failed` if that fails, expired if they leave"
                    .to_owned();
            }
            (Charge::NeedsAuthentication(Some(decline)), _) => {
                let code = decline.decline_code.unwrap_or(decline.code);
                return format!(
                    "rejected with `{}` once its customer has authenticated",
                    DeclineReason::from_provider_code(code).as_str()
                );
            }
        };
        let reason = DeclineReason::from_provider_code(code).as_str();
        if reason == code {
            format!("rejected, `{reason}`")
        } else {
            format!("rejected, `{reason}`; to operators `{code}`")
        }
    }

    #[test]
    fn the_documents_name_every_card_and_what_becomes_of_its_order() {
        let mut rows: Vec<(String, Vec<&str>)> = Vec::new();
        for (name, _) in CARDS {
            let outcome = outcome(Card::named(&format!("{PREFIX}{name}")).unwrap());
            match rows.iter_mut().find(|(known, _)| *known == outcome) {
                Some((_, names)) => names.push(name),
                None => rows.push((outcome, vec![name])),
            }
        }
        let rows = rows.into_iter().map(|(outcome, names)| {
            let names: Vec<_> = names.iter().map(|name| format!("`{PREFIX}{name}`")).collect();
            format!("| {} | {outcome} |\n", names.join(", "))
        });
        let table =
            format!("| payment method | the order is |\n|---|---|\n{}", rows.collect::<String>());
        let document = include_str!("../../../../docs/testing.md");
        assert!(document.contains(&table), "docs/testing.md needs this table:\n\n{table}");
    }

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
