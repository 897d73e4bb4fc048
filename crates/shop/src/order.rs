//! An order, its states, and the table of its transitions.

use std::{fmt, str::FromStr};

use jiff::{SignedDuration, Timestamp, civil, tz::TimeZone};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use crate::{
    authentication::AuthenticationUrl,
    dispute::{Dispute, DisputeState},
    id::{CustomerId, ItemId, LocationId, OrderId},
    money::{Currency, Money},
    reason::Reason,
    refund::{Refund, RefundReport, RefundState, is_zero, live_amount},
    stock::{Quantity, Shortage},
    text::{self, Unprintable},
    trace::TraceParent,
};

/// An order's state: `placed → reserved → confirmed → preparing → ready → collected`, or one of
/// three early ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The order is accepted; nothing is held or charged yet.
    Placed,
    /// The order's stock is held.
    Reserved,
    /// The order is paid, and the shop will make it.
    Confirmed,
    /// The shop is making the order, which can no longer be cancelled.
    Preparing,
    /// The order is waiting for the customer.
    Ready,
    /// The customer has picked the order up.
    Collected,
    /// The order was out of stock, or its payment was declined.
    Rejected,
    /// The customer or the shop cancelled the order.
    Cancelled,
    /// The order was not confirmed by its deadline.
    Expired,
}

impl Status {
    /// Every state.
    pub const ALL: [Self; 9] = [
        Self::Placed,
        Self::Reserved,
        Self::Confirmed,
        Self::Preparing,
        Self::Ready,
        Self::Collected,
        Self::Rejected,
        Self::Cancelled,
        Self::Expired,
    ];

    /// Whether the order ended without being handed over, so that its stock is released and its
    /// payment undone.
    #[must_use]
    pub const fn ended_early(self) -> bool {
        match self {
            Self::Rejected | Self::Cancelled | Self::Expired => true,
            Self::Placed
            | Self::Reserved
            | Self::Confirmed
            | Self::Preparing
            | Self::Ready
            | Self::Collected => false,
        }
    }

    /// Whether the order may still be charged for.
    const fn awaits_charge(self) -> bool {
        match self {
            Self::Placed | Self::Reserved => true,
            Self::Confirmed
            | Self::Preparing
            | Self::Ready
            | Self::Collected
            | Self::Rejected
            | Self::Cancelled
            | Self::Expired => false,
        }
    }
}

/// What happened to the customer's money.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    /// No money was taken.
    #[default]
    None,
    /// The full amount was taken.
    Captured,
    /// The charge was voided before it took anything.
    Voided,
    /// The full amount was refunded.
    Refunded,
    /// The provider could not refund the amount, so staff have to.
    RefundFailed,
}

impl PaymentStatus {
    /// Every status.
    pub const ALL: [Self; 5] =
        [Self::None, Self::Captured, Self::Voided, Self::Refunded, Self::RefundFailed];
}

/// Why an order was rejected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Rejection {
    /// The shop had too little of at least one item.
    OutOfStock {
        /// Each item that fell short, with the quantity that was left.
        shortages: Vec<Shortage>,
    },
    /// The payment provider declined the charge, or refused for good to begin it.
    PaymentDeclined {
        /// The provider's code, such as `insufficient_funds`.
        reason: String,
    },
}

/// The provider's token for the customer's payment method: 1 to 255 ASCII letters, digits and
/// underscores, with at least one letter, so that it is not the number of a card. Its debug form is
/// `…`, so that no log line holds a token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct PaymentMethod(String);

impl PaymentMethod {
    /// The most characters of a token.
    pub const MAX_LENGTH: usize = 255;

    /// What a token looks like, for JSON Schemas.
    pub const PATTERN: &str = "^[0-9_]*[A-Za-z][A-Za-z0-9_]*$";

    /// The token, for the provider alone.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Why a text is not a payment method. It does not show the text, which may be a real token.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "must be 1 to 255 letters, digits and underscores: the provider's id of a payment method, and \
     never the number of a card"
)]
pub struct InvalidPaymentMethod;

impl TryFrom<String> for PaymentMethod {
    type Error = InvalidPaymentMethod;

