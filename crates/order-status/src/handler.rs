//! The use cases: apply a report, and expire.

use jiff::Timestamp;
use platform::{queue::Retryable, table::StoreError};
use serde::Deserialize;
use shop::{
    event::{InventoryEvent, OrderEvent, PaymentEvent},
    id::OrderId,
    order::Trigger,
};
use tables::orders::{Orders, TriggerError, apply_trigger};
use uuid::Uuid;

/// What the other domains report.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Report {
    /// From inventory.
    Inventory(InventoryEvent),
    /// From payment.
    Payment(PaymentEvent),
}

/// Why a record has to come again.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// The table failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The order could not be moved on.
    #[error(transparent)]
    Advance(#[from] TriggerError),
    /// The deadline is still to come.
    #[error("the deadline is only at {0}; it comes again")]
    TooEarly(Timestamp),
    /// No order has that id. Orders are never deleted: whoever sent this did not mean this stack.
    #[error("there is no such order; look who published the event")]
    UnknownOrder,
}

impl Retryable for StatusError {
    fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            Self::Advance(error) => error.is_transient(),
            Self::TooEarly(_) => true,
            Self::UnknownOrder => false,
        }
    }
}

/// The function with its ports.
#[derive(Debug)]
pub struct OrderStatus<O> {
    /// The orders.
    pub orders: O,
}

impl<O: Orders> OrderStatus<O> {
    /// Applies what inventory or payment report. A report that does not apply (any more) is
    /// ignored.
    ///
    /// # Errors
    /// When the table fails or others are always faster, or the order does not exist.
    pub async fn apply(&self, report: Report, now: Timestamp) -> Result<(), StatusError> {
        let (order, trigger, cause) = triggered(report);
        self.pull(order, &trigger, cause, now).await
    }

    /// Expires the order if it is not confirmed by its deadline.
    ///
    /// # Errors
    /// As [`Self::apply`], and when the deadline is still to come.
    pub async fn expire(&self, placed: OrderEvent, now: Timestamp) -> Result<(), StatusError> {
        let data = &placed.detail.data;
        if now < data.deadline {
            return Err(StatusError::TooEarly(data.deadline));
        }
        self.pull(data.order_id, &Trigger::DeadlinePassed, placed.detail.metadata.event_id, now)
            .await
    }

    async fn pull(
        &self,
        id: OrderId,
        trigger: &Trigger,
        cause: Uuid,
        now: Timestamp,
    ) -> Result<(), StatusError> {
        let order = self.orders.get(id).await?.ok_or(StatusError::UnknownOrder)?;
        apply_trigger(&self.orders, order, trigger, Some(cause), now).await?;
        Ok(())
    }
}

