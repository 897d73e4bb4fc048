//! The domain of the pastry business: menus and prices, orders and their states, stock, payment,
//! and the events in which these parts tell each other what happened.
//!
//! Everything here is pure: no I/O, no clock, no async. Whoever calls passes the time in, and
//! stores what comes out.

#![warn(missing_docs)]

pub mod event;
pub mod id;
pub mod menu;
pub mod money;
pub mod order;
pub mod payment;
pub mod placement;
pub mod stock;

/// How long a tombstone stays: two retentions of a queue (14 days each) and a week's margin, so
/// that no message that it must stop can outlive it.
pub const TOMBSTONE_DAYS: i64 = 35;

/// When a tombstone written at `now` may be deleted, in seconds since the epoch, as DynamoDB's time
/// to live has it.
#[must_use]
pub fn tombstone_expiry(now: jiff::Timestamp) -> i64 {
    now.as_second() + TOMBSTONE_DAYS * 24 * 60 * 60
}
