//! order-relay
