//! The payment of one order: which intent the order is committed to, and how far that intent got.
//!
//! The provider's own state is the truth about money. The row only ensures that an order never has
//! more than one intent, that nothing is given back twice, and records the last state that was
//! seen.

use serde::{Deserialize, Deserializer, Serialize, de::Error};

use crate::{
    dispute::{Dispute, DisputeState},
    refund::{Refund, RefundState, is_zero},
};

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
    /// The customer has been asked to authenticate the payment. Otherwise as [`Self::Charging`].
    Authenticating,
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

/// The fields of a row. They are read one by one: the variants as they are written could be read
/// as well, but an error would not name the field.
#[derive(Deserialize)]
struct Row {
    state: State,
    intent: Option<IntentId>,
    reason: Option<String>,
    #[serde(default)]
    version: u32,
    #[serde(default)]
    refunds: Vec<RefundEntry>,
    #[serde(default)]
    disputes: Vec<DisputeEntry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Forbidden,
    Refused,
    Charging,
    Authenticating,
    Captured,
    Declined,
    Undoing,
    Voided,
    Refunded,
    RefundFailed,
}

impl<'de> Deserialize<'de> for PaymentRecord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Row { state, intent, reason, version, refunds, disputes } =
            Row::deserialize(deserializer)?;
        let reason = || reason.ok_or_else(|| D::Error::missing_field("reason"));
        let record = |payment| Self { version, payment, refunds, disputes };
        let progress = match state {
            State::Forbidden => return Ok(record(Payment::Forbidden)),
            State::Refused => return Ok(record(Payment::Refused { reason: reason()? })),
            State::Charging => Progress::Charging,
            State::Authenticating => Progress::Authenticating,
            State::Captured => Progress::Captured,
            State::Declined => Progress::Declined { reason: reason()? },
            State::Undoing => Progress::Undoing,
            State::Voided => Progress::Voided,
            State::Refunded => Progress::Refunded,
            State::RefundFailed => Progress::RefundFailed { reason: reason()? },
        };
        let intent = intent.ok_or_else(|| D::Error::missing_field("intent"))?;
        Ok(record(Payment::Committed { intent, progress }))
    }
}

impl<'de> Deserialize<'de> for Payment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        PaymentRecord::deserialize(deserializer).map(|record| record.payment)
    }
}

/// The row of an order's payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PaymentRecord {
    /// The number of writes so far. 0 for a row that was written when rows had no version.
    #[serde(skip_serializing_if = "is_zero")]
    pub version: u32,
    /// What the order is committed to.
    #[serde(flatten)]
    pub payment: Payment,
    /// What the shop gives back of a captured payment, in the order in which it was asked for. What
    /// an order gives back because it ended is not among them: that is all that is left.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refunds: Vec<RefundEntry>,
    /// The customer's disputes of the charge.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disputes: Vec<DisputeEntry>,
}

/// A dispute at the provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisputeEntry {
    /// Its id at the provider.
    pub id: String,
    /// How far it got, and its amount.
    #[serde(flatten)]
    pub dispute: Dispute,
}

/// A refund at the provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundEntry {
    /// Its number among the order's refunds: [`Refund::id`].
    pub id: u32,
    /// In minor units.
    pub amount: u64,
    /// The attempt of the order that it follows: [`Refund::attempt`].
    pub attempt: u32,
    /// Its name at the provider, next to its number: from 1, and one more for each attempt and for
    /// each answered failure. The row has the name before the provider hears of it, so that each
    /// delivery looks for it, and asks under the same name.
    pub name: u32,
    /// How far it got.
    pub state: RefundState,
    /// The provider's code, such as `expired_or_canceled_card`; only for a failed refund.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What became of an attempt to refund.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefundOutcome {
    /// The provider has taken it.
    Taken(RefundState),
    /// The provider or the bank refuses it, with this code.
    Failed(String),
    /// The provider has failed with an answer that it would repeat under the same name.
    Stalled,
}

