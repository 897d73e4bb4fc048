//! Compares orders with payments, the provider's books and stock: where they disagree, and which
//! orders are still changing.
//!
//! The books are read one after the other while orders keep changing, so the order of reading
//! matters: first stock and payments, then the provider, then the orders. An order that changed
//! after the reading began is not judged; every other order was in its present state when the other
//! books were read.

mod case;
mod difference;
mod group;
mod limits;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use futures::future::try_join;
use jiff::Timestamp;
use shop::{
    id::OrderId,
    order::Order,
    payment::IntentId,
    stock::{Demand, Reservation, stock_expiry},
};
use stripe::{
    BookedDispute, BookedIntent, BookedRefund, IntentStatus, ObjectKind, UnreadableObject,
};
use tables::stock::Key;

pub use self::{
    case::{Case, EXPIRY_LAG},
    difference::{Difference, Pending, RefundByHand},
    group::Group,
    limits::Limits,
};
use crate::{
    error::{Error, UnreadableRow},
    journal::Settlements,
    ledger::Account,
    rows::{HoldKey, PaymentRow, Rows, StockRow, Tables},
};

/// Everything that is compared.
#[derive(Clone, Debug)]
pub struct Books {
    /// When the reading began.
    pub read_at: Timestamp,
    pub limits: Limits,
    pub orders: Vec<Order>,
    /// The orders that were placed earlier. They are not judged.
    pub older: HashSet<OrderId>,
    pub payments: Vec<PaymentRow>,
    pub intents: Vec<BookedIntent>,
    pub refunds: Vec<BookedRefund>,
    pub disputes: Vec<BookedDispute>,
    pub stock: Stock,
    /// The rows that cannot be read.
    pub unreadable: Vec<UnreadableRow>,
    /// What cannot be read of the provider's books.
    pub unreadable_objects: Vec<UnreadableObject>,
    /// Orders with dead letters: they do not make progress by themselves.
    pub dead: BTreeSet<OrderId>,
    /// What operators have settled.
    pub settlements: Settlements,
}

/// Reservations and held pieces.
#[derive(Clone, Debug, Default)]
pub struct Stock {
    pub reservations: BTreeMap<OrderId, Reservation>,
    /// The numbers of held pieces.
    pub held: BTreeMap<HoldKey, i64>,
}

impl FromIterator<StockRow> for Stock {
    fn from_iter<I: IntoIterator<Item = StockRow>>(rows: I) -> Self {
        let mut stock = Self::default();
        for row in rows {
            match row {
                StockRow::Plan => {}
                StockRow::Reservation(order, reservation) => {
                    stock.reservations.insert(order, reservation);
                }
                StockRow::Held(key, held) => {
                    stock.held.insert(key, held);
                }
            }
        }
        stock
    }
}

/// The result of a comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciliation {
    pub differences: Vec<Difference>,
    /// Orders that cannot be judged yet, each with the reason.
    pub pending: Vec<(OrderId, Pending)>,
    /// The number of the provider's intents that are for no order of ours: other software shares
    /// the account.
    pub others: usize,
}

/// The books of money, by order.
struct Money<'a> {
    payments: HashMap<OrderId, &'a PaymentRow>,
    /// The provider's intents by the order in their metadata.
    accounts: BTreeMap<OrderId, Vec<Account<'a>>>,
}

/// All orders, each with whether it is pending.
type Judged<'a> = HashMap<OrderId, (&'a Order, bool)>;

/// What rows that cannot be read are about. It is not compared with anything, since a row that is
/// there would look like a missing one.
#[derive(Default)]
struct Unreadable {
    orders: BTreeSet<OrderId>,
    holds: BTreeSet<HoldKey>,
}

