//! Behaviours of the ports that handlers rely on. Both implementations of a port must have them:
//! the one in memory, on which other tests and the simulation rely, and the real one on the
//! embedded AWS.
//!
//! Each file is about one port. Its behaviours are functions that are generic over the port, and
//! use orders, shops and customers of their own. [`conformance!`] makes a test of each behaviour
//! with each implementation.

mod bus;
mod customers;
mod dead_letters;
mod mailer;
mod menus;
mod notices;
mod orders;
mod orders_table;
mod payments;
mod provider;
mod queue;
mod stock;

use shop::id::OrderId;
use uuid::Uuid;

/// Makes a test of each behaviour with each implementation:
/// `conformance!([behaviours]; implementation: port, …)`.
macro_rules! conformance {
    ($behaviours:tt; $($implementation:ident: $port:expr),+ $(,)?) => {
        $(
            mod $implementation {
                use super::*;

                conformance!(@tests $behaviours $port);
            }
        )+
    };
    (@tests [$($behaviour:ident),+ $(,)?] $port:expr) => {
        $(
            #[tokio::test]
            async fn $behaviour() {
                super::$behaviour($port).await;
            }
        )+
    };
}
use conformance;

/// A new order id.
fn new_order() -> OrderId {
    Uuid::new_v4().to_string().parse().unwrap()
}
