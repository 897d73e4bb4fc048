//! The state machine of payment intents, refunds and disputes, without clock or I/O.
//!
//! Money moves in two places: a successful confirmation takes the full amount of an intent, and a
//! refund returns at most what is left of it. Succeeded and cancelled are final states. A dispute
//! that is lost returns its amount.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    cards::{AUTHENTICATION_FAILED, Card, Charge, Decline, NOT_AUTHENTICATED, Refunding},
    disputes::{Dispute, DisputeStatus},
};

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

/// Who may confirm an intent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ConfirmationMethod {
    /// Whoever has the intent's client secret, such as the customer's browser. An authenticated
    /// payment goes on by itself.
    #[default]
    Automatic,
    /// The merchant alone, and again after an authentication.
    Manual,
}

#[derive(Clone, Debug)]
pub(super) struct NewIntent {
    pub(super) amount: u64,
    pub(super) currency: String,
    pub(super) payment_method: Option<String>,
    pub(super) payment_method_types: Option<Vec<String>>,
    pub(super) confirmation_method: ConfirmationMethod,
    pub(super) metadata: BTreeMap<String, String>,
}

/// A request to charge an intent.
#[derive(Clone, Debug, Default)]
pub(super) struct Confirmation {
    pub(super) payment_method: Option<String>,
    /// Declines a card that needs authentication.
    pub(super) error_on_requires_action: bool,
    /// Where the customer goes on after an authentication; without it, there is no page for one.
    pub(super) return_url: Option<String>,
    /// What the customer's browser confirms with, and the merchant does not.
    pub(super) client_secret: Option<String>,
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
    pub(super) confirmation_method: ConfirmationMethod,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) status: IntentStatus,
    /// The page on which the customer has to authenticate, or had to.
    pub(super) page: Option<AuthenticationPage>,
    authenticated: bool,
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

    /// With this, the customer's browser can confirm the intent, unless only the merchant may.
    pub(super) fn client_secret(&self) -> String {
        format!("{}_secret_sandbox", self.id)
    }

    fn is_final(&self) -> bool {
        matches!(self.status, IntentStatus::Succeeded | IntentStatus::Canceled)
    }

    fn fail(&mut self, failure: Failure) -> Refusal {
        self.payment_method = None;
        self.authenticated = false;
        self.latest_charge.clone_from(&failure.charge);
        self.last_failure = Some(failure.clone());
        self.status = IntentStatus::RequiresPaymentMethod;
        Refusal::Declined(Box::new(self.clone()), Box::new(failure))
    }
}

/// The page on which a customer authenticates a payment.
#[derive(Clone, Debug)]
pub(super) struct AuthenticationPage {
    pub(super) url: String,
    /// Where the customer goes on afterwards.
    pub(super) return_url: String,
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

/// A change of which the provider sends an event.
#[derive(Clone, Debug)]
pub(super) enum Change {
    RefundCreated(Refund),
    RefundUpdated(Refund),
    RefundFailed(Refund),
    DisputeCreated(Dispute),
    DisputeUpdated(Dispute),
    DisputeClosed(Dispute),
}

/// Why the ledger refuses an operation.
#[derive(Clone, Debug)]
pub(super) enum Refusal {
    NoSuchIntent(String),
    NoSuchRefund(String),
    NoSuchDispute(String),
    NoSuchPaymentMethod(String),
    /// The card was declined. Contains the intent after the attempt.
    Declined(Box<Intent>, Box<Failure>),
    /// There is no payment method, or the last one was declined.
    NothingToConfirmWith(Box<Intent>),
    CannotConfirm(Box<Intent>),
    /// The customer's browser may not confirm it.
    OnlyByMerchant(String),
    /// The customer is not asked to authenticate it.
    NothingToAuthenticate(Box<Intent>),
    CannotCancel(Box<Intent>),
    NothingCaptured(String),
    AlreadyRefunded {
        charge: String,
    },
    RefundExceeds {
        left: u64,
    },
    /// The customer disputes the charge, or the bank has decided that for them.
    Disputed {
        charge: String,
    },
    /// It is decided.
    DisputeOver,
}

#[derive(Debug)]
pub(super) struct Ledger {
    /// Part of all ids, so that they differ from the ids of earlier runs, whose rows may still
    /// exist.
    run: u32,
    /// The address of the pages for authentication, without the intent's id at its end.
    pages: String,
    ids_assigned: u64,
    intents: BTreeMap<String, Intent>,
    refunds: Vec<Refund>,
    disputes: Vec<Dispute>,
    changes: Vec<Change>,
}

impl Ledger {
    pub(super) fn new(run: u32, pages: String) -> Self {
        Self {
            run,
            pages,
            ids_assigned: 0,
            intents: BTreeMap::new(),
            refunds: Vec::new(),
            disputes: Vec::new(),
            changes: Vec::new(),
        }
    }

