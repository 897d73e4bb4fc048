//! order-intake