    fn try_from(token: String) -> Result<Self, InvalidPaymentMethod> {
        let valid = |c: u8| c.is_ascii_alphanumeric() || c == b'_';
        let is_number = !token.bytes().any(|c| c.is_ascii_alphabetic());
        if (1..=Self::MAX_LENGTH).contains(&token.len()) && token.bytes().all(valid) && !is_number {
            Ok(Self(token))
        } else {
            Err(InvalidPaymentMethod)
        }
    }
}

impl FromStr for PaymentMethod {
    type Err = InvalidPaymentMethod;

    fn from_str(token: &str) -> Result<Self, InvalidPaymentMethod> {
        token.to_owned().try_into()
    }
}

impl From<PaymentMethod> for String {
    fn from(method: PaymentMethod) -> Self {
        method.0
    }
}

impl fmt::Debug for PaymentMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PaymentMethod(…)")
    }
}

/// The customer's words to the shop: at most 500 characters of [text].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(into = "String")]
#[schemars(with = "String")]
pub struct Note(String);

impl Note {
    /// The length of the longest note, in characters.
    pub const MAX_LENGTH: usize = 500;
}

/// Why a text is not a note.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidNote {
    /// It has too many characters.
    #[error("must be at most {} characters", Note::MAX_LENGTH)]
    TooLong,
    /// A character is not printable.
    #[error(transparent)]
    Unprintable(#[from] Unprintable),
}

impl TryFrom<String> for Note {
    type Error = InvalidNote;

    fn try_from(text: String) -> Result<Self, InvalidNote> {
        if text.chars().count() > Self::MAX_LENGTH {
            return Err(InvalidNote::TooLong);
        }
        text::check(&text)?;
        Ok(Self(text))
    }
}

/// Reads the note of a row, which may have been stored before notes had to be printable.
impl<'de> Deserialize<'de> for Note {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(text::printable(&String::deserialize(deserializer)?)))
    }
}

impl From<Note> for String {
    fn from(note: Note) -> Self {
        note.0
    }
}

/// One item of an order. Each item has at most one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    /// The item's id.
    pub item: ItemId,
    /// The item's name when the order was placed.
    pub name: String,
    /// The number of pieces.
    pub quantity: u32,
    /// The price of one piece when the order was placed, in minor units of the order's currency.
    pub unit_price: u64,
}

impl From<&Line> for Quantity {
    fn from(line: &Line) -> Self {
        Self { item: line.item.clone(), quantity: line.quantity }
    }
}

/// The kind of an order's transition: its detail type on the bus and its event in the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "each is the state that the order has reached")]
pub enum OrderEventType {
    #[serde(rename = "order.placed")]
    Placed,
    #[serde(rename = "order.reserved")]
    Reserved,
    #[serde(rename = "order.confirmed")]
    Confirmed,
    #[serde(rename = "order.preparing")]
    Preparing,
    #[serde(rename = "order.ready")]
    Ready,
    #[serde(rename = "order.collected")]
    Collected,
    #[serde(rename = "order.rejected")]
    Rejected,
    #[serde(rename = "order.cancelled")]
    Cancelled,
    #[serde(rename = "order.expired")]
    Expired,
    /// The order's state is the same as before; its customer has to authenticate the payment.
    #[serde(rename = "order.authentication_required")]
    AuthenticationRequired,
    /// The order's state is the same as before; the shop gives money back.
    #[serde(rename = "order.refund_requested")]
    RefundRequested,
    /// The order's state is the same as before; its payment has changed.
    #[serde(rename = "order.payment_changed")]
    PaymentChanged,
    /// The order's state is the same as before; its customer disputes the payment, or the bank has
    /// decided that.
    #[serde(rename = "order.dispute_changed")]
    DisputeChanged,
    /// The order's state is the same as before; it no longer says who placed it.
    #[serde(rename = "order.erased")]
    Erased,
}

impl OrderEventType {
    /// Every event type.
    pub const ALL: [Self; 14] = [
        Self::Placed,
        Self::Reserved,
        Self::AuthenticationRequired,
        Self::Confirmed,
        Self::Preparing,
        Self::Ready,
        Self::Collected,
        Self::Rejected,
        Self::Cancelled,
        Self::Expired,
        Self::RefundRequested,
        Self::PaymentChanged,
        Self::DisputeChanged,
        Self::Erased,
    ];
}