    /// Forgets all intents, refunds and disputes. Their ids are not assigned again.
    pub(super) fn reset(&mut self) {
        self.intents.clear();
        self.refunds.clear();
        self.disputes.clear();
    }

    /// What has changed since this was called last.
    pub(super) fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// All disputes, newest first.
    pub(super) fn disputes(&self) -> impl Iterator<Item = &Dispute> {
        self.disputes.iter().rev()
    }

    /// The disputes of an intent, newest first.
    pub(super) fn disputes_of<'a>(&'a self, intent: &'a str) -> impl Iterator<Item = &'a Dispute> {
        self.disputes().filter(move |dispute| dispute.intent == intent)
    }

    pub(super) fn dispute(&self, id: &str) -> Result<&Dispute, Refusal> {
        let mut disputes = self.disputes.iter();
        disputes.find(|it| it.id == id).ok_or_else(|| Refusal::NoSuchDispute(id.to_owned()))
    }

    /// The customer disputes all that an intent has taken.
    pub(super) fn open_dispute(
        &mut self,
        intent: &str,
        status: DisputeStatus,
        reason: &'static str,
        now: i64,
    ) -> Result<&Dispute, Refusal> {
        let found = self.find(intent)?;
        let (amount, currency) = (found.captured(), found.currency.clone());
        let charge = found.latest_charge.clone().filter(|_| amount > 0);
        let charge = charge.ok_or_else(|| Refusal::NothingCaptured(intent.to_owned()))?;
        let id = self.new_id("dp");
        let dispute = Dispute {
            id: id.clone(),
            intent: intent.to_owned(),
            charge,
            amount,
            currency,
            reason,
            status,
            created: now,
        };
        self.changes.push(Change::DisputeCreated(dispute.clone()));
        self.disputes.push(dispute);
        self.dispute(&id)
    }

    /// The bank decides a dispute, or the merchant answers it or gives it up.
    pub(super) fn change_dispute(
        &mut self,
        id: &str,
        next: impl FnOnce(DisputeStatus) -> DisputeStatus,
    ) -> Result<&Dispute, Refusal> {
        if self.dispute(id)?.status.is_over() {
            return Err(Refusal::DisputeOver);
        }
        if let Some(dispute) = self.disputes.iter_mut().find(|it| it.id == id) {
            dispute.status = next(dispute.status);
            let changed = dispute.clone();
            self.changes.push(if changed.status.is_over() {
                Change::DisputeClosed(changed)
            } else {
                Change::DisputeUpdated(changed)
            });
        }
        self.dispute(id)
    }

    /// The bank sends back what was refunded, or takes what is pending.
    pub(super) fn settle_refund(&mut self, id: &str, status: RefundStatus) -> Result<(), Refusal> {
        let found = self.refunds.iter_mut().find(|refund| refund.id == id);
        let refund = found.ok_or_else(|| Refusal::NoSuchRefund(id.to_owned()))?;
        refund.status = status;
        self.changes.push(changed(refund));
        Ok(())
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
            confirmation_method: new.confirmation_method,
            metadata: new.metadata,
            page: None,
            authenticated: false,
            last_failure: None,
            latest_charge: None,
            created: now,
            canceled_at: None,
            cancellation_reason: None,
        };
        Ok(self.intents.entry(id).or_insert(intent))
    }

