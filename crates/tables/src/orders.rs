//! The Orders table: a row is an order, and after its insertion changes by transitions alone.

mod dynamodb;
mod memory;

pub use dynamodb::OrdersTable;
pub use memory::MemoryOrders;

use jiff::Timestamp;
use platform::{
    queue::Retryable,
    table::{StoreError, Write},
};
use shop::{
    id::OrderId,
    order::{Order, Transition, Trigger},
};
use uuid::Uuid;

/// The key: the order's id.
pub const KEY: &str = "order_id";

/// The index of a customer's orders, sorted by [`PLACED_AT`].
pub const BY_CUSTOMER: &str = "by-customer";

/// The partition key of [`BY_CUSTOMER`].
pub const CUSTOMER: &str = "customer_id";

/// The sort key of [`BY_CUSTOMER`].
pub const PLACED_AT: &str = "placed_at";

/// Orders that can be read and changed.
pub trait Orders {
    /// Reads an order consistently.
    async fn get(&self, order: OrderId) -> Result<Option<Order>, StoreError>;

    /// Writes a transition, on the condition that the order is still at the revision that the
    /// transition starts from.
    async fn apply(
        &self,
        order: OrderId,
        transition: &Transition,
    ) -> Result<Write<Order>, StoreError>;
}

/// What a trigger did to an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The order went through a transition; this is the order after it.
    Changed(Order),
    /// The trigger does not apply to the order as it stands.
    Unchanged(Order),
}

/// Why a trigger could not be applied.
#[derive(Debug, thiserror::Error)]
pub enum TriggerError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Every attempt met a conflict.
    #[error("other writers changed the order during each of {MAX_ATTEMPTS} attempts; try again")]
    Contended,
}

impl Retryable for TriggerError {
    fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            Self::Contended => true,
        }
    }
}

/// More attempts than an order has transitions to go through, so that only a fault uses them up.
const MAX_ATTEMPTS: u32 = 10;

