//! Log lines: one JSON object each, with the time and level that Lambda's log filter expects.

use std::{env, panic, str::FromStr};

use tracing_subscriber::filter::LevelFilter;

/// Starts logging to standard output at the level in the function's `LoggingConfig`.
///
/// The level applies to this code and to all libraries; none of them logs the contents of a message
/// or a row at `info` or above. A panic is logged with its location. Its message is logged only if
/// it is a literal, since a formatted one may quote the data that the function was working on.
pub fn init() {
    let level =
        env::var("AWS_LAMBDA_LOG_LEVEL").ok().and_then(|level| LevelFilter::from_str(&level).ok());
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_target(false)
        .with_current_span(false)
        .with_max_level(level.unwrap_or(LevelFilter::INFO))
        .init();
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(tracing::field::display);
        tracing::error!(place, words = panic.payload().downcast_ref::<&'static str>(), "panicked");
    }));
}
