//! Test doubles in memory: [`MemoryPayments`] behaves as [`crate::store::DynamoDb`], and
//! [`MemoryProvider`] as the payment provider.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use platform::table::{StoreError, Write};
use shop::{
    authentication::AuthenticationUrl,
    dispute::{Dispute, DisputeState},
    id::{CustomerId, OrderId},
    money::Money,
    payment::{DisputeEntry, IntentId, Payment, PaymentRecord},
    tombstone_expiry,
};
use stripe::{
    BookedRefund, BookedRefundStatus, Error, Intent, IntentStatus, NewIntent, NewRefund, Refund,
    RefundName, Unavailable,
};

use crate::{
    handler::Payments,
    limit::{PlaceStore, Places},
    provider::{Provider, ProviderError},
};

/// The Payments table in memory.
#[derive(Debug, Default)]
pub struct MemoryPayments {
    rows: Mutex<BTreeMap<OrderId, Row>>,
    /// With the time from which each may be deleted, in seconds since the epoch.
    places: Mutex<HashMap<CustomerId, (Places, i64)>>,
}

#[derive(Debug)]
struct Row {
    record: PaymentRecord,
    price: Money,
    /// In seconds since the epoch; `None` for a row that never expires.
    expires_at: Option<i64>,
}

impl MemoryPayments {
    /// Deletes the rows whose time to live has passed, and returns their orders.
    pub fn expire(&self, now: Timestamp) -> Vec<OrderId> {
        self.customers().retain(|_, (_, expires_at)| *expires_at > now.as_second());
        let is_over = |row: &Row| row.expires_at.is_some_and(|at| at <= now.as_second());
        let mut rows = self.rows();
        let expired = rows.extract_if(.., |_, row| is_over(row));
        expired.map(|(order, _)| order).collect()
    }

    fn customers(&self) -> MutexGuard<'_, HashMap<CustomerId, (Places, i64)>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rows(&self) -> MutexGuard<'_, BTreeMap<OrderId, Row>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PlaceStore for MemoryPayments {
    async fn places(&self, customer: &CustomerId) -> Result<Places, StoreError> {
        Ok(self.customers().get(customer).map(|(places, _)| places.clone()).unwrap_or_default())
    }

    async fn write_places(
        &self,
        customer: &CustomerId,
        places: &Places,
        expires: Timestamp,
    ) -> Result<Write<Places>, StoreError> {
        let mut customers = self.customers();
        let last = places.version - 1;
        match customers.get(customer) {
            Some((taken, _)) if taken.version != last => return Ok(Write::Conflict(taken.clone())),
            None if last > 0 => return Err(StoreError::MissingRow),
            _ => {}
        }
        customers.insert(customer.clone(), (places.clone(), expires.as_second() + 1));
        Ok(Write::Committed)
    }
}

impl Payments for MemoryPayments {
    async fn find(&self, order: OrderId) -> Result<Option<PaymentRecord>, StoreError> {
        Ok(self.rows().get(&order).map(|row| row.record.clone()))
    }

    async fn find_with_price(
        &self,
        order: OrderId,
    ) -> Result<Option<(PaymentRecord, Money)>, StoreError> {
        Ok(self.rows().get(&order).map(|row| (row.record.clone(), row.price)))
    }

