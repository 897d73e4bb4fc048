//! Tells customers what becomes of their orders.

pub mod cognito;
pub mod handler;
pub mod memory;
pub mod notice;
pub mod ses;
pub mod store;
