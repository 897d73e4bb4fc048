//! What handlers rely on in their ports, held against each implementation: the one in memory, which
//! other tests trust, and the real one on the embedded AWS.
//!
//! A file is a port. Its behaviours are written once, generic over the port, each for orders, shops
//! and customers of its own; [`conformance!`] makes a test of each behaviour with each
//! implementation.

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

/// Makes a test of each behaviour with each implementation: `conformance!([behaviours]; name: port,
/// …)`.
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

/// An order that nobody has heard of.
fn an_order() -> OrderId {
    Uuid::new_v4().to_string().parse().unwrap()
}