impl PaymentRecord {
    /// The row of an order that had none.
    #[must_use]
    pub const fn new(payment: Payment) -> Self {
        Self { version: 1, payment, refunds: Vec::new(), disputes: Vec::new() }
    }

    /// The row after `trigger`, or `None` if the trigger does not apply to `current`. Refunds that
    /// are not made when all is given back are [covered](RefundState::Covered) by that.
    #[must_use]
    pub fn next(current: Option<&Self>, trigger: Trigger) -> Option<Self> {
        let is_undo = trigger == Trigger::UndoRequested;
        let payment = Payment::next(current.map(|record| &record.payment), trigger)?;
        let Some(current) = current else {
            return Some(Self::new(payment));
        };
        let mut next = Self { payment, ..current.again() };
        if is_undo {
            next.cover(RefundEntry::is_unmade);
        }
        Some(next)
    }

    fn cover(&mut self, is_covered: impl Fn(&RefundEntry) -> bool) {
        let covered = self.refunds.iter_mut().filter(|entry| is_covered(entry));
        covered.for_each(|entry| entry.state = RefundState::Covered);
    }

    /// The row with the refunds that were asked for and that it does not have yet, and with those
    /// that have failed and were asked for again. `None` if there are none.
    #[must_use]
    pub fn with_requests(&self, requests: &[Refund]) -> Option<Self> {
        let mut next = self.again();
        let is_captured =
            matches!(self.payment, Payment::Committed { progress: Progress::Captured, .. });
        let is_open = is_captured && !self.is_lost();
        let state = if is_open { RefundState::Requested } else { RefundState::Covered };
        for request in requests.iter().filter(|it| it.state == RefundState::Requested) {
            match next.refunds.iter_mut().find(|entry| entry.id == request.id) {
                None => next.refunds.push(RefundEntry {
                    id: request.id,
                    amount: request.amount,
                    attempt: request.attempt,
                    name: 1,
                    state,
                    reason: None,
                }),
                Some(entry)
                    if entry.state == RefundState::Failed && entry.attempt < request.attempt =>
                {
                    entry.attempt = request.attempt;
                    entry.name += 1;
                    entry.state = state;
                    entry.reason = None;
                }
                Some(_) => {}
            }
        }
        (next.refunds != self.refunds).then_some(next)
    }

    /// The row after an attempt at the refund `id` under this name, or `None` if that is known, or
    /// no longer of interest.
    #[must_use]
    pub fn with_outcome(&self, id: u32, name: u32, outcome: &RefundOutcome) -> Option<Self> {
        let mut next = self.again();
        let entry = next.refunds.iter_mut().find(|entry| entry.id == id)?;
        if !entry.state.is_live() || entry.name != name {
            return None;
        }
        match outcome {
            // Seen before the state that the row has: a refund that has succeeded can only fail.
            RefundOutcome::Taken(_) if entry.state == RefundState::Succeeded => {}
            RefundOutcome::Taken(state) => entry.state = *state,
            RefundOutcome::Failed(reason) => {
                entry.state = RefundState::Failed;
                entry.reason = Some(reason.clone());
            }
            RefundOutcome::Stalled => entry.name += 1,
        }
        (next.refunds != self.refunds).then_some(next)
    }

    /// The row with these disputes, of which each is as the provider has shown it; `None` if they
    /// are known. A look that was taken earlier does not open one again that is decided. What is
    /// still to be made of the refunds when one is lost is [covered](RefundState::Covered) by it:
    /// the bank has decided what the customer gets.
    #[must_use]
    pub fn with_disputes(&self, disputes: &[DisputeEntry]) -> Option<Self> {
        let mut next = self.again();
        for shown in disputes {
            match next.disputes.iter_mut().find(|known| known.id == shown.id) {
                None => next.disputes.push(shown.clone()),
                Some(known) if known.dispute.state.is_over() => {}
                Some(known) => known.dispute = shown.dispute,
            }
        }
        if next.is_lost() {
            next.cover(|entry| entry.state == RefundState::Requested);
        }
        (next.disputes != self.disputes).then_some(next)
    }

