//! The alarms of the template: each is fired by the fault that it is for, and ends with it.
//!
//! The faults happen to a system that does its daily work in virtual time. `monitor` evaluates the
//! alarms every minute, on what CloudWatch would know by then. What only AWS can do is fed to it as
//! AWS would publish it.

mod scenarios;

use std::{collections::BTreeSet, rc::Rc};

use jiff::{SignedDuration, Timestamp};
use metrics::set_default_local_recorder;
use monitor::{Alarms, Change, Metric, Monitor, State};
use resources::Template;

use self::scenarios::Fault;
pub use self::scenarios::{SCENARIOS, Scenario};
use crate::{
    engine::{calls::Outage, core::Core, luck::Luck, trace::Verbosity},
    functions::Functions,
    scheduler::Scheduler,
    telemetry::{OwnMetrics, Telemetry},
    transport::topology::TOPOLOGY,
    workload::{
        self, Shop,
        api::{self, Wish},
    },
    world::{Shortage, World},
};

/// The time between two orders: 60 shops in a quiet hour.
const INTERVAL: SignedDuration = SignedDuration::from_secs(15);

/// For how long the system does its work before anything goes wrong.
const BEFORE: SignedDuration = SignedDuration::from_mins(20);

/// For how long it goes on when the fault is over.
const AFTER: SignedDuration = SignedDuration::from_mins(50);

/// The longest time from the first sign of a fault to its alarm.
pub const LIMIT: SignedDuration = SignedDuration::from_mins(5);

/// The time from placing an order to its pickup.
const PICKUP: SignedDuration = SignedDuration::from_hours(24);

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// How often the books are compared: the schedule of `BooksRule`.
const BETWEEN_BOOKS: SignedDuration = SignedDuration::from_hours(3);

/// What the alarms made of a fault.
#[derive(Debug)]
pub struct Outcome {
    /// The time from the first sign of the fault until its alarm.
    pub noticed: Option<SignedDuration>,
    /// The time from the end of the fault until its alarm was over.
    pub over: Option<SignedDuration>,
    /// The composites that paged, with the time since the fault began.
    pub pages: Vec<(String, SignedDuration)>,
    /// The other alarms that informed.
    pub also: BTreeSet<String>,
}

/// Plays a scenario.
///
/// # Panics
/// When the template has an alarm that cannot be evaluated.
#[must_use]
pub fn play(scenario: &Scenario) -> Outcome {
    let mut run = Run::new(Some(scenario));
    let (from, to) = (run.from, run.from + scenario.length);
    let changes = run.play(to + AFTER);
    let sign = from + scenario.sign;
    let to_alarm = |change: &&Change| change.to == State::Alarm && change.at >= from;
    let own = || changes.iter().filter(|change| change.alarm == scenario.alarm);
    let noticed = own().find(to_alarm);
    let is_page = |alarm: &str| run.monitor.alarms().composite.iter().any(|it| it.id == alarm);
    let pages = changes.iter().filter(to_alarm).filter(|change| is_page(&change.alarm));
    let others = changes.iter().filter(to_alarm).filter(|change| !is_page(&change.alarm));
    let over = own().next_back().filter(|change| noticed.is_some() && change.to == State::Ok);
    Outcome {
        noticed: noticed.map(|change| change.at.duration_since(sign)),
        over: over.map(|change| change.at.duration_since(to)),
        pages: pages.map(|it| (it.alarm.clone(), it.at.duration_since(from))).collect(),
        also: others.map(|it| it.alarm.clone()).filter(|it| it != scenario.alarm).collect(),
    }
}

/// Lets the system do its work for `time` without a fault, and returns the alarms that fire.
///
/// # Panics
/// When the template has an alarm that cannot be evaluated.
#[must_use]
pub fn fired_without_a_fault(time: SignedDuration) -> BTreeSet<String> {
    let mut run = Run::new(None);
    let changes = run.play(run.world.now() + time);
    let fired = changes.into_iter().filter(|change| change.to == State::Alarm);
    fired.map(|change| change.alarm).collect()
}

struct Run<'a> {
    world: Rc<World>,
    scheduler: Scheduler,
    own: OwnMetrics,
    telemetry: Telemetry,
    monitor: Monitor,
    scenario: Option<&'a Scenario>,
    /// When the fault begins.
    from: Timestamp,
}

impl<'a> Run<'a> {
    fn new(scenario: Option<&'a Scenario>) -> Self {
        fastrand::seed(0);
        let core = Rc::new(Core::new(Luck::undisturbed(0), Verbosity::Silent));
        let world = World::new(core, TOPOLOGY.for_one_customer(), workload::customers());
        let own = OwnMetrics::default();
        let alarms = Alarms::read(&Template::on_aws()).expect("alarms that can be evaluated");
        let from = world.now() + BEFORE;
        Self {
            scheduler: Scheduler::new(world.clone()),
            telemetry: Telemetry::new(world.clone(), own.clone()),
            monitor: Monitor::new(alarms),
            own,
            world,
            scenario,
            from,
        }
    }

    /// Whether the fault is there.
    fn is_faulty(&self) -> bool {
        let now = self.world.now();
        self.scenario.is_some_and(|it| self.from <= now && now < self.from + it.length)
    }

