//! order-status
