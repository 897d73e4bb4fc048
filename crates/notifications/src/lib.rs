//! Notifies customers of the states of their orders by mail.

pub mod cognito;
pub mod handler;
pub mod memory;
mod metrics;
pub mod notice;
pub mod ses;
pub mod store;