impl Unreadable {
    fn of(rows: &[UnreadableRow]) -> Self {
        let mut unreadable = Self::default();
        for row in rows {
            match row.key.parse() {
                Ok(Key::Held { location, day, item }) => {
                    unreadable.holds.insert(HoldKey { location, day, item });
                }
                Ok(Key::Reservation(order)) => {
                    unreadable.orders.insert(order);
                }
                Ok(Key::Plan(_)) => {}
                // The keys of the other tables are ids of orders, except those of menus.
                Err(_) => unreadable.orders.extend(row.key.parse::<OrderId>()),
            }
        }
        unreadable
    }
}

impl Books {
    /// Reads everything, in the order that the comparison requires: all orders, or those that were
    /// placed since a time, with what belongs to them. Which orders have dead letters and what was
    /// settled is for the caller to add.
    ///
    /// Of an older order, only the id is kept, and its reservation as long as there is one: no more
    /// memory is needed however many orders there were.
    ///
    /// # Errors
    /// A table or the provider cannot be read.
    pub async fn read(
        tables: &Tables,
        provider: &stripe::Client,
        limits: Limits,
        since: Option<Timestamp>,
    ) -> Result<Self, Error> {
        let read_at = Timestamp::now();
        let is_older = |at: Timestamp| since.is_some_and(|since| at < since);
        let mut payments = Rows::default();
        let visit = |row: Result<PaymentRow, UnreadableRow>| match row {
            // A payment is not older than its order.
            Ok(row) if is_older(row.updated_at) => {}
            Ok(row) => payments.rows.push(row),
            Err(row) => payments.unreadable.push(row),
        };
        let (stock, ()) = try_join(tables.stock(), tables.every_payment(visit)).await?;
        // Nothing is compared with these. Only rows that cannot be read are of interest.
        let others = tables.unreadable_menus_and_notices().await?;
        let (intents, unreadable_intents) = separate(provider.intents(since).await?);
        let (refunds, unreadable_refunds) = separate(provider.refunds(since).await?);
        let (disputes, unreadable_disputes) = separate(provider.disputes(since).await?);
        let mut older = HashSet::new();
        let mut orders = Rows::default();
        let visit = |row: Result<Order, UnreadableRow>| match row {
            Ok(order) if is_older(order.placed_at) => drop(older.insert(order.order_id)),
            Ok(order) => orders.rows.push(order),
            Err(row) => orders.unreadable.push(row),
        };
        tables.every_order(visit).await?;
        orders.rows.sort_by_key(|order| order.placed_at);
        payments.rows.retain(|row| !older.contains(&row.order_id));
        Ok(Self {
            read_at,
            limits,
            orders: orders.rows,
            older,
            payments: payments.rows,
            intents,
            refunds,
            disputes,
            stock: stock.rows.into_iter().collect(),
            unreadable: [orders.unreadable, payments.unreadable, stock.unreadable, others].concat(),
            unreadable_objects: [unreadable_intents, unreadable_refunds, unreadable_disputes]
                .concat(),
            dead: BTreeSet::new(),
            settlements: Settlements::new(),
        })
    }

    /// Compares all books with each other.
    pub fn reconcile(&self) -> Reconciliation {
        let money = self.money();
        let mut unreadable = Unreadable::of(&self.unreadable);
        let others = self.intents.len() - self.ours().count();
        let mut result = Reconciliation { others, ..Reconciliation::default() };
        self.report_unreadable_objects(&mut unreadable, &mut result);
        let mut judged = Judged::new();
        for order in &self.orders {
            if unreadable.orders.contains(&order.order_id) {
                result.pending.push((order.order_id, Pending::Unreadable));
                judged.insert(order.order_id, (order, true));
                continue;
            }
            let pending = self.case(order, &money).judge(&mut result.differences);
            result.pending.extend(pending.map(|reason| (order.order_id, reason)));
            judged.insert(order.order_id, (order, pending.is_some()));
        }
        let orphans = self.payments.iter().filter(|row| {
            row.payment.intent().is_some()
                && !judged.contains_key(&row.order_id)
                && !unreadable.orders.contains(&row.order_id)
        });
        result.differences.extend(
            orphans.map(|row| Difference::NoOrder { order: row.order_id, row: row.payment.name() }),
        );
        result.differences.extend(self.unreadable.iter().cloned().map(Difference::Unreadable));
        self.compare_intents(&money, &judged, &mut result.differences);
        self.compare_holds(&judged, &unreadable, &mut result.differences);
        result
    }

