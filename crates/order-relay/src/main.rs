//! order-relay
fn main() {}