    async fn write(
        &self,
        order: OrderId,
        price: Money,
        from: Option<&PaymentRecord>,
        next: &PaymentRecord,
        now: Timestamp,
    ) -> Result<Write<PaymentRecord>, StoreError> {
        let mut rows = self.rows();
        match (rows.get(&order), from) {
            (Some(row), from)
                if !from.is_some_and(|from| is_unwritten_since(&row.record, from)) =>
            {
                return Ok(Write::Conflict(row.record.clone()));
            }
            (None, Some(_)) => {
                return Err(StoreError::MissingRow);
            }
            _ => {}
        }
        let is_tombstone = next.payment == Payment::Forbidden;
        let expires_at = is_tombstone.then(|| tombstone_expiry(now));
        rows.insert(order, Row { record: next.clone(), price, expires_at });
        Ok(Write::Committed)
    }
}

/// A row without a version is known by its state.
fn is_unwritten_since(row: &PaymentRecord, from: &PaymentRecord) -> bool {
    row.version == from.version && (row.version > 0 || row.payment.name() == from.payment.name())
}

/// A payment provider in memory.
///
/// Its payment methods are named as Stripe's test payment methods:
///
/// | payment method | behaviour |
/// |---|---|
/// | `pm_card_chargeDeclined` | declined with `generic_decline` |
/// | `pm_card_chargeDeclinedInsufficientFunds` | declined with `insufficient_funds` |
/// | `pm_card_authenticationRequired…` | the customer must [authenticate](Self::authenticate) |
/// | `…ChargeDeclinedInsufficientFunds` | declined with `insufficient_funds` after that |
/// | `pm_card_pendingRefund` | a refund is pending when first requested, then succeeds |
/// | `pm_card_refundFail` | refunds fail with `expired_or_canceled_card` |
/// | `pm_usBankAccount_processing` | processing until the intent is looked up, then succeeds |
/// | any other `pm_card_…` | succeeds |
/// | any other name | unknown: the intent is declined from the start |
///
/// It refuses amounts below the currency's minimum for good.
#[derive(Debug, Default)]
pub struct MemoryProvider {
    state: Mutex<ProviderState>,
}

#[derive(Debug, Default)]
struct ProviderState {
    intents: BTreeMap<IntentId, StoredIntent>,
    /// The first answer to each order's idempotency key, which is replayed.
    keys: BTreeMap<OrderId, Intent>,
    /// The idempotency keys of refunds. A key whose answer was a failure has its status.
    refund_keys: BTreeMap<(OrderId, u32, u32), Option<u16>>,
    decline: Option<String>,
    /// The smallest amount of any currency, instead of the published ones.
    minimum: Option<u64>,
    misunderstands: bool,
    refund_failure: Option<String>,
    /// How many of the next refunds fail with an answer, and whether they are made all the same.
    failing_refunds: (u32, bool),
    lost_answers: u32,
}

#[derive(Debug)]
struct StoredIntent {
    order_id: OrderId,
    price: Money,
    payment_method: String,
    status: IntentStatus,
    authenticated: bool,
    /// Oldest first.
    refunds: Vec<BookedRefund>,
    disputes: Vec<DisputeEntry>,
}

/// One intent with its charge, its refunds and its disputes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub intent: Intent,
    /// The order that the intent was created for.
    pub order_id: OrderId,
    pub price: Money,
    /// Oldest first.
    pub refunds: Vec<BookedRefund>,
    pub disputes: Vec<DisputeEntry>,
}

impl Account {
    /// The amount that was taken, and neither refunded nor lost in a dispute, in minor units.
    #[must_use]
    pub fn taken(&self) -> u64 {
        if self.intent.status != IntentStatus::Succeeded {
            return 0;
        }
        left(self.price.amount, &self.refunds).saturating_sub(self.lost())
    }

    /// The amount that was refunded, or is being refunded, in minor units.
    #[must_use]
    pub fn returned(&self) -> u64 {
        self.price.amount - left(self.price.amount, &self.refunds)
    }

    /// The amount that the bank has given back in disputes, in minor units.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.disputes.iter().map(|entry| entry.dispute.lost()).sum()
    }

    /// Whether the intent might still take money.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        !matches!(self.intent.status, IntentStatus::Succeeded | IntentStatus::Cancelled)
    }
}

/// What is left of an amount after its refunds.
fn left(amount: u64, refunds: &[BookedRefund]) -> u64 {
    let live = refunds.iter().filter(|refund| refund.status != BookedRefundStatus::Failed);
    amount - live.map(|refund| refund.amount).sum::<u64>()
}

impl MemoryProvider {
    /// The page on which the customer of an intent authenticates.
    ///
    /// # Panics
    /// If the intent's id is not printable.
    #[must_use]
    pub fn page(intent: &IntentId) -> AuthenticationUrl {
        let url = format!("https://hooks.stripe.com/3d_secure_2/{}", intent.as_str());
        url.try_into().expect("the address is short and printable")
    }

    /// The customer of an intent authenticates the payment, or fails to. Returns whether they were
    /// asked to.
    pub fn authenticate(&self, intent: &IntentId, succeeds: bool) -> bool {
        let mut state = self.state();
        let Some(stored) = state.intents.get_mut(intent) else { return false };
        if !matches!(stored.status, IntentStatus::AuthenticationRequired(_)) {
            return false;
        }
        stored.authenticated = succeeds;
        stored.status = if succeeds {
            IntentStatus::Unconfirmed
        } else {
            IntentStatus::Declined("payment_intent_authentication_failure".to_owned())
        };
        true
    }

