//! Log lines: one JSON object each, with the time and level that Lambda's own log filter looks for.

use std::{env, str::FromStr};

use tracing_subscriber::filter::LevelFilter;

/// Starts logging to standard output at the level that the function's `LoggingConfig` asks for.
///
/// Nothing below that level is kept, from this code or any library; no library logs what a message or a row holds
/// at `info` or above.
pub fn init() {
    let level = env::var("AWS_LAMBDA_LOG_LEVEL").ok().and_then(|level| LevelFilter::from_str(&level).ok());
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_target(false)
        .with_current_span(false)
        .with_max_level(level.unwrap_or(LevelFilter::INFO))
        .init();
}
