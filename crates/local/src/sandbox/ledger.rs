//! The state machine of payment intents and refunds: pure, without clock or I/O.
//!
//! Money moves in two places: a confirmation that succeeds takes the whole amount of an intent, and
//! a refund gives back at most what is left of it. A succeeded or cancelled intent stays what it
//! is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::cards::{Card, Charge, Decline, NOT_AUTHENTICATED, Refunding};

/// Where an intent stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntentStatus {
    /// No payment method yet, or the last one was declined.
    RequiresPaymentMethod,
    /// Has a payment method and waits to be confirmed.
    RequiresConfirmation,
    /// Waits for the customer to authenticate.
    RequiresAction,
    /// The amount was taken.
    Succeeded,
    /// Given up; nothing was taken.
    Canceled,
}

/// Where a refund stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundStatus {
    /// On its way.
    Pending,
    /// Given back.
    Succeeded,
    /// Came back from the customer's bank; the money is the merchant's again.
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
    /// Listed by the caller, or else left to Stripe (`automatic_payment_methods`).
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
    /// What was taken from the customer, refunds not deducted.
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

/// A payment method of its own, as Stripe makes one whenever a test payment method is used.
#[derive(Clone, Debug)]
pub(super) struct PaymentMethod {
    pub(super) id: String,
    pub(super) created: i64,
    card: Card,
}

/// An attempt to charge that failed.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) decline: Decline,
    /// None where it failed before the bank was asked.
    pub(super) charge: Option<String>,
    pub(super) payment_method: PaymentMethod,
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
    pub(super) created: i64,
}

/// Why the ledger does not do what it was asked.
#[derive(Clone, Debug)]
pub(super) enum Refusal {
    NoSuchIntent(String),
    NoSuchPaymentMethod(String),
    /// The card was charged and declined; carries the intent as it is now.
    Declined(Box<Intent>, Box<Failure>),
    /// No payment method, or the last one was declined.
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
    /// Keeps the ids of one run apart from those of another, whose rows may have outlived it.
    run: u32,
    names_given: u64,
    intents: BTreeMap<String, Intent>,
    refunds: Vec<Refund>,
}

impl Ledger {
    pub(super) fn new(run: u32) -> Self {
        Self { run, names_given: 0, intents: BTreeMap::new(), refunds: Vec::new() }
    }

    /// Forgets all intents and refunds. Their ids are not given again.
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

    /// What was given back of an intent, or is on its way.
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
        let id = self.name("pi");
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

    /// Charges the card. `error_on_requires_action` turns a card that needs authentication into a
    /// declined one.
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

        let charge = self.name("ch");
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

    /// Gives back `amount`, or all that is left.
    ///
    /// Returns the refund as Stripe first answers it; what it comes to is in the ledger at once,
    /// and seen by the next who asks.
    pub(super) fn refund(
        &mut self,
        id: &str,
        amount: Option<u64>,
        reason: Option<String>,
        now: i64,
    ) -> Result<Refund, Refusal> {
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
        let amount = amount.unwrap_or(left);
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
            id: self.name("re"),
            intent: id.to_owned(),
            charge,
            amount,
            currency,
            status: settled,
            reason,
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
        Ok(PaymentMethod { id: self.name("pm"), created: now, card })
    }

    /// A new id, 24 characters after its prefix as Stripe's are; ids sort as they were given.
    fn name(&mut self, prefix: &str) -> String {
        self.names_given += 1;
        format!("{prefix}_{:08x}{:016}", self.run, self.names_given)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::Index};

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn new_intent(amount: u64, payment_method: Option<&str>) -> NewIntent {
        NewIntent {
            amount,
            currency: "eur".into(),
            payment_method: payment_method.map(str::to_owned),
            payment_method_types: None,
            metadata: BTreeMap::new(),
        }
    }

    fn ledger_with(payment_method: &str) -> (Ledger, String) {
        let mut ledger = Ledger::new(0);
        let id = ledger.create(new_intent(580, Some(payment_method)), NOW).unwrap().id.clone();
        (ledger, id)
    }

    #[test]
    fn a_confirmed_intent_takes_the_amount_once() {
        let (mut ledger, id) = ledger_with("pm_card_visa");
        assert_eq!(ledger.confirm(&id, None, true, NOW).unwrap().captured(), 580);
        assert!(matches!(ledger.confirm(&id, None, true, NOW), Err(Refusal::CannotConfirm(_))));
        assert_eq!(ledger.find(&id).unwrap().captured(), 580);
    }

    #[test]
    fn a_declined_intent_can_be_confirmed_with_another_card() {
        let (mut ledger, id) = ledger_with("pm_card_chargeDeclined");
        let declined = ledger.confirm(&id, None, true, NOW);
        assert!(matches!(declined, Err(Refusal::Declined(intent, _)) if intent.captured() == 0));
        let again = ledger.confirm(&id, None, true, NOW);
        assert!(matches!(again, Err(Refusal::NothingToConfirmWith(_))));
        let paid = ledger.confirm(&id, Some("pm_card_visa"), true, NOW).unwrap();
        assert_eq!(paid.status, IntentStatus::Succeeded);
    }

