//! One run: everything that happens follows from its seed.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use crate::{
    checker::{Broken, Rule},
    luck::Luck,
    scheduler::Scheduler,
    story::Story,
    topology::TOPOLOGY,
    workload::{self, Workload},
    world::World,
};

/// How often dead letters are redriven once nothing goes wrong any more. Messages about one order
/// can be in each other's way, so that once may not do.
const REDRIVES: usize = 3;

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed that it follows from.
    pub seed: u64,
    /// Tells its course from all others.
    pub schedule: u64,
    /// How many steps it took.
    pub steps: u64,
    /// How many orders ended in each status, with what became of the money.
    pub ends: BTreeMap<String, u64>,
    /// The first rule that broke, if any did.
    pub broken: Option<Broken>,
}

/// Whether a run is told while it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Telling {
    /// Not a word.
    Silent,
    /// Everything, to standard output.
    Aloud,
}

/// Runs a seed.
///
/// # Panics
/// When the code under test does so outside a record of a batch.
#[must_use]
pub fn run(seed: u64, telling: Telling) -> Outcome {
    // The batch runner's jitter.
    fastrand::seed(seed);
    let luck = Luck::new(seed);
    let mut parameters = TOPOLOGY.defaults.clone();
    let confirm_within = *luck.one_of(&[60, 300, 900]);
    parameters.insert("ConfirmWithinSeconds".into(), confirm_within);
    parameters.insert("ChargeRetryBudgetSeconds".into(), confirm_within + 60);
    let world =
        World::new(luck, Story::new(telling == Telling::Aloud), parameters, workload::customers());
    let mut scheduler = Scheduler::new(world.clone());
    let workload = Workload::begin(&world, scheduler.functions());
    let broken = play(&world, &mut scheduler, &workload).err();
    let ends = world.witness.borrow().ends();
    Outcome { seed, schedule: scheduler.schedule(), steps: scheduler.steps(), ends, broken }
}

fn play(world: &World, scheduler: &mut Scheduler, workload: &Workload) -> Result<(), Broken> {
    scheduler.run_to_rest()?;

    world.luck.turns();
    world.tell("luck", || "turns".to_owned());
    scheduler.run_to_rest()?;
    for _ in 0..REDRIVES {
        world.queues.borrow_mut().redrive(world);
        scheduler.run_to_rest()?;
    }
    at_rest(world, scheduler)?;

    // Tombstones go, and whoever comes back finds everything as it was.
    world.time_is(world.now() + SignedDuration::from_hours(24 * (shop::TOMBSTONE_DAYS + 1)));
    world.tell("TTL", || "deletes the tombstones".to_owned());
    world.stock.expire(world.now());
    world.payments.expire(world.now());
    workload.ask_again();
    scheduler.run_to_rest()?;
    at_rest(world, scheduler)
}

fn at_rest(world: &World, scheduler: &Scheduler) -> Result<(), Broken> {
    let unfinished = scheduler.unfinished();
    if !unfinished.is_empty() {
        return Err(Broken::new(
            Rule::I1,
            format!("nothing goes on any more, but these are not finished: {unfinished:?}"),
        ));
    }
    world.witness.borrow().check(world)
}
