//! What the API answers with.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use shop::{
    id::{ItemId, LocationId, OrderId},
    menu::Location,
    money::Currency,
    order::{HistoryEntry, Line, Order, OrderEventType, PaymentStatus, Rejection, Status},
};

/// An order as its customer sees it. Amounts are minor units of `currency`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Order")]
pub(crate) struct OrderView {
    /// Its id.
    order_id: OrderId,
    /// Where it stands.
    status: Status,
    /// What became of the money.
    payment: PaymentStatus,
    /// Why it was rejected, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    rejection: Option<Rejection>,
    /// At which shop.
    location: LocationId,
    /// What was ordered, each item once.
    lines: Vec<LineView>,
    /// The sum of all lines.
    total: u64,
    /// The currency of all prices.
    currency: Currency,
    /// When it was placed.
    placed_at: Timestamp,
    /// When it can be picked up.
    pickup_at: Timestamp,
    /// An order that is not confirmed by then expires.
    deadline: Timestamp,
    /// The customer's words to the shop.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    /// Every transition, oldest first.
    history: Vec<Step>,
}

/// One item of an order.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Line")]
struct LineView {
    /// What.
    item: ItemId,
    /// Its name when the order was placed.
    name: String,
    /// How many pieces.
    quantity: u32,
    /// Price of one piece when the order was placed.
    unit_price: u64,
    /// Price of all of them.
    price: u64,
}

/// One transition of an order.
#[derive(Debug, Serialize, JsonSchema)]
struct Step {
    /// What happened.
    event: OrderEventType,
    /// Where the order stood after it.
    status: Status,
    /// When it was decided.
    at: Timestamp,
}

/// A page of a customer's orders, newest first.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Orders")]
pub(crate) struct OrdersView {
    /// The orders.
    pub(crate) orders: Vec<OrderView>,
    /// The `cursor` of the next page; null on the last one.
    pub(crate) next: Option<String>,
}

/// All shops, sorted by name.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Locations")]
pub(crate) struct LocationsView<'a> {
    /// The shops.
    pub(crate) locations: &'a [Location],
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
        Self {
            item: line.item,
            name: line.name,
            quantity: line.quantity,
            unit_price: line.unit_price,
            price,
        }
    }
}

impl From<HistoryEntry> for Step {
    fn from(entry: HistoryEntry) -> Self {
        Self { event: entry.event, status: entry.status, at: entry.at }
    }
}
