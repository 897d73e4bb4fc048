//! The domain of the pastry business: menus and prices, opening hours, orders and their states,
//! stock, payment, and the events that these parts publish to each other.
//!
//! Everything here is pure: no I/O, no clock, no async. The caller passes the time in, and stores
//! what comes out.

#![warn(missing_docs)]

pub mod authentication;
pub mod calendar;
pub mod decline;
pub mod dispute;
pub mod event;
pub mod id;
pub mod intent_changed;
pub mod menu;
pub mod money;
pub mod name;
pub mod order;
pub mod payment;
pub mod payment_summary;
pub mod placement;
pub mod reason;
pub mod refund;
pub mod stock;
pub mod text;
mod tombstone;
pub mod trace;

pub use tombstone::{TOMBSTONE_DAYS, tombstone_expiry};