    /// A summary of the disputes; `None` if there are none.
    #[must_use]
    pub fn dispute(&self) -> Option<Dispute> {
        Dispute::summary(self.disputes.iter().map(|entry| entry.dispute))
    }

    /// Whether the bank has given the money back in a dispute.
    fn is_lost(&self) -> bool {
        self.dispute().is_some_and(|dispute| dispute.state == DisputeState::Lost)
    }

    /// Whether a dispute forbids to give anything back.
    #[must_use]
    pub fn is_disputed(&self) -> bool {
        self.dispute().is_some_and(|dispute| dispute.state.blocks_refunds())
    }

    /// The refunds of which the provider may have more to say: it is still to be asked, has not
    /// finished, or may find days later that the bank sends the money back.
    pub fn open(&self) -> impl Iterator<Item = &RefundEntry> {
        self.refunds.iter().filter(|entry| entry.state.is_live())
    }

    /// The refunds that the provider or the bank refuses.
    pub fn failed(&self) -> impl Iterator<Item = &RefundEntry> {
        self.refunds.iter().filter(|entry| entry.state == RefundState::Failed)
    }

    /// The sum of the refunds that the customer gets, in minor units.
    #[must_use]
    pub fn given(&self) -> u64 {
        self.refunds.iter().filter(|entry| entry.is_given()).map(|entry| entry.amount).sum()
    }

    /// The same row, to be written again.
    fn again(&self) -> Self {
        Self { version: self.version + 1, ..self.clone() }
    }
}

impl RefundEntry {
    /// Whether the customer gets the amount, as far as is known.
    #[must_use]
    pub const fn is_given(&self) -> bool {
        matches!(self.state, RefundState::Pending | RefundState::Succeeded)
    }

    const fn is_unmade(&self) -> bool {
        matches!(self.state, RefundState::Requested | RefundState::Failed)
    }
}

/// What can change a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// An unconfirmed intent was created for the order.
    IntentCreated(IntentId),
    /// The provider refused for good to create an intent, with this code.
    Refused(String),
    /// The customer was asked to authenticate the payment.
    AuthenticationRequired,
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
    /// The provider could not refund the money, or the customer's bank has sent it back later,
    /// with this code.
    RefundFailed(String),
}

impl Payment {
    /// The payment after `trigger`, or `None` if the trigger does not apply to `current`.
    #[must_use]
    pub fn next(current: Option<&Self>, trigger: Trigger) -> Option<Self> {
        use Payment::{Committed, Forbidden, Refused};
        use Progress::{
            Authenticating, Captured, Charging, Declined, RefundFailed, Refunded, Undoing, Voided,
        };
        use Trigger as T;

        let on = |intent: &IntentId, progress| Committed { intent: intent.clone(), progress };
        Some(match (current, trigger) {
            (None, T::IntentCreated(intent)) => Committed { intent, progress: Charging },
            (None, T::Refused(reason)) => Refused { reason },
            (None, T::UndoRequested) => Forbidden,
            (Some(Committed { intent, progress: Charging }), T::AuthenticationRequired) => {
                on(intent, Authenticating)
            }
            (Some(Committed { intent, progress: Charging | Authenticating }), T::Captured) => {
                on(intent, Captured)
            }
            (
                Some(Committed { intent, progress: Charging | Authenticating }),
                T::Declined(reason),
            ) => on(intent, Declined { reason }),
            (
                Some(Committed { intent, progress: Charging | Authenticating | Captured }),
                T::UndoRequested,
            ) => on(intent, Undoing),
            (Some(Committed { intent, progress: Undoing }), T::Voided) => on(intent, Voided),
            (Some(Committed { intent, progress: Undoing }), T::Refunded) => on(intent, Refunded),
            (Some(Committed { intent, progress: Undoing | Refunded }), T::RefundFailed(reason)) => {
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
                Progress::Authenticating => "authenticating",
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
