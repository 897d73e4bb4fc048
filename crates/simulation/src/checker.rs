//! The invariants I1 to I5, watched while a run goes on and checked when it has come to rest.
//!
//! What is checked here is worked out from what the witness has seen (the rows as they were
//! written, the provider's accounts, the mails), and never from what the functions say of
//! themselves.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use futures::executor::block_on;
use inventory::handler::{Hold, Stock};
use jiff::Timestamp;
use notifications::{
    handler::Address,
    notice::{Notice, Templates},
};
use payment::handler::Payments;
use serde_json::json;
use shop::{
    event::OrderEvent,
    id::{CustomerId, LocationId, OrderId},
    order::{Order, OrderEventType, PaymentStatus, Rejection, Status},
    payment::{IntentId, Payment, Progress},
    stock::{BakePlan, Demand, Quantity, Reservation, Shortage},
};
use stripe::{IntentStatus, Refund};

use crate::{
    queue::{Content, Message, Tag},
    scheduler::TaskId,
    topology::TOPOLOGY,
    workload::Answer,
    world::World,
};

/// What must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Every accepted order reaches an end or `confirmed` and beyond; none is stuck, and nothing is
    /// left over.
    I1,
    /// A customer is charged exactly once for a confirmed order, and net zero for every other.
    I2,
    /// Held stock is never above capacity, and equals the quantities of all live orders.
    I3,
    /// The same idempotency key gives the same order, and is refused with another body.
    I4,
    /// A customer is told of each state that concerns them, in order, once.
    I5,
    /// Nothing is reserved or charged from the deadline on.
    Deadline,
    /// What is published was committed before.
    Commit,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A rule that did not hold, and how that showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub rule: Rule,
    /// How it showed.
    pub what: String,
}

impl Broken {
    pub(crate) fn new(rule: Rule, what: impl Into<String>) -> Self {
        Self { rule, what: what.into() }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.what)
    }
}

/// Everything that was seen of a run.
#[derive(Default)]
pub(crate) struct Witness {
    /// The first rule that was seen to break.
    pub(crate) broken: Option<Broken>,
    /// What the API answered to orders.
    pub(crate) answers: Vec<Answer>,
    /// Orders that the API has called cancelled.
    pub(crate) cancelled: Vec<OrderId>,
    /// Rows and messages that nobody can read, as they were put in.
    pub(crate) poison: Poison,
    orders: BTreeMap<OrderId, Seen>,
    /// What each shop has baked a day, from when on.
    plans: BTreeMap<LocationId, Vec<(Timestamp, BakePlan)>>,
    /// The refusals and the states of payments that were written, by the events that tell of them.
    written: BTreeMap<(OrderId, String), serde_json::Value>,
    /// Who was told the id of an intent.
    intents: BTreeMap<IntentId, Vec<TaskId>>,
}

/// What was put in for nobody to read.
#[derive(Default)]
pub(crate) struct Poison {
    pub(crate) messages: Vec<(usize, String)>,
    pub(crate) records: BTreeSet<String>,
}

/// What was seen of an order.
#[derive(Default)]
struct Seen {
    /// Its row after each transition.
    rows: Vec<Order>,
    /// What the customer has to be told of each.
    notices: Vec<Option<Notice>>,
    mails: Vec<Mail>,
    /// The highest revision that was claimed to be told.
    claimed: u32,
    /// Its stock was held once.
    was_held: bool,
    /// What fell short whenever stock was asked for in vain.
    shortages: Vec<Vec<Shortage>>,
    /// A message that would have moved it on came too late to.
    came_too_late: bool,
}

/// A mail that went out.
struct Mail {
    revision: u32,
    task: TaskId,
    /// How much harm the sender had come to before.
    harms: u32,
}

thread_local! {
    static TEMPLATES: Templates = Templates::new().expect("the templates compile");
}

impl Witness {
    fn breaks(&mut self, rule: Rule, what: impl FnOnce() -> String) {
        self.broken.get_or_insert_with(|| Broken::new(rule, what()));
    }

    /// A shop bakes this from now on.
    pub(crate) fn baking(&mut self, at: Timestamp, location: LocationId, plan: BakePlan) {
        self.plans.entry(location).or_default().push((at, plan));
    }