    /// Charges the card, unless the customer must authenticate first.
    pub(super) fn confirm(
        &mut self,
        id: &str,
        with: &Confirmation,
        now: i64,
    ) -> Result<&Intent, Refusal> {
        let intent = self.find(id)?;
        if let Some(secret) = &with.client_secret {
            if *secret != intent.client_secret() {
                return Err(Refusal::NoSuchIntent(id.to_owned()));
            }
            if intent.confirmation_method == ConfirmationMethod::Manual {
                return Err(Refusal::OnlyByMerchant(id.to_owned()));
            }
        }
        if intent.is_final() {
            return Err(Refusal::CannotConfirm(Box::new(intent.clone())));
        }
        let chosen = match &with.payment_method {
            Some(token) => Some(self.payment_method(token, now)?),
            None => intent.payment_method.clone(),
        };
        let Some(chosen) = chosen else {
            return Err(Refusal::NothingToConfirmWith(Box::new(self.find(id)?.clone())));
        };

        let chosen_dispute = chosen.card.dispute;
        let charge = self.new_id("ch");
        let page = with.return_url.clone().map(|return_url| AuthenticationPage {
            url: format!("{}/{id}", self.pages),
            return_url,
        });
        let intent = self.find_mut(id)?;
        let authenticated = intent.authenticated && with.payment_method.is_none();
        match chosen.card.charge {
            Charge::NeedsAuthentication(_) if !authenticated && with.error_on_requires_action => {
                return Err(intent.fail(Failure {
                    decline: NOT_AUTHENTICATED,
                    charge: None,
                    payment_method: chosen,
                }));
            }
            Charge::NeedsAuthentication(_) if !authenticated => {
                intent.payment_method = Some(chosen);
                intent.status = IntentStatus::RequiresAction;
                intent.page = page;
            }
            Charge::Declines(decline) | Charge::NeedsAuthentication(Some(decline)) => {
                return Err(intent.fail(Failure {
                    decline,
                    charge: Some(charge),
                    payment_method: chosen,
                }));
            }
            Charge::Succeeds | Charge::NeedsAuthentication(None) => {
                intent.payment_method = Some(chosen);
                intent.latest_charge = Some(charge);
                intent.last_failure = None;
                intent.status = IntentStatus::Succeeded;
                if let Some((status, reason)) = chosen_dispute {
                    self.open_dispute(id, status, reason, now)?;
                }
            }
        }
        self.find(id)
    }

    /// The customer authenticates the payment, or fails to.
    pub(super) fn authenticate(
        &mut self,
        id: &str,
        succeeds: bool,
        now: i64,
    ) -> Result<&Intent, Refusal> {
        let intent = self.find_mut(id)?;
        if intent.status != IntentStatus::RequiresAction {
            return Err(Refusal::NothingToAuthenticate(Box::new(intent.clone())));
        }
        if succeeds {
            intent.authenticated = true;
            intent.status = IntentStatus::RequiresConfirmation;
            if intent.confirmation_method == ConfirmationMethod::Automatic {
                // A decline is in the intent.
                let _ = self.confirm(id, &Confirmation::default(), now);
            }
        } else if let Some(payment_method) = intent.payment_method.clone() {
            intent.fail(Failure { decline: AUTHENTICATION_FAILED, charge: None, payment_method });
        }
        self.find(id)
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
    /// Returns the refund in the state that Stripe answers first. The ledger has the next state at
    /// once, which the next request sees; a pending refund has succeeded after that.
    pub(super) fn refund(&mut self, id: &str, new: NewRefund, now: i64) -> Result<Refund, Refusal> {
        let intent = self.find(id)?;
        let (IntentStatus::Succeeded, Some(charge), Some(method)) =
            (intent.status, &intent.latest_charge, &intent.payment_method)
        else {
            return Err(Refusal::NothingCaptured(id.to_owned()));
        };
        let left = intent.captured() - self.refunded(id);
        if self.disputes_of(id).any(|dispute| dispute.status.blocks_refunds()) {
            return Err(Refusal::Disputed { charge: charge.clone() });
        }
        if left == 0 {
            return Err(Refusal::AlreadyRefunded { charge: charge.clone() });
        }
        let amount = new.amount.unwrap_or(left);
        if amount > left {
            return Err(Refusal::RefundExceeds { left });
        }
        let (answered, settled) = match method.card.refund {
            Refunding::Succeeds => (RefundStatus::Succeeded, RefundStatus::Succeeded),
            Refunding::StartsPending => (RefundStatus::Pending, RefundStatus::Pending),
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
        let created = Refund { status: answered, ..refund.clone() };
        self.changes.push(Change::RefundCreated(created.clone()));
        if settled != answered {
            self.changes.push(changed(&refund));
        }
        self.refunds.push(refund);
        Ok(created)
    }

    /// Lets the pending refunds of an intent succeed.
    pub(super) fn settle(&mut self, intent: &str) {
        for refund in self.refunds.iter_mut().filter(|refund| refund.intent == intent) {
            if refund.status == RefundStatus::Pending {
                refund.status = RefundStatus::Succeeded;
                self.changes.push(changed(refund));
            }
        }
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

/// The change that a refund in its present state is.
fn changed(refund: &Refund) -> Change {
    match refund.status {
        RefundStatus::Failed => Change::RefundFailed(refund.clone()),
        RefundStatus::Pending | RefundStatus::Succeeded => Change::RefundUpdated(refund.clone()),
    }
}
