//! The payment of one order: what has been asked of the provider and what came of it.
//!
//! The provider's own state is the truth about money. This row remembers which intent is the
//! order's, so that there is only ever one, and what was last known of it.

use serde::{Deserialize, Serialize};

/// The provider's id of a charge.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IntentId(String);

impl IntentId {
    /// Takes an id as the provider gave it.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where an order's payment stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Payment {
    /// This intent may take the money.
    Charging {
        /// The order's one intent.
        intent: IntentId,
    },
    /// It has.
    Captured {
        /// The order's one intent.
        intent: IntentId,
    },
    /// The provider declined it.
    Declined {
        /// The order's one intent.
        intent: IntentId,
        /// The provider's code.
        reason: String,
    },
    /// The order ended early: whatever the intent has taken or may take is being undone.
    Undoing {
        /// The order's one intent.
        intent: IntentId,
    },
    /// The order ended before an intent was committed, and none may be: the tombstone that a late
    /// charge finds.
    Forbidden,
    /// The intent was cancelled before it took anything.
    Voided {
        /// The order's one intent.
        intent: IntentId,
    },
    /// All was given back.
    Refunded {
        /// The order's one intent.
        intent: IntentId,
    },
    /// The provider could not give it back.
    RefundFailed {
        /// The order's one intent.
        intent: IntentId,
        /// The provider's code.
        reason: String,
    },
}

/// What can happen to a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// An intent was created for the order; it has taken nothing yet.
    IntentCreated(IntentId),
    /// The provider took the money.
    Captured,
    /// The provider declined, with its code.
    Declined(String),
    /// The order ended early.
    UndoRequested,
    /// The provider cancelled the intent before it took anything.
    Voided,
    /// The provider gave the money back.
    Refunded,
    /// The provider could not give the money back, with its code.
    RefundFailed(String),
}

impl Payment {
    /// What `step` makes of the payment `now`. None when it does not apply (any more): the row
    /// decides.
    #[must_use]
    pub fn after(now: Option<&Self>, step: Step) -> Option<Self> {
        Some(match (now, step) {
            (None, Step::IntentCreated(intent)) => Self::Charging { intent },
            (None, Step::UndoRequested) => Self::Forbidden,
            (Some(Self::Charging { intent }), Step::Captured) => {
                Self::Captured { intent: intent.clone() }
            }
            (Some(Self::Charging { intent }), Step::Declined(reason)) => {
                Self::Declined { intent: intent.clone(), reason }
            }
            (Some(Self::Charging { intent } | Self::Captured { intent }), Step::UndoRequested) => {
                Self::Undoing { intent: intent.clone() }
            }
            (Some(Self::Undoing { intent }), Step::Voided) => {
                Self::Voided { intent: intent.clone() }
            }
            // A refund that failed may be asked for again. Until it succeeds it has failed: were it
            // under way once more, whoever began it could die, and nobody would end it.
            (
                Some(Self::Undoing { intent } | Self::RefundFailed { intent, .. }),
                Step::Refunded,
            ) => Self::Refunded { intent: intent.clone() },
            (Some(Self::Undoing { intent }), Step::RefundFailed(reason)) => {
                Self::RefundFailed { intent: intent.clone(), reason }
            }
            _ => return None,
        })
    }

    /// The state's name, as the row has it in `state`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Charging { .. } => "charging",
            Self::Captured { .. } => "captured",
            Self::Declined { .. } => "declined",
            Self::Undoing { .. } => "undoing",
            Self::Forbidden => "forbidden",
            Self::Voided { .. } => "voided",
            Self::Refunded { .. } => "refunded",
            Self::RefundFailed { .. } => "refund_failed",
        }
    }

    /// The order's one intent, if it ever got one.
    #[must_use]
    pub const fn intent(&self) -> Option<&IntentId> {
        match self {
            Self::Forbidden => None,
            Self::Charging { intent }
            | Self::Captured { intent }
            | Self::Declined { intent, .. }
            | Self::Undoing { intent }
            | Self::Voided { intent }
            | Self::Refunded { intent }
            | Self::RefundFailed { intent, .. } => Some(intent),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn steps() -> Vec<Step> {
        vec![
            Step::IntentCreated(IntentId::new("pi_1")),
            Step::IntentCreated(IntentId::new("pi_2")),
            Step::Captured,
            Step::Declined("card_declined".into()),
            Step::UndoRequested,
            Step::Voided,
            Step::Refunded,
            Step::RefundFailed("expired_or_canceled_card".into()),
        ]
    }

    fn walk(mut payment: Option<Payment>, steps: &[Step]) -> Option<Payment> {
        for step in steps {
            payment = Payment::after(payment.as_ref(), step.clone()).or(payment);
        }
        payment
    }

    #[test]
    fn an_undo_that_overtakes_its_charge_forbids_it() {
        let forbidden = walk(None, &[Step::UndoRequested]);
        assert_eq!(forbidden, Some(Payment::Forbidden));
        assert_eq!(walk(forbidden, &steps()), Some(Payment::Forbidden));
    }

    #[test]
    fn once_an_undo_has_begun_a_late_charge_cannot_pretend_to_have_captured() {
        let undoing =
            walk(None, &[Step::IntentCreated(IntentId::new("pi_1")), Step::UndoRequested]);
        assert_eq!(Payment::after(undoing.as_ref(), Step::Captured), None);
    }

    #[test]
    fn a_refund_that_failed_has_failed_until_it_succeeds() {
        let failed = [
            Step::IntentCreated(IntentId::new("pi_1")),
            Step::Captured,
            Step::UndoRequested,
            Step::RefundFailed("x".into()),
        ];
        let failed = walk(None, &failed);
        assert_eq!(Payment::after(failed.as_ref(), Step::UndoRequested), None);
        assert!(matches!(failed, Some(Payment::RefundFailed { .. })));
    }

    #[test]
    fn a_failed_refund_can_be_asked_for_again() {
        let failed = [
            Step::IntentCreated(IntentId::new("pi_1")),
            Step::Captured,
            Step::UndoRequested,
            Step::RefundFailed("x".into()),
        ];
        let again = walk(walk(None, &failed), &[Step::UndoRequested, Step::Refunded]);
        assert_eq!(again, Some(Payment::Refunded { intent: IntentId::new("pi_1") }));
    }

    #[test]
    fn the_name_of_a_state_is_what_the_row_says() {
        for end in [
            vec![Step::UndoRequested],
            vec![Step::IntentCreated(IntentId::new("pi_1")), Step::Captured],
        ] {
            let payment = walk(None, &end).unwrap();
            assert_eq!(serde_json::to_value(&payment).unwrap()["state"], payment.name());
        }
    }

    proptest! {
        #[test]
        fn an_order_has_one_intent_for_ever(before in prop::collection::vec(prop::sample::select(steps()), 0..12), more in prop::collection::vec(prop::sample::select(steps()), 0..12)) {
            let early = walk(None, &before);
            let late = walk(early.clone(), &more);
            if let Some(intent) = early.as_ref().and_then(Payment::intent) {
                prop_assert_eq!(late.as_ref().and_then(Payment::intent), Some(intent));
            }
        }

        #[test]
        fn the_name_of_every_state_is_what_the_row_says(path in prop::collection::vec(prop::sample::select(steps()), 1..12)) {
            if let Some(payment) = walk(None, &path) {
                let row = serde_json::to_value(&payment).unwrap();
                prop_assert_eq!(row["state"].as_str(), Some(payment.name()));
            }
        }
    }
}
