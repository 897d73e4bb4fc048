//! Orders against payments, the provider's books and stock: where they disagree, and what is still
//! under way.
//!
//! Books are read while the business goes on, each a moment after the other, so the order of
//! reading matters: stock and payments, then the provider, then the orders. What an order says was
//! then so or has changed since, and an order that has changed since the reading began is not
//! judged.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
};

use jiff::{SignedDuration, Timestamp};
use shop::{
    id::OrderId,
    money::Money,
    order::{Order, PaymentStatus, Status},
    payment::{IntentId, Payment, Progress},
    stock::{Demand, Reservation},
};
use stripe::{BookedIntent, BookedRefund, IntentStatus};

use crate::{
    error::UnreadableRow,
    ledger::{Account, Amount},
    output::{moment, name},
    tables::{PaymentRow, Shelf, StockRow},
};

/// By how much the clocks of functions and of this machine may differ.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_secs(2);

/// How long after its deadline an order is expired at the latest, when nothing fails: the deadline
/// queue gathers messages for half a minute, and its delay begins a little after the order was
/// placed.
const EXPIRY_LAG: SignedDuration = SignedDuration::from_mins(2);

/// Everything that is compared.
#[derive(Clone, Debug)]
pub(crate) struct Books {
    /// When the reading began.
    pub(crate) read_at: Timestamp,
    /// How long the payment of an order that ended early may take to be undone, as long as nothing
    /// gives up.
    pub(crate) undo_within: SignedDuration,
    pub(crate) orders: Vec<Order>,
    pub(crate) payments: Vec<PaymentRow>,
    pub(crate) intents: Vec<BookedIntent>,
    pub(crate) refunds: Vec<BookedRefund>,
    pub(crate) stock: Stock,
    /// What could not be read of all that.
    pub(crate) unreadable: Vec<UnreadableRow>,
    /// Orders that dead letters are about: nothing goes on with them by itself.
    pub(crate) dead: BTreeSet<OrderId>,
}

/// What is held, and why.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stock {
    /// What was decided for each order.
    pub(crate) decided: BTreeMap<OrderId, Reservation>,
    /// Pieces held.
    pub(crate) held: BTreeMap<Shelf, i64>,
}

impl FromIterator<StockRow> for Stock {
    fn from_iter<I: IntoIterator<Item = StockRow>>(rows: I) -> Self {
        let mut stock = Self::default();
        for row in rows {
            match row {
                StockRow::Decided(order, reservation) => {
                    stock.decided.insert(order, reservation);
                }
                StockRow::Held(shelf, held) => {
                    stock.held.insert(shelf, held);
                }
            }
        }
        stock
    }
}

/// What came of a comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reconciliation {
    pub(crate) differences: Vec<Difference>,
    /// Orders that cannot be judged yet, and why not.
    pub(crate) pending: Vec<(OrderId, Pending)>,
}

/// Why an order cannot be judged yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pending {
    /// It changed while the books were read.
    Changing,
    /// It is to be confirmed, or to expire then.
    Deciding(Timestamp),
    /// It has ended early, and stock or money are on their way back.
    Undoing,
}

impl fmt::Display for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changing => f.write_str("changed while the books were read"),
            Self::Deciding(deadline) => {
                write!(f, "is to be confirmed, or expires, at {}", moment(*deadline))
            }
            Self::Undoing => f.write_str("ended early; its stock or money is on its way back"),
        }
    }
}

