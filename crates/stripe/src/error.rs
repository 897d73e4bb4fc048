//! Errors of the client. None of them holds what was sent: that may be a key or a payment method.

use reqwest::StatusCode;

use crate::wire::ErrorDetail;

/// Why a client could not be built.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("the payment provider's URL must be absolute, such as https://api.stripe.com")]
    Url,
    #[error(
        "the page to which customers return after authentication must be an absolute URL, such as \
         https://amelie.example/orders"
    )]
    ReturnUrl,
    #[error(
        "the payment provider's API key must be one line of visible ASCII characters; \
         store it as the plain text of its secret"
    )]
    ApiKey,
    #[error("no HTTPS client can be built for the payment provider")]
    Tls(#[source] reqwest::Error),
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Whether the call took effect is unknown. Repeat it later.
    #[error("the payment provider is unavailable; repeat the call later")]
    Unavailable(#[from] Unavailable),
    /// The API key is invalid, or may not make this call.
    #[error(
        "the payment provider rejects the API key; \
         store a valid one in the provider's secret and repeat the call"
    )]
    Unauthorized,
    /// The call is wrong and will fail the same way when repeated.
    #[error(
        "the payment provider refuses the request \
         (status {status}, code {}, parameter {}, request id {}); \
         look the request up in the provider's log",
        or_none(code),
        or_none(param),
        or_none(request_id)
    )]
    Refused {
        status: u16,
        /// The provider's code, such as `amount_too_small`.
        code: Option<String>,
        /// The parameter that the provider objects to.
        param: Option<String>,
        /// The provider's id of the request.
        request_id: Option<String>,
    },
}

impl Error {
    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::Unauthorized => true,
            Self::Refused { .. } => false,
        }
    }

    /// Why no intent can be created for this amount or in this currency, if that is what the
    /// provider says: its code, or `currency_not_accepted`, for which it has none.
    ///
    /// An allow-list, because an order is rejected for it: never for a revoked key, nor for a
    /// request that this client got wrong, such as one without a currency.
    #[must_use]
    pub fn unchargeable(&self) -> Option<&'static str> {
        let Self::Refused { status: 400, code, param, .. } = self else { return None };
        match (code.as_deref(), param.as_deref()) {
            // The minimum is that of the settlement currency, at a rate that nobody else knows.
            (Some("amount_too_small"), _) => Some("amount_too_small"),
            (Some("amount_too_large"), _) => Some("amount_too_large"),
            // "Invalid currency": the account does not take it.
            (None, Some("currency")) => Some("currency_not_accepted"),
            _ => None,
        }
    }

    /// Why a part of an intent will never be refunded, if that is what the provider says: its code,
    /// or `amount_exceeds_charge`, for which it has none.
    #[must_use]
    pub fn unrefundable(&self) -> Option<&'static str> {
        let Self::Refused { status: 400, code, param, .. } = self else { return None };
        match (code.as_deref(), param.as_deref()) {
            (Some("charge_already_refunded"), _) => Some("charge_already_refunded"),
            (None, Some("amount")) => Some("amount_exceeds_charge"),
            _ => None,
        }
    }

    /// Whether nothing can be refunded because the customer disputes the payment, or the bank has
    /// decided that for them.
    #[must_use]
    pub fn is_dispute(&self) -> bool {
        self.code() == Some("charge_disputed")
    }

    /// Whether our account at the provider has too little money for a refund, which may take days
    /// to change.
    #[must_use]
    pub fn awaits_balance(&self) -> bool {
        matches!(self.code(), Some("balance_insufficient" | "insufficient_funds"))
    }

    /// Whether the provider does not know what the request is about, such as an intent.
    #[must_use]
    pub const fn is_unknown(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => code.as_deref(),
            Self::Unavailable(_) | Self::Unauthorized => None,
        }
    }

    /// Whether the provider would repeat this answer to the same idempotency key, although another
    /// try may succeed.
    #[must_use]
    pub const fn sticks_to_name(&self) -> bool {
        matches!(self, Self::Unavailable(Unavailable::Failed(_)))
    }
}

fn or_none(text: &Option<String>) -> &str {
    text.as_deref().unwrap_or("none")
}

/// Why the provider gave no usable answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    #[error("the request timed out")]
    TimedOut,
    #[error("the connection failed")]
    Disconnected,
    /// Status 409 or 429: rate limited, or at work on the same intent or idempotency key.
    #[error("it is busy (status {0})")]
    Busy(u16),
    /// Status 5xx.
    #[error("it failed (status {0})")]
    Failed(u16),
    /// A successful answer in an unknown form.
    #[error("its answer cannot be parsed")]
    Unreadable,
}

/// Keeps only the kind of the error: its text would name the URL.
impl From<reqwest::Error> for Unavailable {
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            Self::TimedOut
        } else if error.is_decode() {
            Self::Unreadable
        } else {
            Self::Disconnected
        }
    }
}

/// Why one request has no result.
pub(crate) enum Failure {
    Unanswered(Unavailable),
    Refused(Refusal),
}

