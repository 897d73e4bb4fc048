//! Decides what happens next: one call of an invocation or a person continues, a function receives
//! something, or time passes.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    mem::discriminant,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    rc::Rc,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Wake, Waker},
};

use jiff::{SignedDuration, Timestamp};

use crate::{
    engine::{
        calls::{BadLuck, Decision, Fate, Moment},
        tasks::{NewTask, TaskId},
    },
    functions::Functions,
    observation::Observation,
    world::World,
};

/// The longest that time passes at once while there is something to do.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_mins(10);

struct Task {
    future: Pin<Box<dyn Future<Output = ()>>>,
    name: Cow<'static, str>,
    timeout: Option<Timestamp>,
    waker: Waker,
}

impl Task {
    /// Whether it is an invocation, and not what a person does.
    fn is_invocation(&self) -> bool {
        self.timeout.is_some()
    }
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

/// Something that can happen next.
#[derive(Clone, Copy)]
enum Choice {
    /// A parked call continues.
    Call(usize),
    /// A function receives messages of a queue.
    Queue(usize),
    /// The relay reads records of a shard.
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

    /// A hash of all choices. Two runs with the same hash had the same schedule.
    pub(crate) fn schedule(&self) -> u64 {
        self.schedule.finish()
    }

    /// The names of all tasks that have not finished.
    pub(crate) fn unfinished(&self) -> Vec<String> {
        self.tasks.values().map(|task| task.name.to_string()).collect()
    }

    /// Takes one step. Returns false when there is nothing to do, now or later.
    pub(crate) fn step(&mut self) -> bool {
        self.poll_woken();
        self.end_timed_out();
        self.steps += 1;

        let world = self.world.clone();
        self.collect_choices();
        let (now, idle) = (world.now(), self.choices.is_empty());
        let luck = &world.core.luck;
        if idle || luck.chance(luck.odds().time_flies) {
            let Some(next) = self.next_moment() else { return !idle };
            let wait = next.duration_since(now).min(LONGEST_PAUSE);
            world.advance_to(if idle { next } else { now + luck.wait(wait) });
            return true;
        }
        match self.choices[luck.below(self.choices.len())] {
            Choice::Call(call) => self.go_on(call),
            Choice::Queue(queue) => {
                (queue, "receive").hash(&mut self.schedule);
                self.functions.deliver(queue);
            }
            Choice::Shard(shard) => {
                (shard, "read").hash(&mut self.schedule);
                self.functions.relay(shard);
            }
        }
        true
    }

    fn collect_choices(&mut self) {
        self.calls.clear();
        self.world.calls.ready(&mut self.calls);
        self.choices.clear();
        self.choices.extend(self.calls.iter().map(|call| Choice::Call(*call)));
        self.world.queues.deliverable(|queue| self.choices.push(Choice::Queue(queue)));
        self.world.stream.readable(|shard| self.choices.push(Choice::Shard(shard)));
    }

    /// The next time at which there is something more to do.
    fn next_moment(&self) -> Option<Timestamp> {
        let timeout = self.tasks.values().filter_map(|task| task.timeout).min();
        let World { calls, queues, stream, .. } = &*self.world;
        [calls.next(), timeout, queues.next(), stream.next()].into_iter().flatten().min()
    }

    fn go_on(&mut self, call: usize) {
        let Decision { task, port, verb, moment, fate } = self.world.calls.decide(call);
        if moment != Moment::Asleep {
            (task, port, verb, moment, discriminant(&fate)).hash(&mut self.schedule);
            self.world.core.pass_time();
        }
        if fate == Fate::Proceeds {
            return;
        }
        if fate.is_mishap() {
            self.world.log.add(Observation::Mishap(task));
        }
        if fate == Fate::Fails {
            self.world.log.add(Observation::CallRefused(port));
        }
        self.world.core.trace_task(task, || match moment {
            Moment::AfterEffect => format!("{port:?} {verb} is done, and {fate:?}"),
            _ => format!("{port:?} {verb} {fate:?}"),
        });
        // People continue even when their request fails.
        if fate == Fate::Dies && self.tasks.get(&task).is_some_and(Task::is_invocation) {
            self.end_failed(task);
        }
    }

    /// Ends a task that did not finish.
    fn end_failed(&mut self, id: TaskId) {
        if let Some(task) = self.tasks.remove(&id)
            && task.is_invocation()
        {
            self.world.log.add(Observation::InvocationFailed(task.name.clone()));
        }
    }

    fn poll_woken(&mut self) {
        loop {
            for NewTask { id, name, future, timeout } in self.world.core.tasks.take_new() {
                let waker = Arc::new(TaskWaker { id, woken: self.woken.clone() }).into();
                self.tasks.insert(id, Task { future, name, timeout, waker });
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

    fn woken(&self) -> MutexGuard<'_, Vec<TaskId>> {
        self.woken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn poll(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let waker = task.waker.clone();
        let poll = self.world.core.tasks.run_as(id, || {
            catch_unwind(AssertUnwindSafe(|| {
                task.future.as_mut().poll(&mut Context::from_waker(&waker))
            }))
        });
        match poll {
            Ok(Poll::Pending) => {}
            Ok(Poll::Ready(())) => drop(self.tasks.remove(&id)),
            // An invocation that panics is over.
            Err(panic) if panic.is::<BadLuck>() => self.end_failed(id),
            Err(panic) => resume_unwind(panic),
        }
    }

    fn end_timed_out(&mut self) {
        let now = self.world.now();
        let timed_out: Vec<_> = self
            .tasks
            .iter()
            .filter(|(_, task)| task.timeout.is_some_and(|timeout| timeout <= now))
            .map(|(id, _)| *id)
            .collect();
        for id in timed_out {
            self.world.log.add(Observation::Mishap(id));
            self.world.core.trace_task(id, || "times out".to_owned());
            self.end_failed(id);
        }
    }
}
