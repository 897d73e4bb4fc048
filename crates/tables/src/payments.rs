//! The Payments table: one row per order with a payment, or with the tombstone of one, and one for
//! the places of each customer who has paid lately.

use shop::id::CustomerId;

/// The key: the order's id, or [`places`].
pub const KEY: &str = "order_id";

/// The attribute with the payment's state, as [`shop::payment::Payment::name`] spells it.
pub const STATE: &str = "state";

/// The attribute with the number of writes of the row. Rows that were written when there was none
/// lack it.
pub const VERSION: &str = "version";

/// How the keys of places begin.
pub const PLACES: &str = "places#";

/// The key of the places that a customer's payments have taken.
#[must_use]
pub fn places(customer: &CustomerId) -> String {
    format!("{PLACES}{}", customer.pseudonym())
}
