//! Reservations and held pieces.

use super::*;

#[test]
fn stock_is_held_for_live_orders_only() {
    let confirmed = Books::empty()
        .with_order("o", "ready", "captured")
        .with_payment("o", |intent| Payment::Committed { intent, progress: Progress::Captured })
        .with_intent("o", intent_of(id("o")), IntentStatus::Succeeded)
        .with_stock("o", Reservation::Released);
    assert_eq!(
        confirmed.differences(),
        [about("o", "is ready, but its reservation is released or for other items")]
    );
    let expired = Books::empty().with_order("o", "expired", "none").with_stock("o", held());
    assert_eq!(expired.differences(), [about("o", "is expired, but its stock is still held")]);
    let orphan = Books::empty().with_stock("o", held());
    assert_eq!(
        orphan.differences(),
        [format!("stock is held for the order {}, which does not exist", id("o"))]
    );
}

#[test]
fn held_pieces_add_up_except_for_pending_orders() {
    let mut books = Books::empty().with_confirmed("o");
    *books.stock.held.values_mut().next().unwrap() = 4;
    assert_eq!(
        books.differences(),
        ["paris counts 4 × croissant as held for 2026-11-24, but its reservations add up to 2"]
    );
    // Another order of two pieces is being reserved right now.
    let mut books = books.with_order("p", "placed", "none").read_at("2026-11-24T08:05:00Z");
    assert_eq!(books.differences(), <[String; 0]>::default());
    *books.stock.held.values_mut().next().unwrap() = 1;
    assert_eq!(books.differences().len(), 1);
}

#[test]
fn stock_of_a_day_long_past_may_be_deleted() {
    // The order is picked up on 2026-11-24.
    let mut books = Books::empty().with_confirmed("o");
    books.stock.reservations.clear();
    let standing = books.clone().read_at("2026-12-30T23:59:59Z");
    assert_eq!(standing.differences().len(), 2, "{:?}", standing.differences());
    let deleted = books.read_at("2026-12-31T00:00:00Z");
    assert_eq!(deleted.differences(), <[String; 0]>::default());
}
