//! notifications
fn main() {}