    /// A row was written that was different before.
    pub(crate) fn order_written(&mut self, world: &World, before: Option<&Order>, after: &Order) {
        let id = after.order_id;
        let name = world.story.of(id);
        if let Some(fault) = unlike_a_transition(before, after) {
            self.breaks(Rule::I1, || format!("{name} was written without a transition: {fault}"));
        }
        let entry = after.history.last().map(|entry| entry.event);
        if entry == Some(OrderEventType::Expired) && !self.is_under_way(world, after) {
            self.breaks(Rule::I1, || {
                format!("{name} expires, and nothing was under way that could have moved it on")
            });
        }
        let event = OrderEvent::latest(after.clone()).expect("a row has a history");
        let notice = TEMPLATES
            .with(|templates| templates.notice(&event))
            .expect("an event fits its template");
        let seen = self.orders.entry(id).or_default();
        seen.rows.push(after.clone());
        seen.notices.push(notice);
    }

    /// Whether anything was still to come that could have confirmed the order.
    fn is_under_way(&self, world: &World, order: &Order) -> bool {
        let id = order.order_id;
        let moves_on = |message: &Message| match &message.content {
            Content::Event(tag) => {
                tag.order == id
                    && (tag.revision.is_none()
                        || matches!(&*tag.detail_type, "order.placed" | "order.reserved"))
            }
            Content::Poison => false,
        };
        // Every order's deadline is a message about its placing.
        let deadlines = TOPOLOGY.queue("DeadlineQueue");
        let queues = world.queues.borrow();
        world.stream.borrow().holds(id)
            || queues
                .pending()
                .chain(queues.dead())
                .any(|(queue, message)| queue != deadlines && moves_on(message))
            || self.orders.get(&id).is_some_and(|seen| seen.came_too_late)
    }

    /// An attempt to hold stock had this outcome.
    pub(crate) fn held(
        &mut self,
        world: &World,
        task: TaskId,
        order: OrderId,
        demand: &Demand,
        hold: &Hold,
    ) {
        let name = world.story.of(order);
        if matches!(hold, Hold::Held) && self.is_too_late(world, task, order) {
            self.breaks(Rule::Deadline, || format!("stock was held for {name} after its deadline"));
        }
        let began = world.began(task);
        let held =
            |item: &Quantity| world.stock.held(&demand.location, demand.pickup_day, &item.item);
        let plans = self.plans.get(&demand.location).map_or(&[][..], Vec::as_slice);
        // Those that were in force at any time since the invocation began, in which millisecond a
        // new one may have come.
        let first = plans.iter().rposition(|(from, _)| *from < began).unwrap_or(0);
        let plans: Vec<_> = plans[first.min(plans.len())..].iter().map(|(_, plan)| plan).collect();
        match hold {
            Hold::Held => {
                let fits = |plan: &&BakePlan| {
                    demand.items.iter().all(|item| held(item) <= plan.of(&item.item))
                };
                if !plans.iter().any(fits) {
                    self.breaks(Rule::I3, || {
                        format!("more is held than is baked, now that {name} has its stock")
                    });
                }
                self.orders.entry(order).or_default().was_held = true;
            }
            Hold::Short(shortages) => {
                let left = |plan: &BakePlan, item: &Quantity| {
                    plan.of(&item.item).saturating_sub(held(item))
                };
                let short = |plan: &&BakePlan| {
                    let short = demand.items.iter().filter(|item| left(plan, item) < item.quantity);
                    short
                        .map(|it| (it.item.clone(), it.quantity, left(plan, it)))
                        .collect::<Vec<_>>()
                };
                let told: Vec<_> =
                    shortages.iter().map(|it| (it.item.clone(), it.requested, it.left)).collect();
                if told.is_empty() || !plans.iter().any(|plan| short(plan) == told) {
                    self.breaks(Rule::I3, || {
                        format!("{name} is told of a shortage that there is not")
                    });
                }
                self.orders.entry(order).or_default().shortages.push(shortages.clone());
            }
            Hold::Decided(_) => {}
        }
    }

