//! Log lines: one JSON object each, without nested objects.
//!
//! `timestamp` and `level` are what Lambda's log filter expects, `function` is the function's name,
//! and `message` is always the same text for the same event. The fields of all spans around an
//! event stand beside its own: `request_id` of the invocation, and `message_id`, `order_id` and
//! `trace_id` of the record or request. docs/telemetry.md lists the fields.

use std::{env, panic, str::FromStr};

use tracing_subscriber::{
    Registry, filter::LevelFilter, layer::SubscriberExt, util::SubscriberInitExt,
};

/// Starts logging to standard output for `function`, at the level in its `LoggingConfig`.
///
/// The level applies to this code and to all libraries; none of them logs the contents of a message
/// or a row at `info` or above. A panic is logged with its location. Its message is logged only if
/// it is a literal, since a formatted one may quote the data that the function was working on.
pub fn init(function: &str) {
    let level =
        env::var("AWS_LAMBDA_LOG_LEVEL").ok().and_then(|level| LevelFilter::from_str(&level).ok());
    let mut lines = json_subscriber::layer::<Registry>()
        .flatten_event(true)
        .with_target(false)
        .with_current_span(false)
        .flatten_span_list_on_top_level(true);
    lines.inner_layer_mut().add_static_field("function", function.into());
    tracing_subscriber::registry().with(lines).with(level.unwrap_or(LevelFilter::INFO)).init();
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(tracing::field::display);
        tracing::error!(place, words = panic.payload().downcast_ref::<&'static str>(), "panicked");
    }));
}
