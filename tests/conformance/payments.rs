//! [`Payments`]: the payment of an order and its intent.

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use payment::{
    handler::Payments,
    limit::{Claim, Limit, PlaceStore, Places, Use},
    memory::MemoryPayments,
    store::DynamoDb,
};
use platform::table::{StoreError, Write};
use shop::{
    dispute::{Dispute, DisputeState},
    id::{CustomerId, OrderId},
    money::{Currency, Money},
    payment::{DisputeEntry, IntentId, Payment, PaymentRecord, Progress, RefundEntry},
    refund::RefundState,
};

use super::{conformance, new_order};
use crate::harness::System;

conformance!(
    [
        an_order_has_no_payment_until_one_is_written,
        a_payment_in_any_state_reads_back_and_can_be_changed,
        a_write_from_a_stale_row_returns_the_row_and_changes_nothing,
        a_row_without_a_version_is_stale_in_another_state,
        a_write_from_a_missing_row_fails_and_writes_nothing,
        one_of_several_concurrent_commitments_is_written,
        a_customer_has_no_places_until_some_are_taken,
        of_two_orders_at_once_one_takes_the_place,
    ];
    memory: MemoryPayments::default(),
    dynamodb: dynamodb().await,
);

async fn dynamodb() -> DynamoDb {
    let system = System::shared().await;
    DynamoDb::new(
        &system.stack.aws(),
        system.stack.outputs.get("PaymentsTableName").unwrap().to_owned(),
    )
}

async fn write(
    payments: &impl Payments,
    order: OrderId,
    from: Option<&PaymentRecord>,
    next: &PaymentRecord,
) -> Write<PaymentRecord> {
    payments.write(order, price(), from, next, now()).await.unwrap()
}

const fn price() -> Money {
    Money { amount: 830, currency: Currency::Eur }
}

fn now() -> Timestamp {
    // So far ahead that DynamoDB does not delete tombstones while the tests run.
    fixtures::at("2099-11-24T08:00:00Z")
}

fn charging(intent: &str) -> PaymentRecord {
    let intent = IntentId::new(intent);
    PaymentRecord::new(Payment::Committed { intent, progress: Progress::Charging })
}

/// A payment in each state.
fn payments() -> Vec<Payment> {
    let committed = |progress| Payment::Committed { intent: IntentId::new("pi_1"), progress };
    let reason = "insufficient_funds".to_owned();
    vec![
        committed(Progress::Charging),
        committed(Progress::Captured),
        committed(Progress::Declined { reason: reason.clone() }),
        committed(Progress::Undoing),
        Payment::Forbidden,
        Payment::Refused { reason: reason.clone() },
        committed(Progress::Voided),
        committed(Progress::Refunded),
        committed(Progress::RefundFailed { reason }),
    ]
}

/// Rows of that version, one in each state.
fn rows(version: u32) -> Vec<PaymentRecord> {
    let refund = RefundEntry {
        id: 1,
        amount: 190,
        attempt: 2,
        name: 3,
        state: RefundState::Failed,
        reason: Some("expired_or_canceled_card".to_owned()),
    };
    let dispute = DisputeEntry {
        id: "dp_1".to_owned(),
        dispute: Dispute { state: DisputeState::Won, amount: 380 },
    };
    let row = |payment| PaymentRecord {
        version,
        refunds: vec![refund.clone()],
        disputes: vec![dispute.clone()],
        ..PaymentRecord::new(payment)
    };
    payments().into_iter().map(row).collect()
}

async fn an_order_has_no_payment_until_one_is_written(payments: impl Payments) {
    let order = new_order();
    assert_eq!(payments.find(order).await.unwrap(), None);
    assert_eq!(write(&payments, order, None, &charging("pi_1")).await, Write::Committed);
    assert_eq!(payments.find(order).await.unwrap(), Some(charging("pi_1")));
    assert_eq!(payments.find(new_order()).await.unwrap(), None);
    let priced = Some((charging("pi_1"), price()));
    assert_eq!(payments.find_with_price(order).await.unwrap(), priced);
    assert_eq!(payments.find_with_price(new_order()).await.unwrap(), None);
}

async fn a_payment_in_any_state_reads_back_and_can_be_changed(payments: impl Payments) {
    // Rows had no version once, which reads as 0.
    for row in rows(0).into_iter().chain(rows(7)) {
        let order = new_order();
        assert_eq!(write(&payments, order, None, &row).await, Write::Committed);
        assert_eq!(payments.find(order).await.unwrap(), Some(row.clone()));
        let next = PaymentRecord { version: row.version + 1, ..charging("pi_2") };
        assert_eq!(write(&payments, order, Some(&row), &next).await, Write::Committed);
        assert_eq!(payments.find(order).await.unwrap(), Some(next), "{row:?}");
    }
}

