//! Reserves stock for orders and releases the stock of those that end early.

pub mod handler;
pub mod memory;
pub mod store;
