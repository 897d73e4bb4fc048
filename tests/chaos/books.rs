//! What a run leaves behind once the system is at rest, and whether the invariants hold for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::Duration,
};

use futures::future::join_all;
use local::{
    Events, Mail, Options,
    sandbox::{DisputeStatus, IntentStatus, LedgerEntry},
    shops::Shop,
};
use resources::Template;
use serde_json::Value;
use shop::{
    dispute::Dispute,
    order::{Order, PaymentStatus, Rejection, Status},
};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{customers::PlannedOrder, trouble::Poison};
use crate::harness::System;

/// How long to wait until the system is at rest.
const SETTLING_TIMEOUT: Duration = Duration::from_secs(600);

/// The pause between two looks.
const POLL: Duration = Duration::from_secs(2);

/// How often each function died in the middle of an invocation, by its logical id: it was killed,
/// or replaced by a deployment.
pub(super) fn crashes(options: &Options) -> BTreeMap<String, usize> {
    let log = fs::read_to_string(options.state_dir.join("emulator.log")).unwrap();
    let mut crashes = BTreeMap::new();
    for line in log.lines() {
        // Lambda STACK-FUNCTION-SUFFIX: Runtime exited before returning a response
        let function = line
            .split_once(": Runtime exited before")
            .and_then(|(start, _)| start.split_once("Lambda "));
        if let Some(function) = function.and_then(|(_, name)| name.split('-').nth(1)) {
            *crashes.entry(function.to_owned()).or_default() += 1;
        }
    }
    crashes
}

/// The event of an order's revision.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Announcement {
    name: String,
    payment: String,
}

/// Everything that a run leaves behind.
#[derive(Default)]
pub(super) struct Books {
    /// The rows of the Orders table that are orders.
    pub(super) orders: BTreeMap<String, Order>,
    /// The keys of the other rows.
    others: BTreeSet<String>,
    /// By order and revision.
    announced: BTreeMap<(String, u32), Announcement>,
    /// By queue, such as `StockQueue` and `StockDeadLetters`.
    messages: BTreeMap<String, Vec<String>>,
    mail: Vec<Mail>,
    ledger: Vec<LedgerEntry>,
    stock: Vec<Value>,
    /// The rows of the Payments table.
    payments: Vec<Value>,
}

/// Banks decide the disputes that are open, half of them for the customer. Returns whether there
/// were any.
async fn decide_disputes(system: &System) -> bool {
    let ledger = system.provider.ledger().await.unwrap();
    let disputes = ledger.iter().flat_map(|entry| &entry.disputes);
    let open: Vec<_> = disputes.filter(|it| it.status == DisputeStatus::NeedsResponse).collect();
    for dispute in &open {
        let is_won = dispute.dispute.bytes().last().is_some_and(|byte| byte % 2 == 0);
        let status = if is_won { DisputeStatus::Won } else { DisputeStatus::Lost };
        system.provider.decide_dispute(&dispute.dispute, status).await.unwrap();
    }
    !open.is_empty()
}

/// What a bank has given back of a payment in disputes.
fn lost(intent: &LedgerEntry) -> u64 {
    let lost = intent.disputes.iter().filter(|dispute| dispute.status == DisputeStatus::Lost);
    lost.map(|dispute| dispute.amount).sum()
}

/// The result of the audit.
#[derive(Default)]
pub(super) struct Audit {
    /// Every violation, in words.
    pub(super) violations: Vec<String>,
    /// Notices sent.
    pub(super) notices: usize,
    /// Notices that repeat one that was sent before.
    pub(super) repeated: usize,
    /// Notices that were left out because a newer one was sent first.
    pub(super) overtaken: usize,
}

impl Books {
    /// Waits until the system is at rest. If that takes too long, also returns what still changes.
    pub(super) async fn settled(system: &System) -> (Self, Option<String>) {
        let template = Template::local();
        let names = template.ids("AWS::SQS::Queue").into_iter();
        let queues: BTreeMap<String, String> =
            join_all(names.map(async |name| (system.queue(name).await.url, name.to_owned())))
                .await
                .into_iter()
                .collect();
        let mut events = system.stack.events().unwrap();
        let mut books = Self::default();
        let deadline = Instant::now() + SETTLING_TIMEOUT;
        let unsettled = loop {
            let decided = decide_disputes(system).await;
            let moving = books.moving(system, &queues, &mut events).await;
            let moving = moving.or_else(|| decided.then(|| "disputes".to_owned()));
            let Some(moving) = moving else { break None };
            if Instant::now() > deadline {
                break Some(format!(
                    "not settled after {} s: {moving}",
                    SETTLING_TIMEOUT.as_secs()
                ));
            }
            sleep(POLL).await;
        };
        books.mail = system.stack.mail().await.unwrap();
        books.ledger = system.provider.ledger().await.unwrap();
        books.stock = system.rows("StockTableName").await;
        books.payments = system.rows("PaymentsTableName").await;
        (books, unsettled)
    }

