//! [`Orders`] as order-intake and order-status share them: read, and moved on.

use futures::future::join_all;
use platform::table::{StoreError, Write};
use shop::{
    order::{Order, Trigger},
    stock::Shortage,
};
use tables::orders::{MemoryOrders, Orders, OrdersTable};

use super::{
    an_order, conformance,
    orders::{now, placed, table},
};
use crate::harness::System;

conformance!(
    [
        an_order_that_there_is_not_is_not_found_and_cannot_be_moved_on,
        an_order_reads_back_as_its_transitions_make_it,
        a_transition_from_another_revision_changes_nothing,
        of_many_transitions_at_once_one_is_written,
    ];
    memory: memory(),
    dynamodb: dynamodb().await,
);

/// Orders, four of which were just placed.
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

async fn an_order_that_there_is_not_is_not_found_and_cannot_be_moved_on(book: Book<impl Orders>) {
    let nobodys = an_order();
    let transition = book.placed[0].transition(Trigger::StockReserved, now(), None).unwrap();
    assert_eq!(book.orders.get(nobodys).await.unwrap(), None);
    let write = book.orders.apply(nobodys, &transition).await;
    assert!(matches!(write, Err(StoreError::MissingRow)), "{write:?}");
    assert_eq!(book.orders.get(nobodys).await.unwrap(), None);
}

async fn an_order_reads_back_as_its_transitions_make_it(book: Book<impl Orders>) {
    use Trigger::{
        Cancelled, PaymentCaptured, PaymentDeclined, PaymentRefunded, PaymentVoided, PickedUp,
        PreparationFinished, PreparationStarted, StockRejected, StockReserved,
    };
    let short = Shortage { item: "eclair".parse().unwrap(), requested: 2, left: 1 };
    let lives = [
        vec![StockReserved, PaymentCaptured, PreparationStarted, PreparationFinished, PickedUp],
        vec![StockRejected(vec![short])],
        vec![StockReserved, PaymentDeclined("insufficient_funds".to_owned()), PaymentVoided],
        vec![StockReserved, PaymentCaptured, Cancelled, PaymentRefunded],
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

async fn a_transition_from_another_revision_changes_nothing(book: Book<impl Orders>) {
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

async fn of_many_transitions_at_once_one_is_written(book: Book<impl Orders>) {
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
