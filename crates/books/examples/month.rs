//! How much memory and time the comparison of a month takes: `cargo run --example month`.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement prints, or panics")]

use std::{
    collections::{BTreeSet, HashSet},
    fs,
    time::Instant,
};

use books::{
    journal::Settlements,
    reconciliation::{Books, Limits, Stock},
    rows::{HoldKey, PaymentRow},
};
use fixtures::at;
use shop::{
    id::{CustomerId, OrderId},
    order::{Order, Trigger},
    payment::{IntentId, Payment, Progress},
    stock::Reservation,
};
use stripe::{BookedIntent, IntentStatus};

/// The orders of 60 shops in a month.
const ORDERS: u32 = 320_000;

fn main() {
    let began = Instant::now();
    let mut books = Books {
        read_at: at("2026-12-24T08:00:00Z"),
        limits: Limits::new(900, 36_000, 960),
        orders: Vec::new(),
        older: HashSet::new(),
        payments: Vec::new(),
        intents: Vec::new(),
        refunds: Vec::new(),
        disputes: Vec::new(),
        stock: Stock::default(),
        unreadable: Vec::new(),
        unreadable_objects: Vec::new(),
        dead: BTreeSet::new(),
        settlements: Settlements::new(),
    };
    let customer = CustomerId::new("camille");
    for number in 0..ORDERS {
        add(&mut books, OrderId::derive(&customer, &number.to_string().parse().unwrap()));
    }
    let built = began.elapsed();
    let result = books.reconcile();
    println!(
        "{ORDERS} orders: {} differences, {} pending; built in {built:.1?}, compared in {:.1?}; \
         {} at most",
        result.differences.len(),
        result.pending.len(),
        began.elapsed() - built,
        peak_memory()
    );
}

/// Adds a confirmed order with everything that belongs to it.
fn add(books: &mut Books, order_id: OrderId) {
    let paid = [Trigger::StockReserved, Trigger::PaymentCaptured];
    let order = Order { order_id, ..fixtures::after(fixtures::order(), &paid) };
    let intent = IntentId::new(format!("pi_{}", order_id.as_uuid().simple()));
    let price = order.price();
    books.payments.push(PaymentRow {
        order_id,
        payment: Payment::Committed { intent: intent.clone(), progress: Progress::Captured },
        refunds: vec![],
        price,
        updated_at: order.placed_at,
    });
    books.intents.push(BookedIntent {
        id: intent,
        order: Some(order_id.to_string()),
        status: IntentStatus::Succeeded,
        amount: price.amount,
        taken: price.amount,
        currency: "eur".to_owned(),
        created: order.placed_at,
    });
    let demand = shop::stock::Demand {
        location: order.location.clone(),
        pickup_day: order.pickup_day,
        items: order.lines.iter().map(Into::into).collect(),
    };
    for item in &demand.items {
        let key = HoldKey {
            location: demand.location.clone(),
            day: demand.pickup_day,
            item: item.item.clone(),
        };
        *books.stock.held.entry(key).or_default() += i64::from(item.quantity);
    }
    books.stock.reservations.insert(order_id, Reservation::Held(demand));
    books.orders.push(order);
}

/// The most memory that the process has used, as Linux reports it.
fn peak_memory() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    let kilobytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    format!("{} MB", kilobytes / 1024)
}
