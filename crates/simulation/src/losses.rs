//! What the bus or the queues have lost, and the one command of an operator that brings it back:
//! afterwards all checks hold as if nothing had been lost.

use std::rc::Rc;

use jiff::{SignedDuration, Timestamp};
use shop::order::{Order, Status};

use crate::{
    checks::Checks,
    engine::{
        calls::{Outage, Port, Trouble},
        core::Core,
        luck::Luck,
        trace::Verbosity,
    },
    functions,
    observation::Observation,
    ports::deliver,
    scheduler::Scheduler,
    transport::topology::TOPOLOGY,
    violation::Violation,
    workload::{self, Shop, announce, api},
    world::World,
};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// When something is lost, from the first order on.
const BEGIN: SignedDuration = HOUR;

/// The time from the first order to all pickups, until when customers may cancel.
const PICKUP: SignedDuration = SignedDuration::from_hours(72);

/// For how long orders are placed after the loss.
const AFTER: SignedDuration = SignedDuration::from_mins(30);

/// One of so many orders is cancelled.
const CANCELLED: i32 = 4;

/// What is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The bus takes nothing for three hours longer than the stream keeps a change. Then the
    /// operator publishes from the rows.
    Bus,
    /// Nobody reads the queues for some minutes, and then all of their messages are gone. The
    /// operator replays the archive.
    Queues,
}

impl Loss {
    fn length(self) -> SignedDuration {
        match self {
            Self::Bus => TOPOLOGY.max_record_age + HOUR * 3,
            Self::Queues => MINUTE * 10,
        }
    }

    /// The time between two orders.
    const fn interval(self) -> SignedDuration {
        match self {
            Self::Bus => SignedDuration::from_mins(2),
            Self::Queues => SignedDuration::from_secs(5),
        }
    }
}

/// What became of a loss.
#[derive(Debug, Default)]
pub struct Outcome {
    /// How many orders there were.
    pub orders: usize,
    /// How many events or messages were lost.
    pub lost: usize,
    /// How many events the operator's command brought back from the archive.
    pub archived: usize,
    /// How many events the operator's command brought back from the rows.
    pub announced: usize,
    /// How many orders went through in the end.
    pub confirmed: usize,
    /// How many orders were not confirmed in time.
    pub expired: usize,
    /// The first violation, if there was one.
    pub violation: Option<Violation>,
}

/// Plays a loss, in a system that takes orders and cancellations before, meanwhile and afterwards.
#[must_use]
pub fn play(loss: Loss, seed: u64) -> Outcome {
    let mut run = Run::new(loss, seed);
    run.outcome.violation = run.play().err();
    run.outcome
}

struct Run {
    world: Rc<World>,
    scheduler: Scheduler,
    checks: Checks,
    outcome: Outcome,
    loss: Loss,
    from: Timestamp,
    to: Timestamp,
    /// Whether the operator acts.
    is_repaired: bool,
}

impl Run {
    fn new(loss: Loss, seed: u64) -> Self {
        fastrand::seed(seed);
        let core = Rc::new(Core::new(Luck::undisturbed(seed), Verbosity::Silent));
        let world = World::new(core, TOPOLOGY.for_one_customer(), workload::customers());
        let from = world.now() + BEGIN;
        Self {
            scheduler: Scheduler::new(world.clone()),
            checks: Checks::new(workload::customers().0, functions::limit(&world.parameters)),
            outcome: Outcome::default(),
            world,
            loss,
            from,
            to: from + loss.length(),
            is_repaired: true,
        }
    }

    fn play(&mut self) -> Result<(), Violation> {
        self.start_orders();
        if self.loss == Loss::Bus {
            let (from, to) = (self.from, self.to);
            let outage = Outage { port: Port::Bus, from, to, trouble: Trouble::Fails };
            self.world.calls.add_outage(outage);
        }
        self.run_until(Some(self.from))?;
        if self.loss == Loss::Queues {
            // Orders first wait for their charge, then for anything.
            self.set_unread(true, |queue| queue == "ChargeQueue");
            self.run_until(Some(self.from + self.loss.length() / 2))?;
            self.set_unread(true, |_| true);
        }
        self.run_until(Some(self.to))?;
        self.set_unread(false, |_| true);
        if self.loss == Loss::Queues {
            self.outcome.lost = self.world.queues.lose_everything();
        }
        match self.loss {
            Loss::Bus if self.is_repaired => self.announce(),
            Loss::Queues if self.is_repaired => self.replay(),
            Loss::Bus | Loss::Queues => {}
        }
        self.run_until(None)?;
        // What was given up meanwhile has its own alarm and command.
        self.world.queues.redrive(None);
        self.run_until(None)?;
        let rest = self.world.rest();
        self.outcome.orders = rest.orders.len();
        let count = |status| rest.orders.values().filter(|order| order.status == status).count();
        (self.outcome.confirmed, self.outcome.expired) =
            (count(Status::Confirmed), count(Status::Expired));
        self.checks.check(&rest)
    }

