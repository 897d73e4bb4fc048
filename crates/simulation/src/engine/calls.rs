//! Calls through ports: the points where tasks take turns, and where calls fail.
//!
//! A call is parked before and after its effect, until the scheduler picks it and its fate is
//! drawn. An invocation that dies is dropped while its calls are parked, so that it can die between
//! any two of its effects.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fmt::{Debug, Display},
    panic::resume_unwind,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use jiff::{SignedDuration, Timestamp};

use crate::engine::{core::Core, tasks::TaskId};

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Port {
    Orders,
    Menus,
    Stock,
    Payments,
    Provider,
    Notices,
    Customers,
    Mailer,
    Bus,
    DeadLetters,
    /// Visibility and acknowledgement of messages.
    Queue,
    /// Progress in the stream.
    Stream,
}

impl Port {
    /// Whether a request can arrive twice, or after its caller has given up.
    const fn repeats(self) -> bool {
        // A mail that repeats without a crash would be the mailer's own fault. Queue and stream
        // belong to the poller, which does one thing after another.
        !matches!(self, Self::Mailer | Self::Queue | Self::Stream)
    }
}

/// A time in which every call to a port meets the same trouble.
#[derive(Debug)]
pub(crate) struct Outage {
    pub(crate) port: Port,
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
    pub(crate) trouble: Trouble,
}

/// What happens to calls in an outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    Fails,
    /// The invocation that calls dies.
    Kills,
    Delays(SignedDuration),
}

/// Where a task waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Moment {
    BeforeEffect,
    AfterEffect,
    /// Not in a call, but until a later time.
    Asleep,
}

/// How a parked call continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fate {
    Proceeds,
    /// Fails without an effect.
    Fails,
    /// Fails, and has its effect later.
    ActsLate,
    /// Has its effect twice, and returns the second answer.
    ActsTwice,
    /// Has its effect, and its answer is lost.
    LosesAnswer,
    /// The code around it panics.
    Panics,
    /// Waits until then before its fate is drawn again.
    IsSlow(Timestamp),
    /// The invocation dies, and all its parked calls with it.
    Dies,
}

impl Fate {
    /// Whether the task does not complete its call, or does not learn that it did.
    pub(crate) const fn is_mishap(self) -> bool {
        !matches!(self, Self::Proceeds | Self::IsSlow(_) | Self::ActsTwice)
    }
}

/// A call that waits for its fate.
#[derive(Debug)]
struct Parked {
    id: u64,
    task: TaskId,
    port: Port,
    verb: &'static str,
    moment: Moment,
    /// When it can go on at the earliest.
    from: Timestamp,
    was_slow: bool,
    waker: Waker,
}

/// A parked call and the fate drawn for it.
pub(crate) struct Decision {
    pub(crate) task: TaskId,
    pub(crate) port: Port,
    pub(crate) verb: &'static str,
    pub(crate) moment: Moment,
    pub(crate) fate: Fate,
}

/// The payload of a panic that is a call's fate. Any other panic is a defect.
pub(crate) struct BadLuck;

/// All calls that wait.
pub(crate) struct Calls {
    core: Rc<Core>,
    outages: RefCell<Vec<Outage>>,
    parked: RefCell<Vec<Parked>>,
    decided: RefCell<BTreeMap<u64, Fate>>,
    ids: Cell<u64>,
}

impl Calls {
    pub(crate) fn new(core: &Rc<Core>) -> Rc<Self> {
        Rc::new(Self {
            core: core.clone(),
            outages: RefCell::default(),
            parked: RefCell::default(),
            decided: RefCell::default(),
            ids: Cell::default(),
        })
    }

    pub(crate) fn add_outage(&self, outage: Outage) {
        self.outages.borrow_mut().push(outage);
    }

    /// The indices of calls that can go on now.
    pub(crate) fn ready(&self, ready: &mut Vec<usize>) {
        let (now, parked) = (self.core.now(), self.parked.borrow());
        let indices = parked.iter().enumerate().filter(|(_, call)| call.from <= now);
        ready.extend(indices.map(|(index, _)| index));
    }