    /// The surpluses that the provider had kept before it gave them back. Nobody has to do anything
    /// about them, unless somebody has given the same money back by hand.
    pub fn refunded(&self) -> Vec<Difference> {
        let money = self.money();
        let cases = self.orders.iter().map(|order| self.case(order, &money));
        cases.flat_map(|case| case.refunded().map(|(kept, _)| kept).collect::<Vec<_>>()).collect()
    }

    fn case<'a>(&'a self, order: &'a Order, money: &'a Money<'a>) -> Case<'a> {
        let id = order.order_id;
        Case {
            read_at: self.read_at,
            limits: self.limits,
            dead: self.dead.contains(&id),
            order,
            payment: money.payments.get(&id).copied(),
            accounts: money.accounts.get(&id).map_or(&[], Vec::as_slice),
            reservation: self.stock.reservations.get(&id),
            settlements: &self.settlements,
        }
    }

    fn money(&self) -> Money<'_> {
        let payments = self.payments.iter().map(|row| (row.order_id, row));
        Money { payments: payments.collect(), accounts: self.accounts() }
    }

    /// The provider's intents that are for orders of ours. Others may share the account.
    pub fn ours(&self) -> impl Iterator<Item = (OrderId, &BookedIntent)> {
        self.intents.iter().filter_map(|intent| Some((intent.order_id()?, intent)))
    }

    /// Reports what cannot be read of the provider's books, so that the orders that it is about are
    /// not judged. Intents of others are only counted, and their refunds left out.
    fn report_unreadable_objects(&self, unreadable: &mut Unreadable, result: &mut Reconciliation) {
        if self.unreadable_objects.is_empty() {
            return;
        }
        let intents = self.intents.iter().map(|intent| (&intent.id, intent.order_id()));
        let payments = self.payments.iter();
        let payments = payments.filter_map(|row| Some((row.payment.intent()?, Some(row.order_id))));
        // `None` is other software.
        let mut owners: HashMap<&IntentId, Option<OrderId>> = intents.chain(payments).collect();
        for object in &self.unreadable_objects {
            let named = object.order.as_deref().and_then(|order| order.parse().ok());
            let known = object.intent.as_ref().and_then(|intent| owners.get(intent).copied());
            match (named.or(known.flatten()), known, object.kind) {
                (Some(order), ..) => drop(unreadable.orders.insert(order)),
                (None, None, ObjectKind::Intent) => {
                    result.others += 1;
                    owners.extend(object.intent.as_ref().map(|intent| (intent, None)));
                    continue;
                }
                (None, Some(_), _) => continue,
                (None, None, ObjectKind::Refund | ObjectKind::Dispute) => {}
            }
            result.differences.push(Difference::UnreadableObject(object.clone()));
        }
    }

    /// The provider's intents by the order in their metadata, each with its refunds and disputes.
    fn accounts(&self) -> BTreeMap<OrderId, Vec<Account<'_>>> {
        let refunds = by_intent(&self.refunds, |refund| refund.intent.as_ref());
        let disputes = by_intent(&self.disputes, |dispute| dispute.intent.as_ref());
        let mut accounts: BTreeMap<OrderId, Vec<Account<'_>>> = BTreeMap::new();
        for (order, intent) in self.ours() {
            let refunds = refunds.get(&intent.id).into_iter().flatten().copied();
            let disputes = disputes.get(&intent.id).into_iter().flatten().copied();
            accounts.entry(order).or_default().push(Account::of(intent, refunds, disputes));
        }
        accounts
    }

    /// Compares the held pieces with the reservations. Those of pending orders may or may not be
    /// counted. What was held for a day long past is not compared: its rows are being deleted, some
    /// earlier than others.
    fn compare_holds(
        &self,
        judged: &Judged<'_>,
        unreadable: &Unreadable,
        differences: &mut Vec<Difference>,
    ) {
        let mut held: BTreeMap<HoldKey, i64> = BTreeMap::new();
        let mut uncertain: BTreeMap<HoldKey, i64> = BTreeMap::new();
        for (order, reservation) in &self.stock.reservations {
            match (reservation, judged.get(order)) {
                (Reservation::Held(demand), Some((_, false))) => add(&mut held, demand),
                (Reservation::Held(demand), None) if self.older.contains(order) => {
                    add(&mut held, demand);
                }
                (Reservation::Held(demand), None) if unreadable.orders.contains(order) => {
                    add(&mut uncertain, demand);
                }
                (Reservation::Held(demand), None) => {
                    add(&mut held, demand);
                    differences.push(Difference::StillHeld { order: *order, status: None });
                }
                _ => {}
            }
        }
        for (order, pending) in judged.values() {
            if *pending {
                add(&mut uncertain, &case::demand(order));
            }
        }
        let keys: BTreeSet<&HoldKey> = held.keys().chain(self.stock.held.keys()).collect();
        let stands = |key: &&HoldKey| stock_expiry(key.day) > self.read_at.as_second();
        let is_readable = |key: &&HoldKey| !unreadable.holds.contains(key);
        for key in keys.into_iter().filter(stands).filter(is_readable) {
            let at = |counts: &BTreeMap<HoldKey, i64>| counts.get(key).copied().unwrap_or_default();
            let (counted, held) = (at(&self.stock.held), at(&held));
            if !(held..=held + at(&uncertain)).contains(&counted) {
                differences.push(Difference::Held { key: key.clone(), counted, held });
            }
        }
    }

    /// Finds intents that no payment refers to. They are harmless as long as they have not taken
    /// any money and cannot do so unless our functions confirm them, which is not known of all
    /// states.
    fn compare_intents(
        &self,
        money: &Money<'_>,
        judged: &Judged<'_>,
        differences: &mut Vec<Difference>,
    ) {
        let all = money.accounts.iter();
        let all = all.flat_map(|(order, accounts)| accounts.iter().map(move |it| (order, it)));
        for (order, account) in all {
            let known = money.payments.get(order).and_then(|row| row.payment.intent());
            let is_older = self.older.contains(order);
            let pending = judged.get(order).is_some_and(|(_, pending)| *pending);
            let may_take =
                matches!(account.intent.status, IntentStatus::Processing | IntentStatus::Other(_));
            let harmless = account.intent.taken == 0 && !may_take;
            if known != Some(&account.intent.id) && !pending && !is_older && !harmless {
                differences.push(Difference::UnknownIntent {
                    intent: account.intent.id.as_str().to_owned(),
                    order: *order,
                    account: account.to_string(),
                });
            }
        }
    }
}

/// The objects that belong to each intent.
fn by_intent<T>(
    objects: &[T],
    intent: impl Fn(&T) -> Option<&IntentId>,
) -> HashMap<&IntentId, Vec<&T>> {
    let mut by_intent: HashMap<&IntentId, Vec<&T>> = HashMap::new();
    for object in objects {
        if let Some(intent) = intent(object) {
            by_intent.entry(intent).or_default().push(object);
        }
    }
    by_intent
}

/// Separates what could be read from what could not.
fn separate<T, U>(results: Vec<Result<T, U>>) -> (Vec<T>, Vec<U>) {
    let (mut read, mut unreadable) = (Vec::with_capacity(results.len()), Vec::new());
    for result in results {
        match result {
            Ok(one) => read.push(one),
            Err(one) => unreadable.push(one),
        }
    }
    (read, unreadable)
}

fn add(counts: &mut BTreeMap<HoldKey, i64>, demand: &Demand) {
    for needed in &demand.items {
        let key = HoldKey {
            location: demand.location.clone(),
            day: demand.pickup_day,
            item: needed.item.clone(),
        };
        *counts.entry(key).or_default() += i64::from(needed.quantity);
    }
}
