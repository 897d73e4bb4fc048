//! The Payments table: one row per order with a payment, or with the tombstone of one.

/// The key: the order's id.
pub const KEY: &str = "order_id";

/// The attribute with the payment's state, as [`shop::payment::Payment::name`] spells it.
pub const STATE: &str = "state";
