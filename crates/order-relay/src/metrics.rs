//! Metrics of orders. They are made from committed changes, each of which the stream delivers
//! once, unless a batch is repeated: an invocation that dies after publishing counts its changes
//! twice if it had written its metrics. Events that operators publish again are not counted.

use ::metrics::{counter, histogram};
use jiff::Timestamp;
use shop::{
    event::OrderEvent,
    order::{OrderEventType, Rejection},
};

/// Records the change of an order that was placed at `placed_at`.
pub(crate) fn record(event: &OrderEvent, placed_at: Timestamp) {
    let count = |name| counter!(name).increment(1);
    match event.event_type {
        OrderEventType::Placed => count("OrdersPlaced"),
        OrderEventType::Confirmed => {
            count("OrdersConfirmed");
            let waited = event.detail.metadata.occurred_at.duration_since(placed_at);
            histogram!("TimeToConfirm").record(waited.as_millis() as f64);
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
        OrderEventType::Expired => count("OrdersExpired"),
        OrderEventType::Reserved
        | OrderEventType::AuthenticationRequired
        | OrderEventType::Preparing
        | OrderEventType::Ready
        | OrderEventType::RefundRequested
        | OrderEventType::PaymentChanged
        | OrderEventType::Erased => {}
    }
}
