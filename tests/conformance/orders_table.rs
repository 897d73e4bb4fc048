//! [`Orders`] that order-intake and order-status share: reading orders and applying transitions.

use futures::future::join_all;
use platform::table::{StoreError, Write};
use shop::{
    dispute::{Dispute, DisputeState},
    order::{Order, Trigger},
    stock::Shortage,
};
use tables::orders::{MemoryOrders, Orders, OrdersTable};

use super::{
    conformance, new_order,
    orders::{now, placed, table},
};
use crate::harness::System;

conformance!(
    [
        an_unknown_order_is_not_found_and_takes_no_transition,
        an_order_reads_back_with_its_transitions_applied,
        a_transition_from_a_stale_or_future_revision_changes_nothing,
        one_of_several_concurrent_transitions_is_committed,
    ];
    memory: memory(),
    dynamodb: dynamodb().await,
);

/// Orders, of which four were just placed.
struct Book<O> {
    orders: O,
    placed: [Order; 4],
}

fn memory() -> Book<MemoryOrders> {
    let placed = [(); 4].map(|()| placed());
    Book { orders: MemoryOrders::new(placed.clone()), placed }
}

async fn dynamodb() -> Book<OrdersTable> {
    let system = System::shared().await;
    let (table, placed) = (table(&system).await, [(); 4].map(|()| placed()));
    for order in &placed {
        let put = system
            .dynamodb
            .put_item()
            .table_name(&table)
            .set_item(Some(serde_dynamo::to_item(order).unwrap()));
        put.send().await.unwrap();
    }
    Book { orders: OrdersTable::new(system.dynamodb.clone(), table), placed }
}

async fn an_unknown_order_is_not_found_and_takes_no_transition(book: Book<impl Orders>) {
    let unknown = new_order();
    let transition = book.placed[0].transition(Trigger::StockReserved, now(), None).unwrap();
    assert_eq!(book.orders.get(unknown).await.unwrap(), None);
    let write = book.orders.apply(unknown, &transition).await;
    assert!(matches!(write, Err(StoreError::MissingRow)), "{write:?}");
    assert_eq!(book.orders.get(unknown).await.unwrap(), None);
}

async fn an_order_reads_back_with_its_transitions_applied(book: Book<impl Orders>) {
    use Trigger::{
        Cancelled, ErasureRequested, PaymentCaptured, PaymentChanged, PaymentDeclined,
        PaymentRefunded, PaymentVoided, PickedUp, PreparationFinished, PreparationStarted,
        StockRejected, StockReserved,
    };
    let dispute = Some(Dispute { state: DisputeState::Inquiry, amount: 380 });
    let short = Shortage { item: "eclair".parse().unwrap(), requested: 2, left: 1 };
    let lives = [
        vec![
            StockReserved,
            PaymentCaptured,
            PaymentChanged { version: 3, refunds: vec![], dispute },
            PreparationStarted,
            PreparationFinished,
            PickedUp,
            ErasureRequested,
        ],
        vec![StockRejected(vec![short])],
        vec![StockReserved, PaymentDeclined("insufficient_funds".to_owned()), PaymentVoided],
        vec![StockReserved, PaymentCaptured, Cancelled, ErasureRequested, PaymentRefunded(0)],
    ];
    for (mut order, life) in book.placed.into_iter().zip(lives) {
        for trigger in life {
            let transition =
                order.transition(trigger, now(), Some(order.order_id.as_uuid())).unwrap();
            assert_eq!(
                book.orders.apply(order.order_id, &transition).await.unwrap(),
                Write::Committed
            );
            order = order.after(transition);
            assert_eq!(book.orders.get(order.order_id).await.unwrap(), Some(order.clone()));
        }
    }
}

async fn a_transition_from_a_stale_or_future_revision_changes_nothing(book: Book<impl Orders>) {
    let [order, ..] = book.placed;
    let reserved = order.transition(Trigger::StockReserved, now(), None).unwrap();
    let ahead = order
        .clone()
        .after(reserved.clone())
        .transition(Trigger::PaymentCaptured, now(), None)
        .unwrap();
    assert_eq!(
        book.orders.apply(order.order_id, &ahead).await.unwrap(),
        Write::Conflict(order.clone())
    );
    assert_eq!(book.orders.get(order.order_id).await.unwrap().as_ref(), Some(&order));
    let cancelled = order.transition(Trigger::Cancelled, now(), None).unwrap();
    assert_eq!(book.orders.apply(order.order_id, &reserved).await.unwrap(), Write::Committed);
    let current = order.clone().after(reserved.clone());
    for outdated in [&cancelled, &reserved] {
        let write = book.orders.apply(order.order_id, outdated).await.unwrap();
        assert_eq!(write, Write::Conflict(current.clone()));
    }
    assert_eq!(book.orders.get(order.order_id).await.unwrap(), Some(current));
}

async fn one_of_several_concurrent_transitions_is_committed(book: Book<impl Orders>) {
    let [order, ..] = book.placed;
    let transitions = [
        Trigger::StockReserved,
        Trigger::Cancelled,
        Trigger::StockReserved,
        Trigger::StockRejected(Vec::new()),
    ]
    .map(|trigger| order.transition(trigger, now(), None).unwrap());
    let outcomes = join_all(
        transitions.iter().map(|transition| book.orders.apply(order.order_id, transition)),
    )
    .await;
    let written: Vec<_> = transitions
        .iter()
        .zip(&outcomes)
        .filter(|(_, outcome)| matches!(outcome, Ok(Write::Committed)))
        .collect();
    let [(transition, _)] = written[..] else { panic!("{outcomes:?}") };
    let expected = order.clone().after(transition.clone());
    assert_eq!(book.orders.get(order.order_id).await.unwrap(), Some(expected));
}
