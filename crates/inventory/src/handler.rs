//! The use cases: reserve, and release. Each commits to the table first, then publishes; a
//! redelivery finds the commit and publishes again.

use jiff::Timestamp;
use platform::{
    bus::{EventBus, PublishError},
    queue::Retryable,
    table::StoreError,
};
use shop::{
    event::{InventoryEvent, Metadata, OrderData, OrderEvent, StockRejected, StockReserved},
    id::{LocationId, OrderId},
    order::OrderEventType,
    stock::{BakePlan, Demand, Release, Reservation, Shortage},
};

/// Stock and reservations, as far as this function may touch them.
pub trait Stock {
    /// What a shop bakes a day; nothing for a shop without a plan.
    async fn plan(&self, location: &LocationId) -> Result<BakePlan, StoreError>;

    /// What was decided for an order, read consistently.
    async fn decided(&self, order: OrderId) -> Result<Option<Reservation>, StoreError>;

    /// Holds all that `demand` asks for, or nothing, unless something was decided for the order
    /// before.
    async fn hold(
        &self,
        order: OrderId,
        demand: &Demand,
        plan: &BakePlan,
    ) -> Result<Hold, StoreError>;

    /// Writes down a refusal or a tombstone at `now`, unless something was decided before: that is
    /// returned instead.
    async fn refuse(
        &self,
        order: OrderId,
        refusal: &Reservation,
        now: Timestamp,
    ) -> Result<Option<Reservation>, StoreError>;

    /// Gives back what is held for an order, once, and leaves a tombstone at `now`.
    async fn give_back(
        &self,
        order: OrderId,
        demand: &Demand,
        now: Timestamp,
    ) -> Result<(), StoreError>;
}

/// What came of an attempt to hold stock.
#[derive(Debug, PartialEq, Eq)]
pub enum Hold {
    /// All of it is held.
    Held,
    /// Nothing is: these items fell short.
    Short(Vec<Shortage>),
    /// Nothing was tried: this was decided before.
    Decided(Reservation),
}

/// Why a record has to come again.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// The table failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The bus failed.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

impl Retryable for InventoryError {
    fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            Self::Publish(error) => error.is_transient(),
        }
    }
}

/// The function with its ports.
#[derive(Debug)]
pub struct Inventory<S, B> {
    /// Its table.
    pub stock: S,
    /// Where it tells what it decided.
    pub bus: B,
}

impl<S: Stock, B: EventBus> Inventory<S, B> {
    /// Reserves for a new order, releases for one that ended early; whatever else happens to an
    /// order is no concern of inventory.
    ///
    /// # Errors
    /// When the table or the bus fails; the record can safely come again.
    pub async fn handle(&self, event: OrderEvent, now: Timestamp) -> Result<(), InventoryError> {
        match event.event_type {
            OrderEventType::Placed => {
                self.reserve(&event.detail.metadata, &event.detail.data, now).await
            }
            OrderEventType::Rejected | OrderEventType::Cancelled | OrderEventType::Expired => {
                self.release(event.detail.data.order_id, now).await
            }
            _ => Ok(()),
        }
    }

    async fn reserve(
        &self,
        cause: &Metadata,
        order: &OrderData,
        now: Timestamp,
    ) -> Result<(), InventoryError> {
        let order_id = order.order_id;
        if now >= order.deadline {
            tracing::info!(%order_id, "not reserved: its deadline has passed");
            return Ok(());
        }
        let demand = order.demand();
        let plan = self.stock.plan(&demand.location).await?;
        let decision = match self.stock.hold(order_id, &demand, &plan).await? {
            Hold::Held => Reservation::Held(demand),
            Hold::Decided(decision) => decision,
            Hold::Short(shortages) => {
                let refusal = Reservation::Rejected { shortages };
                self.stock.refuse(order_id, &refusal, now).await?.unwrap_or(refusal)
            }
        };
        tracing::info!(%order_id, decision = decision.name(), "decided");
        let event = match decision {
            Reservation::Held(_) => {
                InventoryEvent::reserved(StockReserved { order_id }, now, cause.event_id)
            }
            Reservation::Rejected { shortages } => {
                let data = StockRejected { order_id, shortages };
                InventoryEvent::rejected(data, now, cause.event_id)
            }
            Reservation::Released => {
                tracing::info!(%order_id, "not reserved: its release came first");
                return Ok(());
            }
        };
        self.bus.publish(&[event]).await?;
        Ok(())
    }

