//! Calls through ports: where invocations take turns, and where they meet their bad luck.
//!
//! Before and after its effect a call is parked until the [scheduler](crate::scheduler) picks it
//! and decides its fate. An invocation that dies is dropped while its calls are parked: between any
//! two effects that it has on the world.

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

use crate::{scheduler::TaskId, world::World};

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
    /// What is behind it can act after its caller has given up, and a request to it can arrive
    /// twice.
    const fn repeats(self) -> bool {
        // A mail that repeats without a crash would be the mailer's own fault; queue and stream are
        // the poller's, which does one thing after another.
        !matches!(self, Self::Mailer | Self::Queue | Self::Stream)
    }
}

/// Where in a call an invocation waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Moment {
    Before,
    After,
    /// Not in a call at all: for a time to come.
    Asleep,
}

/// How a parked call goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fate {
    Proceeds,
    /// Fails without an effect.
    Fails,
    /// Fails, and has its effect later.
    ActsLate,
    /// Has its effect twice, and answers the second time.
    ActsTwice,
    /// Has its effect, and its answer is lost.
    LosesAnswer,
    /// The code around it panics.
    Panics,
    /// Waits until then before its fate is decided.
    Dawdles(Timestamp),
    /// The invocation dies, with all that it has parked.
    Dies,
}

impl Fate {
    /// Whether the invocation can tell, or is no more to tell.
    pub(crate) const fn harms(self) -> bool {
        !matches!(self, Self::Proceeds | Self::Dawdles(_) | Self::ActsTwice)
    }
}

/// A call that waits for its fate.
#[derive(Debug)]
pub(crate) struct Parked {
    id: u64,
    pub(crate) task: TaskId,
    pub(crate) port: Port,
    pub(crate) verb: &'static str,
    pub(crate) moment: Moment,
    /// When it can go on at the earliest.
    pub(crate) from: Timestamp,
    dawdled: bool,
    waker: Waker,
}

/// The panic that is the fate of a call. Everything else that panics is a fault of the code.
pub(crate) struct BadLuck;

/// All calls that wait.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    parked: RefCell<Vec<Parked>>,
    decided: RefCell<BTreeMap<u64, Fate>>,
    ids: Cell<u64>,
}

impl Calls {
    /// The indices of calls that can go on at `now`.
    pub(crate) fn ready(&self, now: Timestamp, ready: &mut Vec<usize>) {
        ready.extend(
            self.parked
                .borrow()
                .iter()
                .enumerate()
                .filter(|(_, call)| call.from <= now)
                .map(|(index, _)| index),
        );
    }

    /// The first time after `now` at which another call can go on.
    pub(crate) fn next(&self, now: Timestamp) -> Option<Timestamp> {
        self.parked.borrow().iter().map(|call| call.from).filter(|from| *from > now).min()
    }

    /// Decides a parked call's fate at `now`, and tells whose it was.
    pub(crate) fn decide(
        &self,
        index: usize,
        world: &World,
    ) -> (TaskId, Port, &'static str, Moment, Fate) {
        let mut parked = self.parked.borrow_mut();
        let call = &mut parked[index];
        let fate = fate(call, world);
        let told = (call.task, call.port, call.verb, call.moment, fate);
        match fate {
            Fate::Dawdles(until) => {
                call.from = until;
                call.dawdled = true;
            }
            // Whoever ends the task takes its calls along.
            Fate::Dies => {}
            fate => {
                let call = parked.swap_remove(index);
                self.decided.borrow_mut().insert(call.id, fate);
                call.waker.wake();
            }
        }
        told
    }
}

fn fate(call: &Parked, world: &World) -> Fate {
    if call.moment == Moment::Asleep || world.luck.is_good() {
        return Fate::Proceeds;
    }
    let (luck, odds, before) = (&world.luck, world.luck.odds(), call.moment == Moment::Before);
    if before && world.is_down(call.port) {
        return Fate::Fails;
    }
    if luck.strikes(odds.dies) {
        return Fate::Dies;
    }
    if !call.dawdled && luck.strikes(odds.is_slow) {
        return Fate::Dawdles(luck.due(world.now() + luck.wait(SignedDuration::from_secs(40))));
    }
    if !before {
        return if luck.strikes(odds.loses_answer) { Fate::LosesAnswer } else { Fate::Proceeds };
    }
    if luck.strikes(odds.fails) {
        return Fate::Fails;
    }
    if call.port.repeats() && luck.strikes(odds.acts_late) {
        return Fate::ActsLate;
    }
    if call.port.repeats() && luck.strikes(odds.acts_twice) {
        return Fate::ActsTwice;
    }
    if call.port != Port::Queue && luck.strikes(odds.panics) {
        return Fate::Panics;
    }
    Fate::Proceeds
}

/// Waits for the fate of a call.
struct Pause {
    world: Rc<World>,
    port: Port,
    verb: &'static str,
    moment: Moment,
    from: Timestamp,
    /// Once it is parked.
    id: Option<u64>,
}

impl Future for Pause {
    type Output = Fate;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Fate> {
        let calls = &self.world.calls;
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
            task: self.world.current_task(),
            port: self.port,
            verb: self.verb,
            moment: self.moment,
            from: self.from,
            dawdled: false,
            waker: context.waker().clone(),
        });
        self.id = Some(id);
        Poll::Pending
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.world.calls.parked.borrow_mut().retain(|call| call.id != id);
        }
    }
}

impl World {
    async fn pause(
        self: &Rc<Self>,
        port: Port,
        verb: &'static str,
        moment: Moment,
        from: Timestamp,
    ) -> Fate {
        Pause { world: self.clone(), port, verb, moment, from, id: None }.await
    }

    /// Waits until then.
    pub(crate) async fn sleep_until(self: &Rc<Self>, at: Timestamp) {
        self.pause(Port::Queue, "sleep", Moment::Asleep, self.luck.due(at)).await;
    }

    /// Waits so long.
    pub(crate) async fn sleep(self: &Rc<Self>, wait: SignedDuration) {
        self.sleep_until(self.now() + wait).await;
    }

    /// Calls `port` as the run's luck has it. What it does is `effect`; its failure is `error`.
    pub(crate) async fn call<T: Debug, E: Display>(
        self: &Rc<Self>,
        port: Port,
        verb: &'static str,
        mut effect: impl FnMut() -> Result<T, E> + 'static,
        error: impl Fn() -> E,
    ) -> Result<T, E> {
        let mut effect = {
            let (world, task) = (self.clone(), self.current_task());
            move || {
                let result = effect();
                world.tell_of(task, || match &result {
                    Ok(answer) => format!("{port:?} {verb}: {answer:?}"),
                    Err(error) => format!("{port:?} {verb}: {error}"),
                });
                result
            }
        };
        match self.pause(port, verb, Moment::Before, self.now()).await {
            Fate::Fails => return Err(error()),
            Fate::ActsLate => {
                let (world, wait) = (self.clone(), self.luck.wait(SignedDuration::from_secs(120)));
                self.spawn_person(format!("{port:?}"), async move {
                    world.sleep(wait).await;
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
        match self.pause(port, verb, Moment::After, self.now()).await {
            Fate::LosesAnswer => Err(error()),
            _ => result,
        }
    }
}