    #[test]
    fn a_card_that_asks_for_3d_secure_waits_for_the_customer_unless_told_to_fail() {
        let (mut ledger, id) = ledger_with("pm_card_authenticationRequired");
        let waiting = ledger.confirm(&id, None, false, NOW).unwrap();
        assert_eq!(waiting.status, IntentStatus::RequiresAction);
        let failed = ledger.confirm(&id, None, true, NOW);
        assert!(matches!(failed, Err(Refusal::Declined(_, f)) if f.decline == NOT_AUTHENTICATED));
    }

    #[test]
    fn a_refund_gives_back_what_is_left_and_no_more() {
        let (mut ledger, id) = ledger_with("pm_card_visa");
        ledger.confirm(&id, None, true, NOW).unwrap();
        assert_eq!(ledger.refund(&id, Some(80), None, NOW).unwrap().amount, 80);
        let too_much = ledger.refund(&id, Some(501), None, NOW);
        assert!(matches!(too_much, Err(Refusal::RefundExceeds { left: 500 })));
        assert_eq!(ledger.refund(&id, None, None, NOW).unwrap().amount, 500);
        let again = ledger.refund(&id, None, None, NOW);
        assert!(matches!(again, Err(Refusal::AlreadyRefunded { .. })));
    }

    #[test]
    fn a_refund_that_fails_later_leaves_the_money_with_the_merchant() {
        let (mut ledger, id) = ledger_with("pm_card_refundFail");
        ledger.confirm(&id, None, true, NOW).unwrap();
        let answered = ledger.refund(&id, None, None, NOW).unwrap();
        assert_eq!(answered.status, RefundStatus::Succeeded);
        assert_eq!(ledger.refunds_of(&id).next().unwrap().status, RefundStatus::Failed);
        assert_eq!(ledger.refunded(&id), 0);
    }

    #[test]
    fn a_pending_refund_is_found_succeeded_afterwards() {
        let (mut ledger, id) = ledger_with("pm_card_pendingRefund");
        ledger.confirm(&id, None, true, NOW).unwrap();
        assert_eq!(ledger.refund(&id, None, None, NOW).unwrap().status, RefundStatus::Pending);
        assert_eq!(ledger.refunds_of(&id).next().unwrap().status, RefundStatus::Succeeded);
    }

    #[test]
    fn nothing_is_refunded_that_was_not_taken() {
        let (mut ledger, id) = ledger_with("pm_card_visa");
        let early = ledger.refund(&id, None, None, NOW);
        assert!(matches!(early, Err(Refusal::NothingCaptured(_))));
    }

    #[test]
    fn ids_are_not_given_again_after_a_reset() {
        let (mut ledger, id) = ledger_with("pm_card_visa");
        ledger.reset();
        assert!(matches!(ledger.find(&id), Err(Refusal::NoSuchIntent(_))));
        assert_ne!(ledger.create(new_intent(580, None), NOW).unwrap().id, id);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Create(u64, Option<&'static str>),
        Confirm(Index, Option<&'static str>, bool),
        Cancel(Index),
        Refund(Index, Option<u64>),
    }

    fn card() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![
            "pm_card_visa",
            "pm_card_chargeDeclined",
            "pm_card_authenticationRequired",
            "pm_card_refundFail",
            "pm_card_pendingRefund",
        ])
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (1..1_000u64, prop::option::of(card())).prop_map(|(a, c)| Step::Create(a, c)),
            (any::<Index>(), prop::option::of(card()), any::<bool>())
                .prop_map(|(i, c, fail)| Step::Confirm(i, c, fail)),
            any::<Index>().prop_map(Step::Cancel),
            (any::<Index>(), prop::option::of(1..1_000u64)).prop_map(|(i, a)| Step::Refund(i, a)),
        ]
    }

    proptest! {
        #[test]
        fn money_is_conserved_and_final_states_stay_final(
            steps in prop::collection::vec(step(), 1..60),
        ) {
            let mut ledger = Ledger::new(0);
            let mut taken = 0;
            let mut given_back = 0;
            for step in steps {
                let ids: Vec<_> = ledger.intents().map(|intent| intent.id.clone()).collect();
                let at = |i: &Index| (!ids.is_empty()).then(|| i.get(&ids).clone());
                let finished: Vec<_> =
                    ledger.intents().filter(|i| i.is_final()).map(|i| (i.id.clone(), i.status)).collect();
                match step {
                    Step::Create(amount, card) => {
                        prop_assert!(ledger.create(new_intent(amount, card), NOW).is_ok());
                    }
                    Step::Confirm(i, card, fail) => if let Some(id) = at(&i)
                        && let Ok(intent) = ledger.confirm(&id, card, fail, NOW) {
                        taken += intent.captured();
                    }
                    Step::Cancel(i) => if let Some(id) = at(&i) {
                        ledger.cancel(&id, None, NOW).ok();
                    }
                    Step::Refund(i, amount) => if let Some(id) = at(&i)
                        && let Ok(refund) = ledger.refund(&id, amount, None, NOW)
                        && ledger.refunds_of(&id).next().unwrap().status == RefundStatus::Succeeded {
                        given_back += refund.amount;
                    }
                }
                for (id, status) in finished {
                    prop_assert_eq!(ledger.find(&id).unwrap().status, status);
                }
                for intent in ledger.intents() {
                    prop_assert!(ledger.refunded(&intent.id) <= intent.captured());
                }
                let balance: u64 =
                    ledger.intents().map(|i| i.captured() - ledger.refunded(&i.id)).sum();
                prop_assert_eq!(balance, taken - given_back);
            }
        }
    }
}