    fn is_too_late(&self, world: &World, task: TaskId, order: OrderId) -> bool {
        let rows = self.orders.get(&order).map_or(&[][..], |seen| &seen.rows);
        rows.first().is_some_and(|placed| placed.deadline <= world.began(task))
    }

    /// Inventory has written down that it refuses an order.
    pub(crate) fn refused(&mut self, order: OrderId, refusal: &Reservation) {
        if let Reservation::Rejected { shortages } = refusal {
            self.written.insert((order, "inventory.rejected".into()), json!(shortages));
        }
    }

    /// A payment was written down.
    pub(crate) fn paid(&mut self, order: OrderId, payment: &Payment) {
        let reason = match payment {
            Payment::Committed {
                progress: Progress::Declined { reason } | Progress::RefundFailed { reason },
                ..
            } => json!(reason),
            _ => serde_json::Value::Null,
        };
        self.written.insert((order, format!("payment.{}", payment.name())), reason);
    }

    /// An event is on the bus.
    pub(crate) fn published(&mut self, world: &World, tag: &Tag, data: &serde_json::Value) {
        let told = match tag.detail_type.as_str() {
            "inventory.rejected" => &data["shortages"],
            _ => &data["reason"],
        };
        let seen = self.orders.get(&tag.order);
        let is_written = match tag.revision {
            Some(revision) => {
                seen.is_some_and(|seen| seen.rows.iter().any(|row| row.revision == revision))
            }
            None if tag.detail_type == "inventory.reserved" => {
                seen.is_some_and(|seen| seen.was_held)
            }
            None => self.written.get(&(tag.order, tag.detail_type.clone())) == Some(told),
        };
        if !is_written {
            let name = world.story.of(tag.order);
            self.breaks(Rule::Commit, || {
                format!("{} of {name} is told before it is written", tag.detail_type)
            });
        }
    }

    /// An invocation is told the id of an intent that it has asked for.
    pub(crate) fn created(&mut self, task: TaskId, intent: &IntentId) {
        self.intents.entry(intent.clone()).or_default().push(task);
    }

    /// An invocation confirms an intent.
    pub(crate) fn confirmed(&mut self, world: &World, task: TaskId, intent: &IntentId) {
        let order = world
            .provider
            .accounts()
            .into_iter()
            .find(|account| account.intent.id == *intent)
            .map(|it| it.order_id);
        if order.is_some_and(|order| self.is_too_late(world, task, order)) {
            self.breaks(Rule::Deadline, || {
                format!("the charge {} was confirmed after its deadline", intent.as_str())
            });
        }
    }

    /// The right to tell a customer of a revision was granted.
    pub(crate) fn claimed(&mut self, order: OrderId, revision: u32) {
        let seen = self.orders.entry(order).or_default();
        seen.claimed = seen.claimed.max(revision);
    }

    /// A mail goes out.
    pub(crate) fn mailed(&mut self, world: &World, task: TaskId, to: &Address, notice: &Notice) {
        let name = world.story.of(notice.order);
        let seen = self.orders.entry(notice.order).or_default();
        let customer = seen.rows.first().map(|placed| &placed.customer_id);
        let fault = match seen.notices.iter().position(|known| known.as_ref() == Some(notice)) {
            None => Some("of a state that it was not in".to_owned()),
            Some(_)
                if customer.and_then(|customer| world.customers.0.get(customer)) != Some(to) =>
            {
                Some("to another".into())
            }
            Some(at) => {
                let revision = seen.rows[at].revision;
                let overtaken = seen.mails.iter().any(|mail| mail.revision > revision);
                let before = seen.mails.iter().rfind(|mail| mail.revision == revision);
                let certain = before.is_some_and(|mail| world.harms(mail.task) == mail.harms);
                seen.mails.push(Mail { revision, task, harms: world.harms(task) });
                match () {
                    () if overtaken => Some(format!("of revision {revision} after a newer one")),
                    () if certain => Some(format!(
                        "of revision {revision} twice, though nothing went wrong the first time"
                    )),
                    () => None,
                }
            }
        };
        if let Some(fault) = fault {
            self.breaks(Rule::I5, || {
                format!("the customer is told of {name} {fault}: {}", notice.subject)
            });
        }
    }