/// One transition in an order's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// The order's revision after the transition, from 1 on.
    pub revision: u32,
    /// The kind of transition.
    pub event: OrderEventType,
    /// The order's state after the transition.
    pub status: Status,
    /// When the transition was decided.
    pub at: Timestamp,
    /// The id of the event that caused the transition; absent if a customer or a shop caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Uuid>,
}

/// An order: the row of the Orders table, which is also the outbox of its events and its audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The order's id, derived from customer and idempotency key.
    pub order_id: OrderId,
    /// The customer who placed the order.
    pub customer_id: CustomerId,
    /// The shop's id.
    pub location: LocationId,
    /// The shop's name when the order was placed.
    pub location_name: String,
    /// The shop's time zone.
    #[serde(with = "jiff::fmt::serde::tz::required")]
    pub time_zone: TimeZone,
    /// The order's state.
    pub status: Status,
    /// The number of transitions so far, including the placing.
    pub revision: u32,
    /// What happened to the customer's money. A refund by the shop changes nothing about it.
    pub payment: PaymentStatus,
    /// What the shop has given back, in the order in which it was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refunds: Vec<Refund>,
    /// The customer's dispute of the payment, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dispute: Option<Dispute>,
    /// The version of the payment's row from which the states of the refunds and of the dispute
    /// are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub payment_version: u32,
    /// The ordered items, each once.
    pub lines: Vec<Line>,
    /// The sum of all lines in minor units.
    pub total: u64,
    /// The currency of all prices.
    pub currency: Currency,
    /// The payment method, until the order is confirmed or has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_method: Option<PaymentMethod>,
    /// Where the customer authenticates the payment, once their bank asks for it and until the
    /// order is confirmed or has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication_url: Option<AuthenticationUrl>,
    /// The customer's words to the shop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Note>,
    /// When the order was placed. It is written with exactly three decimals, so that it sorts by
    /// time as text.
    #[serde(with = "milliseconds")]
    pub placed_at: Timestamp,
    /// When the order can be picked up. From then on, its customer can no longer cancel it.
    pub pickup_at: Timestamp,
    /// The day whose stock the order uses: the date, in the shop's time zone, on which the opening
    /// hours of the pickup began.
    pub pickup_day: civil::Date,
    /// The time when the order expires unless it is confirmed, which is not after its pickup. From
    /// then on, nothing is reserved or charged for it.
    pub deadline: Timestamp,
    /// Why the order was rejected; only for a rejected order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejection: Option<Rejection>,
    /// Why the shop has cancelled the order; only if the shop has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancellation_reason: Option<Reason>,
    /// A hash of the request, which distinguishes a repeated request from a different one with the
    /// same idempotency key; empty for an erased order.
    pub fingerprint: String,
    /// The trace of the request that placed the order, if it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<TraceParent>,
    /// Every transition, oldest first. Never empty.
    pub history: Vec<HistoryEntry>,
}

