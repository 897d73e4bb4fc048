//! Log lines: one JSON object each, with the time and level that Lambda's own log filter looks for.

use std::{env, panic, str::FromStr};

use tracing_subscriber::filter::LevelFilter;

/// Starts logging to standard output at the level that the function's `LoggingConfig` asks for.
///
/// Nothing below that level is kept, from this code or any library; no library logs what a message
/// or a row holds at `info` or above. A panic is a line as well, with the place where it happened;
/// its words only where they are written there, since any other may quote what the function was
/// working on.
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
