//! Stripe's JSON, as far as the client reads it.

use serde::{Deserialize, Deserializer, de};
use shop::{authentication::AuthenticationUrl, payment::IntentId};

use crate::intent::{Intent, IntentStatus, Refund};

/// The decline code for an intent without a payment method: the one that the customer chose is
/// unknown to the provider, used up, or another customer's.
const UNUSABLE: &str = "payment_method_unusable";

#[derive(Deserialize)]
pub(crate) struct WireIntent {
    #[serde(deserialize_with = "intent_id")]
    pub(crate) id: IntentId,
    status: WireIntentStatus,
    last_payment_error: Option<ErrorDetail>,
    next_action: Option<NextAction>,
}

/// What the customer has to do before the payment goes on.
#[derive(Deserialize)]
struct NextAction {
    redirect_to_url: Option<Redirect>,
}

#[derive(Deserialize)]
struct Redirect {
    url: AuthenticationUrl,
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
    /// `requires_capture`, or a status that was added later.
    #[serde(untagged)]
    Other(String),
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
                match wire.next_action.and_then(|action| action.redirect_to_url) {
                    Some(redirect) => IntentStatus::AuthenticationRequired(redirect.url),
                    // Something else than a page to go to, which this client does not ask for.
                    None => IntentStatus::Declined("authentication_required".to_owned()),
                }
            }
            WireIntentStatus::Processing => IntentStatus::Processing,
            WireIntentStatus::Succeeded => IntentStatus::Succeeded,
            WireIntentStatus::Canceled => IntentStatus::Cancelled,
            WireIntentStatus::Other(status) => IntentStatus::Other(cut(&status)),
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
    #[serde(default, deserialize_with = "code")]
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
    #[serde(rename = "type", default, deserialize_with = "code")]
    pub(crate) kind: Option<String>,
    #[serde(default, deserialize_with = "code")]
    pub(crate) code: Option<String>,
    #[serde(default, deserialize_with = "code")]
    decline_code: Option<String>,
    #[serde(default, deserialize_with = "code")]
    pub(crate) param: Option<String>,
}

/// The length of the longest code that is kept, in characters. Codes end up in rows, events and log
/// lines; the provider's own have at most half of that.
pub(crate) const MAX_CODE: usize = 100;

/// Reads a code of the provider, and cuts one that is too long.
pub(crate) fn code<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let code: Option<String> = Option::deserialize(deserializer)?;
    Ok(code.as_deref().map(cut))
}

fn cut(code: &str) -> String {
    code.chars().take(MAX_CODE).collect()
}

/// The length of the longest id of an intent, as the provider documents it.
const MAX_ID: usize = 255;

/// Reads the id of an intent.
pub(crate) fn intent_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IntentId, D::Error> {
    let id = IntentId::deserialize(deserializer)?;
    if (1..=MAX_ID).contains(&id.as_str().len()) {
        Ok(id)
    } else {
        Err(de::Error::custom(format_args!("must be 1 to {MAX_ID} characters")))
    }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_code_is_cut_after_100_characters() {
        let error = |code: &str| {
            let error = json!({"code": "card_declined", "decline_code": code});
            serde_json::from_value::<ErrorDetail>(error).unwrap().decline_reason()
        };
        assert_eq!(error("insufficient_funds"), "insufficient_funds");
        assert_eq!(error(&"é".repeat(5_000)), "é".repeat(100));
    }

    #[test]
    fn every_status_of_an_intent_is_read_and_an_unknown_one_is_kept_as_it_is() {
        let status = |status: &str| {
            let intent = json!({"id": "pi_1", "status": status});
            Intent::from(serde_json::from_value::<WireIntent>(intent).unwrap()).status
        };
        for (documented, read) in [
            ("requires_payment_method", IntentStatus::Declined(UNUSABLE.to_owned())),
            ("requires_confirmation", IntentStatus::Unconfirmed),
            ("requires_action", IntentStatus::Declined("authentication_required".to_owned())),
            ("processing", IntentStatus::Processing),
            ("requires_capture", IntentStatus::Other("requires_capture".to_owned())),
            ("canceled", IntentStatus::Cancelled),
            ("succeeded", IntentStatus::Succeeded),
        ] {
            assert_eq!(status(documented), read);
        }
        assert_eq!(status("asks_the_moon"), IntentStatus::Other("asks_the_moon".to_owned()));
        assert_eq!(status(&"é".repeat(5_000)), IntentStatus::Other("é".repeat(100)));
    }

    #[test]
    fn an_intents_id_has_1_to_255_characters() {
        let intent = |id: &str| {
            serde_json::from_value::<WireIntent>(json!({"id": id, "status": "succeeded"})).is_ok()
        };
        assert!(intent("pi_1") && intent(&"p".repeat(255)));
        assert!(!intent("") && !intent(&"p".repeat(256)));
    }
}