/// Applies `trigger`, which the event `cause` brought, to `order` at `now`.
///
/// [`Order::transition`] decides what follows from the trigger. If another writer was faster, the
/// decision is made again for the order that the conflict returned.
///
/// # Errors
/// The table fails, or every attempt meets a conflict.
pub async fn apply_trigger(
    orders: &impl Orders,
    mut order: Order,
    trigger: &Trigger,
    cause: Option<Uuid>,
    now: Timestamp,
) -> Result<Outcome, TriggerError> {
    let order_id = order.order_id;
    for _ in 0..MAX_ATTEMPTS {
        let Some(transition) = order.transition(trigger.clone(), now, cause) else {
            tracing::info!(status = ?order.status, ?trigger, "trigger does not apply");
            return Ok(Outcome::Unchanged(order));
        };
        match orders.apply(order_id, &transition).await? {
            Write::Committed => {
                let (revision, event) = (transition.entry.revision, transition.entry.event);
                tracing::info!(revision, ?event, "transition applied");
                return Ok(Outcome::Changed(order.after(transition)));
            }
            Write::Conflict(current) => order = current,
        }
    }
    Err(TriggerError::Contended)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use platform::{cause::chain, decode};
    use serde_json::json;
    use shop::order::Status;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn placed() -> Order {
        let placed_at = "2026-11-24T08:00:00.000Z";
        serde_json::from_value(json!({
            "order_id": "0b7c55f2-9d4e-4c6b-8a1f-3e2d7c9014aa", "customer_id": "camille",
            "location": "paris", "location_name": "Amélie Paris", "time_zone": "Europe/Paris",
            "status": "placed", "revision": 1, "payment": "none",
            "lines": [{
                "item": "croissant", "name": "Butter croissant", "quantity": 2, "unit_price": 190
            }],
            "total": 380, "currency": "EUR", "payment_method": "pm_card_visa",
            "placed_at": placed_at, "pickup_at": "2026-11-24T08:15:00Z", "pickup_day": "2026-11-24",
            "deadline": "2026-11-24T08:15:00Z", "fingerprint": "f",
            "history": [{
                "revision": 1, "event": "order.placed", "status": "placed", "at": placed_at
            }]
        }))
        .unwrap()
    }

    /// A table where another writer applies `theirs` before each of the next `times` writes.
    struct Contended {
        orders: MemoryOrders,
        theirs: Trigger,
        times: Cell<u32>,
    }

    impl Contended {
        fn by(theirs: Trigger, times: u32) -> Self {
            Self { orders: MemoryOrders::new([placed()]), theirs, times: times.into() }
        }

        async fn apply_trigger(&self, trigger: &Trigger) -> Result<Outcome, TriggerError> {
            apply_trigger(self, placed(), trigger, None, at("2026-11-24T08:00:05Z")).await
        }
    }

    impl Orders for Contended {
        async fn get(&self, order: OrderId) -> Result<Option<Order>, StoreError> {
            self.orders.get(order).await
        }

        async fn apply(
            &self,
            order: OrderId,
            transition: &Transition,
        ) -> Result<Write<Order>, StoreError> {
            if self.times.get() == 0 {
                return self.orders.apply(order, transition).await;
            }
            self.times.set(self.times.get() - 1);
            let row = self.orders.get(order).await?.unwrap();
            let theirs = row.transition(self.theirs.clone(), at("2026-11-24T08:00:04Z"), None);
            if let Some(theirs) = theirs {
                assert_eq!(self.orders.apply(order, &theirs).await?, Write::Committed);
            }
            Ok(Write::Conflict(self.orders.get(order).await?.unwrap()))
        }
    }

    #[tokio::test]
    async fn after_a_conflict_the_trigger_applies_to_the_row_as_it_stands() {
        let contended = Contended::by(Trigger::StockReserved, 1);
        let outcome = contended.apply_trigger(&Trigger::Cancelled).await.unwrap();
        let Outcome::Changed(cancelled) = outcome else { panic!("{outcome:?}") };
        let states: Vec<_> = cancelled.history.iter().map(|entry| entry.status).collect();
        assert_eq!(states, [Status::Placed, Status::Reserved, Status::Cancelled]);
        assert_eq!(contended.orders.get(cancelled.order_id).await.unwrap(), Some(cancelled));
    }

    #[tokio::test]
    async fn after_a_conflict_a_trigger_that_no_longer_applies_changes_nothing() {
        let contended = Contended::by(Trigger::StockRejected(vec![]), 1);
        let outcome = contended.apply_trigger(&Trigger::Cancelled).await.unwrap();
        let Outcome::Unchanged(rejected) = outcome else { panic!("{outcome:?}") };
        assert_eq!((rejected.status, rejected.revision), (Status::Rejected, 2));
        assert_eq!(contended.orders.get(rejected.order_id).await.unwrap(), Some(rejected));
    }

    #[tokio::test]
    async fn the_last_attempt_may_succeed() {
        let contended = Contended::by(Trigger::PickedUp, MAX_ATTEMPTS - 1);
        let outcome = contended.apply_trigger(&Trigger::Cancelled).await.unwrap();
        assert!(matches!(outcome, Outcome::Changed(_)), "{outcome:?}");
    }

    #[tokio::test]
    async fn a_conflict_on_every_attempt_is_an_error() {
        let contended = Contended::by(Trigger::PickedUp, MAX_ATTEMPTS);
        let error = contended.apply_trigger(&Trigger::Cancelled).await.unwrap_err();
        assert!(matches!(error, TriggerError::Contended), "{error}");
    }

    #[test]
    fn only_an_unreadable_row_is_permanent() {
        let unreadable = StoreError::Row {
            table: "numbers".to_owned(),
            key: "7".to_owned(),
            reason: decode::json::<u32>("[]").unwrap_err(),
        };
        for (error, transient, text) in [
            (
                TriggerError::from(unreadable),
                false,
                "the row `7` of numbers cannot be read: `.` is missing or not what it should be",
            ),
            (
                TriggerError::from(StoreError::MissingRow),
                true,
                "the row to change is missing, although it was there a moment ago",
            ),
            (
                TriggerError::Contended,
                true,
                "other writers changed the order during each of 10 attempts; try again",
            ),
        ] {
            assert_eq!(error.is_transient(), transient, "{error}");
            assert_eq!(chain(&error), text);
        }
    }
}