/// What can change an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Inventory holds the order's stock.
    StockReserved,
    /// Inventory had too little of these items.
    StockRejected(Vec<Shortage>),
    /// The customer's bank asks them to authenticate the payment on this page.
    AuthenticationRequired(AuthenticationUrl),
    /// The provider took the full amount.
    PaymentCaptured,
    /// The provider declined the charge, or refused for good to begin it, with its code.
    PaymentDeclined(String),
    /// The charge was voided before it took anything.
    PaymentVoided,
    /// The full amount was refunded, according to this version of the payment's row; 0 if that is
    /// not known.
    PaymentRefunded(u32),
    /// The provider could not refund the amount, or the bank has sent it back, according to this
    /// version of the payment's row; 0 if that is not known.
    RefundFailed(u32),
    /// The shop gives this much of a paid order back, in minor units: at most what is left.
    RefundRequested {
        /// In minor units.
        amount: u64,
        /// Why, for the customer.
        reason: Reason,
    },
    /// The shop tries a refund again that has failed.
    RefundRetried(u32),
    /// The payment's row shows its refunds in these states, and this dispute. Older versions of the
    /// row are ignored.
    PaymentChanged {
        /// The version of the payment's row.
        version: u32,
        /// All refunds in it.
        refunds: Vec<RefundReport>,
        /// A summary of its disputes.
        dispute: Option<Dispute>,
    },
    /// The deadline has passed.
    DeadlinePassed,
    /// The customer cancels the order, which they can until its pickup time.
    Cancelled,
    /// The shop cancels the order, for this reason, which it can until the order is collected or
    /// [is over](Order::is_over).
    CancelledByShop(Reason),
    /// The shop starts making the order.
    PreparationStarted,
    /// The shop has made the order.
    PreparationFinished,
    /// The customer has picked the order up.
    PickedUp,
    /// The customer wants their data deleted, which is possible once the order [is
    /// over](Order::is_over).
    ErasureRequested,
}

/// A change of an order: what to write, on the condition that the order still has `from_revision`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The revision that the order must still have.
    pub from_revision: u32,
    /// What happened to the customer's money.
    pub payment: PaymentStatus,
    /// The version of the payment's row from which the change is, if it is from there.
    pub payment_version: Option<u32>,
    /// All refunds; only for a transition that changes them.
    pub refunds: Option<Vec<Refund>>,
    /// The dispute; only for a transition that changes it.
    pub dispute: Option<Dispute>,
    /// Why the order is rejected; only for a transition that rejects it.
    pub rejection: Option<Rejection>,
    /// Why the shop cancels the order; only for a transition that changes that.
    pub cancellation_reason: Option<Reason>,
    /// Where the customer authenticates the payment; only for a transition that says so.
    pub authentication_url: Option<AuthenticationUrl>,
    /// Whether to delete the payment method and the page for authentication, because no charge
    /// needs them from now on.
    pub forgets_charge: bool,
    /// Whether to delete what leads to the customer: their id, their note, and the hash and the
    /// trace of their request. What the books need stays; the shop's reasons are among the refunds
    /// and in `cancellation_reason`.
    pub erases_customer: bool,
    /// The history's next entry, with the new revision and state.
    pub entry: HistoryEntry,
}

/// The most refunds of one order by its shop, so that rows and events stay small.
pub const MAX_REFUNDS: usize = 20;

/// How long after its pickup time an order may still be reported as collected.
const UNREPORTED_AFTER: SignedDuration = SignedDuration::from_hours(7 * 24);

impl Order {
    /// The order's total with its currency.
    #[must_use]
    pub const fn price(&self) -> Money {
        Money { amount: self.total, currency: self.currency }
    }

    /// Whether nothing is left to happen to the order at `at`: it has ended, or its pickup time was
    /// a week ago, and no shop has reported that it was collected.
    #[must_use]
    pub fn is_over(&self, at: Timestamp) -> bool {
        match self.status {
            Status::Rejected | Status::Cancelled | Status::Expired | Status::Collected => true,
            Status::Confirmed | Status::Preparing | Status::Ready => at >= self.over_by(),
            Status::Placed | Status::Reserved => false,
        }
    }

    /// When an order that was confirmed [is over](Self::is_over) at the latest.
    #[must_use]
    pub fn over_by(&self) -> Timestamp {
        self.pickup_at + UNREPORTED_AFTER
    }