    /// Declines every charge from now on with this code.
    pub fn decline(&self, code: &str) {
        self.state().decline = Some(code.to_owned());
    }

    /// Refuses to create an intent for less than `amount` minor units from now on, in any currency;
    /// `None` ends this.
    pub fn set_minimum(&self, amount: Option<u64>) {
        self.state().minimum = amount;
    }

    /// Answers every request for an intent with an error that nobody knows from now on, or no
    /// longer. It creates none.
    pub fn misunderstand(&self, misunderstands: bool) {
        self.state().misunderstands = misunderstands;
    }

    /// Fails every refund from now on with this code; `None` ends this.
    pub fn fail_refunds(&self, code: Option<&str>) {
        self.state().refund_failure = code.map(str::to_owned);
    }

    /// The customer's bank sends back all that was refunded of any intent.
    pub fn send_back_refunds(&self) {
        self.state().intents.values_mut().for_each(StoredIntent::send_back);
    }

    /// The customer's bank sends back what was refunded of an intent. Returns whether there was
    /// anything.
    pub fn send_back(&self, intent: &IntentId) -> bool {
        let mut state = self.state();
        let Some(stored) = state.intents.get_mut(intent) else { return false };
        let was_left = left(stored.price.amount, &stored.refunds);
        stored.send_back();
        was_left < stored.price.amount
    }

    /// The customer disputes a payment of which nothing was given back, or their bank decides a
    /// dispute. Returns whether that is possible.
    pub fn dispute(&self, intent: &IntentId, state: DisputeState) -> bool {
        let mut provider = self.state();
        let Some(stored) = provider.intents.get_mut(intent) else { return false };
        let amount = left(stored.price.amount, &stored.refunds);
        if let Some(entry) = stored.disputes.last_mut() {
            let is_kept = amount == stored.price.amount || state != DisputeState::Open;
            let goes_on = !entry.dispute.state.is_over() && is_kept;
            if goes_on {
                entry.dispute.state = state;
            }
            return goes_on;
        }
        let can_begin = stored.status == IntentStatus::Succeeded
            && amount == stored.price.amount
            && !state.is_over();
        if can_begin {
            let id = format!("dp_{}", intent.as_str());
            stored.disputes.push(DisputeEntry { id, dispute: Dispute { state, amount } });
        }
        can_begin
    }

    /// Fails each of the next `times` requests for a part with status 500, after doing its work or
    /// without. The answer is repeated to the same idempotency key.
    pub fn fail_parts(&self, times: u32, after_work: bool) {
        self.state().failing_refunds = (times, after_work);
    }

    /// Times out each of the next `times` calls after doing its work.
    pub fn lose_answers(&self, times: u32) {
        self.state().lost_answers = times;
    }

    /// Forgets all idempotency keys, as Stripe does after a day or more.
    pub fn forget_keys(&self) {
        let mut state = self.state();
        state.keys.clear();
        state.refund_keys.clear();
    }

    /// All intents, ordered by id.
    #[must_use]
    pub fn accounts(&self) -> Vec<Account> {
        let account = |(id, stored): (&IntentId, &StoredIntent)| Account {
            intent: Intent { id: id.clone(), status: stored.status.clone() },
            order_id: stored.order_id,
            price: stored.price,
            refunds: stored.refunds.clone(),
            disputes: stored.disputes.clone(),
        };
        self.state().intents.iter().map(account).collect()
    }

    /// The amount that was taken from all customers and not refunded, in minor units.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.accounts().iter().map(Account::taken).sum()
    }

    /// The number of intents that might still take money.
    #[must_use]
    pub fn open(&self) -> usize {
        self.accounts().iter().filter(|account| account.is_open()).count()
    }

    fn state(&self) -> MutexGuard<'_, ProviderState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer<T>(
        &self,
        work: impl FnOnce(&mut ProviderState) -> Result<T, ProviderError>,
    ) -> Result<T, ProviderError> {
        let mut state = self.state();
        let answer = work(&mut state);
        if state.lost_answers > 0 {
            state.lost_answers -= 1;
            return Err(Error::from(Unavailable::TimedOut).into());
        }
        answer
    }
}

