//! The pages, drawn from known figures.

use jiff::{SignedDuration, Timestamp};
use ratatui::{Terminal, backend::TestBackend};
use serde_json::{Value, json};
use stack::LogLine;

use crate::{Dashboard, Depth, Page, View};

mod alarms;
mod frames;

const NOW: &str = "2026-11-24T09:00:30Z";

fn empty() -> Dashboard {
    let mut dashboard = Dashboard::new("amelie", now());
    dashboard.advance_to(now());
    dashboard
}

fn now() -> Timestamp {
    NOW.parse().expect("a time")
}

/// A line so many seconds before now.
fn line(seconds: i64, function: &str, message: &Value) -> LogLine {
    LogLine {
        at: now() - SignedDuration::from_secs(seconds),
        function: function.to_owned(),
        message: message.to_string(),
    }
}

/// A metric line as functions write it, with at most one dimension.
fn metric(name: &str, dimension: Option<(&str, &str)>, values: &[u64]) -> Value {
    let names: Vec<_> = dimension.iter().map(|(name, _)| *name).collect();
    let directive = json!({
        "Namespace": "amelie", "Dimensions": [names], "Metrics": [{"Name": name}]
    });
    let mut line = json!({"_aws": {"Timestamp": 0, "CloudWatchMetrics": [directive]}});
    line[name] = if let [value] = values { json!(value) } else { json!(values) };
    if let Some((name, value)) = dimension {
        line[name] = json!(value);
    }
    line
}

/// A page as a terminal of this size shows it.
fn frame(dashboard: &Dashboard, page: Page, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
    let draw = |frame: &mut ratatui::Frame<'_>| {
        frame.render_widget(View { dashboard, page }, frame.area());
    };
    terminal.draw(draw).expect("a frame");
    let buffer = terminal.backend().buffer();
    let rows = buffer.content.chunks(usize::from(width));
    let rows = rows.map(|row| row.iter().map(|cell| cell.symbol()).collect::<String>());
    rows.map(|row| format!("{}\n", row.trim_end())).collect()
}