    /// The transition that `trigger` causes, decided at `at` because of the event `cause`.
    ///
    /// `None` means that the trigger does not apply: messages arrive twice, late and out of order,
    /// and the order's row decides.
    #[must_use]
    pub fn transition(
        &self,
        trigger: Trigger,
        at: Timestamp,
        cause: Option<Uuid>,
    ) -> Option<Transition> {
        match &trigger {
            Trigger::DeadlinePassed if at < self.deadline => return None,
            // The shop has made the order, or is about to; the customer may have eaten it.
            Trigger::Cancelled if at >= self.pickup_at => return None,
            Trigger::CancelledByShop(_) if self.is_over(at) => return None,
            Trigger::AuthenticationRequired(url)
                if self.authentication_url.as_ref() == Some(url) =>
            {
                return None;
            }
            Trigger::ErasureRequested if self.customer_id.is_erased() || !self.is_over(at) => {
                return None;
            }
            Trigger::PaymentChanged { version, .. }
            | Trigger::PaymentRefunded(version)
            | Trigger::RefundFailed(version)
                // Several events show one version, each another part of it.
                if *version > 0 && *version < self.payment_version =>
            {
                return None;
            }
            _ => {}
        }
        let (mut event, status, mut payment) =
            next(self.status, self.payment, &trigger).or_else(|| self.refunded_again(&trigger))?;
        let payment_version = match &trigger {
            Trigger::PaymentChanged { version, .. }
            | Trigger::PaymentRefunded(version)
            | Trigger::RefundFailed(version) => Some(*version).filter(|version| *version > 0),
            _ => None,
        };
        let mut dispute = None;
        let refunds = match &trigger {
            Trigger::RefundRequested { amount, reason } => {
                Some(self.refunds_with(*amount, reason, at)?)
            }
            Trigger::RefundRetried(id) => Some(self.refunds_retried(*id)?),
            Trigger::PaymentChanged { refunds, dispute: shown, .. } => {
                dispute = shown.filter(|shown| Some(*shown) != self.dispute);
                let refunds = self.refunds_after(refunds);
                if refunds.is_none() {
                    event = OrderEventType::DisputeChanged;
                    // The bank has given the customer what was still to be refunded.
                    let lost = dispute?.state == DisputeState::Lost;
                    if lost && status.ended_early() {
                        payment = PaymentStatus::Refunded;
                    }
                }
                refunds
            }
            Trigger::Cancelled | Trigger::CancelledByShop(_) => self.refunds_with_each(|refund| {
                if matches!(refund.state, RefundState::Requested | RefundState::Failed) {
                    refund.state = RefundState::Covered;
                }
            }),
            Trigger::ErasureRequested => {
                self.refunds_with_each(|refund| refund.reason = Reason::erased())
            }
            _ => None,
        };
        let mut rejection = None;
        let mut authentication_url = None;
        let mut cancellation_reason = None;
        match trigger {
            Trigger::StockRejected(shortages) => {
                rejection = Some(Rejection::OutOfStock { shortages });
            }
            Trigger::PaymentDeclined(reason) => {
                rejection = Some(Rejection::PaymentDeclined { reason });
            }
            Trigger::AuthenticationRequired(url) => authentication_url = Some(url),
            Trigger::CancelledByShop(reason) => cancellation_reason = Some(reason),
            Trigger::ErasureRequested => {
                cancellation_reason = self.cancellation_reason.as_ref().map(|_| Reason::erased());
            }
            _ => {}
        }
        Some(Transition {
            from_revision: self.revision,
            payment,
            payment_version,
            refunds,
            rejection,
            cancellation_reason,
            authentication_url,
            forgets_charge: !status.awaits_charge(),
            erases_customer: event == OrderEventType::Erased,
            dispute,
            entry: HistoryEntry { revision: self.revision + 1, event, status, at, cause },
        })
    }

    /// Takes note of a refund that is newer than the one which the order shows: the bank has sent
    /// the money back in between, and a report of that may still come.
    fn refunded_again(&self, trigger: &Trigger) -> Option<(OrderEventType, Status, PaymentStatus)> {
        let Trigger::PaymentRefunded(version) = trigger else { return None };
        let is_newer = self.payment == PaymentStatus::Refunded
            && self.payment_version > 0
            && *version > self.payment_version;
        is_newer.then_some((OrderEventType::PaymentChanged, self.status, self.payment))
    }

    /// Whether the customer's dispute forbids to give anything back.
    #[must_use]
    pub fn is_disputed(&self) -> bool {
        self.dispute.is_some_and(|dispute| dispute.state.blocks_refunds())
    }

    /// What the shop may still give back of a paid order, in minor units: nothing while its
    /// customer disputes the payment.
    #[must_use]
    pub fn refundable(&self) -> u64 {
        match (self.payment, self.status.ended_early()) {
            (PaymentStatus::Captured, false) if !self.is_disputed() => {
                self.total.saturating_sub(live_amount(&self.refunds))
            }
            _ => 0,
        }
    }