/// Where the books disagree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Difference {
    /// An order that was neither confirmed nor expired by its deadline.
    Stuck { order: OrderId, status: Status, deadline: Timestamp },
    /// The provider has kept something else than the order costs: its price, or nothing when it
    /// ended early.
    Kept { order: OrderId, status: Status, kept: Amount, due: Money },
    /// The payment of an order is not where the order's state wants it.
    PaymentState { order: OrderId, status: Status, row: Option<&'static str> },
    /// The order says something else of the money than its payment.
    PaymentField { order: OrderId, field: PaymentStatus, row: &'static str },
    /// The payment says something else than the provider's intent.
    Provider { order: OrderId, row: &'static str, intent: String, says: String },
    /// The provider does not know the intent of a payment.
    NoIntent { order: OrderId, row: &'static str, intent: String },
    /// The payment was made for another amount or currency than the order.
    Price { order: OrderId, order_price: Money, whose: &'static str, price: Amount },
    /// A payment that no order belongs to.
    NoOrder { order: OrderId, row: &'static str },
    /// An intent that no payment knows has taken money, or may yet.
    UnknownIntent { intent: String, order: Option<String>, says: String },
    /// An order is alive, but not what it needs is held for it.
    NotHeld { order: OrderId, status: Status, decided: Option<&'static str> },
    /// An order has ended early, or does not exist, and stock is held for it.
    StillHeld { order: OrderId, status: Option<Status> },
    /// A shelf counts other pieces than orders hold there.
    Shelf { shelf: Shelf, counted: i64, held: i64 },
    /// Nobody can tell what a row says.
    Unreadable(UnreadableRow),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stuck { order, status, deadline } => {
                write!(
                    f,
                    "order {order} is still {}, but its deadline was {}",
                    name(status),
                    moment(*deadline)
                )
            }
            Self::Kept { order, status, kept, due } => {
                write!(
                    f,
                    "order {order} is {}, but the provider has kept {kept} instead of {due}",
                    name(status)
                )
            }
            Self::PaymentState { order, status, row: Some(row) } => {
                write!(f, "order {order} is {}, but its payment is {row}", name(status))
            }
            Self::PaymentState { order, status, row: None } => {
                write!(f, "order {order} is {}, but has no payment", name(status))
            }
            Self::PaymentField { order, field, row } => {
                write!(
                    f,
                    "order {order} says that its payment is {}, but its payment is {row}",
                    name(field)
                )
            }
            Self::Provider { order, row, intent, says } => {
                write!(
                    f,
                    "order {order} has a payment that is {row}, but its intent {intent} {says}"
                )
            }
            Self::NoIntent { order, row, intent } => {
                write!(
                    f,
                    "order {order} has a payment that is {row}, but the provider has no intent {intent}"
                )
            }
            Self::Price { order, order_price, whose, price } => {
                write!(f, "order {order} costs {order_price}, but its {whose} is for {price}")
            }
            Self::NoOrder { order, row } => {
                write!(f, "a payment that is {row} is for the order {order}, which does not exist")
            }
            Self::UnknownIntent { intent, order: Some(order), says } => {
                write!(
                    f,
                    "the intent {intent} for order {order} is not that of its payment, and {says}"
                )
            }
            Self::UnknownIntent { intent, order: None, says } => {
                write!(f, "the intent {intent} is for no order, and {says}")
            }
            Self::NotHeld { order, status, decided } => {
                let decided = decided.unwrap_or("missing");
                write!(
                    f,
                    "order {order} is {}, but its reservation is {decided} or for other items",
                    name(status)
                )
            }
            Self::StillHeld { order, status: Some(status) } => {
                write!(f, "order {order} is {}, but its stock is still held", name(status))
            }
            Self::StillHeld { order, status: None } => {
                write!(f, "stock is held for the order {order}, which does not exist")
            }
            Self::Shelf { shelf: Shelf { location, day, item }, counted, held } => {
                write!(
                    f,
                    "{location} counts {counted} × {item} as held for {day}, but orders hold {held}"
                )
            }
            Self::Unreadable(row) => row.fmt(f),
        }
    }
}

impl Books {
    /// Compares everything with everything.
    pub(crate) fn reconcile(&self) -> Reconciliation {
        let payments: HashMap<OrderId, &PaymentRow> =
            self.payments.iter().map(|row| (row.order_id, row)).collect();
        let accounts = self.accounts();
        let mut result = Reconciliation::default();
        let mut judged = HashMap::new();
        for order in &self.orders {
            let case = Case {
                books: self,
                order,
                payment: payments.get(&order.order_id).copied(),
                accounts: accounts
                    .get(order.order_id.to_string().as_str())
                    .map_or(&[], Vec::as_slice),
                reservation: self.stock.decided.get(&order.order_id),
            };
            let pending = case.judge(&mut result.differences);
            result.pending.extend(pending.map(|why| (order.order_id, why)));
            judged.insert(order.order_id, (order, pending.is_some()));
        }
        for row in self
            .payments
            .iter()
            .filter(|row| row.payment.intent().is_some() && !judged.contains_key(&row.order_id))
        {
            result
                .differences
                .push(Difference::NoOrder { order: row.order_id, row: row.payment.name() });
        }
        result.differences.extend(self.unreadable.iter().cloned().map(Difference::Unreadable));
        self.compare_intents(accounts, &payments, &judged, &mut result.differences);
        self.compare_shelves(&judged, &mut result.differences);
        result
    }

    /// The provider's intents by the order in their metadata, each with what it has kept.
    fn accounts(&self) -> BTreeMap<&str, Vec<Account<'_>>> {
        let mut refunds: HashMap<&str, Vec<&BookedRefund>> = HashMap::new();
        for refund in &self.refunds {
            refunds
                .entry(refund.intent.as_ref().map_or("", IntentId::as_str))
                .or_default()
                .push(refund);
        }
        let mut accounts: BTreeMap<&str, Vec<Account<'_>>> = BTreeMap::new();
        for intent in &self.intents {
            let refunds = refunds.get(intent.id.as_str()).into_iter().flatten().copied();
            accounts
                .entry(intent.order.as_deref().unwrap_or_default())
                .or_default()
                .push(Account::of(intent, refunds));
        }
        accounts
    }

    /// Intents that no payment knows are harmless as long as they have taken nothing and wait for
    /// nobody but us.
    fn compare_intents(
        &self,
        accounts: BTreeMap<&str, Vec<Account<'_>>>,
        payments: &HashMap<OrderId, &PaymentRow>,
        judged: &HashMap<OrderId, (&Order, bool)>,
        differences: &mut Vec<Difference>,
    ) {
        for account in accounts.into_values().flatten() {
            let order: Option<OrderId> =
                account.intent.order.as_deref().and_then(|order| order.parse().ok());
            let known =
                order.and_then(|order| payments.get(&order)).and_then(|row| row.payment.intent());
            let pending =
                order.is_some_and(|order| judged.get(&order).is_some_and(|(_, pending)| *pending));
            let harmless =
                account.intent.taken == 0 && account.intent.status != IntentStatus::Processing;
            if known != Some(&account.intent.id) && !pending && !harmless {
                differences.push(Difference::UnknownIntent {
                    intent: account.intent.id.as_str().to_owned(),
                    order: account.intent.order.clone(),
                    says: account.to_string(),
                });
            }
        }
    }

    /// A shelf counts what reservations hold there. Those of orders that are still under way may be
    /// counted or not.
    fn compare_shelves(
        &self,
        judged: &HashMap<OrderId, (&Order, bool)>,
        differences: &mut Vec<Difference>,
    ) {
        let mut held: BTreeMap<Shelf, i64> = BTreeMap::new();
        let mut uncertain: BTreeMap<Shelf, i64> = BTreeMap::new();
        for (order, reservation) in &self.stock.decided {
            match (reservation, judged.get(order)) {
                (Reservation::Held(demand), Some((_, false))) => add(&mut held, demand),
                (Reservation::Held(demand), None) => {
                    add(&mut held, demand);
                    differences.push(Difference::StillHeld { order: *order, status: None });
                }
                _ => {}
            }
        }
        for (order, pending) in judged.values() {
            if *pending {
                add(&mut uncertain, &demand(order));
            }
        }
        let shelves: BTreeSet<&Shelf> = held.keys().chain(self.stock.held.keys()).collect();
        for shelf in shelves {
            let on = |counts: &BTreeMap<Shelf, i64>| counts.get(shelf).copied().unwrap_or_default();
            let (counted, held) = (on(&self.stock.held), on(&held));
            if !(held..=held + on(&uncertain)).contains(&counted) {
                differences.push(Difference::Shelf { shelf: shelf.clone(), counted, held });
            }
        }
    }
}

/// What an order needs of the stock.
fn demand(order: &Order) -> Demand {
    Demand {
        location: order.location.clone(),
        pickup_day: order.pickup_day,
        items: order.lines.iter().map(Into::into).collect(),
    }
}

fn add(counts: &mut BTreeMap<Shelf, i64>, demand: &Demand) {
    for needed in &demand.items {
        let shelf = Shelf {
            location: demand.location.clone(),
            day: demand.pickup_day,
            item: needed.item.clone(),
        };
        *counts.entry(shelf).or_default() += i64::from(needed.quantity);
    }
}

/// An order with everything that is known of it.
struct Case<'a> {
    books: &'a Books,
    order: &'a Order,
    payment: Option<&'a PaymentRow>,
    accounts: &'a [Account<'a>],
    reservation: Option<&'a Reservation>,
}

impl Case<'_> {
    /// Adds what is wrong with the order, or says why that cannot be told yet.
    fn judge(&self, differences: &mut Vec<Difference>) -> Option<Pending> {
        let Books { read_at, undo_within, dead, .. } = self.books;
        let Order { order_id, status, deadline, .. } = *self.order;
        let changed = self.order.history.last().map_or(self.order.placed_at, |entry| entry.at);
        if changed + CLOCK_SKEW >= *read_at {
            return Some(Pending::Changing);
        }
        match status {
            Status::Placed | Status::Reserved if *read_at < deadline + EXPIRY_LAG => {
                // The one thing that is wrong at any time.
                differences.extend(self.overcharged());
                Some(Pending::Deciding(deadline))
            }
            Status::Placed | Status::Reserved => {
                differences.push(Difference::Stuck { order: order_id, status, deadline });
                differences.extend(self.overcharged());
                None
            }
            Status::Confirmed | Status::Preparing | Status::Ready | Status::Collected => {
                differences.extend(self.kept(self.order.price()));
                differences.extend(self.payment_differences());
                match self.reservation {
                    Some(Reservation::Held(held)) if *held == demand(self.order) => {}
                    other => differences.push(Difference::NotHeld {
                        order: order_id,
                        status,
                        decided: other.map(Reservation::name),
                    }),
                }
                None
            }
            Status::Rejected | Status::Cancelled | Status::Expired => {
                let mut found =
                    Vec::from_iter(self.kept(Money { amount: 0, currency: self.order.currency }));
                found.extend(self.payment_differences());
                if matches!(self.reservation, Some(Reservation::Held(_))) {
                    found.push(Difference::StillHeld { order: order_id, status: Some(status) });
                }
                let may_be_undone = *read_at < changed + *undo_within && !dead.contains(&order_id);
                if !found.is_empty() && may_be_undone && self.undo_is_outstanding() {
                    return Some(Pending::Undoing);
                }
                differences.extend(found);
                None
            }
        }
    }

    /// Whether what is wrong with an order that ended early may be so because its undo has not come
    /// to its end: nothing final was said of its payment, or the order has not heard of it, or its
    /// stock is held.
    fn undo_is_outstanding(&self) -> bool {
        use Progress::{Captured, Charging, Undoing};
        let payment = self.payment.map(|row| &row.payment);
        matches!(payment, Some(Payment::Committed { progress: Charging | Captured | Undoing, .. }))
            || payment.is_some_and(|payment| expected_field(payment) != Some(self.order.payment))
            || matches!(self.reservation, Some(Reservation::Held(_)))
    }

    /// What the provider has kept, if that is not what is due.
    fn kept(&self, due: Money) -> Option<Difference> {
        let kept: i128 = self.accounts.iter().map(Account::kept).sum();
        let kept = Amount { amount: kept, currency: due.currency.code().to_owned() };
        (!kept.is(due)).then_some(Difference::Kept {
            order: self.order.order_id,
            status: self.order.status,
            kept,
            due,
        })
    }

    fn overcharged(&self) -> Option<Difference> {
        let price = self.order.price();
        self.kept(price)
            .filter(|difference| matches!(difference, Difference::Kept { kept, .. } if kept.amount > price.amount.into()))
    }

    /// The payment against the order's state and field, and against its intent.
    fn payment_differences(&self) -> Vec<Difference> {
        let Order { order_id: order, status, payment: field, .. } = *self.order;
        let Some(PaymentRow { payment, price, .. }) = self.payment else {
            let missing = Difference::PaymentState { order, status, row: None };
            // Nothing was begun for an order that ended before it could be charged.
            return if status.ended_early() && field == PaymentStatus::None {
                vec![]
            } else {
                vec![missing]
            };
        };
        let row = payment.name();
        let mut differences = Vec::new();
        let order_price = self.order.price();
        if *price != order_price {
            differences.push(Difference::Price {
                order,
                order_price,
                whose: "payment",
                price: (*price).into(),
            });
        }
        let expected = expected_field(payment);
        // Captured for an order that is alive, and for no other.
        if expected
            .is_none_or(|expected| (expected == PaymentStatus::Captured) == status.ended_early())
        {
            differences.push(Difference::PaymentState { order, status, row: Some(row) });
        } else if expected != Some(field) {
            differences.push(Difference::PaymentField { order, field, row });
        }
        let Some(intent) = payment.intent() else {
            return differences;
        };
        let Some(account) = self.accounts.iter().find(|account| account.intent.id == *intent)
        else {
            differences.push(Difference::NoIntent {
                order,
                row,
                intent: intent.as_str().to_owned(),
            });
            return differences;
        };
        let intent_price = Amount {
            amount: account.intent.amount.into(),
            currency: account.intent.currency.clone(),
        };
        if !intent_price.is(order_price) {
            differences.push(Difference::Price {
                order,
                order_price,
                whose: "intent",
                price: intent_price,
            });
        }
        if !agree(payment, account) {
            let says = account.to_string();
            differences.push(Difference::Provider {
                order,
                row,
                intent: intent.as_str().to_owned(),
                says,
            });
        }
        differences
    }
}

