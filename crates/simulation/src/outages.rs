//! What an outage costs orders: how long the orders that meet it wait for what comes next.

use std::{collections::BTreeMap, fmt, rc::Rc};

use jiff::{SignedDuration, Timestamp};
use shop::{
    id::OrderId,
    order::{PaymentStatus, Status},
};

use crate::{
    engine::{
        calls::{Outage, Port, Trouble},
        core::Core,
        luck::Luck,
        trace::Verbosity,
    },
    functions::Functions,
    observation::Observation,
    scheduler::Scheduler,
    transport::topology::TOPOLOGY,
    violation::{Rule, Violation},
    workload::{
        self, Shop,
        api::{self, Wish},
    },
    world::World,
};

/// How many orders fall into an outage, evenly spread.
const ORDERS: i32 = 100;

/// The lengths of an outage.
pub const LENGTHS: [SignedDuration; 3] =
    [SignedDuration::from_secs(10), SignedDuration::from_mins(1), SignedDuration::from_mins(10)];

/// The time from the end of the provider's outage until the last order is confirmed: the longest
/// time between two tries of a charge, and a while in which all orders are charged that have
/// waited.
const MOST_AFTER_END: SignedDuration = SignedDuration::from_secs(15 + 5);

/// How many times as long as the outage an order may wait. The waits of a message grow by up to
/// this factor, jitter included.
const MOST: i32 = 3;

/// The time that an order may take besides: the first waits, which are whole seconds.
const MARGIN: SignedDuration = SignedDuration::from_secs(10);

/// How many outages there are to check.
const CASES: u64 = (Scenario::ALL.len() * LENGTHS.len()) as u64;

/// When an outage begins: after the orders that it meets later have been confirmed.
const BEGIN: SignedDuration = SignedDuration::from_mins(5);

/// The time from the outage to the pickup, until when customers may cancel.
const PICKUP: SignedDuration = SignedDuration::from_hours(24);

/// Something that is down, and what has to wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// The Stock table is down while orders are placed, which wait to be reserved. Queues for
    /// results and deadlines have the same schedule.
    Reservation,
    /// The provider is down while orders are placed, which wait to be confirmed.
    Charge,
    /// The provider is down while orders are cancelled, which wait for their refund.
    Refund,
    /// SES takes no mail while orders are placed, whose customers wait for the first mail.
    Notice,
}

impl Scenario {
    /// All scenarios.
    pub const ALL: [Self; 4] = [Self::Reservation, Self::Charge, Self::Refund, Self::Notice];

    const fn port(self) -> Port {
        match self {
            Self::Reservation => Port::Stock,
            Self::Charge | Self::Refund => Port::Provider,
            Self::Notice => Port::Mailer,
        }
    }

    /// The order for which this is what it waits for.
    fn is_over(self, observation: &Observation) -> Option<OrderId> {
        match (self, observation) {
            (Self::Reservation, Observation::OrderWritten { after, .. })
                if after.status == Status::Reserved =>
            {
                Some(after.order_id)
            }
            (Self::Charge, Observation::OrderWritten { after, .. })
                if after.status == Status::Confirmed =>
            {
                Some(after.order_id)
            }
            (Self::Refund, Observation::OrderWritten { after, .. })
                if after.payment == PaymentStatus::Refunded =>
            {
                Some(after.order_id)
            }
            (Self::Notice, Observation::MailSent { notice, .. }) => Some(notice.order),
            _ => None,
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reservation => "Stock table: until the order is reserved",
            Self::Charge => "provider: until the order is confirmed",
            Self::Refund => "provider: until the money is given back",
            Self::Notice => "SES: until the mail is sent",
        })
    }
}

/// How long orders wait that meet an outage.
#[derive(Clone, Copy, Debug)]
pub struct Waits {
    /// The mean over all orders.
    pub mean: SignedDuration,
    /// The longest wait.
    pub longest: SignedDuration,
    /// The time from the end of the outage until the last order has got what it waited for.
    pub after_end: SignedDuration,
    /// The orders that never got what they waited for.
    pub lost: usize,
    /// A hash of all choices of the scheduler.
    pub schedule: u64,
    /// The number of steps.
    pub steps: u64,
}

