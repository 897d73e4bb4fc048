//! The state machine of payment intents and refunds, without clock or I/O.
//!
//! Money moves in two places: a successful confirmation takes the full amount of an intent, and a
//! refund returns at most what is left of it. Succeeded and cancelled are final states.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::cards::{Card, Charge, Decline, NOT_AUTHENTICATED, Refunding};

/// The state of an intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntentStatus {
    /// No payment method yet, or the last one was declined.
    RequiresPaymentMethod,
    /// There is a payment method, and the intent can be confirmed.
    RequiresConfirmation,
    /// The customer must authenticate.
    RequiresAction,
    /// The amount was taken.
    Succeeded,
    /// Cancelled before any money was taken.
    Canceled,
}

/// The state of a refund.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundStatus {
    /// The bank has not decided yet.
    Pending,
    /// The money was returned.
    Succeeded,
    /// The customer's bank sent the money back, so the merchant has it again.
    Failed,
}

#[derive(Clone, Debug)]
pub(super) struct NewIntent {
    pub(super) amount: u64,
    pub(super) currency: String,
    pub(super) payment_method: Option<String>,
    pub(super) payment_method_types: Option<Vec<String>>,
    pub(super) metadata: BTreeMap<String, String>,
}

#[derive(Clone, Debug)]
pub(super) struct Intent {
    pub(super) id: String,
    pub(super) amount: u64,
    pub(super) currency: String,
    pub(super) payment_method: Option<PaymentMethod>,
    /// The methods that the caller listed; `None` leaves the choice to Stripe
    /// (`automatic_payment_methods`).
    pub(super) payment_method_types: Option<Vec<String>>,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) status: IntentStatus,
    pub(super) last_failure: Option<Failure>,
    pub(super) latest_charge: Option<String>,
    pub(super) created: i64,
    pub(super) canceled_at: Option<i64>,
    pub(super) cancellation_reason: Option<String>,
}

impl Intent {
    /// The amount that was taken from the customer, before refunds.
    pub(super) fn captured(&self) -> u64 {
        if self.status == IntentStatus::Succeeded { self.amount } else { 0 }
    }

    pub(super) fn order_id(&self) -> Option<&str> {
        self.metadata.get("order_id").map(String::as_str)
    }

    fn is_final(&self) -> bool {
        matches!(self.status, IntentStatus::Succeeded | IntentStatus::Canceled)
    }

    fn fail(&mut self, failure: Failure) -> Refusal {
        self.payment_method = None;
        self.latest_charge.clone_from(&failure.charge);
        self.last_failure = Some(failure.clone());
        self.status = IntentStatus::RequiresPaymentMethod;
        Refusal::Declined(Box::new(self.clone()), Box::new(failure))
    }
}

/// A payment method. Like Stripe, the ledger creates a new one whenever a test payment method is
/// used.
#[derive(Clone, Debug)]
pub(super) struct PaymentMethod {
    pub(super) id: String,
    pub(super) created: i64,
    card: Card,
}

/// A failed attempt to charge a card.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) decline: Decline,
    /// `None` if it failed before the bank was asked.
    pub(super) charge: Option<String>,
    pub(super) payment_method: PaymentMethod,
}

#[derive(Clone, Debug, Default)]
pub(super) struct NewRefund {
    /// Everything that is left if absent.
    pub(super) amount: Option<u64>,
    pub(super) reason: Option<String>,
    pub(super) metadata: BTreeMap<String, String>,
}

#[derive(Clone, Debug)]
pub(super) struct Refund {
    pub(super) id: String,
    pub(super) intent: String,
    pub(super) charge: String,
    pub(super) amount: u64,
    pub(super) currency: String,
    pub(super) status: RefundStatus,
    pub(super) reason: Option<String>,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) created: i64,
}

/// Why the ledger refuses an operation.
#[derive(Clone, Debug)]
pub(super) enum Refusal {
    NoSuchIntent(String),
    NoSuchPaymentMethod(String),
    /// The card was declined. Contains the intent after the attempt.
    Declined(Box<Intent>, Box<Failure>),
    /// There is no payment method, or the last one was declined.
    NothingToConfirmWith(Box<Intent>),
    CannotConfirm(Box<Intent>),
    CannotCancel(Box<Intent>),
    NothingCaptured(String),
    AlreadyRefunded {
        charge: String,
    },
    RefundExceeds {
        left: u64,
    },
}

#[derive(Debug)]
pub(super) struct Ledger {
    /// Part of all ids, so that they differ from the ids of earlier runs, whose rows may still
    /// exist.
    run: u32,
    ids_assigned: u64,
    intents: BTreeMap<String, Intent>,
    refunds: Vec<Refund>,
}

impl Ledger {
    pub(super) fn new(run: u32) -> Self {
        Self { run, ids_assigned: 0, intents: BTreeMap::new(), refunds: Vec::new() }
    }

    /// Forgets all intents and refunds. Their ids are not assigned again.
    pub(super) fn reset(&mut self) {
        self.intents.clear();
        self.refunds.clear();
    }

    /// All intents, oldest first.
    pub(super) fn intents(&self) -> impl DoubleEndedIterator<Item = &Intent> {
        self.intents.values()
    }

    /// All refunds, newest first.
    pub(super) fn refunds(&self) -> impl Iterator<Item = &Refund> {
        self.refunds.iter().rev()
    }

    /// The refunds of an intent, newest first.
    pub(super) fn refunds_of<'a>(&'a self, intent: &'a str) -> impl Iterator<Item = &'a Refund> {
        self.refunds().filter(move |refund| refund.intent == intent)
    }

