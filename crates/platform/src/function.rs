//! The frame of every function.

use lambda_runtime::{Error, LambdaEvent, Runtime, service_fn};
use serde::{Serialize, de::DeserializeOwned};
use tracing::Instrument;

use crate::metrics::Metrics;

/// Calls `handler` for each invocation. Its log lines carry the invocation's `request_id`, and the
/// metrics that it records are written when it ends.
///
/// # Errors
/// A setting is missing, or the runtime API of Lambda does not answer.
pub async fn run<E, R>(
    handler: impl AsyncFn(LambdaEvent<E>) -> Result<R, Error>,
) -> Result<(), Error>
where
    E: DeserializeOwned,
    R: Serialize,
{
    let metrics = Metrics::init()?;
    let handle = async |event: LambdaEvent<E>| {
        let span = tracing::info_span!("invocation", request_id = event.context.request_id);
        let answer = handler(event).instrument(span).await;
        metrics.write();
        answer
    };
    Runtime::new(service_fn(handle)).run().await
}
