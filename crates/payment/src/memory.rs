//! Payments and a provider in memory, for tests: the behaviour of [`crate::store::DynamoDb`] without DynamoDB, and of the
//! payment provider without a network.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use jiff::Timestamp;
use platform::{decode::DecodeError, table::StoreError};
use shop::{
    id::OrderId,
    money::Money,
    payment::{IntentId, Payment},
};

use crate::{
    handler::{Payments, Written},
    provider::{Intent, IntentStatus, NewIntent, Provider, ProviderError, Refund, Trouble},
};

/// A table that lives as long as this value.
#[derive(Debug, Default)]
pub struct MemoryPayments {
    rows: Mutex<BTreeMap<OrderId, Payment>>,
}

impl Payments for MemoryPayments {
    async fn find(&self, order: OrderId) -> Result<Option<Payment>, StoreError> {
        Ok(self.rows.lock().unwrap_or_else(PoisonError::into_inner).get(&order).cloned())
    }

    async fn write(
        &self,
        order: OrderId,
        _price: Money,
        from: Option<&Payment>,
        next: &Payment,
        _now: Timestamp,
    ) -> Result<Written, StoreError> {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        match (rows.get(&order), from) {
            (Some(row), from) if from.map(Payment::name) != Some(row.name()) => Ok(Written::Instead(row.clone())),
            (None, Some(_)) => Err(StoreError::Row(DecodeError::Unfit { place: "state".to_owned() })),
            _ => {
                rows.insert(order, next.clone());
                Ok(Written::Yes)
            }
        }
    }
}

/// A provider that keeps intents. It never forgets and never sees a card: what becomes of a charge is what it was last told.
#[derive(Debug, Default)]
pub struct MemoryProvider {
    state: Mutex<ProviderState>,
}

#[derive(Debug, Default)]
struct ProviderState {
    intents: BTreeMap<String, StoredIntent>,
    /// The intent that was made for each order, whose id is the idempotency key.
    made: BTreeMap<OrderId, IntentId>,
    decline: Option<String>,
    refund_failure: Option<String>,
    lost_answers: u32,
}

#[derive(Debug)]
struct StoredIntent {
    status: IntentStatus,
    amount: u64,
    refunded: bool,
}

impl MemoryProvider {
    /// Declines from now on, with this code.
    pub fn decline(&self, code: &str) {
        self.state().decline = Some(code.to_owned());
    }

    /// Lets refunds fail from now on, with this code; none to let them succeed again.
    pub fn fail_refunds(&self, code: Option<&str>) {
        self.state().refund_failure = code.map(str::to_owned);
    }

    /// Does what it is asked next, so many times, but loses the answer.
    pub fn lose_answers(&self, times: u32) {
        self.state().lost_answers = times;
    }

    /// What customers have paid in all and not got back, in minor units.
    #[must_use]
    pub fn taken(&self) -> u64 {
        let paid = |intent: &&StoredIntent| intent.status == IntentStatus::Succeeded && !intent.refunded;
        self.state().intents.values().filter(paid).map(|intent| intent.amount).sum()
    }

    /// How many intents could still take something.
    #[must_use]
    pub fn open(&self) -> usize {
        let open = |intent: &&StoredIntent| matches!(intent.status, IntentStatus::Unconfirmed | IntentStatus::Declined(_));
        self.state().intents.values().filter(open).count()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, ProviderState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer<T>(&self, work: impl FnOnce(&mut ProviderState) -> Result<T, ProviderError>) -> Result<T, ProviderError> {
        let mut state = self.state();
        let answer = work(&mut state);
        if state.lost_answers > 0 {
            state.lost_answers -= 1;
            return Err(Trouble::TimedOut.into());
        }
        answer
    }
}

impl ProviderState {
    fn intent(&mut self, id: &IntentId) -> Result<&mut StoredIntent, ProviderError> {
        let missing =
            || ProviderError::Refused { status: 404, code: Some("resource_missing".into()), param: None, request_id: None };
        self.intents.get_mut(id.as_str()).ok_or_else(missing)
    }
}

impl Provider for MemoryProvider {
    async fn create(&self, new: &NewIntent) -> Result<Intent, ProviderError> {
        self.answer(|state| {
            // To the same key the first answer comes again, whatever the intent has come to since.
            if let Some(id) = state.made.get(&new.order_id) {
                return Ok(Intent { id: id.clone(), status: IntentStatus::Unconfirmed });
            }
            let id = IntentId::new(format!("pi_{}", state.intents.len()));
            let stored = StoredIntent { status: IntentStatus::Unconfirmed, amount: new.price.amount, refunded: false };
            state.intents.insert(id.as_str().to_owned(), stored);
            state.made.insert(new.order_id, id.clone());
            Ok(Intent { id, status: IntentStatus::Unconfirmed })
        })
    }

    async fn find(&self, intent: &IntentId) -> Result<Intent, ProviderError> {
        self.answer(|state| Ok(Intent { id: intent.clone(), status: state.intent(intent)?.status.clone() }))
    }

    async fn confirm(&self, intent: &IntentId) -> Result<Intent, ProviderError> {
        self.answer(|state| {
            let outcome = state.decline.clone().map_or(IntentStatus::Succeeded, IntentStatus::Declined);
            let stored = state.intent(intent)?;
            if stored.status == IntentStatus::Unconfirmed {
                stored.status = outcome;
            }
            Ok(Intent { id: intent.clone(), status: stored.status.clone() })
        })
    }

    async fn cancel(&self, intent: &IntentId) -> Result<Intent, ProviderError> {
        self.answer(|state| {
            let stored = state.intent(intent)?;
            if stored.status != IntentStatus::Succeeded {
                stored.status = IntentStatus::Cancelled;
            }
            Ok(Intent { id: intent.clone(), status: stored.status.clone() })
        })
    }

    async fn refund(&self, intent: &IntentId) -> Result<Refund, ProviderError> {
        self.answer(|state| {
            let failure = state.refund_failure.clone();
            let stored = state.intent(intent)?;
            if stored.status != IntentStatus::Succeeded {
                return Err(ProviderError::Refused { status: 400, code: None, param: None, request_id: None });
            }
            match failure {
                Some(reason) if !stored.refunded => Ok(Refund::Failed { reason }),
                _ => {
                    stored.refunded = true;
                    Ok(Refund::Succeeded)
                }
            }
        })
    }
}
