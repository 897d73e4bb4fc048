//! Charges, voids and refunds orders through the payment provider.

pub mod asking;
mod following;
pub mod handler;
pub mod limit;
pub mod memory;
mod metrics;
pub mod provider;
mod refunds;
pub mod store;
pub mod stripe_provider;
