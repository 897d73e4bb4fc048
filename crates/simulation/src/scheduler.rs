//! Who goes on next: every invocation and every person is a task, and each step lets one of them
//! take one step, delivers something to a function, or lets time pass.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Wake, Waker},
};

use jiff::{SignedDuration, Timestamp};

use crate::{
    call::{BadLuck, Fate, Moment},
    checker::{Broken, Rule},
    function::Functions,
    world::World,
};

/// Tasks are numbered as they begin.
pub(crate) type TaskId = usize;

/// More steps than any run takes that comes to rest.
const MAX_STEPS: u64 = 60_000;

/// What a task is made of.
pub(crate) struct Beginning {
    pub(crate) id: TaskId,
    pub(crate) name: Cow<'static, str>,
    pub(crate) future: Pin<Box<dyn Future<Output = ()>>>,
    /// When it is ended, if it is an invocation. People are not.
    pub(crate) ends: Option<Timestamp>,
}

struct Task {
    future: Pin<Box<dyn Future<Output = ()>>>,
    name: Cow<'static, str>,
    ends: Option<Timestamp>,
    waker: Waker,
}

/// Tasks that want to be polled.
type Woken = Mutex<Vec<TaskId>>;

struct TaskWaker {
    id: TaskId,
    woken: Arc<Woken>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.woken.lock().unwrap_or_else(PoisonError::into_inner).push(self.id);
    }
}

/// One thing that can happen next.
#[derive(Clone, Copy)]
enum Choice {
    /// A parked call goes on.
    Call(usize),
    /// A queue's messages are received.
    Queue(usize),
    /// A shard's records are read.
    Shard(usize),
}

pub(crate) struct Scheduler {
    world: Rc<World>,
    functions: Functions,
    tasks: BTreeMap<TaskId, Task>,
    woken: Arc<Woken>,
    steps: u64,
    schedule: DefaultHasher,
    choices: Vec<Choice>,
    calls: Vec<usize>,
}

impl Scheduler {
    pub(crate) fn new(world: Rc<World>) -> Self {
        let functions = Functions::new(&world);
        Self {
            world,
            functions,
            tasks: BTreeMap::new(),
            woken: Arc::default(),
            steps: 0,
            schedule: DefaultHasher::new(),
            choices: Vec::new(),
            calls: Vec::new(),
        }
    }

    pub(crate) fn functions(&self) -> &Functions {
        &self.functions
    }

    pub(crate) fn steps(&self) -> u64 {
        self.steps
    }

    /// A hash of everything that was chosen: two runs with the same one went the same way.
    pub(crate) fn schedule(&self) -> u64 {
        self.schedule.finish()
    }

    /// Goes on until there is nothing left to do, now or later.
    pub(crate) fn run_to_rest(&mut self) -> Result<(), Broken> {
        while self.step()? {}
        Ok(())
    }

    /// Whether there was anything to do.
    fn step(&mut self) -> Result<bool, Broken> {
        self.poll_woken();
        self.end_overdue();
        if let Some(broken) = self.world.witness.borrow_mut().broken.take() {
            return Err(broken);
        }
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return Err(Broken::new(
                Rule::I1,
                format!("after {MAX_STEPS} steps there is still something going on"),
            ));
        }

        let world = self.world.clone();
        let now = world.now();
        self.choices.clear();
        self.calls.clear();
        world.calls.ready(now, &mut self.calls);
        self.choices.extend(self.calls.iter().map(|call| Choice::Call(*call)));
        self.choices.extend(world.queues.borrow().deliverable(now).map(Choice::Queue));
        self.choices.extend(world.stream.borrow().readable(now).map(Choice::Shard));

        let idle = self.choices.is_empty();
        if idle || world.luck.strikes(world.luck.odds().time_flies) {
            let Some(next) = self.next_moment(now) else { return Ok(!idle) };
            // While somebody works, time passes by minutes and not by days.
            let wait = next.duration_since(now).min(SignedDuration::from_mins(10));
            world.time_is(if idle { next } else { now + world.luck.wait(wait) });
            return Ok(true);
        }
        match self.choices[world.luck.below(self.choices.len())] {
            Choice::Call(call) => self.go_on(call),
            Choice::Queue(queue) => {
                (queue, "receive").hash(&mut self.schedule);
                self.functions.deliver(queue);
            }
            Choice::Shard(shard) => {
                (shard, "read").hash(&mut self.schedule);
                self.functions.announce(shard);
            }
        }
        Ok(true)
    }

    fn go_on(&mut self, call: usize) {
        let (task, port, verb, moment, fate) = self.world.calls.decide(call, &self.world);
        if moment != Moment::Asleep {
            (task, port, verb, moment, std::mem::discriminant(&fate)).hash(&mut self.schedule);
            self.world.time_passes();
        }
        if fate == Fate::Proceeds {
            return;
        }
        if fate.harms() {
            self.world.harm(task);
        }
        self.world.tell_of(task, || match moment {
            Moment::After => format!("{port:?} {verb} is done, and {fate:?}"),
            _ => format!("{port:?} {verb} {fate:?}"),
        });
        // People live on, but their request does not.
        if fate == Fate::Dies && self.tasks.get(&task).is_some_and(|task| task.ends.is_some()) {
            self.tasks.remove(&task);
        }
    }

    fn next_moment(&self, now: Timestamp) -> Option<Timestamp> {
        let ends = self.tasks.values().filter_map(|task| task.ends).min();
        let queues = self.world.queues.borrow().next(now);
        let stream = self.world.stream.borrow().next(now);
        [self.world.calls.next(now), ends, queues, stream].into_iter().flatten().min()
    }

    fn poll_woken(&mut self) {
        loop {
            for Beginning { id, name, future, ends } in self.world.beginnings() {
                let waker = Arc::new(TaskWaker { id, woken: self.woken.clone() }).into();
                self.tasks.insert(id, Task { future, name, ends, waker });
                self.woken().push(id);
            }
            let woken = std::mem::take(&mut *self.woken());
            if woken.is_empty() {
                return;
            }
            for id in woken {
                self.poll(id);
            }
        }
    }

    fn woken(&self) -> std::sync::MutexGuard<'_, Vec<TaskId>> {
        self.woken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn poll(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let waker = task.waker.clone();
        let poll = self.world.as_task(id, || {
            catch_unwind(AssertUnwindSafe(|| {
                task.future.as_mut().poll(&mut Context::from_waker(&waker))
            }))
        });
        match poll {
            Ok(Poll::Pending) => {}
            Ok(Poll::Ready(())) => drop(self.tasks.remove(&id)),
            // An invocation that panics is over.
            Err(panic) if panic.is::<BadLuck>() => drop(self.tasks.remove(&id)),
            Err(panic) => resume_unwind(panic),
        }
    }

    /// Ends invocations that have run for as long as they may.
    fn end_overdue(&mut self) {
        let now = self.world.now();
        let overdue: Vec<_> = self
            .tasks
            .iter()
            .filter(|(_, task)| task.ends.is_some_and(|end| end <= now))
            .map(|(id, _)| *id)
            .collect();
        for id in overdue {
            self.world.harm(id);
            self.world.tell_of(id, || "runs out of time".to_owned());
            self.tasks.remove(&id);
        }
    }

    /// The names of all tasks that are not over.
    pub(crate) fn unfinished(&self) -> Vec<String> {
        self.tasks.values().map(|task| task.name.to_string()).collect()
    }
}