    fn start_orders(&self) {
        let shop = Shop::always_open(&self.world);
        let (mut at, end) = (self.world.now(), self.to + AFTER);
        let pickup_at = at + PICKUP;
        for number in 0.. {
            if at >= end {
                return;
            }
            let wish = workload::croissant(number, shop, "pm_card_visa", pickup_at);
            // Some are cancelled at once, some after a while, and some of the first ones only when
            // the bus or the queues are at their worst.
            let wait = [MINUTE / 20, MINUTE * 3, BEGIN + MINUTE * 2][number as usize / 4 % 3];
            let (world, functions) = (self.world.clone(), self.scheduler.functions().clone());
            self.world.core.start_person("camille", async move {
                world.calls.sleep_until(at).await;
                let placed = api::place(&world, &functions, &wish, &wish.body).await;
                assert!(placed, "an order is refused");
                if number % CANCELLED == 0 {
                    world.calls.sleep(wait).await;
                    let answered = api::cancel(&world, &functions, &wish).await;
                    assert!(answered, "a cancellation fails");
                }
            });
            at += self.loss.interval();
        }
    }

    /// Takes steps until a time, or until there is nothing left to do.
    fn run_until(&mut self, end: Option<Timestamp>) -> Result<(), Violation> {
        while end.is_none_or(|end| self.world.now() < end) && self.scheduler.step() {
            for observation in self.world.log.take_new() {
                match observation {
                    // That is the loss.
                    Observation::ChangeExpired(_) => self.outcome.lost += 1,
                    observation => self.checks.observe(&observation)?,
                }
            }
        }
        Ok(())
    }

    fn set_unread(&self, is_unread: bool, wanted: impl Fn(&str) -> bool) {
        let queues = TOPOLOGY.queues.iter().enumerate();
        for (index, _) in queues.filter(|(_, queue)| wanted(&queue.id)) {
            self.world.queues.set_unread(index, is_unread);
        }
    }

    /// `cargo ops announce`, since shortly before the loss.
    fn announce(&mut self) {
        let since = self.from - MINUTE;
        let has_changed = |order: &Order| order.history.iter().any(|change| change.at >= since);
        self.publish_again(has_changed);
    }

    /// `cargo ops replay` of what had passed the bus and was still in a queue: the deadline queue
    /// keeps its messages longest.
    fn replay(&mut self) {
        let confirm_within = self.world.parameters["ConfirmWithinSeconds"];
        let from = self.from - SignedDuration::from_secs(confirm_within) - MINUTE;
        let archived = self.world.archive.between(from, self.to);
        archived.iter().for_each(|passed| deliver(&self.world, passed));
        self.outcome.archived = archived.len();
        let to = self.to;
        self.publish_again(|order| {
            let changed = order.history.last().map(|change| change.at);
            order.status == Status::Reserved && changed.is_some_and(|at| (from..=to).contains(&at))
        });
    }

    fn publish_again(&mut self, wanted: impl Fn(&Order) -> bool) {
        let orders: Vec<_> = self.world.orders.rows().values().cloned().collect();
        for order in orders.into_iter().filter(wanted) {
            announce(&self.world, order);
            self.outcome.announced += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_day_in_which_the_bus_took_nothing_one_command_ends_every_order() {
        let outcome = play(Loss::Bus, 0);
        assert!(outcome.violation.is_none(), "{outcome:?}");
        assert!(outcome.orders > 700 && outcome.lost > 50, "{outcome:?}");
        assert!(outcome.expired > 400 && outcome.confirmed > 30, "{outcome:?}");
        assert!(outcome.announced > 600, "{outcome:?}");
    }

    #[test]
    fn after_the_queues_have_lost_everything_one_command_confirms_every_order() {
        for seed in 0..3 {
            let outcome = play(Loss::Queues, seed);
            assert!(outcome.violation.is_none(), "seed {seed}: {outcome:?}");
            assert!(outcome.orders > 700 && outcome.lost > 100, "{outcome:?}");
            assert!(outcome.archived > 500 && outcome.announced > 30, "{outcome:?}");
            assert!(outcome.expired == 0 && outcome.confirmed > 500, "{outcome:?}");
        }
    }

    /// So that the tests above can fail.
    #[test]
    fn without_that_command_orders_stay_stuck() {
        for loss in [Loss::Bus, Loss::Queues] {
            let mut run = Run::new(loss, 0);
            run.is_repaired = false;
            let violation = run.play().unwrap_err();
            assert!(violation.to_string().contains("stuck"), "{violation}");
        }
    }
}