    /// What still changes, if anything.
    ///
    /// The order of the looks matters. First every row's latest event must have passed the bus, so
    /// it has reached the queues. If the queues are empty after that, every event has been handled.
    /// If the rows are still the same after that, no event has changed an order.
    async fn moving(
        &mut self,
        system: &System,
        queues: &BTreeMap<String, String>,
        events: &mut Events,
    ) -> Option<String> {
        self.read_orders(system).await;
        for event in events.recorded().unwrap() {
            let (data, name) = (&event["detail"]["data"], &event["detail-type"]);
            if let (Some(order), Some(revision)) =
                (data["order_id"].as_str(), data["revision"].as_u64())
            {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let announcement =
                    Announcement { name: text(name), payment: text(&data["payment"]) };
                self.announced
                    .insert((order.to_owned(), u32::try_from(revision).unwrap()), announcement);
            }
        }
        let unannounced = self
            .orders
            .iter()
            .filter(|(id, order)| !self.announced.contains_key(&((*id).clone(), order.revision)));
        let unannounced = unannounced.count();

        self.messages.clear();
        for (url, messages) in system.messages().await {
            if let Some(name) = queues.get(&url) {
                self.messages.insert(name.clone(), messages);
            }
        }
        let mut waiting: BTreeMap<String, usize> =
            self.messages.iter().map(|(queue, waiting)| (queue.clone(), waiting.len())).collect();
        waiting.retain(|queue, count| queue.ends_with("Queue") && *count > 0);
        let before = self.orders.clone();
        self.read_orders(system).await;
        let changed =
            before.iter().filter(|(id, order)| self.orders[*id].revision != order.revision).count();
        (unannounced > 0 || changed > 0 || !waiting.is_empty()).then(|| {
            format!("{unannounced} orders not announced, {changed} changing; waiting: {waiting:?}")
        })
    }

    async fn read_orders(&mut self, system: &System) {
        for row in system.rows("OrdersTableName").await {
            let id = row["order_id"].as_str().unwrap().to_owned();
            match serde_json::from_value::<Order>(row) {
                Ok(order) => drop(self.orders.insert(id, order)),
                Err(_) => drop(self.others.insert(id)),
            }
        }
    }

    /// How many payments were disputed.
    pub(super) fn disputes(&self) -> usize {
        self.ledger.iter().map(|entry| entry.disputes.len()).sum()
    }