    /// A message was deleted.
    pub(crate) fn acknowledged(
        &mut self,
        world: &World,
        task: TaskId,
        queue: usize,
        message: &Message,
    ) {
        let name = |order| world.story.of(order);
        let tag = match &message.content {
            Content::Event(tag) => tag,
            Content::Poison => {
                return self.breaks(Rule::I1, || {
                    format!("what nobody can read was acknowledged: {}", message.body)
                });
            }
        };
        let too_late = self.is_too_late(world, task, tag.order);
        let seen = self.orders.entry(tag.order).or_default();
        match TOPOLOGY.queues[queue].id.as_str() {
            "StockQueue" | "ChargeQueue" => seen.came_too_late |= too_late,
            "NoticeQueue" => {
                let Some(revision) = tag.revision else { return };
                let at = seen.rows.iter().position(|row| row.revision == revision);
                let concerns = at.is_some_and(|at| {
                    seen.notices[at].is_some() && world.has_address(&seen.rows[at].customer_id)
                });
                let is_told = seen.claimed > revision
                    || seen.mails.iter().any(|mail| mail.revision >= revision);
                if concerns && !is_told {
                    let what = format!(
                        "revision {revision} of {} is done with, and the customer was not told",
                        name(tag.order)
                    );
                    self.breaks(Rule::I5, || what);
                }
            }
            _ => {}
        }
    }

    /// How the orders have ended, with what became of the money: how many of each.
    pub(crate) fn ends(&self) -> BTreeMap<String, u64> {
        let mut ends = BTreeMap::new();
        for order in self.orders.values().filter_map(|seen| seen.rows.last()) {
            *ends.entry(format!("{:?}/{:?}", order.status, order.payment)).or_default() += 1;
        }
        ends
    }

    /// Checks everything, once the run has come to rest.
    pub(crate) fn check(&self, world: &World) -> Result<(), Broken> {
        self.check_rest(world)?;
        for order in world.order_rows().values() {
            self.check_order(world, order)?;
        }
        self.check_stock(world)?;
        self.check_answers(world)
    }

    fn check_rest(&self, world: &World) -> Result<(), Broken> {
        let left = |what: String| Err(Broken::new(Rule::I1, what));
        let queues = world.queues.borrow();
        if let Some((queue, message)) = queues.pending().next() {
            return left(format!(
                "{} still holds {}",
                TOPOLOGY.queues[queue].id,
                message.told(world)
            ));
        }
        if !world.stream.borrow().is_empty() {
            return left("the stream still holds records".into());
        }
        if let Some((queue, message)) =
            queues.dead().find(|(_, message)| !matches!(message.content, Content::Poison))
        {
            return left(format!(
                "{} cannot get rid of {}",
                TOPOLOGY.queues[queue].id,
                message.told(world)
            ));
        }
        let mut dead: Vec<_> =
            queues.dead().map(|(queue, message)| (queue, message.body.to_string())).collect();
        let mut poison = self.poison.messages.clone();
        dead.sort();
        poison.sort();
        if dead != poison {
            return left(format!("the dead letters are {dead:?} instead of {poison:?}"));
        }
        // A relay that dies over it may bury a record again.
        let buried: BTreeSet<_> =
            world.relay_dead_letters.letters().into_iter().map(|(record, _)| record).collect();
        if buried != self.poison.records {
            return left(format!(
                "the relay buried {buried:?} instead of {:?}",
                self.poison.records
            ));
        }
        Ok(())
    }