async fn a_write_from_a_stale_row_returns_the_row_and_changes_nothing(payments: impl Payments) {
    for row in rows(7) {
        let order = new_order();
        assert_eq!(write(&payments, order, None, &row).await, Write::Committed);
        let stale = [0, 6, 8].map(|version| Some(PaymentRecord { version, ..row.clone() }));
        for from in stale.into_iter().chain([None]) {
            let next = PaymentRecord { version: 8, ..charging("pi_2") };
            assert_eq!(
                write(&payments, order, from.as_ref(), &next).await,
                Write::Conflict(row.clone()),
                "from {from:?}"
            );
        }
        assert_eq!(payments.find(order).await.unwrap(), Some(row));
    }
}

async fn a_row_without_a_version_is_stale_in_another_state(payments: impl Payments) {
    for row in rows(0) {
        let order = new_order();
        assert_eq!(write(&payments, order, None, &row).await, Write::Committed);
        let others = rows(0).into_iter().filter(|it| it.payment.name() != row.payment.name());
        for from in others {
            let next = PaymentRecord { version: 1, ..charging("pi_2") };
            let written = write(&payments, order, Some(&from), &next).await;
            assert_eq!(written, Write::Conflict(row.clone()), "from {from:?}");
        }
    }
}

async fn a_write_from_a_missing_row_fails_and_writes_nothing(payments: impl Payments) {
    let order = new_order();
    let from = PaymentRecord::new(Payment::Forbidden);
    let written = payments.write(order, price(), Some(&from), &charging("pi_1"), now()).await;
    assert!(matches!(written, Err(StoreError::MissingRow)), "{written:?}");
    assert_eq!(payments.find(order).await.unwrap(), None);
}

async fn one_of_several_concurrent_commitments_is_written(payments: impl Payments) {
    let order = new_order();
    let intents = ["pi_1", "pi_2", "pi_3", "pi_4"].map(charging);
    let outcomes =
        join_all(intents.iter().map(|intent| write(&payments, order, None, intent))).await;
    let row = payments.find(order).await.unwrap().unwrap();
    let began: Vec<_> = intents
        .iter()
        .zip(&outcomes)
        .filter(|(_, outcome)| **outcome == Write::Committed)
        .collect();
    let [(first, _)] = began[..] else { panic!("{outcomes:?}") };
    assert_eq!(*first, row);
    assert_eq!(
        outcomes.iter().filter(|outcome| **outcome == Write::Conflict(row.clone())).count(),
        3,
        "{outcomes:?}"
    );
}

const LIMIT: Limit = Limit { payments: 1, window: SignedDuration::from_hours(1) };

fn new_customer() -> CustomerId {
    CustomerId::new(new_order().to_string())
}

async fn write_places(
    payments: &impl PlaceStore,
    customer: &CustomerId,
    places: &Places,
) -> Write<Places> {
    payments.write_places(customer, places, now() + LIMIT.window).await.unwrap()
}

fn claimed(places: &Places, order: OrderId) -> Places {
    match LIMIT.claim(places, order, now()) {
        Claim::Free(places) => places,
        other => panic!("{other:?}"),
    }
}

async fn a_customer_has_no_places_until_some_are_taken(payments: impl PlaceStore) {
    let (customer, order) = (new_customer(), new_order());
    assert_eq!(payments.places(&customer).await.unwrap(), Places::default());
    let taken = claimed(&Places::default(), order);
    assert_eq!(write_places(&payments, &customer, &taken).await, Write::Committed);
    assert_eq!(payments.places(&customer).await.unwrap(), taken);
    let counted = taken.after(order, Use::Counts).unwrap();
    assert_eq!(write_places(&payments, &customer, &counted).await, Write::Committed);
    assert_eq!(payments.places(&customer).await.unwrap(), counted);
    assert_eq!(payments.places(&new_customer()).await.unwrap(), Places::default());
}

async fn of_two_orders_at_once_one_takes_the_place(payments: impl PlaceStore) {
    // Without a row, and with one.
    let customer = new_customer();
    for _ in 0..2 {
        let taken = payments.places(&customer).await.unwrap();
        let claims: Vec<_> = (0..8).map(|_| claimed(&taken, new_order())).collect();
        let writes = claims.iter().map(|claim| write_places(&payments, &customer, claim));
        let written = join_all(writes).await;
        let winner = claims
            .iter()
            .zip(&written)
            .filter(|(_, written)| **written == Write::Committed)
            .map(|(claim, _)| claim.clone())
            .collect::<Vec<_>>();
        let [winner] = &winner[..] else { panic!("{written:?}") };
        assert_eq!(payments.places(&customer).await.unwrap(), *winner);
        let (order, _) = winner.places.first_key_value().unwrap();
        let free = winner.after(*order, Use::Harmless).unwrap();
        assert_eq!(write_places(&payments, &customer, &free).await, Write::Committed);
    }
}
