//! [`Orders`] of order-intake: putting new orders, and listing those of a customer.

use aws_sdk_dynamodb::{
    Client,
    types::{AttributeValue, BillingMode, GlobalSecondaryIndex, GlobalSecondaryIndexDescription},
};
use futures::future::join_all;
use jiff::{Timestamp, ToSpan};
use order_intake::{
    handler::Orders,
    memory::MemoryTables,
    request::{Page, Position},
    store::DynamoDb,
};
use platform::table::{StoreError, Write};
use shop::{
    id::{CustomerId, OrderId},
    order::{Order, Trigger},
};
use tables::orders::Orders as _;
use uuid::Uuid;

use super::{conformance, new_order};
use crate::harness::System;

conformance!(
    [
        an_order_is_found_once_it_is_put,
        putting_an_order_twice_returns_the_first_and_changes_nothing,
        one_of_several_concurrent_puts_is_committed,
        a_customers_orders_are_listed_newest_first_without_gaps_or_repeats,
        orders_of_the_same_time_are_all_listed,
        orders_of_other_customers_are_not_listed,
        a_page_of_orders_may_exceed_one_megabyte,
    ];
    memory: MemoryTables::default(),
    dynamodb: dynamodb().await.orders,
);

mod with_unreadable_rows {
    use super::*;

    conformance!(
        [
            an_order_that_cannot_be_read_is_left_out_of_the_list_and_hides_no_other,
            an_order_that_cannot_be_read_is_neither_missing_nor_replaced,
        ];
        memory: MemoryTables::default(),
        dynamodb: dynamodb().await,
    );
}

/// The real table, with access to its rows.
struct RealTable {
    orders: DynamoDb,
    client: Client,
    name: String,
}

async fn dynamodb() -> RealTable {
    let system = System::shared().await;
    let menu = system.stack.outputs.get("MenuTableName").unwrap().to_owned();
    let name = table(&system).await;
    RealTable {
        orders: DynamoDb::new(&system.stack.aws(), name.clone(), menu),
        client: system.dynamodb.clone(),
        name,
    }
}

/// Orders whose rows can be made unreadable.
trait Corruptible {
    type Orders: Orders;

    fn orders(&self) -> &Self::Orders;

    async fn corrupt(&self, order: OrderId);
}

impl Corruptible for MemoryTables {
    type Orders = Self;

    fn orders(&self) -> &Self {
        self
    }

    async fn corrupt(&self, order: OrderId) {
        self.corrupt_order(order);
    }
}

impl Corruptible for RealTable {
    type Orders = DynamoDb;

    fn orders(&self) -> &DynamoDb {
        &self.orders
    }

    async fn corrupt(&self, order: OrderId) {
        let update = self
            .client
            .update_item()
            .table_name(&self.name)
            .key("order_id", AttributeValue::S(order.to_string()))
            .update_expression("SET #total = :much")
            .expression_attribute_names("#total", "total")
            .expression_attribute_values(":much", AttributeValue::S("much".to_owned()));
        update.send().await.unwrap();
    }
}

/// Creates an empty table with the keys and indexes of the Orders table. It has no stream, so no
/// function sees its orders.
pub(super) async fn table(system: &System) -> String {
    let orders = system
        .dynamodb
        .describe_table()
        .table_name(system.stack.outputs.get("OrdersTableName").unwrap());
    let orders = orders.send().await.unwrap().table.unwrap();
    let index = |index: GlobalSecondaryIndexDescription| {
        GlobalSecondaryIndex::builder()
            .set_index_name(index.index_name)
            .set_key_schema(index.key_schema)
            .set_projection(index.projection)
            .build()
            .unwrap()
    };
    let indexes =
        orders.global_secondary_indexes.unwrap_or_default().into_iter().map(index).collect();
    let name = format!("conformance-{}", Uuid::new_v4());
    let copy = system
        .dynamodb
        .create_table()
        .table_name(&name)
        .billing_mode(BillingMode::PayPerRequest)
        .set_attribute_definitions(orders.attribute_definitions)
        .set_key_schema(orders.key_schema)
        .set_global_secondary_indexes(Some(indexes));
    copy.send().await.unwrap();
    name
}

pub(super) fn customer() -> CustomerId {
    CustomerId::new(Uuid::new_v4())
}

/// A new order of a customer, placed at a time.
pub(super) fn placed_at(customer: &CustomerId, at: Timestamp) -> Order {
    Order {
        order_id: new_order(),
        customer_id: customer.clone(),
        placed_at: at,
        note: Some("For two.".to_owned().try_into().unwrap()),
        ..fixtures::order()
    }
}

pub(super) fn placed() -> Order {
    placed_at(&customer(), now())
}

pub(super) fn now() -> Timestamp {
    fixtures::at("2026-11-24T08:00:00.120Z")
}

/// All orders of a customer, listed page by page.
async fn listed(orders: &impl Orders, customer: &CustomerId, limit: usize) -> Vec<Order> {
    let mut page = Page { limit, after: None };
    let mut all: Vec<Order> = Vec::new();
    loop {
        let next = orders.list(customer, &page).await.unwrap();
        assert!(next.len() <= limit);
        let Some(last) = next.last() else { return all };
        page.after = Some(Position { placed_at: last.placed_at, order_id: last.order_id });
        all.extend(next);
        assert!(all.len() < 100, "the list has no end");
    }
}

async fn an_order_is_found_once_it_is_put(orders: impl Orders) {
    let order = placed();
    assert_eq!(orders.get(order.order_id).await.unwrap(), None);
    assert_eq!(orders.put(&order).await.unwrap(), Write::Committed);
    assert_eq!(orders.get(order.order_id).await.unwrap(), Some(order));
    assert_eq!(orders.get(new_order()).await.unwrap(), None);
}

