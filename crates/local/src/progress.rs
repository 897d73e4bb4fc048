//! What a person sees while they wait, on standard error.

use std::{
    io::Write,
    time::{Duration, Instant},
};

/// Whether to say what is going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Tell a person.
    Shown,
    /// Keep quiet, as in tests.
    Silent,
}

impl Progress {
    /// Says what comes next and will take a while.
    pub(crate) fn note(self, text: &str) {
        if self == Self::Shown {
            // Nobody reads it if it cannot be written.
            let _ = writeln!(std::io::stderr(), "           {text}");
        }
    }

    /// Starts a step.
    #[must_use]
    pub fn step(self) -> Step {
        Step { progress: self, started: Instant::now() }
    }
}

/// A step under way, and when it began.
#[derive(Debug)]
pub struct Step {
    progress: Progress,
    started: Instant,
}

impl Step {
    /// Says what was done and how long it took.
    pub fn done(self, what: &str) {
        if self.progress == Progress::Shown {
            let _ = writeln!(std::io::stderr(), "{}  {what}", seconds(self.started.elapsed()));
        }
    }
}

/// A duration in a column of its own.
fn seconds(duration: Duration) -> String {
    format!("{:>7.2} s", duration.as_secs_f64())
}
