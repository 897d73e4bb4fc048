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
    /// condition that the order's stock is still held. Pieces that are no longer counted, since
    /// their row [has expired](shop::stock::stock_expiry), are not given back.
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
            tracing::info!("not reserved: the deadline has passed");
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
                    tracing::info!(state = next.name(), "reservation written");
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
            Some(InventoryEvent::reserved(StockReserved { order_id }, now, cause))
        }
        Reservation::Rejected { shortages } => {
            let data = StockRejected { order_id, shortages };
            Some(InventoryEvent::rejected(data, now, cause))
        }
        Reservation::Released => {
            tracing::info!("not reserved: the order ended before");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use fixtures::{DEADLINE, PLACED_AT, at, bake_plan, event_of, numbered_order};
    use platform::{bus::MemoryBus, cause::chain, decode};
    use serde_json::json;

    use super::*;
    use crate::memory::MemoryStock;

    type TestInventory = Inventory<MemoryStock, MemoryBus>;

    /// An event of order `number`, which needs `quantity` croissants.
    fn event(event_type: OrderEventType, number: u32, quantity: u32) -> OrderEvent {
        let mut order = numbered_order(number);
        order.lines[0].quantity = quantity;
        event_of(order, event_type)
    }

    /// A shop that bakes so many croissants a day.
    fn inventory(croissants: u32) -> TestInventory {
        let plan = ("paris".parse().unwrap(), bake_plan(croissants));
        Inventory { stock: MemoryStock::new([plan]), bus: MemoryBus::default() }
    }

    async fn handle(inventory: &TestInventory, event: OrderEvent) {
        inventory.handle(event, at(PLACED_AT)).await.unwrap();
    }

    fn published(inventory: &TestInventory) -> Vec<String> {
        let events = inventory.bus.published();
        events.iter().map(|event| event["detail-type"].as_str().unwrap().to_owned()).collect()
    }

    /// The number of held croissants.
    fn held(inventory: &TestInventory) -> u32 {
        inventory.stock.all_held().values().sum()
    }

    #[tokio::test]
    async fn orders_are_reserved_until_too_little_is_left() {
        let inventory = inventory(3);
        handle(&inventory, event(OrderEventType::Placed, 1, 2)).await;
        handle(&inventory, event(OrderEventType::Placed, 2, 2)).await;
        assert_eq!(published(&inventory), ["inventory.reserved", "inventory.rejected"]);
        assert_eq!(
            inventory.bus.published()[1]["detail"]["data"]["shortages"],
            json!([{"item": "croissant", "requested": 2, "left": 1}])
        );
        assert_eq!(held(&inventory), 2);
    }

    #[tokio::test]
    async fn a_redelivered_order_is_held_once_and_its_event_has_the_same_id() {
        let inventory = inventory(3);
        for _ in 0..2 {
            handle(&inventory, event(OrderEventType::Placed, 1, 2)).await;
        }
        let events = inventory.bus.published();
        let id = |index: usize| &events[index]["detail"]["metadata"]["event_id"];
        assert_eq!((events.len(), id(0)), (2, id(1)));
        assert_eq!(held(&inventory), 2);
    }

    #[tokio::test]
    async fn a_rejection_stands_even_if_stock_is_released_before_the_redelivery() {
        let inventory = inventory(2);
        handle(&inventory, event(OrderEventType::Placed, 1, 2)).await;
        handle(&inventory, event(OrderEventType::Placed, 2, 2)).await;
        handle(&inventory, event(OrderEventType::Cancelled, 1, 2)).await;
        handle(&inventory, event(OrderEventType::Placed, 2, 2)).await;
        assert_eq!(
            published(&inventory),
            ["inventory.reserved", "inventory.rejected", "inventory.rejected"]
        );
        assert_eq!(held(&inventory), 0);
    }

    #[tokio::test]
    async fn every_early_end_releases_the_stock_once() {
        for end in [OrderEventType::Rejected, OrderEventType::Cancelled, OrderEventType::Expired] {
            let inventory = inventory(3);
            handle(&inventory, event(OrderEventType::Placed, 1, 2)).await;
            handle(&inventory, event(OrderEventType::Placed, 2, 1)).await;
            for _ in 0..2 {
                handle(&inventory, event(end, 1, 2)).await;
                assert_eq!(held(&inventory), 1, "{end:?}");
            }
        }
    }

    #[tokio::test]
    async fn other_events_change_nothing() {
        let inventory = inventory(3);
        handle(&inventory, event(OrderEventType::Placed, 1, 2)).await;
        handle(&inventory, event(OrderEventType::Confirmed, 1, 2)).await;
        assert_eq!((held(&inventory), published(&inventory).len()), (2, 1));
    }

    #[tokio::test]
    async fn a_release_that_arrives_before_its_order_leaves_a_tombstone() {
        let inventory = inventory(3);
        handle(&inventory, event(OrderEventType::Cancelled, 1, 2)).await;
        handle(&inventory, event(OrderEventType::Placed, 1, 2)).await;
        assert_eq!(held(&inventory), 0);
        assert!(published(&inventory).is_empty());
    }

    #[tokio::test]
    async fn nothing_is_reserved_from_the_deadline_on() {
        let inventory = inventory(3);
        let placed = event(OrderEventType::Placed, 1, 2);
        inventory.handle(placed.clone(), at(DEADLINE)).await.unwrap();
        assert_eq!(held(&inventory), 0);
        assert!(published(&inventory).is_empty());
        inventory.handle(placed, at("2026-11-24T08:14:59.999Z")).await.unwrap();
        assert_eq!(held(&inventory), 2);
    }

    #[test]
    fn errors_say_once_what_is_wrong_and_only_an_unreadable_row_is_not_retried() {
        let unreadable = StoreError::Row {
            table: "numbers".to_owned(),
            key: "7".to_owned(),
            reason: decode::json::<u32>("[]").unwrap_err(),
        };
        for (error, transient, text) in [
            (
                InventoryError::from(unreadable),
                false,
                "the row `7` of numbers cannot be read: `.` is missing or not what it should be",
            ),
            (
                StoreError::MissingRow.into(),
                true,
                "the row to change is missing, although it was there a moment ago",
            ),
            (
                PublishError::Call("timed out".to_owned()).into(),
                true,
                "EventBridge PutEvents failed: timed out",
            ),
        ] {
            assert_eq!(error.is_transient(), transient, "{error}");
            assert_eq!(chain(&error), text);
        }
    }
}
