//! Tests of the reconciliation: books of small businesses, and the differences in them.

use fixtures::{DEADLINE, PLACED_AT, at};
use jiff::SignedDuration;
use serde_json::json;
use shop::{
    id::CustomerId,
    money::{Currency, Money},
    order::Trigger,
    payment::{Payment, Progress, RefundEntry},
    refund::RefundState,
};
use stripe::BookedRefundStatus;

use super::{case::demand, *};
use crate::ledger::Amount;

mod disputes;
mod ledger;
mod remedies;
mod stock;

/// Long after the deadline of the orders.
const EVENING: &str = "2026-11-24T20:00:00.000Z";

fn id(name: &str) -> OrderId {
    OrderId::derive(&CustomerId::new("camille"), &name.parse().unwrap())
}

fn intent_of(order: OrderId) -> IntentId {
    IntentId::new(format!("pi_{order}"))
}

impl Books {
    /// The books of a business without any orders, read in the evening.
    fn empty() -> Self {
        Self {
            read_at: at(EVENING),
            limits: Limits {
                confirm_within: SignedDuration::from_mins(15),
                undo_within: SignedDuration::from_hours(10),
            },
            orders: vec![],
            older: HashSet::new(),
            payments: vec![],
            intents: vec![],
            refunds: vec![],
            disputes: vec![],
            stock: Stock::default(),
            unreadable: vec![],
            unreadable_objects: vec![],
            dead: BTreeSet::new(),
            settlements: Settlements::new(),
        }
    }

    fn read_at(self, moment: &str) -> Self {
        Self { read_at: at(moment), ..self }
    }

    /// Adds an order of two croissants for 3.80 EUR that was placed in the morning and has not
    /// changed since.
    fn with_order(mut self, name: &str, status: &str, payment: &str) -> Self {
        let (status, payment) =
            (serde_json::from_value(json!(status)), serde_json::from_value(json!(payment)));
        let order = fixtures::order_with(status.unwrap(), payment.unwrap());
        self.orders.push(Order { order_id: id(name), ..order });
        self
    }

    /// Adds the payment of an order, for the order's price.
    fn with_payment(mut self, name: &str, payment: impl FnOnce(IntentId) -> Payment) -> Self {
        let order_id = id(name);
        let price = Money { amount: 380, currency: Currency::Eur };
        self.payments.push(PaymentRow {
            order_id,
            payment: payment(intent_of(order_id)),
            refunds: vec![],
            price,
            updated_at: at(PLACED_AT),
        });
        self
    }

    /// Adds an intent for an order.
    fn with_intent(mut self, name: &str, intent: IntentId, status: IntentStatus) -> Self {
        let taken = if status == IntentStatus::Succeeded { 380 } else { 0 };
        self.intents.push(BookedIntent {
            id: intent,
            order: Some(id(name).to_string()),
            status,
            amount: 380,
            currency: "eur".into(),
            taken,
            created: at(PLACED_AT),
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
            failure: None,
            name: None,
            created: at(PLACED_AT),
        });
        self
    }

    /// Adds the reservation of an order, and counts what it holds.
    fn with_stock(mut self, name: &str, reservation: Reservation) -> Self {
        if let Reservation::Held(demand) = &reservation {
            add(&mut self.stock.held, demand);
        }
        self.stock.reservations.insert(id(name), reservation);
        self
    }

    /// Adds a confirmed order with everything that belongs to it.
    fn with_confirmed(self, name: &str) -> Self {
        self.with_order(name, "confirmed", "captured")
            .with_payment(name, |intent| Payment::Committed {
                intent,
                progress: Progress::Captured,
            })
            .with_intent(name, intent_of(id(name)), IntentStatus::Succeeded)
            .with_stock(name, held())
    }