/// What an order says of its money once it has heard of its payment; none while that is undecided.
fn expected_field(payment: &Payment) -> Option<PaymentStatus> {
    let Payment::Committed { progress, .. } = payment else { return Some(PaymentStatus::None) };
    match progress {
        Progress::Charging | Progress::Undoing => None,
        Progress::Declined { .. } => Some(PaymentStatus::None),
        Progress::Captured => Some(PaymentStatus::Captured),
        Progress::Voided => Some(PaymentStatus::Voided),
        Progress::Refunded => Some(PaymentStatus::Refunded),
        Progress::RefundFailed { .. } => Some(PaymentStatus::RefundFailed),
    }
}

fn agree(payment: &Payment, account: &Account<'_>) -> bool {
    let Payment::Committed { progress, .. } = payment else { return true };
    match progress {
        // Undecided, or given back by hand after all.
        Progress::Charging | Progress::Undoing | Progress::RefundFailed { .. } => true,
        Progress::Captured => {
            account.intent.status == IntentStatus::Succeeded && account.returned == 0
        }
        Progress::Declined { .. } | Progress::Voided => account.intent.taken == 0,
        Progress::Refunded => account.intent.taken > 0 && account.kept() == 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use shop::{id::CustomerId, money::Currency};
    use stripe::BookedRefundStatus;

    use super::*;

    const PLACED: &str = "2026-11-24T08:00:00.000Z";
    const DEADLINE: &str = "2026-11-24T08:15:00.000Z";
    /// Long after all that.
    const EVENING: &str = "2026-11-24T20:00:00.000Z";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn id(name: &str) -> OrderId {
        OrderId::derive(&CustomerId::new("camille"), &name.parse().unwrap())
    }

    fn intent_of(order: OrderId) -> IntentId {
        IntentId::new(format!("pi_{order}"))
    }

    impl Books {
        /// Those of a business that has done nothing yet, read in the evening.
        fn empty() -> Self {
            Self {
                read_at: at(EVENING),
                undo_within: SignedDuration::from_hours(10),
                orders: vec![],
                payments: vec![],
                intents: vec![],
                refunds: vec![],
                stock: Stock::default(),
                unreadable: vec![],
                dead: BTreeSet::new(),
            }
        }

        fn read_at(self, moment: &str) -> Self {
            Self { read_at: at(moment), ..self }
        }

        /// An order of two croissants for 3.80 EUR that was placed in the morning and has not
        /// changed since.
        fn with_order(mut self, name: &str, status: &str, payment: &str) -> Self {
            let order = json!({
                "order_id": id(name), "customer_id": "camille", "location": "paris", "location_name": "Amélie Paris",
                "time_zone": "Europe/Paris", "status": status, "revision": 1, "payment": payment, "total": 380,
                "currency": "EUR", "placed_at": PLACED, "pickup_at": PLACED, "pickup_day": "2026-11-24",
                "lines": [{"item": "croissant", "name": "Butter croissant", "quantity": 2, "unit_price": 190}],
                "deadline": DEADLINE, "fingerprint": "f",
                "history": [{"revision": 1, "event": "order.placed", "status": status, "at": PLACED}]
            });
            self.orders.push(serde_json::from_value(order).unwrap());
            self
        }

        /// Its payment, with an intent that was made for its price.
        fn with_payment(mut self, name: &str, payment: impl FnOnce(IntentId) -> Payment) -> Self {
            let order_id = id(name);
            let price = Money { amount: 380, currency: Currency::Eur };
            self.payments.push(PaymentRow {
                order_id,
                payment: payment(intent_of(order_id)),
                price,
                updated_at: at(PLACED),
            });
            self
        }

        /// An intent of the order, of that name.
        fn with_intent(mut self, name: &str, intent: IntentId, status: IntentStatus) -> Self {
            let taken = if status == IntentStatus::Succeeded { 380 } else { 0 };
            self.intents.push(BookedIntent {
                id: intent,
                order: Some(id(name).to_string()),
                status,
                amount: 380,
                currency: "eur".into(),
                taken,
                created: at(PLACED),
            });
            self
        }

        fn with_refund(mut self, name: &str, amount: u64, status: BookedRefundStatus) -> Self {
            let intent = Some(intent_of(id(name)));
            self.refunds.push(BookedRefund {
                id: format!("re_{name}"),
                intent,
                amount,
                status,
                created: at(PLACED),
            });
            self
        }

        /// What was decided of its stock; what is held is counted.
        fn with_stock(mut self, name: &str, reservation: Reservation) -> Self {
            if let Reservation::Held(demand) = &reservation {
                add(&mut self.stock.held, demand);
            }
            self.stock.decided.insert(id(name), reservation);
            self
        }

        /// An order that went well.
        fn with_confirmed(self, name: &str) -> Self {
            self.with_order(name, "confirmed", "captured")
                .with_payment(name, |intent| Payment::Committed {
                    intent,
                    progress: Progress::Captured,
                })
                .with_intent(name, intent_of(id(name)), IntentStatus::Succeeded)
                .with_stock(name, held())
        }

        /// An order that was charged, then ended, and whose payment is so far.
        fn with_cancelled(
            self,
            name: &str,
            field: &str,
            payment: impl FnOnce(IntentId) -> Payment,
        ) -> Self {
            self.with_order(name, "cancelled", field)
                .with_payment(name, payment)
                .with_intent(name, intent_of(id(name)), IntentStatus::Succeeded)
                .with_stock(name, Reservation::Released)
        }

        fn differences(&self) -> Vec<String> {
            self.reconcile().differences.iter().map(ToString::to_string).collect()
        }
    }

    fn held() -> Reservation {
        Reservation::Held(demand(&Books::empty().with_order("any", "placed", "none").orders[0]))
    }

    fn said(name: &str, rest: &str) -> String {
        format!("order {} {rest}", id(name))
    }

    #[test]
    fn books_that_agree_have_no_difference_and_nothing_pending() {
        let books = Books::empty()
            .with_confirmed("confirmed")
            .with_cancelled("refunded", "refunded", |intent| Payment::Committed {
                intent,
                progress: Progress::Refunded,
            })
            .with_refund("refunded", 380, BookedRefundStatus::Succeeded)
            .with_order("voided", "expired", "voided")
            .with_payment("voided", |intent| Payment::Committed {
                intent,
                progress: Progress::Voided,
            })
            .with_intent("voided", intent_of(id("voided")), IntentStatus::Cancelled)
            .with_order("declined", "rejected", "none")
            .with_payment("declined", |intent| Payment::Committed {
                intent,
                progress: Progress::Declined { reason: "insufficient_funds".into() },
            })
            .with_intent("declined", intent_of(id("declined")), IntentStatus::Cancelled)
            .with_order("forbidden", "rejected", "none")
            .with_payment("forbidden", |_| Payment::Forbidden)
            // Its tombstone is gone.
            .with_order("old", "expired", "none")
            // Left behind by a function that died before it was committed.
            .with_intent("confirmed", IntentId::new("pi_abandoned"), IntentStatus::Unconfirmed);
        assert_eq!(books.reconcile(), Reconciliation::default());
    }

    #[test]
    fn a_confirmed_order_is_paid() {
        let unpaid = Books::empty()
            .with_order("o", "confirmed", "captured")
            .with_payment("o", |intent| Payment::Committed { intent, progress: Progress::Captured })
            .with_intent("o", intent_of(id("o")), IntentStatus::Unconfirmed)
            .with_stock("o", held());
        assert_eq!(
            unpaid.differences(),
            [
                said("o", "is confirmed, but the provider has kept 0.00 EUR instead of 3.80 EUR"),
                said(
                    "o",
                    &format!(
                        "has a payment that is captured, but its intent {} stands at unconfirmed, with 0.00 EUR taken and \
                         0.00 EUR given back",
                        intent_of(id("o")).as_str()
                    )
                ),
            ]
        );
    }

    #[test]
    fn a_refund_by_hand_is_seen_and_one_that_failed_is_none() {
        let refunded =
            |status| Books::empty().with_confirmed("o").with_refund("o", 100, status).differences();
        assert_eq!(refunded(BookedRefundStatus::Failed), <[String; 0]>::default());
        for status in [BookedRefundStatus::Pending, BookedRefundStatus::Succeeded] {
            let found = refunded(status);
            assert_eq!(
                found[0],
                said("o", "is confirmed, but the provider has kept 2.80 EUR instead of 3.80 EUR")
            );
            assert!(found[1].contains("with 3.80 EUR taken and 1.00 EUR given back"), "{found:?}");
            assert_eq!(found.len(), 2);
        }
    }

    #[test]
    fn an_order_that_is_charged_twice_is_seen_at_any_time() {
        let second = |books: Books| {
            books.with_intent("o", IntentId::new("pi_second"), IntentStatus::Succeeded)
        };
        let confirmed = second(Books::empty().with_confirmed("o")).differences();
        assert_eq!(
            confirmed[0],
            said("o", "is confirmed, but the provider has kept 7.60 EUR instead of 3.80 EUR")
        );
        assert!(
            confirmed[1]
                .starts_with(&format!("the intent pi_second for order {} is not that", id("o")))
        );
        assert_eq!(confirmed.len(), 2);

        let reserved = Books::empty()
            .with_order("o", "reserved", "none")
            .with_intent("o", intent_of(id("o")), IntentStatus::Succeeded)
            .read_at("2026-11-24T08:05:00Z");
        assert_eq!(second(reserved).differences().len(), 1);
    }

    #[test]
    fn an_order_within_its_deadline_is_pending_and_one_that_stays_where_it_is_is_stuck() {
        let reserved = Books::empty()
            .with_order("o", "reserved", "none")
            .with_payment("o", |intent| Payment::Committed { intent, progress: Progress::Charging })
            .with_intent("o", intent_of(id("o")), IntentStatus::Succeeded)
            .with_stock("o", held());
        let early = reserved.clone().read_at("2026-11-24T08:16:00Z").reconcile();
        assert_eq!(
            early,
            Reconciliation {
                pending: vec![(id("o"), Pending::Deciding(at(DEADLINE)))],
                ..Default::default()
            }
        );
        let late = said("o", "is still reserved, but its deadline was 2026-11-24 08:15:00.000Z");
        assert_eq!(reserved.differences(), [late]);
    }

    #[test]
    fn an_order_that_changes_while_the_books_are_read_is_not_judged() {
        let books =
            Books::empty().with_order("o", "confirmed", "captured").read_at("2026-11-24T08:00:01Z");
        let pending = vec![(id("o"), Pending::Changing)];
        assert_eq!(books.reconcile(), Reconciliation { pending, ..Default::default() });
    }

    #[test]
    fn money_of_an_order_that_ended_is_on_its_way_back_until_somebody_gives_up() {
        let undoing = Books::empty()
            .with_cancelled("o", "captured", |intent| Payment::Committed {
                intent,
                progress: Progress::Undoing,
            })
            .read_at("2026-11-24T09:00:00Z");
        assert_eq!(
            undoing.reconcile(),
            Reconciliation { pending: vec![(id("o"), Pending::Undoing)], ..Default::default() }
        );
        let given_up = [
            said("o", "is cancelled, but the provider has kept 3.80 EUR instead of 0.00 EUR"),
            said("o", "is cancelled, but its payment is undoing"),
        ];
        let dead = Books { dead: BTreeSet::from([id("o")]), ..undoing.clone() };
        assert_eq!(dead.differences(), given_up);
        assert_eq!(undoing.read_at(EVENING).differences(), given_up);
    }

    #[test]
    fn an_order_that_has_not_heard_of_its_refund_is_pending_first() {
        let refunded = Books::empty()
            .with_cancelled("o", "captured", |intent| Payment::Committed {
                intent,
                progress: Progress::Refunded,
            })
            .with_refund("o", 380, BookedRefundStatus::Succeeded);
        assert_eq!(
            refunded.clone().read_at("2026-11-24T09:00:00Z").reconcile().pending,
            [(id("o"), Pending::Undoing)]
        );
        assert_eq!(
            refunded.differences(),
            [said("o", "says that its payment is captured, but its payment is refunded")]
        );
    }

    #[test]
    fn money_that_could_not_be_given_back_is_owed_until_somebody_gives_it_back_by_hand() {
        let failed = |intent| Payment::Committed {
            intent,
            progress: Progress::RefundFailed { reason: "expired_or_canceled_card".into() },
        };
        let owed = Books::empty().with_cancelled("o", "refund_failed", failed);
        let difference =
            said("o", "is cancelled, but the provider has kept 3.80 EUR instead of 0.00 EUR");
        assert_eq!(owed.clone().read_at("2026-11-24T09:00:00Z").differences(), [difference]);
        assert_eq!(
            owed.with_refund("o", 380, BookedRefundStatus::Succeeded).reconcile(),
            Reconciliation::default()
        );
    }

    #[test]
    fn a_payment_that_was_never_asked_back_is_seen() {
        let books = Books::empty().with_cancelled("o", "captured", |intent| Payment::Committed {
            intent,
            progress: Progress::Captured,
        });
        assert!(
            books.differences().contains(&said("o", "is cancelled, but its payment is captured"))
        );
    }

    #[test]
    fn amounts_and_currencies_are_those_of_the_order() {
        let mut books = Books::empty().with_confirmed("o");
        books.payments[0].price = Money { amount: 38, currency: Currency::Eur };
        books.intents[0].currency = "jpy".into();
        assert_eq!(
            books.differences(),
            [
                said("o", "costs 3.80 EUR, but its payment is for 0.38 EUR"),
                said("o", "costs 3.80 EUR, but its intent is for 380 JPY"),
            ]
        );
    }

    #[test]
    fn a_payment_has_an_order_and_an_intent() {
        let mut books = Books::empty().with_confirmed("o");
        books.intents.clear();
        let intent = intent_of(id("o"));
        assert!(books.differences().contains(&said(
            "o",
            &format!(
                "has a payment that is captured, but the provider has no intent {}",
                intent.as_str()
            )
        )));
        books.orders.clear();
        books.stock = Stock::default();
        let orphan = format!(
            "a payment that is captured is for the order {}, which does not exist",
            id("o")
        );
        assert_eq!(books.differences(), [orphan]);
    }

    #[test]
    fn an_intent_that_nobody_knows_is_harmless_until_it_takes_money() {
        let unknown = |status| {
            Books::empty().with_intent("o", IntentId::new("pi_x"), status).differences().len()
        };
        assert_eq!(unknown(IntentStatus::Unconfirmed), 0);
        assert_eq!(unknown(IntentStatus::Declined("insufficient_funds".into())), 0);
        assert_eq!(unknown(IntentStatus::Cancelled), 0);
        assert_eq!(unknown(IntentStatus::Processing), 1);
        assert_eq!(unknown(IntentStatus::Succeeded), 1);
    }

    #[test]
    fn stock_is_held_for_what_is_alive_and_for_nothing_else() {
        let confirmed = Books::empty()
            .with_order("o", "ready", "captured")
            .with_payment("o", |intent| Payment::Committed { intent, progress: Progress::Captured })
            .with_intent("o", intent_of(id("o")), IntentStatus::Succeeded)
            .with_stock("o", Reservation::Released);
        assert_eq!(
            confirmed.differences(),
            [said("o", "is ready, but its reservation is released or for other items")]
        );
        let expired = Books::empty().with_order("o", "expired", "none").with_stock("o", held());
        assert_eq!(expired.differences(), [said("o", "is expired, but its stock is still held")]);
        let nobody = Books::empty().with_stock("o", held());
        assert_eq!(
            nobody.differences(),
            [format!("stock is held for the order {}, which does not exist", id("o"))]
        );
    }

    #[test]
    fn a_shelf_counts_what_orders_hold_there_give_or_take_those_under_way() {
        let mut books = Books::empty().with_confirmed("o");
        *books.stock.held.values_mut().next().unwrap() = 4;
        assert_eq!(
            books.differences(),
            ["paris counts 4 × croissant as held for 2026-11-24, but orders hold 2"]
        );
        // Another order, of two as well, is just being reserved.
        let mut books = books.with_order("p", "placed", "none").read_at("2026-11-24T08:05:00Z");
        assert_eq!(books.differences(), <[String; 0]>::default());
        *books.stock.held.values_mut().next().unwrap() = 1;
        assert_eq!(books.differences().len(), 1);
    }
}
