//! An order as its customer sees it.

use jiff::Timestamp;
use serde::Serialize;
use shop::{
    id::{ItemId, LocationId, OrderId},
    money::Currency,
    order::{HistoryEntry, Line, Order, OrderEventType, PaymentStatus, Rejection, Status},
};

/// The body of every answer about an order. Amounts are minor units of `currency`.
#[derive(Debug, Serialize)]
pub(crate) struct OrderView {
    order_id: OrderId,
    status: Status,
    payment: PaymentStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    rejection: Option<Rejection>,
    location: LocationId,
    lines: Vec<LineView>,
    total: u64,
    currency: Currency,
    placed_at: Timestamp,
    pickup_at: Timestamp,
    deadline: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    history: Vec<Step>,
}

#[derive(Debug, Serialize)]
struct LineView {
    item: ItemId,
    name: String,
    quantity: u32,
    unit_price: u64,
    price: u64,
}

#[derive(Debug, Serialize)]
struct Step {
    event: OrderEventType,
    status: Status,
    at: Timestamp,
}

impl From<Order> for OrderView {
    fn from(order: Order) -> Self {
        Self {
            order_id: order.order_id,
            status: order.status,
            payment: order.payment,
            rejection: order.rejection,
            location: order.location,
            lines: order.lines.into_iter().map(LineView::from).collect(),
            total: order.total,
            currency: order.currency,
            placed_at: order.placed_at,
            pickup_at: order.pickup_at,
            deadline: order.deadline,
            note: order.note,
            history: order.history.into_iter().map(Step::from).collect(),
        }
    }
}

impl From<Line> for LineView {
    fn from(line: Line) -> Self {
        let price = line.unit_price * u64::from(line.quantity);
        Self { item: line.item, name: line.name, quantity: line.quantity, unit_price: line.unit_price, price }
    }
}

impl From<HistoryEntry> for Step {
    fn from(entry: HistoryEntry) -> Self {
        Self { event: entry.event, status: entry.status, at: entry.at }
    }
}
