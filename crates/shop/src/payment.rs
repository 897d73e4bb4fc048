//! The payment of one order: which intent the order is committed to, and how far that intent got.
//!
//! The provider's own state is the truth about money. The row only ensures that an order never has
//! more than one intent, and records the last state that was seen of it.

use serde::{Deserialize, Deserializer, Serialize, de::Error};

/// The provider's id of an intent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IntentId(String);

impl IntentId {
    /// Wraps an id that the provider assigned.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The id as the provider spells it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What an order's payment is committed to. An order without a row is committed to nothing yet.
///
/// A row holds `state` (the name of the variant, or of the progress), and next to it `intent` and
/// `reason` where they apply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Payment {
    /// The order must never have an intent, because it ended before one was committed. This is the
    /// tombstone that a late charge finds.
    Forbidden,
    /// The order will never have an intent, because the provider refuses to create one for its
    /// amount or its currency, however often it is asked.
    Refused {
        /// The provider's code, such as `amount_too_small`.
        reason: String,
    },
    /// The order has this intent and will never have another.
    // Untagged because `progress` provides the tag.
    #[serde(untagged)]
    Committed {
        /// The order's only intent.
        intent: IntentId,
        /// How far the intent got.
        #[serde(flatten)]
        progress: Progress,
    },
}

/// How far an order's intent got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Progress {
    /// The intent may be confirmed at any time, or has been; the outcome is not known yet.
    Charging,
    /// The customer's money was taken.
    Captured,
    /// The provider declined the charge.
    Declined {
        /// The provider's code, such as `insufficient_funds`.
        reason: String,
    },
    /// The order ended early: the charge is being voided or refunded.
    Undoing,
    /// The intent was cancelled before any money was taken.
    Voided,
    /// The full amount was refunded.
    Refunded,
    /// The provider could not refund the amount.
    RefundFailed {
        /// The provider's code, such as `expired_or_canceled_card`.
        reason: String,
    },
}

/// Reads the row's fields one by one. The variants as they are written could be read as well, but
/// an error would not name the field.
impl<'de> Deserialize<'de> for Payment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Row {
            state: State,
            intent: Option<IntentId>,
            reason: Option<String>,
        }

        #[derive(Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum State {
            Forbidden,
            Refused,
            Charging,
            Captured,
            Declined,
            Undoing,
            Voided,
            Refunded,
            RefundFailed,
        }

        let Row { state, intent, reason } = Row::deserialize(deserializer)?;
        let reason = || reason.ok_or_else(|| D::Error::missing_field("reason"));
        let progress = match state {
            State::Forbidden => return Ok(Self::Forbidden),
            State::Refused => return Ok(Self::Refused { reason: reason()? }),
            State::Charging => Progress::Charging,
            State::Captured => Progress::Captured,
            State::Declined => Progress::Declined { reason: reason()? },
            State::Undoing => Progress::Undoing,
            State::Voided => Progress::Voided,
            State::Refunded => Progress::Refunded,
            State::RefundFailed => Progress::RefundFailed { reason: reason()? },
        };
        let intent = intent.ok_or_else(|| D::Error::missing_field("intent"))?;
        Ok(Self::Committed { intent, progress })
    }
}

/// What can change a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// An unconfirmed intent was created for the order.
    IntentCreated(IntentId),
    /// The provider refused for good to create an intent, with this code.
    Refused(String),
    /// The provider took the money.
    Captured,
    /// The provider declined the charge, with this code.
    Declined(String),
    /// The order ended early, so its charge must be undone.
    UndoRequested,
    /// The provider cancelled the intent before it took any money.
    Voided,
    /// The provider refunded the money.
    Refunded,
    /// The provider could not refund the money, with this code.
    RefundFailed(String),
}

impl Payment {
    /// The payment after `trigger`, or `None` if the trigger does not apply to `current`.
    #[must_use]
    pub fn next(current: Option<&Self>, trigger: Trigger) -> Option<Self> {
        use Payment::{Committed, Forbidden, Refused};
        use Progress::{Captured, Charging, Declined, RefundFailed, Refunded, Undoing, Voided};
        use Trigger as T;

        let on = |intent: &IntentId, progress| Committed { intent: intent.clone(), progress };
        Some(match (current, trigger) {
            (None, T::IntentCreated(intent)) => Committed { intent, progress: Charging },
            (None, T::Refused(reason)) => Refused { reason },
            (None, T::UndoRequested) => Forbidden,
            (Some(Committed { intent, progress: Charging }), T::Captured) => on(intent, Captured),
            (Some(Committed { intent, progress: Charging }), T::Declined(reason)) => {
                on(intent, Declined { reason })
            }
            (Some(Committed { intent, progress: Charging | Captured }), T::UndoRequested) => {
                on(intent, Undoing)
            }
            (Some(Committed { intent, progress: Undoing }), T::Voided) => on(intent, Voided),
            (Some(Committed { intent, progress: Undoing }), T::Refunded) => on(intent, Refunded),
            (Some(Committed { intent, progress: Undoing }), T::RefundFailed(reason)) => {
                on(intent, RefundFailed { reason })
            }
            // A failed refund may be retried, and stays failed until the retry succeeds. If the row
            // went back to undoing, a function that died during the retry would leave it there.
            (Some(Committed { intent, progress: RefundFailed { .. } }), T::Refunded) => {
                on(intent, Refunded)
            }
            _ => return None,
        })
    }

    /// The state's name, as stored in the row's `state`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Forbidden => "forbidden",
            Self::Refused { .. } => "refused",
            Self::Committed { progress, .. } => match progress {
                Progress::Charging => "charging",
                Progress::Captured => "captured",
                Progress::Declined { .. } => "declined",
                Progress::Undoing => "undoing",
                Progress::Voided => "voided",
                Progress::Refunded => "refunded",
                Progress::RefundFailed { .. } => "refund_failed",
            },
        }
    }

    /// The provider's code for a refusal, a decline or a failed refund.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Refused { reason }
            | Self::Committed {
                progress: Progress::Declined { reason } | Progress::RefundFailed { reason },
                ..
            } => Some(reason),
            Self::Committed { .. } | Self::Forbidden => None,
        }
    }

    /// The order's only intent, if it is committed to one.
    #[must_use]
    pub const fn intent(&self) -> Option<&IntentId> {
        match self {
            Self::Forbidden | Self::Refused { .. } => None,
            Self::Committed { intent, .. } => Some(intent),
        }
    }
}

#[cfg(test)]
mod tests;