    /// Plays until `end`, and returns all changes of alarms.
    fn play(&mut self, end: Timestamp) -> Vec<Change> {
        let own = self.own.clone();
        let _recorded = set_default_local_recorder(&own);
        let shop = Shop::always_open(&self.world);
        self.start_orders(shop, end);
        self.start_minutes(end);
        self.start_fault();
        // The books were compared before.
        self.telemetry.publish_own(Metric::own("BookDifferences"), 0.0);
        let mut changes = Vec::new();
        let mut minute = self.world.now();
        while self.world.now() < end && self.scheduler.step() {
            for observation in self.world.log.take_new() {
                self.telemetry.observe(&observation);
            }
            if self.world.now() >= minute + MINUTE {
                minute += MINUTE;
                self.tick(minute);
                changes.extend(self.monitor.evaluate(self.telemetry.figures(), self.world.now()));
            }
        }
        changes
    }

    /// What happens once a minute: services measure, and what the simulation lacks is published.
    fn tick(&mut self, minute: Timestamp) {
        self.telemetry.measure_queues();
        let fault = self.scenario.map(|it| it.fault).filter(|_| self.is_faulty());
        if minute.as_second() % BETWEEN_BOOKS.as_secs() == 0 {
            let differences = match fault {
                Some(Fault::SilentBooks) => None,
                Some(Fault::Differences) => Some(2.0),
                _ => Some(0.0),
            };
            if let Some(differences) = differences {
                self.telemetry.publish_own(Metric::own("BookDifferences"), differences);
            }
        }
        match fault {
            Some(Fault::TooManyRequests) => {
                self.telemetry.publish_own(Metric::own("ThrottledRequests"), 40.0);
            }
            Some(Fault::Undelivered) => {
                self.telemetry.dead_letter_queue("NumberOfMessagesSent", "RuleDeadLetters", 1);
            }
            Some(Fault::Reputation(name, bad)) => {
                self.telemetry.publish(Metric::new("AWS/SES", name), bad);
            }
            // SES publishes the rates of an account whatever they are.
            _ => {
                for name in ["Reputation.BounceRate", "Reputation.ComplaintRate"] {
                    self.telemetry.publish(Metric::new("AWS/SES", name), 0.0001);
                }
            }
        }
    }

    /// Keeps the scheduler from letting more than a minute pass at once.
    fn start_minutes(&self, end: Timestamp) {
        let (calls, world) = (self.world.calls.clone(), self.world.clone());
        self.world.core.start_person("CloudWatch", async move {
            while world.now() < end {
                calls.sleep(MINUTE).await;
            }
        });
    }

    /// Customers order at regular intervals; what the fault is decides which and how.
    fn start_orders(&self, shop: Shop, end: Timestamp) {
        let (mut at, mut number) = (self.world.now(), 0);
        while at < end {
            let is_faulty =
                self.scenario.filter(|it| self.from <= at && at < self.from + it.length);
            let fault = is_faulty.map(|it| it.fault);
            if fault != Some(Fault::NoCustomers) {
                let card = match fault {
                    Some(Fault::Card(card, share)) if number % share == 0 => card,
                    _ => "pm_card_visa",
                };
                let cancels = matches!(fault, Some(Fault::Card("pm_card_refundFail", _)));
                let wish = workload::croissant(number, shop, card, at + PICKUP);
                self.start_order(wish, at, cancels);
            }
            at += match self.scenario.map(|it| it.fault) {
                Some(Fault::Rush(..)) => INTERVAL / 10,
                _ => INTERVAL,
            };
            number += 1;
        }
    }

    fn start_order(&self, wish: Wish, at: Timestamp, cancels: bool) {
        let (calls, world) = (self.world.calls.clone(), self.world.clone());
        let functions: Functions = self.scheduler.functions().clone();
        self.world.core.start_person("camille", async move {
            calls.sleep_until(at).await;
            // A customer who gets an error gives up.
            api::place(&world, &functions, &wish, &wish.body).await;
            if cancels {
                calls.sleep(MINUTE).await;
                api::cancel(&world, &functions, &wish).await;
            }
        });
    }

    fn start_fault(&self) {
        let Some(Scenario { fault, length, .. }) = self.scenario else { return };
        let (from, to) = (self.from, self.from + *length);
        match *fault {
            Fault::Trouble(port, trouble) | Fault::Rush(port, trouble) => {
                self.world.calls.add_outage(Outage { port, from, to, trouble });
            }
            Fault::Shortage => self.world.set_shortage(Shortage { from, to, throttled: 500 }),
            Fault::Unread(queue) => {
                let index = index_of(queue);
                self.at(from, move |world| world.queues.set_unread(index, true));
                self.at(to, move |world| world.queues.set_unread(index, false));
            }
            Fault::Poison(queue) => {
                let index = index_of(queue);
                self.at(from, move |world| world.queues.send_poison(index, &"{".into()));
                self.at(to, |world| world.queues.purge_dead_letters());
            }
            Fault::UnreadableRow => self.at(from, |world| {
                let row = serde_json::json!({"order_id": "?"});
                world.stream.append_poison(0, row);
            }),
            Fault::NoCustomers
            | Fault::Card(..)
            | Fault::TooManyRequests
            | Fault::Undelivered
            | Fault::Reputation(..)
            | Fault::Differences
            | Fault::SilentBooks => {}
        }
    }

    fn at(&self, time: Timestamp, work: impl FnOnce(&World) + 'static) {
        let (calls, world) = (self.world.calls.clone(), self.world.clone());
        self.world.core.start_person("somebody", async move {
            calls.sleep_until(time).await;
            work(&world);
        });
    }
}

fn index_of(queue: &str) -> usize {
    let index = TOPOLOGY.queues.iter().position(|known| known.id == queue);
    index.unwrap_or_else(|| panic!("{queue} feeds no function"))
}

#[cfg(test)]
mod tests;