impl ProviderState {
    fn intent(&mut self, id: &IntentId) -> Result<&mut StoredIntent, ProviderError> {
        self.intents.get_mut(id).ok_or_else(|| refused(404, "resource_missing"))
    }
}

impl StoredIntent {
    /// The outcome of confirming the intent.
    fn charge(&self, id: &IntentId) -> IntentStatus {
        let declined = |code: &str| IntentStatus::Declined(code.to_owned());
        match self.payment_method.as_str() {
            method if method.starts_with(NEEDS_AUTHENTICATION) && !self.authenticated => {
                IntentStatus::AuthenticationRequired(MemoryProvider::page(id))
            }
            "pm_card_chargeDeclined" => declined("generic_decline"),
            "pm_card_chargeDeclinedInsufficientFunds"
            | "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds" => {
                declined("insufficient_funds")
            }
            "pm_usBankAccount_processing" => IntentStatus::Processing,
            _ => IntentStatus::Succeeded,
        }
    }

    /// Returns the intent as it stands. One that is processing succeeds afterwards, so that the
    /// next look finds it settled.
    fn look_up(&mut self, id: &IntentId) -> Intent {
        let now = Intent { id: id.clone(), status: self.status.clone() };
        if self.status == IntentStatus::Processing {
            self.status = IntentStatus::Succeeded;
        }
        now
    }
}

/// How the names of payment methods begin whose customers must authenticate.
const NEEDS_AUTHENTICATION: &str = "pm_card_authenticationRequired";

fn refused(status: u16, code: &str) -> ProviderError {
    let code = Some(code.to_owned());
    Error::Refused { status, code, param: None, request_id: None }.into()
}

impl Provider for MemoryProvider {
    async fn create(&self, new: &NewIntent) -> Result<Intent, ProviderError> {
        self.answer(|state| {
            if let Some(first) = state.keys.get(&new.order_id) {
                return Ok(first.clone());
            }
            if state.misunderstands {
                return Err(refused(400, "a_code_of_next_year"));
            }
            let minimum = state.minimum.unwrap_or_else(|| new.price.currency.smallest_charge());
            if new.price.amount < minimum {
                return Err(refused(400, "amount_too_small"));
            }
            let payment_method = new.payment_method.expose();
            let known = payment_method.starts_with("pm_card_")
                || payment_method == "pm_usBankAccount_processing";
            let status = if known {
                IntentStatus::Unconfirmed
            } else {
                IntentStatus::Declined("payment_method_unusable".into())
            };
            let intent =
                Intent { id: IntentId::new(format!("pi_{}", state.intents.len())), status };
            let stored = StoredIntent {
                order_id: new.order_id,
                price: new.price,
                payment_method: payment_method.to_owned(),
                status: intent.status.clone(),
                authenticated: false,
                refunds: vec![],
                disputes: vec![],
            };
            state.intents.insert(intent.id.clone(), stored);
            state.keys.insert(new.order_id, intent.clone());
            Ok(intent)
        })
    }

    async fn find(&self, intent: &IntentId) -> Result<Intent, ProviderError> {
        self.answer(|state| Ok(state.intent(intent)?.look_up(intent)))
    }

    async fn confirm(&self, intent: &IntentId) -> Result<Intent, ProviderError> {
        self.answer(|state| {
            let decline = state.decline.clone();
            let stored = state.intent(intent)?;
            if stored.status == IntentStatus::Unconfirmed {
                stored.status =
                    decline.map_or_else(|| stored.charge(intent), IntentStatus::Declined);
                return Ok(Intent { id: intent.clone(), status: stored.status.clone() });
            }
            Ok(stored.look_up(intent))
        })
    }

    async fn cancel(&self, intent: &IntentId) -> Result<Intent, ProviderError> {
        self.answer(|state| {
            let stored = state.intent(intent)?;
            let is_open = matches!(
                stored.status,
                IntentStatus::Unconfirmed
                    | IntentStatus::Declined(_)
                    | IntentStatus::AuthenticationRequired(_)
            );
            if is_open {
                stored.status = IntentStatus::Cancelled;
            }
            Ok(stored.look_up(intent))
        })
    }