    /// Adds an order that was charged and then cancelled, with this payment.
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

fn about(name: &str, rest: &str) -> String {
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
        .with_payment("voided", |intent| Payment::Committed { intent, progress: Progress::Voided })
        .with_intent("voided", intent_of(id("voided")), IntentStatus::Cancelled)
        .with_order("declined", "rejected", "none")
        .with_payment("declined", |intent| Payment::Committed {
            intent,
            progress: Progress::Declined { reason: "insufficient_funds".into() },
        })
        .with_intent("declined", intent_of(id("declined")), IntentStatus::Cancelled)
        .with_order("refused", "rejected", "none")
        .with_payment("refused", |_| Payment::Refused { reason: "amount_too_small".into() })
        .with_order("forbidden", "rejected", "none")
        .with_payment("forbidden", |_| Payment::Forbidden)
        // The order's tombstone was deleted.
        .with_order("old", "expired", "none")
        // Left by a function that died before it committed the intent.
        .with_intent("confirmed", IntentId::new("pi_abandoned"), IntentStatus::Unconfirmed);
    assert_eq!(books.reconcile(), Reconciliation::default());
}

#[test]
fn an_order_from_before_the_wanted_time_is_not_judged_and_its_stock_still_counts() {
    let mut books = Books::empty().with_confirmed("old").with_confirmed("new");
    books.orders.retain(|order| order.order_id == id("new"));
    assert_eq!(books.differences().len(), 2, "payment and stock of an unknown order");
    books.older.insert(id("old"));
    books.payments.retain(|row| row.order_id == id("new"));
    assert_eq!(books.differences(), [""; 0]);
}

#[test]
fn a_confirmed_order_without_payment_is_a_difference() {
    let unpaid = Books::empty()
        .with_order("o", "confirmed", "captured")
        .with_payment("o", |intent| Payment::Committed { intent, progress: Progress::Captured })
        .with_intent("o", intent_of(id("o")), IntentStatus::Unconfirmed)
        .with_stock("o", held());
    assert_eq!(
        unpaid.differences(),
        [
            about("o", "is confirmed, but the provider has kept 0.00 EUR instead of 3.80 EUR"),
            about(
                "o",
                &format!(
                    "has a payment that is captured, but its intent {} stands at \
                     unconfirmed, with 0.00 EUR taken and 0.00 EUR given back",
                    intent_of(id("o")).as_str()
                )
            ),
        ]
    );
}

/// A confirmed order whose shop asked in the morning for 1.00 EUR back.
fn with_refund_by_shop(state: RefundState, provider: Option<BookedRefundStatus>) -> Books {
    let mut books = Books::empty().with_confirmed("o");
    let order = books.orders.pop().unwrap();
    let reason = "One croissant was burnt".parse().unwrap();
    let mut order = fixtures::after(order, &[Trigger::RefundRequested { amount: 100, reason }]);
    order.refunds[0].state = state;
    books.orders.push(order);
    books.payments[0].refunds =
        vec![RefundEntry { id: 1, amount: 100, attempt: 1, name: 1, state, reason: None }];
    match provider {
        Some(status) => books.with_refund("o", 100, status),
        None => books,
    }
}

#[test]
fn what_a_shop_has_given_back_is_not_kept() {
    for (state, status) in [
        (RefundState::Pending, BookedRefundStatus::Pending),
        (RefundState::Succeeded, BookedRefundStatus::Succeeded),
        // Refunded in the dashboard after it had failed.
        (RefundState::Failed, BookedRefundStatus::Succeeded),
    ] {
        let books = with_refund_by_shop(state, Some(status));
        assert_eq!(books.reconcile(), Reconciliation::default(), "{state:?}");
    }
}

#[test]
fn a_refund_of_a_shop_that_failed_is_owed() {
    let books = with_refund_by_shop(RefundState::Failed, Some(BookedRefundStatus::Failed));
    let owed = "is confirmed, but the provider has kept 3.80 EUR instead of 2.80 EUR";
    assert_eq!(books.differences(), [about("o", owed)]);
}

#[test]
fn a_refund_of_a_shop_is_pending_until_a_message_can_no_longer_make_it() {
    let books = with_refund_by_shop(RefundState::Requested, None);
    let unmade =
        format!("the shop has asked for refund 1 of order {}, and nothing came of it", id("o"));
    assert!(books.differences().contains(&unmade), "{:?}", books.differences());
    let early = books.read_at("2026-11-24T10:00:00Z");
    assert_eq!(early.differences(), [""; 0]);
    assert!(matches!(early.reconcile().pending[..], [(_, Pending::Refunding(_))]));
    let mut dead = early;
    dead.dead.insert(id("o"));
    assert!(dead.differences().contains(&unmade));
}

#[test]
fn a_refund_by_hand_is_a_difference_unless_it_failed() {
    let refunded =
        |status| Books::empty().with_confirmed("o").with_refund("o", 100, status).differences();
    assert_eq!(refunded(BookedRefundStatus::Failed), <[String; 0]>::default());
    for status in [BookedRefundStatus::Pending, BookedRefundStatus::Succeeded] {
        let found = refunded(status);
        assert_eq!(
            found,
            [about(
                "o",
                "is confirmed, but the provider has kept 2.80 EUR instead of 3.80 EUR: of the \
                 3.80 EUR that it took, a part of 1.00 EUR was refunded in its dashboard"
            )]
        );
    }
}

#[test]
fn a_whole_refund_by_hand_is_named_as_one_unless_the_order_is_being_undone() {
    let refunded = Books::empty().with_confirmed("o");
    let refunded = refunded.with_refund("o", 380, BookedRefundStatus::Succeeded);
    assert_eq!(
        refunded.differences(),
        [about(
            "o",
            "is confirmed, but the provider has kept 0.00 EUR instead of 3.80 EUR: all of the \
             3.80 EUR that it took was refunded in its dashboard"
        )]
    );
    let undone = Books::empty()
        .with_order("o", "confirmed", "refunded")
        .with_payment("o", |intent| Payment::Committed { intent, progress: Progress::Refunded })
        .with_intent("o", intent_of(id("o")), IntentStatus::Succeeded)
        .with_refund("o", 380, BookedRefundStatus::Succeeded)
        .with_stock("o", held());
    let kept = &undone.differences()[0];
    assert_eq!(
        *kept,
        about("o", "is confirmed, but the provider has kept 0.00 EUR instead of 3.80 EUR")
    );
}

#[test]
fn a_part_that_was_refunded_by_hand_before_the_refund_failed_is_named_with_what_is_owed() {
    let failed = |intent| Payment::Committed {
        intent,
        progress: Progress::RefundFailed { reason: "expired_or_canceled_card".into() },
    };
    let books = Books::empty().with_cancelled("o", "refund_failed", failed);
    let books = books.with_refund("o", 100, BookedRefundStatus::Succeeded);
    assert_eq!(
        books.differences(),
        [about(
            "o",
            "is cancelled, but the provider has kept 2.80 EUR instead of 0.00 EUR: of the 3.80 \
             EUR that it took, a part of 1.00 EUR was refunded in its dashboard"
        )]
    );
}

#[test]
fn a_refund_by_hand_does_not_explain_what_a_second_charge_took() {
    let books = Books::empty()
        .with_confirmed("o")
        .with_refund("o", 100, BookedRefundStatus::Succeeded)
        .with_intent("o", IntentId::new("pi_second"), IntentStatus::Succeeded);
    let found = books.differences();
    let kept = "is confirmed, but the provider has kept 6.60 EUR instead of 3.80 EUR";
    assert_eq!(found[0], about("o", kept));
    assert!(found[1].contains("with 3.80 EUR taken and 1.00 EUR given back"), "{found:?}");
}

#[test]
fn a_settled_difference_stays_settled_whatever_explains_it() {
    let kept = |refund| Difference::Kept {
        order: id("o"),
        status: shop::order::Status::Confirmed,
        kept: Amount { amount: 280, currency: "EUR".into() },
        due: Money { amount: 380, currency: Currency::Eur },
        refund,
    };
    let amount = |amount| Amount { amount, currency: "eur".into() };
    let by_hand = RefundByHand { taken: amount(380), back: amount(100) };
    assert_eq!(kept(Some(by_hand)).key(), kept(None).key());
}

#[test]
fn a_double_charge_is_a_difference_in_every_state() {
    let second =
        |books: Books| books.with_intent("o", IntentId::new("pi_second"), IntentStatus::Succeeded);
    let confirmed = second(Books::empty().with_confirmed("o")).differences();
    assert_eq!(
        confirmed[0],
        about("o", "is confirmed, but the provider has kept 7.60 EUR instead of 3.80 EUR")
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
fn an_unconfirmed_order_is_pending_until_its_deadline_and_stuck_after_it() {
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
    let late = about("o", "is still reserved, but its deadline was 2026-11-24 08:15:00.000Z");
    assert_eq!(reserved.differences(), [late]);
}

#[test]
fn an_order_with_an_early_deadline_is_pending_until_its_message_comes() {
    let mut books = Books::empty().with_order("o", "reserved", "none").with_stock("o", held());
    books.orders[0].deadline = at("2026-11-24T08:05:00Z");
    let waiting = books.clone().read_at("2026-11-24T08:16:00Z").reconcile();
    assert_eq!(waiting.pending, [(id("o"), Pending::Deciding(at("2026-11-24T08:15:00Z")))]);
    let late = about("o", "is still reserved, but its deadline was 2026-11-24 08:05:00.000Z");
    assert_eq!(books.differences(), [late]);
}

#[test]
fn an_order_that_changes_while_the_books_are_read_is_not_judged() {
    let books =
        Books::empty().with_order("o", "confirmed", "captured").read_at("2026-11-24T08:00:01Z");
    let pending = vec![(id("o"), Pending::Changing)];
    assert_eq!(books.reconcile(), Reconciliation { pending, ..Default::default() });
}

#[test]
fn an_undo_is_pending_until_it_is_given_up_or_takes_too_long() {
    let undoing = Books::empty()
        .with_cancelled("o", "captured", |intent| Payment::Committed {
            intent,
            progress: Progress::Undoing,
        })
        .read_at("2026-11-24T09:00:00Z");
    let under_way = Pending::Undoing(at("2026-11-24T18:00:00Z"));
    let pending = vec![(id("o"), under_way)];
    assert_eq!(undoing.reconcile(), Reconciliation { pending, ..Default::default() });
    assert_eq!(
        under_way.to_string(),
        "ended early, and its stock or money is still being returned: do not pay it back by hand \
         before 2026-11-24 18:00:00.000Z"
    );
    let given_up = [
        about("o", "is cancelled, but the provider has kept 3.80 EUR instead of 0.00 EUR"),
        about("o", "is cancelled, but its payment is undoing"),
    ];
    let dead = Books { dead: BTreeSet::from([id("o")]), ..undoing.clone() };
    assert_eq!(dead.differences(), given_up);
    assert_eq!(undoing.read_at(EVENING).differences(), given_up);
}

#[test]
fn an_undo_that_the_provider_has_not_finished_is_pending_for_days() {
    let books = |amount| {
        Books::empty()
            .with_cancelled("o", "captured", |intent| Payment::Committed {
                intent,
                progress: Progress::Undoing,
            })
            .with_refund("o", amount, BookedRefundStatus::Pending)
            .read_at("2026-11-28T09:00:00Z")
    };
    assert_eq!(books(380).reconcile().pending, [(id("o"), Pending::AtBank)]);
    assert_eq!(books(380).reconcile().differences, []);
    assert!(!books(190).reconcile().differences.is_empty(), "half of it is still ours");
}

#[test]
fn an_order_whose_refund_is_not_recorded_yet_is_pending_for_a_while() {
    let refunded = Books::empty()
        .with_cancelled("o", "captured", |intent| Payment::Committed {
            intent,
            progress: Progress::Refunded,
        })
        .with_refund("o", 380, BookedRefundStatus::Succeeded);
    assert_eq!(
        refunded.clone().read_at("2026-11-24T09:00:00Z").reconcile().pending,
        [(id("o"), Pending::Undoing(at("2026-11-24T18:00:00Z")))]
    );
    assert_eq!(
        refunded.differences(),
        [about("o", "says that its payment is captured, but its payment is refunded")]
    );
}

#[test]
fn a_failed_refund_is_a_difference_until_the_money_is_refunded_by_hand() {
    let failed = |intent| Payment::Committed {
        intent,
        progress: Progress::RefundFailed { reason: "expired_or_canceled_card".into() },
    };
    let owed = Books::empty().with_cancelled("o", "refund_failed", failed);
    let difference =
        about("o", "is cancelled, but the provider has kept 3.80 EUR instead of 0.00 EUR");
    assert_eq!(owed.clone().read_at("2026-11-24T09:00:00Z").differences(), [difference]);
    assert_eq!(
        owed.with_refund("o", 380, BookedRefundStatus::Succeeded).reconcile(),
        Reconciliation::default()
    );
}

#[test]
fn a_captured_payment_of_a_cancelled_order_is_a_difference() {
    let books = Books::empty().with_cancelled("o", "captured", |intent| Payment::Committed {
        intent,
        progress: Progress::Captured,
    });
    assert!(books.differences().contains(&about("o", "is cancelled, but its payment is captured")));
}

#[test]
fn a_payment_or_intent_for_another_price_is_a_difference() {
    let mut books = Books::empty().with_confirmed("o");
    books.payments[0].price = Money { amount: 38, currency: Currency::Eur };
    books.intents[0].currency = "jpy".into();
    assert_eq!(
        books.differences(),
        [
            about("o", "costs 3.80 EUR, but its payment is for 0.38 EUR"),
            about("o", "costs 3.80 EUR, but its intent is for 380 JPY"),
        ]
    );
}

#[test]
fn a_payment_without_an_intent_or_an_order_is_a_difference() {
    let mut books = Books::empty().with_confirmed("o");
    books.intents.clear();
    let intent = intent_of(id("o"));
    assert!(books.differences().contains(&about(
        "o",
        &format!(
            "has a payment that is captured, but the provider has no intent {}",
            intent.as_str()
        )
    )));
    books.orders.clear();
    books.stock = Stock::default();
    let orphan =
        format!("a payment that is captured is for the order {}, which does not exist", id("o"));
    assert_eq!(books.differences(), [orphan]);
}

#[test]
fn an_unknown_intent_is_a_difference_once_it_may_take_money() {
    let unknown =
        |status| Books::empty().with_intent("o", IntentId::new("pi_x"), status).differences().len();
    assert_eq!(unknown(IntentStatus::Unconfirmed), 0);
    assert_eq!(unknown(IntentStatus::Declined("insufficient_funds".into())), 0);
    assert_eq!(unknown(IntentStatus::Cancelled), 0);
    assert_eq!(unknown(IntentStatus::Processing), 1);
    assert_eq!(unknown(IntentStatus::Succeeded), 1);
    assert_eq!(unknown(IntentStatus::Other("requires_capture".into())), 1);
}

#[test]
fn a_row_that_cannot_be_read_is_the_only_difference_of_its_order() {
    let row = |table, key: String| UnreadableRow { table, key, reason: "`state` is".to_owned() };
    let confirmed = || Books::empty().with_confirmed("o");
    let order = id("o");
    let mut without_order = confirmed();
    without_order.orders.clear();
    without_order.unreadable = vec![row("OrdersTable", order.to_string())];
    let mut without_payment = confirmed();
    without_payment.payments.clear();
    without_payment.unreadable = vec![row("PaymentsTable", order.to_string())];
    let mut without_reservation = confirmed();
    without_reservation.stock.reservations.clear();
    without_reservation.unreadable = vec![row("StockTable", format!("order#{order}"))];
    let mut without_count = confirmed();
    without_count.stock.held.clear();
    without_count.unreadable = vec![row("StockTable", "held#paris#2026-11-24#croissant".into())];
    for books in [without_order, without_payment, without_reservation, without_count] {
        let [difference] = &books.differences()[..] else { panic!("{:?}", books.differences()) };
        assert!(difference.contains("cannot be read: `state` is"), "{difference}");
    }
}

#[test]
fn a_difference_keeps_its_key_until_it_says_something_else() {
    let kept = |refunded| {
        let books = Books::empty().with_confirmed("o");
        let books = books.with_refund("o", refunded, BookedRefundStatus::Succeeded);
        books.reconcile().differences[0].key()
    };
    assert_eq!((kept(100), kept(100).len()), (kept(100), 8));
    assert_ne!(kept(100), kept(200));
}
