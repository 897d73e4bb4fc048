//! One run, which its seed determines.

use std::{collections::BTreeMap, rc::Rc};

use jiff::SignedDuration;
use shop::{TOMBSTONE_DAYS, calendar::MAX_DAYS_AHEAD};

pub use crate::engine::trace::Verbosity;
use crate::{
    checks::Checks,
    engine::{core::Core, luck::Luck},
    functions,
    outages::{self, Waits},
    scheduler::Scheduler,
    transport::topology::{Parameters, TOPOLOGY},
    violation::{Rule, Violation},
    workload::{self, Workload},
    world::{SLOWEST_DELETION, World},
};

/// How often dead letters are redriven in the end. Messages about one order can wait for each
/// other, so that once may not be enough.
const REDRIVES: usize = 3;

/// Of so many seeds, one stands for an outage in which nothing else goes wrong.
const OUTAGES: u64 = 400;

/// More steps than any run takes to come to rest.
const MAX_STEPS: u64 = 60_000;

/// The result of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed that determined the run.
    pub seed: u64,
    /// A hash of all choices of the scheduler: runs with different schedules differ in it.
    pub schedule: u64,
    /// The number of steps.
    pub steps: u64,
    /// How many orders ended in each pair of status and payment status.
    pub ends: BTreeMap<String, u64>,
    /// The first violation, if there was one.
    pub violation: Option<Violation>,
}

/// Runs a seed.
///
/// # Panics
/// When the code under test panics outside of a record of a batch.
#[must_use]
pub fn run(seed: u64, verbosity: Verbosity) -> Outcome {
    if seed % OUTAGES == OUTAGES - 1 {
        let (Waits { schedule, steps, .. }, violation) =
            outages::check(seed / OUTAGES, seed, verbosity);
        return Outcome { seed, schedule, steps, ends: BTreeMap::new(), violation };
    }
    // The batch runner draws its jitter from the global generator.
    fastrand::seed(seed);
    let core = Rc::new(Core::new(Luck::new(seed), verbosity));
    let parameters = parameters(&core.luck);
    let world = World::new(core, parameters, workload::customers());
    let scheduler = Scheduler::new(world.clone());
    let workload = Workload::start(&world, scheduler.functions());
    let checks = Checks::new(workload::customers().0, functions::limit(&world.parameters));
    let mut run = Run { world, scheduler, workload, checks };
    let violation = run.play().err().map(|violation| Violation {
        what: run.world.core.trace.with_names(violation.what),
        ..violation
    });
    Outcome {
        seed,
        schedule: run.scheduler.schedule(),
        steps: run.scheduler.steps(),
        ends: run.ends(),
        violation,
    }
}

/// Template parameters of a run: how long an order may take to be confirmed is drawn.
fn parameters(luck: &Luck) -> Parameters {
    let mut parameters = TOPOLOGY.defaults.clone();
    let confirm_within = *luck.pick(&[60, 300, 900]);
    parameters.insert("ConfirmWithinSeconds".into(), confirm_within);
    parameters.insert("ChargeRetryBudgetSeconds".into(), confirm_within + 60);
    parameters.insert("DeclinesPerCustomer".into(), *luck.pick(&[1, 2, 5, 5, 5]));
    parameters
}

struct Run {
    world: Rc<World>,
    scheduler: Scheduler,
    workload: Workload,
    checks: Checks,
}

impl Run {
    fn play(&mut self) -> Result<(), Violation> {
        self.run_to_rest()?;

        self.world.core.luck.calm();
        self.world.core.trace("luck", || "nothing fails from now on".to_owned());
        self.run_to_rest()?;
        for _ in 0..REDRIVES {
            self.world.queues.redrive(None);
            self.run_to_rest()?;
        }
        self.check_rest()?;

        // Even when all tombstones are gone, and all stock of past days, and the data of a customer
        // is erased, repeated requests, repeated events and late cancellations change nothing else.
        // Stock expires later than tombstones by as much as an order is placed ahead, and a few
        // days.
        let lifetime = SignedDuration::from_hours(24 * (TOMBSTONE_DAYS + MAX_DAYS_AHEAD + 3));
        self.world.advance_to(self.world.now() + lifetime + SLOWEST_DELETION);
        self.world.core.trace("TTL", || "all tombstones and past stock are deleted".to_owned());
        self.workload.erase_a_customer();
        self.run_to_rest()?;
        self.workload.ask_again();
        self.workload.announce_again();
        self.workload.cancel_late();
        self.run_to_rest()?;
        self.check_rest()
    }

    /// Takes steps until there is nothing left to do, now or later.
    fn run_to_rest(&mut self) -> Result<(), Violation> {
        loop {
            let goes_on = self.scheduler.step();
            for observation in self.world.log.take_new() {
                self.checks.observe(&observation)?;
            }
            if !goes_on {
                return Ok(());
            }
            if self.scheduler.steps() > MAX_STEPS {
                let what = format!("the run has not come to rest after {MAX_STEPS} steps");
                return Err(Violation::new(Rule::I1, what));
            }
        }
    }

    fn check_rest(&self) -> Result<(), Violation> {
        let unfinished = self.scheduler.unfinished();
        if !unfinished.is_empty() {
            let what = format!("these tasks wait for something that never happens: {unfinished:?}");
            return Err(Violation::new(Rule::I1, what));
        }
        self.checks.check(&self.world.rest())
    }

    fn ends(&self) -> BTreeMap<String, u64> {
        let mut ends = BTreeMap::new();
        for order in self.world.orders.rows().values() {
            *ends.entry(format!("{:?}/{:?}", order.status, order.payment)).or_default() += 1;
        }
        ends
    }
}
