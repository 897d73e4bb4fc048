//! Publishes every committed change of an order on the event bus.

pub mod dead_letters;
pub mod handler;
pub mod memory;
mod metrics;
