//! A function that does nothing. Its costs are those of the Lambda runtime alone.
//!
//! It is a package of its own so that its release build, which links little, does not compile the
//! dependencies of the bench.

use std::convert::Infallible;

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde::de::IgnoredAny;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(async |_: LambdaEvent<IgnoredAny>| Ok::<(), Infallible>(()))).await
}