    async fn refund(&self, intent: &IntentId) -> Result<Refund, ProviderError> {
        self.answer(|state| {
            let failure = state.refund_failure.clone();
            let stored = state.intent(intent)?;
            if stored.status != IntentStatus::Succeeded {
                return Err(refused(400, "payment_intent_unexpected_state"));
            }
            let left = left(stored.price.amount, &stored.refunds);
            if left > 0 && stored.is_disputed() {
                return Err(refused(400, "charge_disputed"));
            }
            if left > 0 {
                stored.refund(left, None, failure);
            }
            Ok(stored.outcome())
        })
    }

    async fn refund_part(&self, new: &NewRefund) -> Result<(), ProviderError> {
        self.answer(|state| {
            let failed = |status| Err(Error::from(Unavailable::Failed(status)).into());
            let key = (new.order_id, new.name.id, new.name.attempt);
            match state.refund_keys.get(&key) {
                Some(None) => return Ok(()),
                Some(Some(status)) => return failed(*status),
                None => {}
            }
            let failure = state.refund_failure.clone();
            let (fails, works) = match &mut state.failing_refunds {
                (0, _) => (false, true),
                (times, after_work) => {
                    *times -= 1;
                    (true, *after_work)
                }
            };
            if works {
                let stored = state.intent(&new.intent)?;
                match left(stored.price.amount, &stored.refunds) {
                    _ if stored.is_disputed() => return Err(refused(400, "charge_disputed")),
                    0 => return Err(refused(400, "charge_already_refunded")),
                    left if left < new.amount.amount => return Err(exceeds()),
                    _ => stored.refund(new.amount.amount, Some(new.name), failure),
                }
            }
            state.refund_keys.insert(key, fails.then_some(500));
            if fails { failed(500) } else { Ok(()) }
        })
    }

    async fn refunds(&self, intent: &IntentId) -> Result<Vec<BookedRefund>, ProviderError> {
        self.answer(|state| {
            let stored = state.intent(intent)?;
            let listed = stored.refunds.iter().rev().cloned().collect();
            stored.settle_refunds();
            Ok(listed)
        })
    }

    async fn disputes(&self, intent: &IntentId) -> Result<Vec<DisputeEntry>, ProviderError> {
        self.answer(|state| Ok(state.intent(intent)?.disputes.clone()))
    }

    async fn order_of(&self, intent: &IntentId) -> Result<Option<OrderId>, ProviderError> {
        self.answer(|state| Ok(state.intents.get(intent).map(|stored| stored.order_id)))
    }
}

impl StoredIntent {
    fn send_back(&mut self) {
        for refund in &mut self.refunds {
            refund.status = BookedRefundStatus::Failed;
            refund.failure = Some("expired_or_canceled_card".to_owned());
        }
    }

    fn is_disputed(&self) -> bool {
        self.disputes.iter().any(|entry| entry.dispute.state.blocks_refunds())
    }

    fn refund(&mut self, amount: u64, name: Option<RefundName>, failure: Option<String>) {
        let (status, failure) = match self.payment_method.as_str() {
            "pm_card_refundFail" => {
                (BookedRefundStatus::Failed, Some("expired_or_canceled_card".to_owned()))
            }
            _ if failure.is_some() => (BookedRefundStatus::Failed, failure),
            "pm_card_pendingRefund" => (BookedRefundStatus::Pending, None),
            _ => (BookedRefundStatus::Succeeded, None),
        };
        self.refunds.push(BookedRefund {
            id: format!("re_{}", self.refunds.len()),
            intent: None,
            amount,
            status,
            failure,
            name,
            created: Timestamp::UNIX_EPOCH,
        });
    }

    /// The outcome of refunding all that is left. What is pending has succeeded by the next look.
    fn outcome(&mut self) -> Refund {
        let is_pending = |refund: &BookedRefund| refund.status == BookedRefundStatus::Pending;
        let outcome = match self.refunds.last() {
            _ if self.refunds.iter().any(is_pending) => Refund::Pending,
            Some(BookedRefund { status: BookedRefundStatus::Failed, failure, .. }) => {
                Refund::Failed { reason: failure.clone().unwrap_or_default() }
            }
            _ => Refund::Succeeded,
        };
        self.settle_refunds();
        outcome
    }

    fn settle_refunds(&mut self) {
        for refund in &mut self.refunds {
            if refund.status == BookedRefundStatus::Pending {
                refund.status = BookedRefundStatus::Succeeded;
            }
        }
    }
}

fn exceeds() -> ProviderError {
    let param = Some("amount".to_owned());
    Error::Refused { status: 400, code: None, param, request_id: None }.into()
}