/// Simulates the outage with that `number`, and checks that no order waits for too long.
pub(crate) fn check(number: u64, seed: u64, verbosity: Verbosity) -> (Waits, Option<Violation>) {
    let number = usize::try_from(number % CASES).unwrap_or(0);
    let (scenario, length) =
        (Scenario::ALL[number / LENGTHS.len()], LENGTHS[number % LENGTHS.len()]);
    let waits = play(scenario, length, seed, verbosity);
    let Waits { longest, after_end, lost, .. } = waits;
    let what = if lost > 0 {
        format!("{lost} of {ORDERS} orders never get what they wait for")
    } else if scenario == Scenario::Charge && after_end > MOST_AFTER_END {
        format!("the last order is confirmed {} s after its end", after_end.as_secs())
    } else if longest > length * MOST + MARGIN {
        format!("an order waits for {} s", longest.as_secs())
    } else {
        return (waits, None);
    };
    let what = format!("{scenario}: after an outage of {} s, {what}", length.as_secs());
    (waits, Some(Violation::new(Rule::Wait, what)))
}

/// Simulates an outage of that length, in which nothing else goes wrong.
///
/// # Panics
/// When an order is not accepted.
#[must_use]
pub fn waits(scenario: Scenario, length: SignedDuration) -> Waits {
    play(scenario, length, 0, Verbosity::Silent)
}

fn play(scenario: Scenario, length: SignedDuration, seed: u64, verbosity: Verbosity) -> Waits {
    fastrand::seed(seed);
    let core = Rc::new(Core::new(Luck::undisturbed(seed), verbosity));
    let world = World::new(core, TOPOLOGY.for_one_customer(), workload::customers());
    let mut scheduler = Scheduler::new(world.clone());
    let shop = Shop::always_open(&world);
    let from = world.now() + BEGIN;
    let (port, to) = (scenario.port(), from + length);
    world.calls.add_outage(Outage { port, from, to, trouble: Trouble::Fails });

    let mut since = BTreeMap::new();
    for number in 0..ORDERS {
        let at = from + length * number / ORDERS;
        let wish = workload::croissant(number, shop, "pm_card_visa", from + PICKUP);
        since.insert(wish.id, at);
        start(scenario, &world, scheduler.functions(), wish, at);
    }
    let mut over: BTreeMap<OrderId, Timestamp> = BTreeMap::new();
    while scheduler.step() {
        for observation in world.log.take_new() {
            if let Some(order) = scenario.is_over(&observation) {
                over.entry(order).or_insert(world.now());
            }
        }
    }
    let waits: Vec<_> = over.iter().map(|(order, at)| at.duration_since(since[order])).collect();
    let sum: SignedDuration = waits.iter().sum();
    Waits {
        mean: sum / i32::try_from(waits.len().max(1)).unwrap_or(i32::MAX),
        longest: waits.iter().max().copied().unwrap_or_default(),
        after_end: over.values().max().map_or(SignedDuration::ZERO, |at| at.duration_since(to)),
        lost: since.len() - over.len(),
        schedule: scheduler.schedule(),
        steps: scheduler.steps(),
    }
}

/// Starts what makes an order wait from `at` on.
fn start(scenario: Scenario, world: &Rc<World>, functions: &Functions, wish: Wish, at: Timestamp) {
    let (calls, world, functions) = (world.calls.clone(), world.clone(), functions.clone());
    world.clone().core.start_person("camille", async move {
        if scenario != Scenario::Refund {
            calls.sleep_until(at).await;
        }
        assert!(api::place(&world, &functions, &wish, &wish.body).await, "an order is refused");
        if scenario == Scenario::Refund {
            calls.sleep_until(at).await;
            assert!(api::cancel(&world, &functions, &wish).await, "a cancellation is refused");
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_waits_at_most_one_and_a_half_times_as_long_as_the_stock_table_is_down() {
        for length in LENGTHS {
            let waits = waits(Scenario::Reservation, length);
            assert!(waits.mean >= length / 2, "the outage had no effect: {waits:?}");
            assert!(waits.longest <= length * 3 / 2 + MARGIN, "{length:#}: {waits:?}");
            assert_eq!(waits.lost, 0, "{length:#}");
        }
    }

    #[test]
    fn an_order_is_confirmed_within_seconds_of_the_end_of_the_providers_outage() {
        for seconds in [5, 10, 30, 60, 180, 600] {
            let length = SignedDuration::from_secs(seconds);
            let waits = waits(Scenario::Charge, length);
            assert!(waits.mean >= length / 2, "the outage had no effect: {waits:?}");
            assert!(waits.after_end <= MOST_AFTER_END, "{length:#}: {waits:?}");
            assert_eq!(waits.lost, 0, "{length:#}");
        }
    }

    #[test]
    fn mails_outlast_a_day_without_quota() {
        let waits = waits(Scenario::Notice, SignedDuration::from_hours(24));
        assert_eq!(waits.lost, 0, "{waits:?}");
    }
}