    /// The next time at which another call can go on.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        let now = self.core.now();
        self.parked.borrow().iter().map(|call| call.from).filter(|from| *from > now).min()
    }

    /// Draws a parked call's fate.
    pub(crate) fn decide(&self, index: usize) -> Decision {
        let mut parked = self.parked.borrow_mut();
        let call = &mut parked[index];
        let fate = self.fate(call);
        let Parked { task, port, verb, moment, .. } = *call;
        match fate {
            Fate::IsSlow(until) => {
                call.from = until;
                call.was_slow = true;
            }
            // The scheduler drops the task, which drops its calls.
            Fate::Dies => {}
            fate => {
                let call = parked.swap_remove(index);
                self.decided.borrow_mut().insert(call.id, fate);
                call.waker.wake();
            }
        }
        Decision { task, port, verb, moment, fate }
    }

    fn fate(&self, call: &Parked) -> Fate {
        let (luck, before) = (&self.core.luck, call.moment == Moment::BeforeEffect);
        if call.moment == Moment::Asleep || luck.is_calm() {
            return Fate::Proceeds;
        }
        let odds = luck.odds();
        match self.trouble(call.port).filter(|_| before) {
            Some(Trouble::Fails) => return Fate::Fails,
            Some(Trouble::Kills) => return Fate::Dies,
            Some(Trouble::Delays(time)) if !call.was_slow => {
                return Fate::IsSlow(luck.due(self.core.now() + time));
            }
            Some(Trouble::Delays(_)) | None => {}
        }
        if luck.chance(odds.dies) {
            return Fate::Dies;
        }
        if !call.was_slow && luck.chance(odds.is_slow) {
            let wait = luck.wait(SignedDuration::from_secs(40));
            return Fate::IsSlow(luck.due(self.core.now() + wait));
        }
        if !before {
            return if luck.chance(odds.loses_answer) { Fate::LosesAnswer } else { Fate::Proceeds };
        }
        if luck.chance(odds.fails) {
            return Fate::Fails;
        }
        if call.port.repeats() && luck.chance(odds.acts_late) {
            return Fate::ActsLate;
        }
        if call.port.repeats() && luck.chance(odds.acts_twice) {
            return Fate::ActsTwice;
        }
        if call.port != Port::Queue && luck.chance(odds.panics) {
            return Fate::Panics;
        }
        Fate::Proceeds
    }

    fn trouble(&self, port: Port) -> Option<Trouble> {
        let (now, outages) = (self.core.now(), self.outages.borrow());
        let meets = |outage: &&Outage| outage.port == port && outage.from <= now && now < outage.to;
        outages.iter().find(meets).map(|outage| outage.trouble)
    }

    /// Waits until `at`.
    pub(crate) async fn sleep_until(self: &Rc<Self>, at: Timestamp) {
        let at = self.core.luck.due(at);
        self.pause(Port::Queue, "sleep", Moment::Asleep, at).await;
    }

    pub(crate) async fn sleep(self: &Rc<Self>, wait: SignedDuration) {
        self.sleep_until(self.core.now() + wait).await;
    }

    /// Calls `port`, which does `effect` unless misfortune strikes; it then fails with `error`.
    pub(crate) async fn call<T: Debug, E: Display>(
        self: &Rc<Self>,
        port: Port,
        verb: &'static str,
        mut effect: impl FnMut() -> Result<T, E> + 'static,
        error: impl Fn() -> E,
    ) -> Result<T, E> {
        let mut effect = {
            let (core, task) = (self.core.clone(), self.core.tasks.current().task);
            move || {
                let result = effect();
                core.trace_task(task, || match &result {
                    Ok(answer) => format!("{port:?} {verb}: {answer:?}"),
                    Err(error) => format!("{port:?} {verb}: {error}"),
                });
                result
            }
        };
        match self.pause(port, verb, Moment::BeforeEffect, self.core.now()).await {
            Fate::Fails => return Err(error()),
            Fate::ActsLate => {
                let wait = self.core.luck.wait(SignedDuration::from_secs(120));
                let calls = self.clone();
                self.core.start_person(format!("{port:?}"), async move {
                    calls.sleep(wait).await;
                    effect().ok();
                });
                return Err(error());
            }
            Fate::ActsTwice => {
                effect().ok();
            }
            Fate::Panics => resume_unwind(Box::new(BadLuck)),
            _ => {}
        }
        let result = effect();
        match self.pause(port, verb, Moment::AfterEffect, self.core.now()).await {
            Fate::LosesAnswer => Err(error()),
            _ => result,
        }
    }

    async fn pause(
        self: &Rc<Self>,
        port: Port,
        verb: &'static str,
        moment: Moment,
        from: Timestamp,
    ) -> Fate {
        Pause { calls: self.clone(), port, verb, moment, from, id: None }.await
    }
}

/// Waits for the fate of a call.
struct Pause {
    calls: Rc<Calls>,
    port: Port,
    verb: &'static str,
    moment: Moment,
    from: Timestamp,
    /// Set once it is parked.
    id: Option<u64>,
}

impl Future for Pause {
    type Output = Fate;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Fate> {
        let calls = &self.calls;
        if let Some(id) = self.id {
            if let Some(fate) = calls.decided.borrow_mut().remove(&id) {
                return Poll::Ready(fate);
            }
            if let Some(call) = calls.parked.borrow_mut().iter_mut().find(|call| call.id == id) {
                call.waker.clone_from(context.waker());
            }
            return Poll::Pending;
        }
        let id = calls.ids.replace(calls.ids.get() + 1);
        calls.parked.borrow_mut().push(Parked {
            id,
            task: calls.core.tasks.current().task,
            port: self.port,
            verb: self.verb,
            moment: self.moment,
            from: self.from,
            was_slow: false,
            waker: context.waker().clone(),
        });
        self.id = Some(id);
        Poll::Pending
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.calls.parked.borrow_mut().retain(|call| call.id != id);
        }
    }
}