    fn check_order(&self, world: &World, order: &Order) -> Result<(), Broken> {
        let name = world.story.of(order.order_id);
        let breaks = |rule, what: String| {
            Err(Broken::new(rule, format!("{name} is {:?}, and {what}", order.status)))
        };
        let Some(seen) = self.orders.get(&order.order_id) else {
            return breaks(Rule::I1, "nobody saw it placed".into());
        };
        if matches!(order.status, Status::Placed | Status::Reserved) {
            return breaks(Rule::I1, "stuck".into());
        }
        if self.cancelled.contains(&order.order_id) && order.status != Status::Cancelled {
            return breaks(Rule::I1, "its customer was told that it is cancelled".into());
        }

        let accounts = world
            .provider
            .accounts()
            .into_iter()
            .filter(|account| account.order_id == order.order_id);
        let accounts: Vec<_> = accounts.collect();
        let charged: Vec<_> = accounts
            .iter()
            .filter(|account| account.intent.status == IntentStatus::Succeeded)
            .collect();
        let owed = if order.status.ended_early() { 0 } else { order.total };
        let taken: u64 = accounts.iter().map(payment::memory::Account::taken).sum();
        let expected = match charged[..] {
            [] => &[PaymentStatus::None, PaymentStatus::Voided][..],
            [charge] if charge.price != order.price() => {
                return breaks(Rule::I2, format!("{} was charged", charge.price));
            }
            [charge] => match charge.refund {
                None => &[PaymentStatus::Captured][..],
                Some(Refund::Succeeded) => &[PaymentStatus::Refunded],
                Some(Refund::Failed { .. }) => &[PaymentStatus::RefundFailed],
                Some(Refund::Pending) => &[],
            },
            _ => return breaks(Rule::I2, "was charged more than once".into()),
        };
        // What the provider cannot give back, and the order says so, somebody has to.
        if taken != owed
            && !(order.status.ended_early() && order.payment == PaymentStatus::RefundFailed)
        {
            return breaks(Rule::I2, format!("the customer has paid {taken} instead of {owed}"));
        }
        if !expected.contains(&order.payment) {
            return breaks(
                Rule::I2,
                format!("shows its payment as {:?} instead of {expected:?}", order.payment),
            );
        }
        let row = block_on(world.payments.find(order.order_id)).expect("a memory does not fail");
        let recorded = match &row {
            None | Some(Payment::Forbidden) => PaymentStatus::None,
            Some(Payment::Committed { progress, .. }) => match progress {
                Progress::Declined { .. } => PaymentStatus::None,
                Progress::Voided => PaymentStatus::Voided,
                Progress::Captured => PaymentStatus::Captured,
                Progress::Refunded => PaymentStatus::Refunded,
                Progress::RefundFailed { .. } => PaymentStatus::RefundFailed,
                Progress::Charging | Progress::Undoing => {
                    return breaks(Rule::I2, format!("its payment is {row:?}"));
                }
            },
        };
        if recorded != order.payment {
            return breaks(
                Rule::I2,
                format!("shows its payment as {:?}, which is {row:?}", order.payment),
            );
        }
        let committed = row.as_ref().and_then(Payment::intent);
        for account in accounts.iter().filter(|account| account.is_open()) {
            let id = &account.intent.id;
            let knew = self.intents.get(id).map_or(&[][..], Vec::as_slice);
            if committed == Some(id) || knew.iter().any(|task| world.harms(*task) == 0) {
                return breaks(Rule::I2, format!("{} could still take money", id.as_str()));
            }
        }
        match &order.rejection {
            Some(Rejection::OutOfStock { shortages }) if !seen.shortages.contains(shortages) => {
                return breaks(Rule::I3, "no such shortage was ever found".into());
            }
            Some(Rejection::PaymentDeclined { reason })
                if !accounts.iter().any(|it| it.intent.status != IntentStatus::Succeeded) =>
            {
                return breaks(Rule::I2, format!("nothing was declined ({reason})"));
            }
            _ => {}
        }

        let last = seen.notices.iter().zip(&seen.rows).rfind(|(notice, _)| notice.is_some());
        if let Some((Some(notice), row)) = last
            && world.has_address(&order.customer_id)
            && seen.mails.last().is_none_or(|mail| mail.revision != row.revision)
        {
            return breaks(Rule::I5, format!("the customer was not told last: {}", notice.subject));
        }
        Ok(())
    }