    async fn release(&self, order: OrderId, now: Timestamp) -> Result<(), InventoryError> {
        let mut decided = self.stock.decided(order).await?;
        loop {
            match Reservation::release(decided) {
                Release::Nothing => return Ok(()),
                Release::GiveBack(demand) => {
                    self.stock.give_back(order, &demand, now).await?;
                    tracing::info!(order_id = %order, "given back");
                    return Ok(());
                }
                Release::LeaveTombstone => {
                    match self.stock.refuse(order, &Reservation::Released, now).await? {
                        None => return Ok(()),
                        // A reservation got in between: that is what has to be given back.
                        first => decided = first,
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::memory::MemoryStock;
    use platform::bus::MemoryBus;

    const NOW: &str = "2026-11-24T08:00:00Z";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn event(event_type: &str, order: u32, quantity: u32) -> OrderEvent {
        let order_id = format!("0b7c55f2-9d4e-4c6b-8a1f-{order:012}");
        serde_json::from_value(json!({
            "detail-type": event_type,
            "detail": {
                "metadata": {"event_id": order_id, "version": 1, "occurred_at": NOW, "correlation_id": order_id},
                "data": {
                    "order_id": order_id, "customer_id": "camille", "revision": 1, "status": "placed", "payment": "none",
                    "location": "paris", "location_name": "Amélie Paris", "time_zone": "Europe/Paris", "pickup_at": NOW, "pickup_day": "2026-11-24", "deadline": "2026-11-24T08:15:00Z",
                    "lines": [{"item": "croissant", "name": "Butter croissant", "quantity": quantity, "unit_price": 190}],
                    "total": 380, "currency": "EUR"
                }
            }
        }))
        .unwrap()
    }

    fn inventory(capacity: u32) -> Inventory<MemoryStock, MemoryBus> {
        let plan = serde_json::from_value(json!({"capacity": {"croissant": capacity}})).unwrap();
        Inventory {
            stock: MemoryStock::new([("paris".parse().unwrap(), plan)]),
            bus: MemoryBus::default(),
        }
    }

    fn told(inventory: &Inventory<MemoryStock, MemoryBus>) -> Vec<String> {
        inventory
            .bus
            .published()
            .iter()
            .map(|event| event["detail-type"].as_str().unwrap().to_owned())
            .collect()
    }

    fn held(inventory: &Inventory<MemoryStock, MemoryBus>) -> u32 {
        inventory.stock.held(
            &"paris".parse().unwrap(),
            "2026-11-24".parse().unwrap(),
            &"croissant".parse().unwrap(),
        )
    }

    #[tokio::test]
    async fn an_order_is_reserved_until_nothing_is_left() {
        let inventory = inventory(3);
        inventory.handle(event("order.placed", 1, 2), at(NOW)).await.unwrap();
        inventory.handle(event("order.placed", 2, 2), at(NOW)).await.unwrap();
        assert_eq!(told(&inventory), ["inventory.reserved", "inventory.rejected"]);
        assert_eq!(
            inventory.bus.published()[1]["detail"]["data"]["shortages"],
            json!([{"item": "croissant", "requested": 2, "left": 1}])
        );
        assert_eq!(held(&inventory), 2);
    }

    #[tokio::test]
    async fn a_redelivered_order_is_held_once_and_told_again_with_the_same_id() {
        let inventory = inventory(3);
        inventory.handle(event("order.placed", 1, 2), at(NOW)).await.unwrap();
        inventory.handle(event("order.placed", 1, 2), at(NOW)).await.unwrap();
        let published = inventory.bus.published();
        assert_eq!(
            published[0]["detail"]["metadata"]["event_id"],
            published[1]["detail"]["metadata"]["event_id"]
        );
        assert_eq!(held(&inventory), 2);
    }

    #[tokio::test]
    async fn a_rejection_stands_even_when_stock_comes_free_before_it_is_redelivered() {
        let inventory = inventory(2);
        inventory.handle(event("order.placed", 1, 2), at(NOW)).await.unwrap();
        inventory.handle(event("order.placed", 2, 2), at(NOW)).await.unwrap();
        inventory.handle(event("order.cancelled", 1, 2), at(NOW)).await.unwrap();
        inventory.handle(event("order.placed", 2, 2), at(NOW)).await.unwrap();
        assert_eq!(
            told(&inventory),
            ["inventory.reserved", "inventory.rejected", "inventory.rejected"]
        );
        assert_eq!(held(&inventory), 0);
    }

    #[tokio::test]
    async fn stock_is_given_back_once_however_often_the_order_ends() {
        let inventory = inventory(3);
        inventory.handle(event("order.placed", 1, 2), at(NOW)).await.unwrap();
        inventory.handle(event("order.placed", 2, 1), at(NOW)).await.unwrap();
        inventory.handle(event("order.rejected", 1, 2), at(NOW)).await.unwrap();
        inventory.handle(event("order.rejected", 1, 2), at(NOW)).await.unwrap();
        assert_eq!(held(&inventory), 1);
    }

    #[tokio::test]
    async fn a_release_that_overtakes_its_reservation_leaves_a_tombstone() {
        let inventory = inventory(3);
        inventory.handle(event("order.cancelled", 1, 2), at(NOW)).await.unwrap();
        inventory.handle(event("order.placed", 1, 2), at(NOW)).await.unwrap();
        assert_eq!(held(&inventory), 0);
        assert!(told(&inventory).is_empty());
    }

    #[tokio::test]
    async fn nothing_is_reserved_after_the_deadline() {
        let inventory = inventory(3);
        inventory.handle(event("order.placed", 1, 2), at("2026-11-24T08:15:00Z")).await.unwrap();
        assert_eq!(held(&inventory), 0);
        assert!(told(&inventory).is_empty());
    }
}
