//! Charges, voids and refunds through the payment provider.

pub mod handler;
pub mod memory;
pub mod provider;
pub mod store;
pub mod vault;
