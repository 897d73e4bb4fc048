//! Progress messages on standard error.

use std::{
    io::Write,
    time::{Duration, Instant},
};

/// Whether to print progress messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    Shown,
    Silent,
}

impl Progress {
    /// Announces a step that takes a while.
    pub(crate) fn note(self, text: &str) {
        if self == Self::Shown {
            // A failure cannot be reported anywhere.
            let _ = writeln!(std::io::stderr(), "           {text}");
        }
    }

    /// Starts timing a step.
    #[must_use]
    pub fn step(self) -> Step {
        Step { progress: self, started: Instant::now() }
    }
}

/// A step that has begun.
#[derive(Debug)]
pub struct Step {
    progress: Progress,
    started: Instant,
}

impl Step {
    /// Prints what was done and how long it took.
    pub fn done(self, what: &str) {
        if self.progress == Progress::Shown {
            let _ = writeln!(std::io::stderr(), "{}  {what}", seconds(self.started.elapsed()));
        }
    }
}

/// A duration in seconds, aligned for a column.
fn seconds(duration: Duration) -> String {
    format!("{:>7.2} s", duration.as_secs_f64())
}
