//! Applies to an order what inventory and payment report, and its deadline.

pub mod handler;
