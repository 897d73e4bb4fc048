//! The Orders table: a row is an order, and after its insertion changes by transitions alone.

mod dynamodb;
mod memory;

pub use dynamodb::OrdersTable;
pub use memory::MemoryOrders;

use jiff::Timestamp;
use platform::{queue::Retryable, table::StoreError};
use shop::{
    id::OrderId,
    order::{Order, Transition, Trigger},
};
use uuid::Uuid;

/// Orders that can be read and moved on.
pub trait Orders {
    /// The order, read consistently.
    async fn get(&self, order: OrderId) -> Result<Option<Order>, StoreError>;

    /// Writes a transition, unless the order has moved on from the revision that it starts from.
    async fn apply(&self, order: OrderId, transition: &Transition) -> Result<Applied, StoreError>;
}

/// What came of writing a transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It is written.
    Yes,
    /// The order has moved on: read it again.
    Outdated,
}

/// What came of a trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The order has gone through a transition, and now stands like this.
    Changed(Order),
    /// The trigger does not apply (any more) to an order that stands like this.
    Unchanged(Order),
}

/// Why a trigger came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum AdvanceError {
    /// The table failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Others changed the order again and again while this one tried.
    #[error("the order changed {MAX_ATTEMPTS} times meanwhile; try again")]
    Contended,
}

impl Retryable for AdvanceError {
    fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            Self::Contended => true,
        }
    }
}

/// How often a transition is tried against others that are faster: more often than an order has
/// states to go through.
const MAX_ATTEMPTS: u32 = 10;

/// Takes `order` through what follows from `trigger` at `now`, because of the event `cause`. The
/// order's own transition function decides, and it is written on the condition that nobody else was
/// faster; who was outrun reads the order again and lets it decide anew.
///
/// # Errors
/// When the table fails, or others are always faster.
pub async fn advance(
    orders: &impl Orders,
    mut order: Order,
    trigger: &Trigger,
    cause: Option<Uuid>,
    now: Timestamp,
) -> Result<Outcome, AdvanceError> {
    let id = order.order_id;
    for _ in 0..MAX_ATTEMPTS {
        let Some(transition) = order.transition(trigger.clone(), now, cause) else {
            tracing::info!(order_id = %id, status = ?order.status, ?trigger, "does not apply (any more)");
            return Ok(Outcome::Unchanged(order));
        };
        if orders.apply(id, &transition).await? == Applied::Yes {
            tracing::info!(order_id = %id, revision = transition.entry.revision, event = ?transition.entry.event, "applied");
            return Ok(Outcome::Changed(order.after(transition)));
        }
        // Orders are never deleted: one that was read is still there.
        order = orders.get(id).await?.ok_or(AdvanceError::Contended)?;
    }
    Err(AdvanceError::Contended)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use serde_json::json;
    use shop::order::Status;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn placed() -> Order {
        let placed_at = "2026-11-24T08:00:00.000Z";
        serde_json::from_value(json!({
            "order_id": "0b7c55f2-9d4e-4c6b-8a1f-3e2d7c9014aa", "customer_id": "camille", "location": "paris",
            "location_name": "Amélie Paris", "time_zone": "Europe/Paris", "status": "placed", "revision": 1, "payment": "none",
            "lines": [{"item": "croissant", "name": "Butter croissant", "quantity": 2, "unit_price": 190}], "total": 380,
            "currency": "EUR", "payment_method": "pm_card_visa", "placed_at": placed_at, "pickup_at": placed_at,
            "pickup_day": "2026-11-24", "deadline": "2026-11-24T08:15:00Z", "fingerprint": "f",
            "history": [{"revision": 1, "event": "order.placed", "status": "placed", "at": placed_at}]
        }))
        .unwrap()
    }

    /// Orders that others move on between every read and write, in this way, as often as that.
    struct Contended {
        orders: MemoryOrders,
        others: Trigger,
        times: Cell<u32>,
    }

    impl Contended {
        fn by(others: Trigger, times: u32) -> Self {
            Self { orders: MemoryOrders::new([placed()]), others, times: times.into() }
        }

        async fn advance(&self, trigger: &Trigger) -> Result<Outcome, AdvanceError> {
            advance(self, placed(), trigger, None, at("2026-11-24T08:00:05Z")).await
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
        ) -> Result<Applied, StoreError> {
            if self.times.get() == 0 {
                return self.orders.apply(order, transition).await;
            }
            self.times.set(self.times.get() - 1);
            let row = self.orders.get(order).await?.unwrap();
            if let Some(faster) =
                row.transition(self.others.clone(), at("2026-11-24T08:00:04Z"), None)
            {
                self.orders.apply(order, &faster).await?;
            }
            Ok(Applied::Outdated)
        }
    }

    #[tokio::test]
    async fn who_is_outrun_reads_again_and_tries_from_there() {
        let contended = Contended::by(Trigger::StockReserved, 1);
        let Outcome::Changed(cancelled) = contended.advance(&Trigger::Cancelled).await.unwrap()
        else {
            panic!("unchanged")
        };
        let states: Vec<_> = cancelled.history.iter().map(|entry| entry.status).collect();
        assert_eq!(states, [Status::Placed, Status::Reserved, Status::Cancelled]);
        assert_eq!(contended.orders.get(cancelled.order_id).await.unwrap(), Some(cancelled));
    }

    #[tokio::test]
    async fn who_is_outrun_by_what_rules_it_out_changes_nothing() {
        let contended = Contended::by(Trigger::StockRejected(vec![]), 1);
        let Outcome::Unchanged(rejected) = contended.advance(&Trigger::Cancelled).await.unwrap()
        else {
            panic!("changed")
        };
        assert_eq!((rejected.status, rejected.revision), (Status::Rejected, 2));
        assert_eq!(contended.orders.get(rejected.order_id).await.unwrap(), Some(rejected));
    }

    #[tokio::test]
    async fn who_is_outrun_for_ever_gives_up_for_now() {
        let error = Contended::by(Trigger::PickedUp, u32::MAX)
            .advance(&Trigger::Cancelled)
            .await
            .unwrap_err();
        assert!(matches!(error, AdvanceError::Contended) && error.is_transient());
    }
}
