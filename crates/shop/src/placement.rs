//! Turns what a customer asks for into an order: prices from the menu, a pickup within opening
//! hours, equal items merged.

use jiff::{SignedDuration, Timestamp, civil};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{
    calendar::{LocalTime, MAX_DAYS_AHEAD, Pickup},
    id::{CustomerId, IdempotencyKey, ItemId, LocationId, OrderId},
    menu::{LeadTime, Menu},
    money::{Currency, MAX_TOTAL, Money},
    order::{
        HistoryEntry, Line, Note, Order, OrderEventType, PaymentMethod, PaymentStatus, Status,
    },
};

/// The most lines of one request. An order's stock is reserved in one transaction, whose size is
/// limited.
pub const MAX_LINES: usize = 50;

/// What a customer asks for. Each value is valid by itself; [`place`] checks the request against
/// the menu and the clock.
// The JSON form is what `fingerprint` hashes, and the rows of all orders hold that hash: neither
// the names nor the order of the fields may change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OrderRequest {
    /// The shop's id.
    pub location: LocationId,
    /// The items to order; an item may have several lines.
    pub lines: Vec<RequestedLine>,
    /// The payment method to charge.
    pub payment_method: PaymentMethod,
    /// When to pick the order up; as soon as possible today if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pickup_at: Option<Timestamp>,
    /// The total that the customer has seen, in minor units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_total: Option<u64>,
    /// The customer's words to the shop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<Note>,
}

/// One line of an [`OrderRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RequestedLine {
    /// The item's id.
    pub item: ItemId,
    /// The number of pieces.
    pub quantity: Pieces,
}

/// A number of pieces of one item: 1 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Pieces(u32);

impl Pieces {
    /// The most pieces of one item in one order.
    pub const MAX: u32 = 100;

    /// The number of pieces.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// Why a number is not a number of pieces.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("must be a whole number from 1 to {}", Pieces::MAX)]
pub struct InvalidPieces;

impl TryFrom<i64> for Pieces {
    type Error = InvalidPieces;

    fn try_from(number: i64) -> Result<Self, InvalidPieces> {
        match u32::try_from(number) {
            Ok(pieces @ 1..=Self::MAX) => Ok(Self(pieces)),
            _ => Err(InvalidPieces),
        }
    }
}

impl OrderRequest {
    /// The SHA-256 of the request's values, which does not depend on their spelling. It
    /// distinguishes a repeated request from a different one with the same idempotency key.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let json = serde_json::to_vec(self).expect("texts, numbers and times are always JSON");
        Sha256::digest(json).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Why an order is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refusal {
    /// The shop never sells the item.
    #[error("`{item}` is not on the menu of this shop")]
    UnknownItem {
        /// The index of the line.
        line: usize,
        /// The requested item.
        item: ItemId,
    },
    /// The shop sells the item, but not on the day of the pickup.
    #[error("`{item}` is not sold on {day}")]
    NotSold {
        /// The index of the line.
        line: usize,
        /// The requested item.
        item: ItemId,
        /// The day of the pickup.
        day: civil::Date,
    },
    /// The lines of one item add up to more than [`Pieces::MAX`].
    #[error("all lines of `{item}` together must be at most {}", Pieces::MAX)]
    TooMany {
        /// The index of the line that exceeds the limit.
        line: usize,
        /// The requested item.
        item: ItemId,
    },
    /// The total is less than the payment provider charges.
    #[error(
        "the total must be at least {}",
        Money { amount: currency.smallest_charge(), currency: *currency }
    )]
    TooCheap {
        /// The currency of the menu.
        currency: Currency,
    },
    /// The total is more than the payment provider charges.
    #[error("the total must be at most {}", Money { amount: MAX_TOTAL, currency: *currency })]
    TooExpensive {
        /// The currency of the menu.
        currency: Currency,
    },
    /// The pickup is before the shop can have the order ready.
    #[error(
        "must be at least {} minutes from now: {earliest} or later",
        lead_time.minutes()
    )]
    PickupTooSoon {
        /// The shop's lead time.
        lead_time: LeadTime,
        /// The earliest pickup, if the shop is open then.
        earliest: LocalTime,
    },
    /// The pickup is too far ahead.
    #[error("must be at most {MAX_DAYS_AHEAD} days ahead: on {last} or before")]
    PickupTooFar {
        /// The last possible pickup day.
        last: civil::Date,
    },
    /// The pickup is outside opening hours.
    #[error("the shop is closed then; {}", opening("it next opens at", next.as_ref()))]
    Closed {
        /// When the shop next opens; `None` if that is too far ahead.
        next: Option<LocalTime>,
    },
    /// The pickup is to be as soon as possible, and today that is no longer possible.
    #[error(
        "is required, because no pickup is possible any more today; {}",
        opening("the next opening allows a pickup from", next.as_ref())
    )]
    ClosedToday {
        /// The earliest pickup of the next opening; `None` if that is too far ahead.
        next: Option<LocalTime>,
    },
    /// The total is not the one that the customer expected.
    #[error("the total is now {}", total.amount)]
    PriceChanged {
        /// The current total.
        total: Money,
    },
}