fn triggered(report: Report) -> (OrderId, Trigger, Uuid) {
    use InventoryEvent as Inventory;
    use PaymentEvent as Payment;
    match report {
        Report::Inventory(Inventory::Reserved(event)) => {
            (event.data.order_id, Trigger::StockReserved, event.metadata.event_id)
        }
        Report::Inventory(Inventory::Rejected(event)) => (
            event.data.order_id,
            Trigger::StockRejected(event.data.shortages),
            event.metadata.event_id,
        ),
        Report::Payment(Payment::Captured(event)) => {
            (event.data.order_id, Trigger::PaymentCaptured, event.metadata.event_id)
        }
        Report::Payment(Payment::Declined(event)) => (
            event.data.order_id,
            Trigger::PaymentDeclined(event.data.reason),
            event.metadata.event_id,
        ),
        Report::Payment(Payment::Voided(event)) => {
            (event.data.order_id, Trigger::PaymentVoided, event.metadata.event_id)
        }
        Report::Payment(Payment::Refunded(event)) => {
            (event.data.order_id, Trigger::PaymentRefunded, event.metadata.event_id)
        }
        Report::Payment(Payment::RefundFailed(event)) => {
            (event.data.order_id, Trigger::RefundFailed, event.metadata.event_id)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use shop::order::{Order, Status};
    use tables::orders::MemoryOrders;

    use super::*;

    const ORDER: &str = "0b7c55f2-9d4e-4c6b-8a1f-3e2d7c9014aa";
    const NOW: &str = "2026-11-24T08:00:05Z";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn placed() -> Order {
        let placed_at = "2026-11-24T08:00:00.000Z";
        serde_json::from_value(json!({
            "order_id": ORDER, "customer_id": "camille", "location": "paris", "location_name": "Amélie Paris", "time_zone": "Europe/Paris", "status": "placed", "revision": 1, "payment": "none",
            "lines": [{"item": "croissant", "name": "Butter croissant", "quantity": 2, "unit_price": 190}], "total": 380,
            "currency": "EUR", "payment_method": "pm_card_visa", "placed_at": placed_at, "pickup_at": placed_at,
            "pickup_day": "2026-11-24", "deadline": "2026-11-24T08:15:00Z", "fingerprint": "f",
            "history": [{"revision": 1, "event": "order.placed", "status": "placed", "at": placed_at}]
        }))
        .unwrap()
    }

    fn report(detail_type: &str, data: Value) -> Report {
        let mut data = data;
        data["order_id"] = json!(ORDER);
        serde_json::from_value(json!({
            "detail-type": detail_type,
            "detail": {
                "metadata": {"event_id": ORDER, "version": 1, "occurred_at": NOW, "correlation_id": ORDER},
                "data": data
            }
        }))
        .unwrap()
    }

    fn captured() -> Report {
        report("payment.captured", json!({"amount": 380, "currency": "EUR"}))
    }

    fn status() -> OrderStatus<MemoryOrders> {
        OrderStatus { orders: MemoryOrders::new([placed()]) }
    }

    async fn now(status: &OrderStatus<MemoryOrders>) -> Order {
        status.orders.get(ORDER.parse().unwrap()).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn reports_confirm_an_order_and_name_their_cause() {
        let status = status();
        status.apply(report("inventory.reserved", json!({})), at(NOW)).await.unwrap();
        status.apply(captured(), at(NOW)).await.unwrap();
        let order = now(&status).await;
        assert_eq!(order.status, Status::Confirmed);
        assert_eq!(order.payment_method, None);
        assert_eq!(order.history[1].cause.unwrap().to_string(), ORDER);
    }

    #[tokio::test]
    async fn a_report_that_comes_twice_or_too_late_changes_nothing() {
        let status = status();
        status
            .apply(report("inventory.rejected", json!({"shortages": []})), at(NOW))
            .await
            .unwrap();
        let rejected = now(&status).await;
        status
            .apply(report("inventory.rejected", json!({"shortages": []})), at(NOW))
            .await
            .unwrap();
        status.apply(report("inventory.reserved", json!({})), at(NOW)).await.unwrap();
        assert_eq!(now(&status).await, rejected);
    }

    #[tokio::test]
    async fn a_report_about_no_order_of_this_stack_is_refused_for_good() {
        let status = OrderStatus { orders: MemoryOrders::default() };
        let error = status.apply(captured(), at(NOW)).await.unwrap_err();
        assert!(matches!(error, StatusError::UnknownOrder) && !error.is_transient());
    }

    #[tokio::test]
    async fn an_order_expires_at_its_deadline_and_not_before() {
        let status = status();
        let event = OrderEvent::latest(placed()).unwrap();
        let early = status.expire(event.clone(), at("2026-11-24T08:14:59Z")).await.unwrap_err();
        assert!(matches!(early, StatusError::TooEarly(_)) && early.is_transient());
        status.expire(event, at("2026-11-24T08:15:00Z")).await.unwrap();
        assert_eq!(now(&status).await.status, Status::Expired);
    }

    #[tokio::test]
    async fn a_confirmed_order_does_not_expire() {
        let status = status();
        status.apply(report("inventory.reserved", json!({})), at(NOW)).await.unwrap();
        status.apply(captured(), at(NOW)).await.unwrap();
        status
            .expire(OrderEvent::latest(placed()).unwrap(), at("2026-11-24T08:15:00Z"))
            .await
            .unwrap();
        assert_eq!(now(&status).await.status, Status::Confirmed);
    }
}