    /// What the customer is to have paid in the end, in minor units: nothing for an order that
    /// ended early, else the total less all that the shop gives back, and that the bank has given
    /// back in a dispute.
    #[must_use]
    pub fn due(&self) -> u64 {
        if self.status.ended_early() {
            return 0;
        }
        let owed = self.refunds.iter().filter(|refund| refund.state != RefundState::Covered);
        let owed: u64 = owed.map(|refund| refund.amount).sum();
        self.total.saturating_sub(owed + self.dispute.map_or(0, Dispute::lost))
    }

    /// Whether the customer is owed money that the provider refused to give back.
    #[must_use]
    pub fn has_failed_refund(&self) -> bool {
        self.payment == PaymentStatus::RefundFailed
            || self.refunds.iter().any(|refund| refund.state == RefundState::Failed)
    }

    fn refunds_with(&self, amount: u64, reason: &Reason, at: Timestamp) -> Option<Vec<Refund>> {
        if !(1..=self.refundable()).contains(&amount) || self.refunds.len() >= MAX_REFUNDS {
            return None;
        }
        let id = self.refunds.last().map_or(1, |last| last.id + 1);
        let refund = Refund {
            id,
            amount,
            reason: reason.clone(),
            requested_at: at,
            attempt: 1,
            state: RefundState::Requested,
        };
        Some([&self.refunds[..], &[refund]].concat())
    }

    /// The refunds with another attempt at one that has failed, if its amount is still to be had.
    fn refunds_retried(&self, id: u32) -> Option<Vec<Refund>> {
        let mut refunds = self.refunds.clone();
        let refund = refunds.iter_mut().find(|refund| refund.id == id)?;
        if refund.state != RefundState::Failed || refund.amount > self.refundable() {
            return None;
        }
        refund.state = RefundState::Requested;
        refund.attempt += 1;
        Some(refunds)
    }

    /// The refunds in these states, or `None` if they are so already, or are given back with all
    /// that the order has cost.
    ///
    /// A report of an earlier attempt says nothing about the last one. One that has failed stays
    /// failed until it is tried again: its amount may have been given back otherwise since.
    fn refunds_after(&self, reports: &[RefundReport]) -> Option<Vec<Refund>> {
        if self.status.ended_early() {
            return None;
        }
        let mut refunds = self.refunds.clone();
        for refund in refunds.iter_mut().filter(|refund| refund.state != RefundState::Failed) {
            let is_about =
                |report: &&RefundReport| report.id == refund.id && report.attempt >= refund.attempt;
            if let Some(report) = reports.iter().find(is_about) {
                refund.state = report.state;
            }
        }
        (refunds != self.refunds).then_some(refunds)
    }

    /// The refunds after a change of each, or `None` if that changes nothing.
    fn refunds_with_each(&self, change: impl Fn(&mut Refund)) -> Option<Vec<Refund>> {
        let mut refunds = self.refunds.clone();
        refunds.iter_mut().for_each(change);
        (refunds != self.refunds).then_some(refunds)
    }

    /// The order after `transition`.
    #[must_use]
    pub fn after(mut self, transition: Transition) -> Self {
        self.status = transition.entry.status;
        self.revision = transition.entry.revision;
        self.payment = transition.payment;
        if let Some(version) = transition.payment_version {
            self.payment_version = version;
        }
        if let Some(refunds) = transition.refunds {
            self.refunds = refunds;
        }
        if transition.dispute.is_some() {
            self.dispute = transition.dispute;
        }
        if transition.rejection.is_some() {
            self.rejection = transition.rejection;
        }
        if transition.cancellation_reason.is_some() {
            self.cancellation_reason = transition.cancellation_reason;
        }
        if transition.authentication_url.is_some() {
            self.authentication_url = transition.authentication_url;
        }
        if transition.forgets_charge {
            self.payment_method = None;
            self.authentication_url = None;
        }
        if transition.erases_customer {
            self.customer_id = CustomerId::erased();
            self.note = None;
            self.fingerprint = String::new();
            self.traceparent = None;
        }
        self.history.push(transition.entry);
        self
    }
}

