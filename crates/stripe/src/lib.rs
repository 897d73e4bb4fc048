//! A client of Stripe's API, or of any server that speaks it: card payments through PaymentIntents
//! and Refunds.
//!
//! An intent is created unconfirmed, which moves no money. Confirming it takes the money, at most
//! once, and after any doubt the intent itself can be looked up. Every call of [`Client`] can
//! therefore be repeated safely.
//!
//! Idempotency keys are sent only where a repetition could leave something behind, which is when an
//! intent is created. Confirming, cancelling and refunding happen at most once because of the
//! intent's own state; a key would only make Stripe replay a failure for a day.

mod amount;
mod books;
mod client;
mod connections;
mod error;
mod intent;
mod wire;

pub use books::{
    BookedDispute, BookedIntent, BookedRefund, BookedRefundStatus, ObjectKind, UnreadableObject,
};
pub use client::{Client, RetrySettings};
pub use error::{ConfigError, Error, Unavailable};
pub use intent::{Intent, IntentStatus, NewIntent, NewRefund, Refund, RefundName};
