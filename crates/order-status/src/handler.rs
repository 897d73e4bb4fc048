//! The use cases: apply a report, and expire.

use jiff::Timestamp;
use platform::{queue::Retryable, table::StoreError};
use serde::Deserialize;
use shop::{
    event::{
        InventoryEvent, OrderEvent, PaymentChanged, PaymentEvent, PaymentRefunded, RefundFailed,
    },
    id::OrderId,
    order::Trigger,
};
use tables::orders::{Orders, TriggerError, apply_trigger};
use uuid::Uuid;

/// An event of another domain about an order.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Report {
    Inventory(InventoryEvent),
    Payment(PaymentEvent),
}

/// Why handling a message failed.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Trigger(#[from] TriggerError),
    /// The message arrived before the order's deadline.
    #[error("the deadline is only at {0}; the message is retried")]
    TooEarly(Timestamp),
    /// Orders are never deleted, so the event was not published by this stack.
    #[error("there is no such order; find out who published the event")]
    UnknownOrder,
}

impl Retryable for StatusError {
    fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            Self::Trigger(error) => error.is_transient(),
            Self::TooEarly(_) => true,
            Self::UnknownOrder => false,
        }
    }
}

/// The function with its port.
#[derive(Debug)]
pub struct OrderStatus<O> {
    pub orders: O,
}

impl<O: Orders> OrderStatus<O> {
    /// Applies a report to its order. A report that does not apply to the order as it stands is
    /// ignored.
    ///
    /// # Errors
    /// The table fails, every attempt to write meets a conflict, or there is no such order.
    pub async fn apply(&self, report: Report, now: Timestamp) -> Result<(), StatusError> {
        let (order, trigger, cause) = triggered(report);
        self.apply_trigger(order, &trigger, cause, now).await
    }

    /// Expires the order unless it is confirmed.
    ///
    /// # Errors
    /// As for [`Self::apply`], or the deadline is still to come.
    pub async fn expire(&self, placed: OrderEvent, now: Timestamp) -> Result<(), StatusError> {
        let data = &placed.detail.data;
        if now < data.deadline {
            return Err(StatusError::TooEarly(data.deadline));
        }
        let cause = placed.detail.metadata.event_id;
        self.apply_trigger(data.order_id, &Trigger::DeadlinePassed, cause, now).await
    }

    async fn apply_trigger(
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

/// The order that a report is about, the trigger that it brings, and the event's id.
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
        Report::Payment(Payment::AuthenticationRequired(event)) => (
            event.data.order_id,
            Trigger::AuthenticationRequired(event.data.authentication_url),
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
            let PaymentRefunded { order_id, version, .. } = event.data;
            (order_id, Trigger::PaymentRefunded(version), event.metadata.event_id)
        }
        Report::Payment(Payment::RefundFailed(event)) => {
            let RefundFailed { order_id, version, .. } = event.data;
            (order_id, Trigger::RefundFailed(version), event.metadata.event_id)
        }
        Report::Payment(Payment::Changed(event)) => {
            let PaymentChanged { order_id, version, refunds, dispute } = event.data;
            let trigger = Trigger::PaymentChanged { version, refunds, dispute };
            (order_id, trigger, event.metadata.event_id)
        }
    }
}

#[cfg(test)]
mod tests {
    use fixtures::{ORDER, at};
    use platform::cause::chain;
    use shop::order::{Order, OrderEventType, Status};
    use tables::orders::MemoryOrders;

    use super::*;

    const NOW: &str = "2026-11-24T08:00:05Z";

    fn reserved() -> Report {
        Report::Inventory(fixtures::stock_reserved(&fixtures::order()))
    }

    fn rejected() -> Report {
        Report::Inventory(fixtures::stock_rejected(&fixtures::order(), &[]))
    }

    fn captured() -> Report {
        Report::Payment(fixtures::payment_captured(&fixtures::order()))
    }

    fn status() -> OrderStatus<MemoryOrders> {
        OrderStatus { orders: MemoryOrders::new([fixtures::order()]) }
    }

    async fn row(status: &OrderStatus<MemoryOrders>) -> Order {
        status.orders.get(ORDER.parse().unwrap()).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn reports_confirm_an_order_and_the_history_names_their_events() {
        let status = status();
        let Report::Inventory(InventoryEvent::Reserved(event)) = reserved() else { panic!() };
        status.apply(reserved(), at(NOW)).await.unwrap();
        status.apply(captured(), at(NOW)).await.unwrap();
        let order = row(&status).await;
        assert_eq!(order.status, Status::Confirmed);
        assert_eq!(order.payment_method, None);
        assert_eq!(order.history[1].cause, Some(event.metadata.event_id));
    }

    #[tokio::test]
    async fn a_repeated_or_late_report_changes_nothing() {
        let status = status();
        status.apply(rejected(), at(NOW)).await.unwrap();
        let order = row(&status).await;
        assert_eq!(order.status, Status::Rejected);
        status.apply(rejected(), at(NOW)).await.unwrap();
        status.apply(reserved(), at(NOW)).await.unwrap();
        assert_eq!(row(&status).await, order);
    }

    #[tokio::test]
    async fn a_report_about_an_unknown_order_is_an_error() {
        let status = OrderStatus { orders: MemoryOrders::default() };
        let error = status.apply(captured(), at(NOW)).await.unwrap_err();
        assert!(matches!(error, StatusError::UnknownOrder), "{error}");
    }

    #[tokio::test]
    async fn an_order_expires_at_its_deadline_and_not_before() {
        let status = status();
        let event = fixtures::order_event(OrderEventType::Placed);
        let early = status.expire(event.clone(), at("2026-11-24T08:14:59Z")).await.unwrap_err();
        assert!(matches!(early, StatusError::TooEarly(_)), "{early}");
        status.expire(event, at("2026-11-24T08:15:00Z")).await.unwrap();
        assert_eq!(row(&status).await.status, Status::Expired);
    }

    #[tokio::test]
    async fn a_confirmed_order_does_not_expire() {
        let status = status();
        status.apply(reserved(), at(NOW)).await.unwrap();
        status.apply(captured(), at(NOW)).await.unwrap();
        let event = fixtures::order_event(OrderEventType::Placed);
        status.expire(event, at("2026-11-24T08:15:00Z")).await.unwrap();
        assert_eq!(row(&status).await.status, Status::Confirmed);
    }

    #[test]
    fn errors_say_once_what_is_wrong_and_only_some_are_retried() {
        let unreadable = || StoreError::Row {
            table: "numbers".to_owned(),
            key: "7".to_owned(),
            reason: platform::decode::json::<u32>("[]").unwrap_err(),
        };
        let unreadable_text =
            "the row `7` of numbers cannot be read: `.` is missing or not what it should be";
        for (error, transient, text) in [
            (StatusError::from(unreadable()), false, unreadable_text),
            (StatusError::from(TriggerError::from(unreadable())), false, unreadable_text),
            (
                StatusError::from(StoreError::MissingRow),
                true,
                "the row to change is missing, although it was there a moment ago",
            ),
            (
                StatusError::from(TriggerError::Contended),
                true,
                "other writers changed the order during each of 10 attempts; try again",
            ),
            (
                StatusError::TooEarly(at("2026-11-24T08:15:00Z")),
                true,
                "the deadline is only at 2026-11-24T08:15:00Z; the message is retried",
            ),
            (
                StatusError::UnknownOrder,
                false,
                "there is no such order; find out who published the event",
            ),
        ] {
            assert_eq!(error.is_transient(), transient, "{error}");
            assert_eq!(chain(&error), text);
        }
    }
}