    fn check_stock(&self, world: &World) -> Result<(), Broken> {
        let mut wanted: BTreeMap<_, u32> = BTreeMap::new();
        for order in world.order_rows().values().filter(|order| !order.status.ended_early()) {
            for line in &order.lines {
                let key = (order.location.clone(), order.pickup_day, line.item.clone());
                *wanted.entry(key).or_insert(0) += line.quantity;
            }
            let decided =
                block_on(world.stock.find(order.order_id)).expect("a memory does not fail");
            if !matches!(decided, Some(Reservation::Held(_))) {
                let decided = decided.as_ref().map(Reservation::name);
                let what = format!(
                    "nothing is held for {}, but {decided:?}",
                    world.story.of(order.order_id)
                );
                return Err(Broken::new(Rule::I3, what));
            }
        }
        let held = world.stock.all_held();
        for key in held.keys().chain(wanted.keys()) {
            let pieces = |of: &BTreeMap<_, _>| of.get(key).copied().unwrap_or(0);
            if pieces(&held) != pieces(&wanted) {
                let (shop, day, item) = key;
                let what = format!(
                    "{} x {item} held at {shop} on {day}, and {} needed",
                    pieces(&held),
                    pieces(&wanted)
                );
                return Err(Broken::new(Rule::I3, what));
            }
        }
        Ok(())
    }

    fn check_answers(&self, world: &World) -> Result<(), Broken> {
        let mut accepted: BTreeMap<(&str, &str), &Answer> = BTreeMap::new();
        for answer in &self.answers {
            let breaks = |what: String| {
                Err(Broken::new(
                    Rule::I4,
                    format!("{} of {}: {what}", answer.key, answer.customer.as_str()),
                ))
            };
            let first = accepted.get(&(answer.customer.as_str(), &*answer.key)).copied();
            match (answer.order, first) {
                (Some(order), _) if world.order(order).is_none() => {
                    return breaks("the order was accepted and is gone".into());
                }
                (Some(order), Some(first)) if first.order != Some(order) => {
                    return breaks("is two orders".into());
                }
                (Some(_), Some(first)) if first.body != answer.body => {
                    return breaks("was accepted with two bodies".into());
                }
                (None, Some(first)) if first.body == answer.body && answer.status < 500 => {
                    return breaks(format!(
                        "was accepted, and then answered with {}",
                        answer.status
                    ));
                }
                (Some(_), None) => {
                    accepted.insert((answer.customer.as_str(), &answer.key), answer);
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Message {
    fn told(&self, world: &World) -> String {
        match &self.content {
            Content::Event(tag) => format!("{} of {}", tag.detail_type, world.story.of(tag.order)),
            Content::Poison => self.body.to_string(),
        }
    }
}

impl World {
    fn has_address(&self, customer: &CustomerId) -> bool {
        self.customers.0.contains_key(customer)
    }
}

/// What is wrong with a row that was written, if anything is.
fn unlike_a_transition(before: Option<&Order>, after: &Order) -> Option<String> {
    let Some(before) = before else {
        let placed =
            after.status == Status::Placed && after.revision == 1 && after.history.len() == 1;
        return (!placed).then(|| format!("it begins as {after:?}"));
    };
    let grown = after.history.len() == before.history.len() + 1
        && after.history.starts_with(&before.history);
    let entry = after.history.last().filter(|_| grown);
    let Some(entry) = entry else { return Some("its history has not grown by one".into()) };
    if (after.revision, entry.revision, entry.status)
        != (before.revision + 1, after.revision, after.status)
    {
        return Some(format!("revision {} follows {}", after.revision, before.revision));
    }
    if !may_follow(before.status, after.status) {
        return Some(format!("{:?} follows {:?}", after.status, before.status));
    }
    let waits = matches!(after.status, Status::Placed | Status::Reserved);
    (after.payment_method.is_some() != waits)
        .then(|| "the means of payment is kept for too long, or not long enough".into())
}

/// `placed → reserved → confirmed → preparing → ready → collected`, and the early ends.
const fn may_follow(before: Status, after: Status) -> bool {
    use Status::{
        Cancelled, Collected, Confirmed, Expired, Placed, Preparing, Ready, Rejected, Reserved,
    };
    matches!(
        (before, after),
        (Placed, Reserved | Rejected | Cancelled | Expired)
            | (Reserved, Confirmed | Rejected | Cancelled | Expired)
            | (Confirmed, Preparing | Cancelled)
            | (Preparing, Ready)
            | (Ready, Collected)
            // What became of the money.
            | (Rejected, Rejected)
            | (Cancelled, Cancelled)
            | (Expired, Expired)
    )
}
