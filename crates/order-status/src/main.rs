//! order-status
fn main() {}