    /// The amount of an intent that was refunded, or is being refunded.
    pub(super) fn refunded(&self, intent: &str) -> u64 {
        self.refunds_of(intent)
            .filter(|refund| refund.status != RefundStatus::Failed)
            .map(|refund| refund.amount)
            .sum()
    }

    pub(super) fn find(&self, id: &str) -> Result<&Intent, Refusal> {
        self.intents.get(id).ok_or_else(|| Refusal::NoSuchIntent(id.to_owned()))
    }

    pub(super) fn create(&mut self, new: NewIntent, now: i64) -> Result<&Intent, Refusal> {
        let payment_method =
            new.payment_method.map(|token| self.payment_method(&token, now)).transpose()?;
        let id = self.new_id("pi");
        let intent = Intent {
            id: id.clone(),
            amount: new.amount,
            currency: new.currency,
            status: match payment_method {
                Some(_) => IntentStatus::RequiresConfirmation,
                None => IntentStatus::RequiresPaymentMethod,
            },
            payment_method,
            payment_method_types: new.payment_method_types,
            metadata: new.metadata,
            last_failure: None,
            latest_charge: None,
            created: now,
            canceled_at: None,
            cancellation_reason: None,
        };
        Ok(self.intents.entry(id).or_insert(intent))
    }

    /// Charges the card. With `error_on_requires_action`, a card that needs authentication is
    /// declined.
    pub(super) fn confirm(
        &mut self,
        id: &str,
        payment_method: Option<&str>,
        error_on_requires_action: bool,
        now: i64,
    ) -> Result<&Intent, Refusal> {
        let intent = self.find(id)?;
        if intent.is_final() {
            return Err(Refusal::CannotConfirm(Box::new(intent.clone())));
        }
        let chosen = match payment_method {
            Some(token) => Some(self.payment_method(token, now)?),
            None => intent.payment_method.clone(),
        };
        let Some(chosen) = chosen else {
            return Err(Refusal::NothingToConfirmWith(Box::new(self.find(id)?.clone())));
        };

        let charge = self.new_id("ch");
        let intent = self.find_mut(id)?;
        match chosen.card.charge {
            Charge::Succeeds => {
                intent.payment_method = Some(chosen);
                intent.latest_charge = Some(charge);
                intent.last_failure = None;
                intent.status = IntentStatus::Succeeded;
                Ok(intent)
            }
            Charge::Declines(decline) => {
                Err(intent.fail(Failure { decline, charge: Some(charge), payment_method: chosen }))
            }
            Charge::NeedsAuthentication if error_on_requires_action => Err(intent.fail(Failure {
                decline: NOT_AUTHENTICATED,
                charge: None,
                payment_method: chosen,
            })),
            Charge::NeedsAuthentication => {
                intent.payment_method = Some(chosen);
                intent.status = IntentStatus::RequiresAction;
                Ok(intent)
            }
        }
    }

    pub(super) fn cancel(
        &mut self,
        id: &str,
        reason: Option<String>,
        now: i64,
    ) -> Result<&Intent, Refusal> {
        let intent = self.find_mut(id)?;
        if intent.is_final() {
            return Err(Refusal::CannotCancel(Box::new(intent.clone())));
        }
        intent.status = IntentStatus::Canceled;
        intent.canceled_at = Some(now);
        intent.cancellation_reason = reason;
        Ok(intent)
    }

    /// Gives back money that an intent has taken.
    ///
    /// Returns the refund in the state that Stripe answers first. The ledger has its final state at
    /// once, which the next request sees.
    pub(super) fn refund(&mut self, id: &str, new: NewRefund, now: i64) -> Result<Refund, Refusal> {
        let intent = self.find(id)?;
        let (IntentStatus::Succeeded, Some(charge), Some(method)) =
            (intent.status, &intent.latest_charge, &intent.payment_method)
        else {
            return Err(Refusal::NothingCaptured(id.to_owned()));
        };
        let left = intent.captured() - self.refunded(id);
        if left == 0 {
            return Err(Refusal::AlreadyRefunded { charge: charge.clone() });
        }
        let amount = new.amount.unwrap_or(left);
        if amount > left {
            return Err(Refusal::RefundExceeds { left });
        }
        let (answered, settled) = match method.card.refund {
            Refunding::Succeeds => (RefundStatus::Succeeded, RefundStatus::Succeeded),
            Refunding::StartsPending => (RefundStatus::Pending, RefundStatus::Succeeded),
            Refunding::FailsLater => (RefundStatus::Succeeded, RefundStatus::Failed),
        };
        let (charge, currency) = (charge.clone(), intent.currency.clone());
        let refund = Refund {
            id: self.new_id("re"),
            intent: id.to_owned(),
            charge,
            amount,
            currency,
            status: settled,
            reason: new.reason,
            metadata: new.metadata,
            created: now,
        };
        self.refunds.push(refund.clone());
        Ok(Refund { status: answered, ..refund })
    }

    fn find_mut(&mut self, id: &str) -> Result<&mut Intent, Refusal> {
        self.intents.get_mut(id).ok_or_else(|| Refusal::NoSuchIntent(id.to_owned()))
    }

    fn payment_method(&mut self, token: &str, now: i64) -> Result<PaymentMethod, Refusal> {
        let card =
            Card::named(token).ok_or_else(|| Refusal::NoSuchPaymentMethod(token.to_owned()))?;
        Ok(PaymentMethod { id: self.new_id("pm"), created: now, card })
    }

    /// Assigns a new id, which has 24 characters after its prefix, like Stripe's. Ids sort by their
    /// time of assignment.
    fn new_id(&mut self, prefix: &str) -> String {
        self.ids_assigned += 1;
        format!("{prefix}_{:08x}{:016}", self.run, self.ids_assigned)
    }
}
