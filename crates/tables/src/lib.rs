//! The tables as they are stored: keys, indexes and attribute names, one module per table, and
//! the Orders table itself, which several functions share.

pub mod menus;
pub mod notices;
pub mod orders;
pub mod payments;
pub mod stock;

/// The time-to-live attribute of every table that has one: when DynamoDB may delete the row, in
/// seconds since the epoch.
pub const EXPIRES_AT: &str = "expires_at";
