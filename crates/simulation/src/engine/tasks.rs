//! Tasks: invocations of functions, and what people do.

use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
    pin::Pin,
};

use jiff::Timestamp;

/// Tasks are numbered in the order in which they start.
pub(crate) type TaskId = usize;

/// A task that has not been polled yet.
pub(crate) struct NewTask {
    pub(crate) id: TaskId,
    pub(crate) name: Cow<'static, str>,
    pub(crate) future: Pin<Box<dyn Future<Output = ()>>>,
    /// When an invocation times out; what people do never does.
    pub(crate) timeout: Option<Timestamp>,
}

/// A task at work, as observations name it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Worker {
    pub(crate) task: TaskId,
    pub(crate) started: Timestamp,
}

#[derive(Debug)]
struct Started {
    name: Cow<'static, str>,
    at: Timestamp,
}

/// All tasks of a run: those that ran, and those that are about to.
#[derive(Default)]
pub(crate) struct Tasks {
    started: RefCell<Vec<Started>>,
    new: RefCell<Vec<NewTask>>,
    current: Cell<TaskId>,
}

impl Tasks {
    pub(crate) fn start(
        &self,
        name: Cow<'static, str>,
        at: Timestamp,
        timeout: Option<Timestamp>,
        work: impl Future<Output = ()> + 'static,
    ) {
        let mut started = self.started.borrow_mut();
        let id = started.len();
        started.push(Started { name: name.clone(), at });
        self.new.borrow_mut().push(NewTask { id, name, future: Box::pin(work), timeout });
    }

    /// The tasks that were started since this was last called.
    pub(crate) fn take_new(&self) -> Vec<NewTask> {
        self.new.take()
    }

    /// Does `work` as the task `id`.
    pub(crate) fn run_as<T>(&self, id: TaskId, work: impl FnOnce() -> T) -> T {
        let before = self.current.replace(id);
        let result = work();
        self.current.set(before);
        result
    }

    /// The task that is running.
    pub(crate) fn current(&self) -> Worker {
        let task = self.current.get();
        Worker { task, started: self.started.borrow()[task].at }
    }

    pub(crate) fn name(&self, id: TaskId) -> Cow<'static, str> {
        self.started.borrow()[id].name.clone()
    }
}