impl Failure {
    /// Whether another attempt within the call may succeed.
    pub(crate) fn is_retryable(&self) -> bool {
        match self {
            Self::Unanswered(_) => true,
            Self::Refused(refusal) => {
                refusal.unavailable().is_some() || refusal.is_idempotency_error()
            }
        }
    }

    /// Whether the connection may be dead.
    pub(crate) fn blames_connection(&self) -> bool {
        matches!(self, Self::Unanswered(Unavailable::TimedOut | Unavailable::Disconnected))
    }

    /// Whether the idempotency key must change before the next attempt. The provider replays an
    /// answered failure for the same key. A key whose answer was lost is kept: this is the case
    /// that keys are for.
    pub(crate) fn invalidates_key(&self) -> bool {
        match self {
            Self::Unanswered(_) => false,
            Self::Refused(refusal) => {
                refusal.status.is_server_error() || refusal.is_idempotency_error()
            }
        }
    }
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        Self::Unanswered(error.into())
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let refusal = match failure {
            Failure::Unanswered(unavailable) => return unavailable.into(),
            Failure::Refused(refusal) => refusal,
        };
        if let Some(unavailable) = refusal.unavailable() {
            return unavailable.into();
        }
        match refusal.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Self::Unauthorized,
            status => Self::Refused {
                status: status.as_u16(),
                code: refusal.error.code,
                param: refusal.error.param,
                request_id: refusal.request_id,
            },
        }
    }
}

/// An answer with an error status.
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) error: ErrorDetail,
    pub(crate) request_id: Option<String>,
}

impl Refusal {
    fn unavailable(&self) -> Option<Unavailable> {
        match self.status.as_u16() {
            status @ (409 | 429) => Some(Unavailable::Busy(status)),
            status @ 500.. => Some(Unavailable::Failed(status)),
            _ => None,
        }
    }

    /// The idempotency key was first used with other parameters, which another version of this
    /// client may have sent.
    fn is_idempotency_error(&self) -> bool {
        self.error.kind.as_deref() == Some("idempotency_error")
    }

    pub(crate) fn is_unexpected_state(&self) -> bool {
        self.error.code.as_deref() == Some("payment_intent_unexpected_state")
    }

    pub(crate) fn is_already_refunded(&self) -> bool {
        self.error.code.as_deref() == Some("charge_already_refunded")
    }

    /// Whether the card was declined, or the payment method is unknown, used up or otherwise unfit.
    pub(crate) fn blames_payment_method(&self) -> bool {
        let ErrorDetail { kind, code, param, .. } = &self.error;
        self.status.is_client_error()
            && (kind.as_deref() == Some("card_error")
                || param.as_deref() == Some("payment_method")
                || code.as_deref().is_some_and(|code| code.starts_with("payment_method_")))
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    fn refused(code: Option<&str>) -> Error {
        Error::Refused {
            status: 400,
            code: code.map(str::to_owned),
            param: Some("amount".to_owned()),
            request_id: None,
        }
    }

    #[test]
    fn only_a_refused_request_is_permanent() {
        assert!(Error::from(Unavailable::TimedOut).is_transient());
        assert!(Error::Unauthorized.is_transient());
        assert!(!refused(None).is_transient());
    }

    #[test]
    fn only_an_amount_or_a_currency_is_unchargeable() {
        let refused = |status, code: Option<&str>, param: &str| Error::Refused {
            status,
            code: code.map(str::to_owned),
            param: Some(param.to_owned()),
            request_id: None,
        };
        for (status, code, param, reason) in [
            (400, Some("amount_too_small"), "amount", Some("amount_too_small")),
            (400, Some("amount_too_large"), "amount", Some("amount_too_large")),
            (400, None, "currency", Some("currency_not_accepted")),
            // This client's own mistakes.
            (400, Some("parameter_missing"), "currency", None),
            (400, Some("parameter_invalid_integer"), "amount", None),
            (400, Some("parameter_unknown"), "curency", None),
            (400, None, "amount", None),
            (400, Some("a_code_of_next_year"), "currency", None),
            // Not Stripe's answer to a request that it has read.
            (404, Some("amount_too_small"), "amount", None),
            (402, None, "currency", None),
        ] {
            let error = refused(status, code, param);
            assert_eq!(error.unchargeable(), reason, "{error}");
        }
        assert_eq!(Error::Unauthorized.unchargeable(), None);
        assert_eq!(Error::from(Unavailable::Failed(500)).unchargeable(), None);
    }

    #[test]
    fn an_error_names_its_cause_once() {
        let error = Error::from(Unavailable::Busy(429));
        let source = error.source().unwrap().to_string();
        assert_eq!(source, "it is busy (status 429)");
        assert!(!error.to_string().contains(&source));
    }

    #[test]
    fn a_refused_request_is_described_by_what_the_provider_said() {
        assert_eq!(
            refused(Some("amount_too_small")).to_string(),
            "the payment provider refuses the request \
             (status 400, code amount_too_small, parameter amount, request id none); \
             look the request up in the provider's log"
        );
    }
}
