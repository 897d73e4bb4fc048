//! The JSON of the API's answers.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use shop::{
    authentication::AuthenticationUrl,
    decline::DeclineReason,
    id::{ItemId, LocationId, OrderId},
    menu::Location,
    money::Currency,
    order::{HistoryEntry, Line, Note, Order, OrderEventType, Rejection, Status},
    payment_summary::PaymentSummary,
    reason::Reason,
    refund::{Refund, RefundState},
    stock::Shortage,
};

/// An order. Amounts are in minor units of `currency`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Order")]
pub(crate) struct OrderView {
    /// The order's id.
    order_id: OrderId,
    /// The order's state.
    status: Status,
    /// What happened to the customer's money.
    payment: PaymentSummary,
    /// Where the customer authenticates the payment; only while `payment` is
    /// `authentication_required`. Show the page to nobody else.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    authentication_url: Option<AuthenticationUrl>,
    /// What the shop has given back or is giving back, in the order in which it did.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refunds: Vec<RefundView>,
    /// Why the order was rejected; only for a rejected order.
    #[serde(skip_serializing_if = "Option::is_none")]
    rejection: Option<RejectionView>,
    /// Why the shop has cancelled the order; only if the shop has, and not the customer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    cancellation_reason: Option<Reason>,
    /// The shop's id.
    location: LocationId,
    /// The ordered items, each once.
    lines: Vec<LineView>,
    /// The sum of all lines.
    total: u64,
    /// The currency of all prices.
    currency: Currency,
    /// When the order was placed.
    placed_at: Timestamp,
    /// When the order can be picked up. From then on, it can no longer be cancelled.
    pickup_at: Timestamp,
    /// When the order expires unless it is confirmed; not after `pickup_at`.
    deadline: Timestamp,
    /// The customer's message to the shop.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    note: Option<Note>,
    /// All changes of the order, oldest first.
    history: Vec<Step>,
}

/// What a shop gives back of an order that goes on.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Refund")]
struct RefundView {
    /// Its number among the refunds of the order, from 1.
    id: u32,
    /// How much is given back.
    amount: u64,
    /// Why.
    reason: Reason,
    /// When the shop asked for it.
    requested_at: Timestamp,
    /// How far it got.
    state: RefundState,
}

impl From<Refund> for RefundView {
    fn from(refund: Refund) -> Self {
        let Refund { id, amount, reason, requested_at, state, .. } = refund;
        Self { id, amount, reason, requested_at, state }
    }
}

/// Why an order was rejected.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
#[schemars(rename = "Rejection")]
enum RejectionView {
    /// The shop had too little of at least one item.
    OutOfStock {
        /// Each item that fell short, with the quantity that was left.
        shortages: Vec<Shortage>,
    },
    /// The payment was declined.
    PaymentDeclined {
        /// Why. Later versions may add reasons.
        reason: DeclineReason,
    },
}

/// One item of an order.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Line")]
struct LineView {
    /// The item's id.
    item: ItemId,
    /// The item's name when the order was placed.
    name: String,
    /// The number of pieces.
    quantity: u32,
    /// The price of one piece when the order was placed.
    unit_price: u64,
    /// The price of all pieces.
    price: u64,
}

/// One change of an order.
#[derive(Debug, Serialize, JsonSchema)]
struct Step {
    /// The kind of change.
    event: OrderEventType,
    /// The order's state after the change.
    status: Status,
    /// When the change was decided.
    at: Timestamp,
}

/// A page of a customer's orders, newest first.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Orders")]
pub(crate) struct OrdersView {
    /// The orders of the page.
    pub(crate) orders: Vec<OrderView>,
    /// The `cursor` of the next page; null on the last page.
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
            payment: PaymentSummary::of(&order),
            authentication_url: order.authentication_url,
            refunds: order.refunds.into_iter().map(RefundView::from).collect(),
            rejection: order.rejection.map(RejectionView::from),
            cancellation_reason: order.cancellation_reason,
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

impl From<Rejection> for RejectionView {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::OutOfStock { shortages } => Self::OutOfStock { shortages },
            Rejection::PaymentDeclined { reason } => {
                Self::PaymentDeclined { reason: DeclineReason::from_provider_code(&reason) }
            }
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
