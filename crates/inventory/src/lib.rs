//! Reserves stock for an order, and releases it again.

pub mod handler;
pub mod memory;
pub mod store;
