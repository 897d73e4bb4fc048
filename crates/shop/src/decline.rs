//! What a customer may know about a declined payment.

/// Why a payment was declined, as mail and API show it to the customer.
///
/// The order's row and events keep the provider's own code for operators. A customer sees only the
/// reasons that they can do something about: the holder of a stolen card must not learn that the
/// theft was reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeclineReason {
    /// The account has too little money.
    InsufficientFunds,
    /// The card has expired.
    ExpiredCard,
    /// The bank asks the customer to authenticate the payment, which this system cannot do.
    AuthenticationRequired,
    /// The provider does not know the payment method, or cannot charge it.
    PaymentMethodUnusable,
    /// Any other reason.
    GenericDecline,
}

impl DeclineReason {
    /// Every reason.
    pub const ALL: [Self; 5] = [
        Self::InsufficientFunds,
        Self::ExpiredCard,
        Self::AuthenticationRequired,
        Self::PaymentMethodUnusable,
        Self::GenericDecline,
    ];

    /// The reason that a customer may know for the provider's `code`.
    #[must_use]
    pub fn from_provider_code(code: &str) -> Self {
        Self::ALL.into_iter().find(|reason| reason.as_str() == code).unwrap_or(Self::GenericDecline)
    }

    /// The reason's name in the API: the provider's code for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InsufficientFunds => "insufficient_funds",
            Self::ExpiredCard => "expired_card",
            Self::AuthenticationRequired => "authentication_required",
            Self::PaymentMethodUnusable => "payment_method_unusable",
            Self::GenericDecline => "generic_decline",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customer_learns_the_reasons_that_they_can_do_something_about() {
        for reason in DeclineReason::ALL {
            assert_eq!(DeclineReason::from_provider_code(reason.as_str()), reason);
        }
    }

    #[test]
    fn a_customer_does_not_learn_any_other_reason() {
        for code in ["stolen_card", "lost_card", "fraudulent", "pickup_card", "cancelled", ""] {
            let reason = DeclineReason::from_provider_code(code);
            assert_eq!(reason, DeclineReason::GenericDecline, "{code}");
        }
    }
}
