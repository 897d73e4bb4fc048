//! The Payments table: one row per order with a payment, or with the tombstone of one.

/// The key: the order's id.
pub const KEY: &str = "order_id";

/// The attribute with the payment's state, as [`shop::payment::Payment::name`] spells it.
pub const STATE: &str = "state";

/// The attribute with the number of writes of the row. Rows that were written when there was none
/// lack it.
pub const VERSION: &str = "version";