    /// How many orders are in which final state.
    pub(super) fn ends(&self) -> [(&'static str, usize); 5] {
        let ended = |status| self.orders.values().filter(move |order| order.status == status);
        let short = |order: &&Order| matches!(order.rejection, Some(Rejection::OutOfStock { .. }));
        let out_of_stock = ended(Status::Rejected).filter(short).count();
        [
            ("confirmed", ended(Status::Confirmed).count()),
            ("rejected, out of stock", out_of_stock),
            ("rejected, card declined", ended(Status::Rejected).count() - out_of_stock),
            ("expired", ended(Status::Expired).count()),
            ("cancelled", ended(Status::Cancelled).count()),
        ]
    }

    /// Checks the invariants.
    pub(super) fn audit(
        &self,
        plan: &[PlannedOrder<'_>],
        shops: &[Shop],
        poison: &Poison,
        crashes: &BTreeMap<String, usize>,
    ) -> Audit {
        let mut audit = Audit::default();
        self.audit_orders(plan, &mut audit);
        self.audit_money(&mut audit);
        self.audit_stock(shops, &mut audit);
        let crashes = |function| crashes.get(function).copied().unwrap_or(0);
        self.audit_notices(plan, crashes("Notifications"), &mut audit);
        self.audit_dead_letters(poison, crashes("OrderRelay"), &mut audit);
        audit
    }

    /// I1 and I4: each placed order exists once, and has ended or is confirmed. Its history has no
    /// gap, and every revision was announced on the bus.
    fn audit_orders(&self, plan: &[PlannedOrder<'_>], audit: &mut Audit) {
        let wanted: BTreeSet<String> = plan.iter().map(PlannedOrder::order_id).collect();
        for id in wanted.iter().filter(|id| !self.orders.contains_key(*id)) {
            audit.violations.push(format!("I1: order {id} was accepted and is missing"));
        }
        for (id, order) in &self.orders {
            if !wanted.contains(id) {
                audit.violations.push(format!("I4: order {id} exists, but was never placed"));
            }
            if matches!(order.status, Status::Placed | Status::Reserved) {
                audit.violations.push(format!("I1: order {id} is stuck in {:?}", order.status));
            }
            let revisions = order.history.iter().map(|entry| entry.revision);
            if !revisions.clone().eq(1..=order.revision) {
                audit
                    .violations
                    .push(format!("the history of order {id} has a gap: {:?}", order.history));
            }
            for revision in
                revisions.filter(|revision| !self.announced.contains_key(&(id.clone(), *revision)))
            {
                audit
                    .violations
                    .push(format!("revision {revision} of order {id} was never announced"));
            }
        }
    }

    /// I2: a confirmed order is charged exactly once and any other order net zero, and the order
    /// says so. Nothing is left half done: the intent of an order that has ended can no longer
    /// succeed.
    fn audit_money(&self, audit: &mut Audit) {
        let mut intents: BTreeMap<&str, Vec<&LedgerEntry>> = BTreeMap::new();
        for intent in &self.ledger {
            intents.entry(intent.order_id.as_deref().unwrap_or("none")).or_default().push(intent);
        }
        for stray in intents.keys().filter(|order| !self.orders.contains_key(**order)) {
            audit
                .violations
                .push(format!("I2: the provider has an intent for {stray}, which is not an order"));
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let rows: BTreeMap<String, &Value> =
            self.payments.iter().map(|row| (text(&row["order_id"]), row)).collect();
        for (id, order) in &self.orders {
            let row = rows.get(id).copied().unwrap_or(&Value::Null);
            let (state, intent) = (text(&row["state"]), text(&row["intent"]));
            let settled: &[&str] = match order.status.ended_early() {
                false => &["captured"],
                // A void leaves a row even if nothing was ever charged.
                true => &["declined", "refused", "forbidden", "voided", "refunded"],
            };
            let open = [
                IntentStatus::RequiresPaymentMethod,
                IntentStatus::RequiresConfirmation,
                IntentStatus::RequiresAction,
            ];
            if !settled.contains(&&*state)
                || self
                    .ledger
                    .iter()
                    .any(|entry| entry.intent == intent && open.contains(&entry.status))
            {
                audit.violations.push(format!(
                    "I2: order {id} is {:?}, and its payment is not settled: {row}",
                    order.status
                ));
            }
            let intents = intents.get(&**id).map_or(&[][..], Vec::as_slice);
            let captures: Vec<_> = intents.iter().filter(|intent| intent.captured > 0).collect();
            let net: u64 = intents.iter().map(|intent| intent.net()).sum();
            let lost: u64 = intents.iter().map(|intent| lost(intent)).sum();
            let owed = if order.status.ended_early() { 0 } else { order.total - lost };
            let payment: &[PaymentStatus] = match (order.status.ended_early(), captures.len()) {
                (false, _) => &[PaymentStatus::Captured],
                (true, 0) => &[PaymentStatus::None, PaymentStatus::Voided],
                (true, _) => &[PaymentStatus::Refunded],
            };
            let currency = order.currency.code().to_lowercase();
            let right = net == owed
                && captures.len() <= 1
                && order.dispute.map_or(0, Dispute::lost) == lost
                && captures.iter().all(|intent| lost == 0 || intent.refunds.is_empty())
                && captures
                    .iter()
                    .all(|intent| intent.captured == order.total && intent.currency == currency)
                && payment.contains(&order.payment);
            if !right {
                let (status, payment, total) = (order.status, order.payment, order.total);
                audit.violations.push(format!(
                    "I2: order {id} of {total} is {status:?}, {payment:?}, with {intents:?}"
                ));
            }
        }
    }

    /// I3: the held stock per shop, day and item equals what the live orders need, and is at most
    /// the capacity.
    fn audit_stock(&self, shops: &[Shop], audit: &mut Audit) {
        let mut needed: BTreeMap<String, i64> = BTreeMap::new();
        for order in self.orders.values().filter(|order| !order.status.ended_early()) {
            for line in &order.lines {
                *needed
                    .entry(format!("held#{}#{}#{}", order.location, order.pickup_day, line.item))
                    .or_default() += i64::from(line.quantity);
            }
        }
        let key = |row: &Value| row["key"].as_str().unwrap_or_default().to_owned();
        let held = self.stock.iter().filter(|row| key(row).starts_with("held#"));
        let held: BTreeMap<String, i64> =
            held.map(|row| (key(row), row["held"].as_i64().unwrap_or(i64::MIN))).collect();
        for key in needed.keys().chain(held.keys()).collect::<BTreeSet<_>>() {
            let (needed, held) =
                [&needed, &held].map(|pieces| pieces.get(key).copied().unwrap_or(0)).into();
            if held != needed {
                audit.violations.push(format!("I3: {key} is {held}, and the orders need {needed}"));
            }
            let capacity = shops.iter().find_map(|shop| {
                let (_day, item) =
                    key.strip_prefix(&format!("held#{}#", shop.menu.location))?.split_once('#')?;
                shop.bake_plan
                    .iter()
                    .find(|(baked, _)| baked.as_str() == item)
                    .map(|(_, capacity)| i64::from(*capacity))
            });
            if held > capacity.unwrap_or(0) {
                audit.violations.push(format!("I3: {key} is {held} of {capacity:?}"));
            }
        }
    }

    /// I5: each customer got the notices in order, up to the last one. There are at most as many
    /// repeated notices as `notifications` was killed, and a notice is only missing if a newer one
    /// was sent first.
    fn audit_notices(&self, plan: &[PlannedOrder<'_>], crashes: usize, audit: &mut Audit) {
        let mut sent: BTreeMap<String, Vec<&Mail>> = BTreeMap::new();
        for mail in &self.mail {
            let mut ids =
                mail.text.split_whitespace().rev().filter_map(|word| word.parse::<Uuid>().ok());
            sent.entry(ids.next().unwrap_or_default().to_string()).or_default().push(mail);
        }
        let addresses: BTreeMap<String, &str> =
            plan.iter().map(|order| (order.order_id(), &*order.customer.address)).collect();
        for (id, order) in &self.orders {
            let announced = order
                .history
                .iter()
                .filter_map(|entry| self.announced.get(&(id.clone(), entry.revision)));
            let due: Vec<&str> = announced.filter_map(subject).collect();
            let mail = sent.remove(id).unwrap_or_default();
            let subjects: Vec<&str> = mail.iter().map(|mail| &*mail.subject).collect();
            let steps: Vec<_> =
                subjects.iter().map(|subject| due.iter().position(|due| due == subject)).collect();
            let mut distinct = steps.clone();
            distinct.dedup();
            let repeated = steps.len() - distinct.len();
            let right = steps.is_sorted()
                && steps.iter().all(Option::is_some)
                && subjects.last() == due.last()
                && repeated <= crashes
                && mail
                    .iter()
                    .all(|mail| mail.to.iter().map(String::as_str).eq(addresses.get(id).copied()));
            if !right {
                audit.violations.push(format!(
                    "I5: order {id} calls for the notices {due:?}, and sent were {subjects:?}"
                ));
            }
            audit.notices += steps.len();
            audit.repeated += repeated;
            audit.overtaken += due.len().saturating_sub(distinct.len());
        }
        for (id, mail) in sent {
            audit
                .violations
                .push(format!("I5: {} mails about {id}, which is not an order", mail.len()));
        }
    }

    /// The dead letters are exactly the poison, each record once. The relay may repeat a record if
    /// it was killed before it acknowledged the batch.
    fn audit_dead_letters(&self, poison: &Poison, relay_crashes: usize, audit: &mut Audit) {
        for queue in Template::local().queues() {
            let name = format!("{queue}DeadLetters");
            let mut sent = poison.records.get(queue).cloned().unwrap_or_default();
            let mut dead = self.messages[&name].clone();
            sent.sort();
            dead.sort();
            if sent != dead {
                audit.violations.push(format!("{name}: sent were {sent:#?}, found are {dead:#?}"));
            }
        }
        if self.others != poison.rows {
            audit
                .violations
                .push(format!("the Orders table has unexpected rows: {:?}", self.others));
        }
        let dead = &self.messages["RelayDeadLetters"];
        for row in &poison.rows {
            let copies = dead.iter().filter(|record| record.contains(row)).count();
            if copies == 0 || copies > 1 + relay_crashes {
                audit.violations.push(format!("RelayDeadLetters: {row} is there {copies} times"));
            }
        }
        for other in
            dead.iter().filter(|record| !poison.rows.iter().any(|row| record.contains(row)))
        {
            audit.violations.push(format!("RelayDeadLetters: {other}"));
        }
        for undelivered in &self.messages["RuleDeadLetters"] {
            audit.violations.push(format!("RuleDeadLetters: {undelivered}"));
        }
    }
}

/// The subject of the notice about an event, if the customer gets one.
fn subject(event: &Announcement) -> Option<&'static str> {
    Some(match (&*event.name, &*event.payment) {
        ("order.confirmed", _) => "Your order is confirmed",
        ("order.rejected", _) => "We could not take your order",
        ("order.cancelled", _) => "Your order is cancelled",
        ("order.expired", _) => "We could not confirm your order in time",
        ("order.payment_changed", "refunded") => "We have given your money back",
        _ => return None,
    })
}
