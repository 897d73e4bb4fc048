//! The use cases: reserve and release. Each commits to the table first and then publishes; a
//! redelivery finds the committed row and publishes it again.

use jiff::Timestamp;
use platform::{
    bus::{EventBus, PublishError},
    queue::Retryable,
    table::{StoreError, Write},
};
use shop::{
    event::{InventoryEvent, Metadata, OrderData, OrderEvent, StockRejected, StockReserved},
    id::{LocationId, OrderId},
    order::OrderEventType,
    stock::{BakePlan, Demand, Reservation, Shortage, Trigger},
};

/// Bake plans, held pieces and reservations.
pub trait Stock {
    /// What a shop bakes a day: nothing if it has no plan.
    async fn plan(&self, location: &LocationId) -> Result<BakePlan, StoreError>;

    /// Reads an order's reservation consistently.
    async fn find(&self, order: OrderId) -> Result<Option<Reservation>, StoreError>;

    /// Holds everything in `demand` and writes the reservation, or does neither. The conditions
    /// are that the order has no reservation yet and that the plan has room for every item.
    async fn hold(
        &self,
        order: OrderId,
        demand: &Demand,
        plan: &BakePlan,
    ) -> Result<Hold, StoreError>;

    /// Writes a rejection or a tombstone at `now`, on the condition that the order has no
    /// reservation yet.
    async fn refuse(
        &self,
        order: OrderId,
        refusal: &Reservation,
        now: Timestamp,
    ) -> Result<Write<Reservation>, StoreError>;

    /// Gives back everything in `demand` and writes [`Reservation::Released`] at `now`, on the
    /// condition that the order's stock is still held.
    async fn release(
        &self,
        order: OrderId,
        demand: &Demand,
        now: Timestamp,
    ) -> Result<Write<Reservation>, StoreError>;
}

/// The outcome of an attempt to hold stock.
#[derive(Debug, PartialEq, Eq)]
pub enum Hold {
    /// Everything is held.
    Held,
    /// Nothing is held, because of these shortages.
    Short(Vec<Shortage>),
    /// Nothing was changed: the order already has this reservation.
    Decided(Reservation),
}

/// Why handling an event failed.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    #[error(transparent)]
    Store(#[from] StoreError),
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
    pub stock: S,
    pub bus: B,
}

impl<S: Stock, B: EventBus> Inventory<S, B> {
    /// Reserves stock for an order that was placed, and releases it for one that ended early.
    /// Other events are ignored.
    ///
    /// # Errors
    /// The table or the bus fails. Handling the event again is safe.
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
            tracing::info!(%order_id, "not reserved: the deadline has passed");
            return Ok(());
        }
        // Most orders arrive once, so no reservation is assumed rather than read first.
        let trigger = Trigger::ReserveRequested(order.demand());
        let reservation = self.apply_trigger(order_id, None, trigger, now).await?;
        if let Some(event) = reservation.and_then(|it| announcement(it, order_id, cause, now)) {
            self.bus.publish(&[event]).await?;
        }
        Ok(())
    }

    async fn release(&self, order: OrderId, now: Timestamp) -> Result<(), InventoryError> {
        let reservation = self.stock.find(order).await?;
        self.apply_trigger(order, reservation, Trigger::ReleaseRequested, now).await?;
        Ok(())
    }

    /// Applies a trigger to the reservation `current` and returns the reservation as it is then.
    /// [`Reservation::next`] decides; after a conflict it decides again from the row as it stands.
    async fn apply_trigger(
        &self,
        order: OrderId,
        mut current: Option<Reservation>,
        mut trigger: Trigger,
        now: Timestamp,
    ) -> Result<Option<Reservation>, InventoryError> {
        while let Some(next) = Reservation::next(current.as_ref(), trigger.clone()) {
            let write = match (&current, &next) {
                (_, Reservation::Held(demand)) => {
                    let plan = self.stock.plan(&demand.location).await?;
                    match self.stock.hold(order, demand, &plan).await? {
                        Hold::Held => Write::Committed,
                        Hold::Decided(reservation) => Write::Conflict(reservation),
                        Hold::Short(shortages) => {
                            trigger = Trigger::StockShort(shortages);
                            continue;
                        }
                    }
                }
                (Some(Reservation::Held(demand)), _) => {
                    self.stock.release(order, demand, now).await?
                }
                _ => self.stock.refuse(order, &next, now).await?,
            };
            match write {
                Write::Committed => {
                    tracing::info!(order_id = %order, state = next.name(), "reservation written");
                    return Ok(Some(next));
                }
                Write::Conflict(row) => current = Some(row),
            }
        }
        Ok(current)
    }
}

/// The event that answers an order that was placed. There is none if the order has already ended.
fn announcement(
    reservation: Reservation,
    order_id: OrderId,
    cause: &Metadata,
    now: Timestamp,
) -> Option<InventoryEvent> {
    match reservation {
        Reservation::Held(_) => {
            Some(InventoryEvent::reserved(StockReserved { order_id }, now, cause.event_id))
        }
        Reservation::Rejected { shortages } => {
            let data = StockRejected { order_id, shortages };
            Some(InventoryEvent::rejected(data, now, cause.event_id))
        }
        Reservation::Released => {
            tracing::info!(%order_id, "not reserved: the order ended before");
            None
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
