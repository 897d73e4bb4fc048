//! The Menu table: one row per shop.

/// The key: the shop's [`shop::id::LocationId`].
pub const KEY: &str = "location";
