//! Metrics of orders. They are made from committed changes, each of which the stream delivers
//! once, unless a batch is repeated: an invocation that dies after publishing counts its changes
//! twice if it had written its metrics. Events that operators publish again are not counted.

use ::metrics::{counter, histogram};
use jiff::Timestamp;
use shop::{
    event::OrderEvent,
    order::{HistoryEntry, Order, OrderEventType, Rejection},
};

/// What a metric needs of an order beside its event.
#[derive(Clone, Copy)]
pub(crate) struct Origin {
    placed_at: Timestamp,
    /// Whether the order has waited for its customer to authenticate. How long that takes says
    /// nothing about this system.
    waited_for_customer: bool,
}

impl Origin {
    pub(crate) fn of(order: &Order) -> Self {
        let is_wait = |entry: &HistoryEntry| entry.event == OrderEventType::AuthenticationRequired;
        Self { placed_at: order.placed_at, waited_for_customer: order.history.iter().any(is_wait) }
    }
}

/// Records the change of an order.
pub(crate) fn record(event: &OrderEvent, origin: Origin) {
    let Origin { placed_at, waited_for_customer } = origin;
    let count = |name| counter!(name).increment(1);
    match event.event_type {
        OrderEventType::Placed => count("OrdersPlaced"),
        OrderEventType::Confirmed => {
            count("OrdersConfirmed");
            if !waited_for_customer {
                let waited = event.detail.metadata.occurred_at.duration_since(placed_at);
                histogram!("TimeToConfirm").record(waited.as_millis() as f64);
            }
        }
        OrderEventType::Collected => count("OrdersCollected"),
        OrderEventType::Rejected => {
            let reason = match &event.detail.data.rejection {
                Some(Rejection::PaymentDeclined { .. }) => "payment_declined",
                Some(Rejection::OutOfStock { .. }) | None => "out_of_stock",
            };
            counter!("OrdersRejected", "Reason" => reason).increment(1);
        }
        OrderEventType::Cancelled => count("OrdersCancelled"),
        OrderEventType::Expired if waited_for_customer => count("OrdersAbandoned"),
        OrderEventType::Expired => count("OrdersExpired"),
        OrderEventType::Reserved
        | OrderEventType::AuthenticationRequired
        | OrderEventType::Preparing
        | OrderEventType::Ready
        | OrderEventType::RefundRequested
        | OrderEventType::PaymentChanged
        | OrderEventType::DisputeChanged
        | OrderEventType::Erased => {}
    }
}