/// The table of an order's transitions: the event, the next state and the next payment status.
/// `None` means that the trigger does not apply in this state.
const fn next(
    status: Status,
    payment: PaymentStatus,
    trigger: &Trigger,
) -> Option<(OrderEventType, Status, PaymentStatus)> {
    use OrderEventType as Event;
    use PaymentStatus::Captured;
    use Status::{
        Cancelled, Collected, Confirmed, Expired, Placed, Preparing, Ready, Rejected, Reserved,
    };

    Some(match (status, trigger) {
        (Placed, Trigger::StockReserved) => (Event::Reserved, Reserved, payment),
        (Placed, Trigger::StockRejected(_)) => (Event::Rejected, Rejected, payment),
        (Reserved, Trigger::AuthenticationRequired(_)) => {
            (Event::AuthenticationRequired, Reserved, payment)
        }
        (Reserved, Trigger::PaymentCaptured) => (Event::Confirmed, Confirmed, Captured),
        (Reserved, Trigger::PaymentDeclined(_)) => (Event::Rejected, Rejected, payment),
        (Placed | Reserved, Trigger::DeadlinePassed) => (Event::Expired, Expired, payment),
        (Placed | Reserved | Confirmed, Trigger::Cancelled) => {
            (Event::Cancelled, Cancelled, payment)
        }
        (Placed | Reserved | Confirmed | Preparing | Ready, Trigger::CancelledByShop(_)) => {
            (Event::Cancelled, Cancelled, payment)
        }
        (Confirmed, Trigger::PreparationStarted) => (Event::Preparing, Preparing, payment),
        (Preparing, Trigger::PreparationFinished) => (Event::Ready, Ready, payment),
        (Ready, Trigger::PickedUp) => (Event::Collected, Collected, payment),
        (_, Trigger::ErasureRequested) => (Event::Erased, status, payment),
        (
            Confirmed | Preparing | Ready | Collected,
            Trigger::RefundRequested { .. } | Trigger::RefundRetried(_),
        ) => (Event::RefundRequested, status, payment),
        // Before the order is confirmed, only if this overtakes the report of its charge.
        (
            Reserved | Confirmed | Preparing | Ready | Collected | Rejected | Cancelled | Expired,
            Trigger::PaymentChanged { .. },
        ) => (Event::PaymentChanged, status, payment),
        (Rejected | Cancelled | Expired, _) => match next_payment(payment, trigger) {
            Some(payment) => (Event::PaymentChanged, status, payment),
            None => return None,
        },
        (Placed | Reserved | Confirmed | Preparing | Ready | Collected, _) => return None,
    })
}

/// The table of payment statuses of an order that ended early. A captured amount is refunded, or
/// its refund fails; a failed refund may still succeed, and the bank may send the money of one back
/// that has succeeded.
const fn next_payment(payment: PaymentStatus, trigger: &Trigger) -> Option<PaymentStatus> {
    use PaymentStatus::{Captured, None as NoPayment, RefundFailed, Refunded, Voided};
    match (payment, trigger) {
        (NoPayment, Trigger::PaymentCaptured) => Some(Captured),
        (NoPayment, Trigger::PaymentVoided) => Some(Voided),
        (NoPayment | Captured | RefundFailed, Trigger::PaymentRefunded(_)) => Some(Refunded),
        (NoPayment | Captured, Trigger::RefundFailed(_)) => Some(RefundFailed),
        // Without a version, it may be older than the refund.
        (Refunded, Trigger::RefundFailed(1..)) => Some(RefundFailed),
        (NoPayment | Captured | Voided | Refunded | RefundFailed, _) => None,
    }
}

/// For `serde(with)`: RFC 3339 in UTC with exactly three decimals, the format of
/// [`Order::placed_at`].
#[expect(missing_docs, reason = "serde names them")]
pub mod milliseconds {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{at:.3}"))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        Timestamp::deserialize(deserializer)
    }
}

#[cfg(test)]
pub(crate) mod tests;