async fn putting_an_order_twice_returns_the_first_and_changes_nothing(orders: impl Orders) {
    let first = placed();
    assert_eq!(orders.put(&first).await.unwrap(), Write::Committed);
    // The same customer and key make the same id, whatever the order is.
    let second = Order { note: None, total: 1, fingerprint: "another".to_owned(), ..first.clone() };
    assert_eq!(orders.put(&second).await.unwrap(), Write::Conflict(first.clone()));
    let moved_on =
        first.clone().after(first.transition(Trigger::StockReserved, now(), None).unwrap());
    assert_eq!(orders.put(&moved_on).await.unwrap(), Write::Conflict(first.clone()));
    assert_eq!(orders.get(first.order_id).await.unwrap(), Some(first));
}

async fn one_of_several_concurrent_puts_is_committed(orders: impl Orders) {
    let order = placed();
    let answers = join_all((0..5).map(|_| orders.put(&order))).await;
    let first = answers.iter().filter(|answer| matches!(answer, Ok(Write::Committed))).count();
    let conflicts = answers
        .iter()
        .filter(|answer| matches!(answer, Ok(Write::Conflict(first)) if *first == order))
        .count();
    assert_eq!((first, conflicts), (1, 4));
}

async fn a_customers_orders_are_listed_newest_first_without_gaps_or_repeats(orders: impl Orders) {
    let camille = customer();
    assert_eq!(listed(&orders, &camille, 2).await, []);
    let mut newest_first = Vec::new();
    // They are put in another order than they were placed.
    for minute in [3, 0, 4, 1, 2] {
        let order = placed_at(&camille, now() + minute.minutes());
        assert_eq!(orders.put(&order).await.unwrap(), Write::Committed);
        newest_first.push(order);
    }
    newest_first.sort_by_key(|order| std::cmp::Reverse(order.placed_at));
    for limit in [1, 2, 5, 50] {
        assert_eq!(listed(&orders, &camille, limit).await, newest_first, "in pages of {limit}");
    }
}

async fn orders_of_the_same_time_are_all_listed(orders: impl Orders) {
    let camille = customer();
    let mut expected = Vec::new();
    for _ in 0..5 {
        let order = placed_at(&camille, now());
        assert_eq!(orders.put(&order).await.unwrap(), Write::Committed);
        expected.push(order.order_id);
    }
    expected.sort();
    for limit in [1, 2, 3] {
        let mut seen: Vec<_> =
            listed(&orders, &camille, limit).await.iter().map(|order| order.order_id).collect();
        seen.sort();
        assert_eq!(seen, expected, "in pages of {limit}");
    }
}

async fn orders_of_other_customers_are_not_listed(orders: impl Orders) {
    let (camille, noor) = (customer(), customer());
    let hers = placed_at(&camille, now());
    assert_eq!(orders.put(&hers).await.unwrap(), Write::Committed);
    assert_eq!(orders.put(&placed_at(&noor, now())).await.unwrap(), Write::Committed);
    assert_eq!(listed(&orders, &camille, 10).await, [hers]);
}

async fn an_order_that_cannot_be_read_is_left_out_of_the_list_and_hides_no_other(
    table: impl Corruptible,
) {
    let camille = customer();
    let mut newest_first = Vec::new();
    for minute in (0..6).rev() {
        let order = placed_at(&camille, now() + minute.minutes());
        assert_eq!(table.orders().put(&order).await.unwrap(), Write::Committed);
        newest_first.push(order);
    }
    // The newest, the oldest, and two that follow each other.
    for place in [0, 2, 3, 5] {
        table.corrupt(newest_first[place].order_id).await;
    }
    let readable = [newest_first[1].clone(), newest_first[4].clone()];
    for limit in [1, 2, 3, 50] {
        assert_eq!(listed(table.orders(), &camille, limit).await, readable, "in pages of {limit}");
    }
}

async fn an_order_that_cannot_be_read_is_neither_missing_nor_replaced(table: impl Corruptible) {
    let order = placed();
    assert_eq!(table.orders().put(&order).await.unwrap(), Write::Committed);
    table.corrupt(order.order_id).await;
    let transition = order.transition(Trigger::StockReserved, now(), None).unwrap();
    let ahead = order.clone().after(transition).transition(Trigger::Cancelled, now(), None);
    for error in [
        table.orders().get(order.order_id).await.unwrap_err(),
        table.orders().put(&order).await.unwrap_err(),
        table.orders().apply(order.order_id, &ahead.unwrap()).await.unwrap_err(),
    ] {
        let StoreError::Row { key, .. } = error else { panic!("{error:?}") };
        assert_eq!(key, order.order_id.to_string());
    }
}

async fn a_page_of_orders_may_exceed_one_megabyte(orders: impl Orders) {
    let camille = customer();
    let mut newest_first = Vec::new();
    for minute in (0..50).rev() {
        // Rows of 35 KB, of which DynamoDB answers about 30 at once.
        let order = Order {
            location_name: "x".repeat(35_000),
            ..placed_at(&camille, now() + minute.minutes())
        };
        assert_eq!(orders.put(&order).await.unwrap(), Write::Committed);
        newest_first.push(order);
    }
    let page = Page { limit: 50, after: None };
    assert!(orders.list(&camille, &page).await.unwrap() == newest_first, "an order is missing");
    assert!(listed(&orders, &camille, 40).await == newest_first, "in pages of 40");
}
