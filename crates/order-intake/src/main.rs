//! order-intake
fn main() {}