fn opening(words: &str, next: Option<&LocalTime>) -> String {
    match next {
        Some(next) => format!("{words} {next}"),
        None => format!("it does not open within {MAX_DAYS_AHEAD} days"),
    }
}

/// Makes the order that `request` asks for, at `now`. The order expires after `confirm_within`, or
/// at its pickup time if that is earlier. It has no trace yet.
///
/// # Errors
/// If the menu or the clock does not allow the order.
pub fn place(
    request: &OrderRequest,
    customer: CustomerId,
    key: &IdempotencyKey,
    menu: &Menu,
    now: Timestamp,
    confirm_within: SignedDuration,
) -> Result<Order, Refusal> {
    // The row stores milliseconds.
    let now = Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now);
    let pickup = pickup(request.pickup_at, menu, now)?;
    let lines = price(&request.lines, menu, pickup.day)?;
    let total = lines.iter().map(|line| line.unit_price * u64::from(line.quantity)).sum();
    if total < menu.currency.smallest_charge() {
        return Err(Refusal::TooCheap { currency: menu.currency });
    }
    if total > MAX_TOTAL {
        return Err(Refusal::TooExpensive { currency: menu.currency });
    }
    if request.expected_total.is_some_and(|expected| expected != total) {
        return Err(Refusal::PriceChanged {
            total: Money { amount: total, currency: menu.currency },
        });
    }
    Ok(Order {
        order_id: OrderId::derive(&customer, key),
        customer_id: customer,
        location: menu.location.clone(),
        location_name: menu.name.to_string(),
        time_zone: menu.time_zone.clone(),
        status: Status::Placed,
        revision: 1,
        payment: PaymentStatus::None,
        refunds: Vec::new(),
        dispute: None,
        payment_version: 0,
        lines,
        total,
        currency: menu.currency,
        payment_method: Some(request.payment_method.clone()),
        authentication_url: None,
        note: request.note.clone(),
        placed_at: now,
        pickup_at: pickup.at,
        pickup_day: pickup.day,
        deadline: pickup.at.min(now + confirm_within),
        rejection: None,
        cancellation_reason: None,
        fingerprint: request.fingerprint(),
        traceparent: None,
        history: vec![HistoryEntry {
            revision: 1,
            event: OrderEventType::Placed,
            status: Status::Placed,
            at: now,
            cause: None,
        }],
    })
}

/// When the order is picked up: at the time that was asked for, or else as soon as possible.
fn pickup(asked: Option<Timestamp>, menu: &Menu, now: Timestamp) -> Result<Pickup, Refusal> {
    let calendar = menu.calendar();
    let earliest = now + menu.lead_time.duration();
    let last = calendar.last_day(now);
    let next = |at| {
        let next = calendar.next_pickup(at, last)?;
        Some(LocalTime::not_before(next.at, &menu.time_zone))
    };
    let Some(at) = asked else {
        let today = calendar.pickup_today(now, earliest);
        return today.ok_or_else(|| Refusal::ClosedToday { next: next(earliest) });
    };
    if at < earliest {
        let earliest = LocalTime::not_before(earliest, &menu.time_zone);
        return Err(Refusal::PickupTooSoon { lead_time: menu.lead_time, earliest });
    }
    let pickup = calendar.pickup_at(at);
    if pickup.map_or(calendar.date(at), |pickup| pickup.day) > last {
        return Err(Refusal::PickupTooFar { last });
    }
    pickup.ok_or_else(|| Refusal::Closed { next: next(at) })
}

/// Prices the lines from the menu, and merges lines of the same item.
fn price(requests: &[RequestedLine], menu: &Menu, day: civil::Date) -> Result<Vec<Line>, Refusal> {
    let mut lines: Vec<Line> = Vec::with_capacity(requests.len());
    for (index, RequestedLine { item: sku, quantity }) in requests.iter().enumerate() {
        let Some(item) = menu.item(sku) else {
            return Err(Refusal::UnknownItem { line: index, item: sku.clone() });
        };
        if !item.is_sold_on(day) {
            return Err(Refusal::NotSold { line: index, item: sku.clone(), day });
        }
        match lines.iter_mut().find(|line| line.item == *sku) {
            Some(line) if line.quantity + quantity.get() > Pieces::MAX => {
                return Err(Refusal::TooMany { line: index, item: sku.clone() });
            }
            Some(line) => line.quantity += quantity.get(),
            None => lines.push(Line {
                item: sku.clone(),
                name: item.name.to_string(),
                quantity: quantity.get(),
                unit_price: item.price,
            }),
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests;
