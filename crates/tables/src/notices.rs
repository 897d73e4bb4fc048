//! The Notices table: one row per order, with the last revision that its customer was notified of.

/// The key: the order's id.
pub const KEY: &str = "order_id";
