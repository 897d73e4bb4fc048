//! What every part of a run shares: time, luck, tasks and the trace.

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};

use crate::engine::{
    clock::Clock,
    luck::Luck,
    tasks::{TaskId, Tasks},
    trace::{Trace, Verbosity},
};

pub(crate) struct Core {
    pub(crate) clock: Clock,
    pub(crate) luck: Luck,
    pub(crate) tasks: Tasks,
    pub(crate) trace: Trace,
}

impl Core {
    pub(crate) fn new(luck: Luck, verbosity: Verbosity) -> Self {
        Self {
            clock: Clock::default(),
            luck,
            tasks: Tasks::default(),
            trace: Trace::new(verbosity),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Waits for the short time that an undisturbed call takes.
    pub(crate) fn pass_time(&self) {
        self.clock.advance_by(SignedDuration::from_millis(self.luck.between(0, 3)));
    }

    /// Starts what a person does.
    pub(crate) fn start_person(
        &self,
        name: impl Into<Cow<'static, str>>,
        work: impl Future<Output = ()> + 'static,
    ) {
        self.tasks.start(name.into(), self.now(), None, work);
    }

    /// Adds a line to the trace.
    pub(crate) fn trace(&self, who: &str, what: impl FnOnce() -> String) {
        self.trace.line(self.now(), who, what);
    }

    /// Adds a line about a task to the trace.
    pub(crate) fn trace_task(&self, id: TaskId, what: impl FnOnce() -> String) {
        self.trace.line(self.now(), format_args!("{} #{id}", self.tasks.name(id)), what);
    }
}
