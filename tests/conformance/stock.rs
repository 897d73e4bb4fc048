//! [`Stock`]: held stock and reservations.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use futures::future::join_all;
use inventory::{
    handler::{Hold, Stock},
    memory::{HeldKey, MemoryStock},
    store::DynamoDb,
};
use jiff::{Timestamp, ToSpan, civil};
use local::shops::Shop;
use platform::table::{StoreError, Write};
use shop::{
    id::OrderId,
    stock::{BakePlan, Demand, Quantity, Reservation, Shortage},
    tombstone_expiry,
};
use tables::stock::Key;
use uuid::Uuid;

use super::{conformance, new_order};
use crate::harness::{System, new_shop};

conformance!(
    [
        a_shop_has_its_bake_plan_and_an_unknown_shop_an_empty_one,
        an_order_holds_all_of_its_lines_or_none,
        all_shortages_are_reported_with_what_is_left,
        an_item_outside_the_plan_is_a_shortage,
        holding_twice_returns_the_decision_and_holds_nothing_more,
        a_written_refusal_is_final,
        a_tombstone_prevents_a_late_hold,
        a_refusal_after_a_hold_changes_nothing,
        stock_is_released_once,
        an_order_without_a_hold_releases_nothing,
        days_and_shops_have_separate_stock,
        a_plan_below_what_is_held_leaves_nothing,
        concurrent_orders_hold_no_more_than_the_capacity,
        one_of_several_concurrent_deliveries_holds,
        what_is_held_for_a_day_expires_after_it,
        a_late_release_takes_nothing_from_rows_that_have_expired,
        a_release_never_takes_more_than_is_held,
    ];
    memory: memory(),
    dynamodb: dynamodb().await,
);

/// A shop that bakes 5 croissants and 2 éclairs a day.
struct Bakery<S> {
    stock: S,
    shop: Shop,
}

fn small_shop() -> Shop {
    let mut shop = new_shop();
    shop.bake_plan = [("croissant".parse().unwrap(), 5), ("eclair".parse().unwrap(), 2)].into();
    shop
}

fn memory() -> Bakery<MemoryStock> {
    let shop = small_shop();
    let plan = BakePlan { capacity: shop.bake_plan.clone() };
    Bakery { stock: MemoryStock::new([(shop.menu.location.clone(), plan)]), shop }
}

async fn dynamodb() -> Bakery<DynamoDb> {
    let system = System::shared().await;
    let shop = small_shop();
    system.open(&shop).await;
    let table = system.stack.outputs.get("StockTableName").unwrap().to_owned();
    Bakery { stock: DynamoDb::new(&system.stack.aws(), table), shop }
}

impl<S: Stock> Bakery<S> {
    fn plan(&self) -> BakePlan {
        BakePlan { capacity: self.shop.bake_plan.clone() }
    }

    fn demand(&self, items: &[(&str, u32)]) -> Demand {
        let quantity =
            |&(item, quantity): &(&str, u32)| Quantity { item: item.parse().unwrap(), quantity };
        Demand {
            location: self.shop.menu.location.clone(),
            pickup_day: PICKUP_DAY,
            items: items.iter().map(quantity).collect(),
        }
    }

    async fn hold(&self, order: OrderId, demand: &Demand) -> Hold {
        self.stock.hold(order, demand, &self.plan()).await.unwrap()
    }

    /// An order that holds these items.
    async fn holding(&self, items: &[(&str, u32)]) -> (OrderId, Demand) {
        let (order, demand) = (new_order(), self.demand(items));
        assert_eq!(self.hold(order, &demand).await, Hold::Held);
        (order, demand)
    }

    async fn refuse(&self, order: OrderId, refusal: &Reservation) -> Write<Reservation> {
        self.stock.refuse(order, refusal, now()).await.unwrap()
    }

    async fn release(&self, order: OrderId, demand: &Demand) -> Write<Reservation> {
        self.stock.release(order, demand, now()).await.unwrap()
    }

    async fn decided(&self, order: OrderId) -> Option<Reservation> {
        self.stock.find(order).await.unwrap()
    }

    fn key(&self, item: &str) -> HeldKey {
        (self.shop.menu.location.clone(), PICKUP_DAY, item.parse().unwrap())
    }

    fn counter_key(&self, item: &str) -> String {
        let (location, day, item) = self.key(item);
        Key::Held { location, day, item }.to_string()
    }

    /// How many pieces of an item are left: the shortage of an order for far too many.
    async fn left(&self, item: &str) -> u32 {
        match self.hold(new_order(), &self.demand(&[(item, 1_000_000)])).await {
            Hold::Short(shortages) => shortages[0].left,
            other => panic!("{other:?}"),
        }
    }
}

/// So far ahead that DynamoDB does not delete what is held while the tests run.
const PICKUP_DAY: civil::Date = civil::date(2099, 11, 24);

fn now() -> Timestamp {
    fixtures::at("2099-11-24T08:00:00Z")
}

/// The row of an item's held pieces.
#[derive(Debug, PartialEq)]
struct Counter {
    held: i64,
    expires_at: i64,
}

/// The rows behind a [`Stock`].
trait Rows {
    /// The row of the held pieces of an item on [`PICKUP_DAY`].
    async fn counter(&self, item: &str) -> Option<Counter>;

    /// Replaces the number in that row; `None` deletes the row, as DynamoDB does in the end.
    async fn count(&self, item: &str, held: Option<u32>);

    /// When the row of an order's reservation expires.
    async fn reservation_expires_at(&self, order: OrderId) -> i64;
}

impl Rows for Bakery<MemoryStock> {
    async fn counter(&self, item: &str) -> Option<Counter> {
        let key = self.key(item);
        let held = self.stock.all_held().get(&key).copied()?;
        Some(Counter { held: held.into(), expires_at: MemoryStock::held_expires_at(&key) })
    }

    async fn count(&self, item: &str, held: Option<u32>) {
        self.stock.count(self.key(item), held);
    }

    async fn reservation_expires_at(&self, order: OrderId) -> i64 {
        self.stock.expires_at(order).unwrap()
    }
}

impl Rows for Bakery<DynamoDb> {
    async fn counter(&self, item: &str) -> Option<Counter> {
        let system = System::shared().await;
        let row = row(&system, &self.counter_key(item)).await?;
        let number = |name: &str| row[name].as_n().unwrap().parse().unwrap();
        Some(Counter { held: number("held"), expires_at: number("expires_at") })
    }

    async fn count(&self, item: &str, held: Option<u32>) {
        let system = System::shared().await;
        let (table, key) =
            (system.stack.outputs.get("StockTableName").unwrap(), self.counter_key(item));
        match held {
            Some(held) => {
                let update = system
                    .dynamodb
                    .update_item()
                    .table_name(table)
                    .key("key", AttributeValue::S(key))
                    .update_expression("SET held = :held")
                    .expression_attribute_values(":held", AttributeValue::N(held.to_string()));
                update.send().await.unwrap();
            }
            None => {
                let delete = system.dynamodb.delete_item().table_name(table);
                delete.key("key", AttributeValue::S(key)).send().await.unwrap();
            }
        }
    }

    async fn reservation_expires_at(&self, order: OrderId) -> i64 {
        let row = row(&System::shared().await, &Key::Reservation(order).to_string()).await.unwrap();
        row["expires_at"].as_n().unwrap().parse().unwrap()
    }
}

/// A row of the Stock table.
async fn row(system: &System, key: &str) -> Option<HashMap<String, AttributeValue>> {
    let get = system
        .dynamodb
        .get_item()
        .table_name(system.stack.outputs.get("StockTableName").unwrap())
        .key("key", AttributeValue::S(key.to_owned()))
        .consistent_read(true);
    get.send().await.unwrap().item
}

fn rejected() -> Reservation {
    Reservation::Rejected { shortages: vec![shortage("croissant", 9, 5)] }
}

fn shortage(item: &str, requested: u32, left: u32) -> Shortage {
    Shortage { item: item.parse().unwrap(), requested, left }
}

async fn a_shop_has_its_bake_plan_and_an_unknown_shop_an_empty_one(bakery: Bakery<impl Stock>) {
    assert_eq!(bakery.stock.plan(&bakery.shop.menu.location).await.unwrap(), bakery.plan());
    let nowhere = Uuid::new_v4().to_string().parse().unwrap();
    assert_eq!(bakery.stock.plan(&nowhere).await.unwrap(), BakePlan::default());
}

async fn an_order_holds_all_of_its_lines_or_none(bakery: Bakery<impl Stock>) {
    let order = new_order();
    let too_much = bakery.hold(order, &bakery.demand(&[("croissant", 2), ("eclair", 3)])).await;
    assert_eq!(too_much, Hold::Short(vec![shortage("eclair", 3, 2)]));
    assert_eq!((bakery.left("croissant").await, bakery.decided(order).await), (5, None));

    let enough = bakery.demand(&[("croissant", 2), ("eclair", 2)]);
    assert_eq!(bakery.hold(order, &enough).await, Hold::Held);
    assert_eq!((bakery.left("croissant").await, bakery.left("eclair").await), (3, 0));
    assert_eq!(bakery.decided(order).await, Some(Reservation::Held(enough)));
}

async fn all_shortages_are_reported_with_what_is_left(bakery: Bakery<impl Stock>) {
    bakery.holding(&[("croissant", 1)]).await;
    let short = bakery.hold(new_order(), &bakery.demand(&[("eclair", 3), ("croissant", 6)])).await;
    assert_eq!(short, Hold::Short(vec![shortage("eclair", 3, 2), shortage("croissant", 6, 4)]));
}

async fn an_item_outside_the_plan_is_a_shortage(bakery: Bakery<impl Stock>) {
    let short = bakery.hold(new_order(), &bakery.demand(&[("croissant", 1), ("bagel", 1)])).await;
    assert_eq!(short, Hold::Short(vec![shortage("bagel", 1, 0)]));
    assert_eq!(bakery.left("croissant").await, 5);
}

async fn holding_twice_returns_the_decision_and_holds_nothing_more(bakery: Bakery<impl Stock>) {
    let (order, demand) = bakery.holding(&[("croissant", 4), ("eclair", 1)]).await;
    // The decision takes precedence: the stock does not suffice for a second hold.
    assert_eq!(bakery.hold(order, &demand).await, Hold::Decided(Reservation::Held(demand)));
    assert_eq!((bakery.left("croissant").await, bakery.left("eclair").await), (1, 1));
}

async fn a_written_refusal_is_final(bakery: Bakery<impl Stock>) {
    let order = new_order();
    assert_eq!(bakery.refuse(order, &rejected()).await, Write::Committed);
    assert_eq!(bakery.refuse(order, &Reservation::Released).await, Write::Conflict(rejected()));
    assert_eq!(
        bakery.hold(order, &bakery.demand(&[("croissant", 1)])).await,
        Hold::Decided(rejected())
    );
    assert_eq!(
        (bakery.decided(order).await, bakery.left("croissant").await),
        (Some(rejected()), 5)
    );
}

async fn a_tombstone_prevents_a_late_hold(bakery: Bakery<impl Stock>) {
    let order = new_order();
    assert_eq!(bakery.refuse(order, &Reservation::Released).await, Write::Committed);
    let late = bakery.hold(order, &bakery.demand(&[("croissant", 1)])).await;
    assert_eq!((late, bakery.left("croissant").await), (Hold::Decided(Reservation::Released), 5));
}

async fn a_refusal_after_a_hold_changes_nothing(bakery: Bakery<impl Stock>) {
    let (order, demand) = bakery.holding(&[("croissant", 2)]).await;
    assert_eq!(
        bakery.refuse(order, &Reservation::Released).await,
        Write::Conflict(Reservation::Held(demand.clone()))
    );
    assert_eq!(
        (bakery.decided(order).await, bakery.left("croissant").await),
        (Some(Reservation::Held(demand)), 3)
    );
}

async fn stock_is_released_once(bakery: Bakery<impl Stock>) {
    let (order, demand) = bakery.holding(&[("croissant", 2), ("eclair", 1)]).await;
    bakery.holding(&[("croissant", 3), ("eclair", 1)]).await;
    for write in [Write::Committed, Write::Conflict(Reservation::Released)] {
        assert_eq!(bakery.release(order, &demand).await, write);
        assert_eq!((bakery.left("croissant").await, bakery.left("eclair").await), (2, 1));
    }
    assert_eq!(bakery.decided(order).await, Some(Reservation::Released));
    assert_eq!(bakery.hold(order, &demand).await, Hold::Decided(Reservation::Released));
}

async fn an_order_without_a_hold_releases_nothing(bakery: Bakery<impl Stock>) {
    bakery.holding(&[("croissant", 3)]).await;
    let demand = bakery.demand(&[("croissant", 2)]);
    let (unknown, refused) = (new_order(), new_order());
    assert_eq!(bakery.refuse(refused, &rejected()).await, Write::Committed);
    let write = bakery.stock.release(unknown, &demand, now()).await;
    assert!(matches!(write, Err(StoreError::MissingRow)), "{write:?}");
    assert_eq!(bakery.release(refused, &demand).await, Write::Conflict(rejected()));
    assert_eq!(
        (bakery.decided(unknown).await, bakery.decided(refused).await),
        (None, Some(rejected()))
    );
    assert_eq!(bakery.left("croissant").await, 2);
}

async fn days_and_shops_have_separate_stock(bakery: Bakery<impl Stock>) {
    bakery.holding(&[("croissant", 5)]).await;
    let mut tomorrow = bakery.demand(&[("croissant", 5)]);
    tomorrow.pickup_day += 1.day();
    assert_eq!(bakery.hold(new_order(), &tomorrow).await, Hold::Held);
    let mut elsewhere = bakery.demand(&[("croissant", 5)]);
    elsewhere.location = Uuid::new_v4().to_string().parse().unwrap();
    assert_eq!(bakery.hold(new_order(), &elsewhere).await, Hold::Held);
    assert_eq!(bakery.left("croissant").await, 0);
}

async fn a_plan_below_what_is_held_leaves_nothing(bakery: Bakery<impl Stock>) {
    let (order, demand) = bakery.holding(&[("croissant", 3)]).await;
    let smaller = BakePlan { capacity: [("croissant".parse().unwrap(), 2)].into() };
    let short = bakery
        .stock
        .hold(new_order(), &bakery.demand(&[("croissant", 1)]), &smaller)
        .await
        .unwrap();
    assert_eq!(short, Hold::Short(vec![shortage("croissant", 1, 0)]));
    assert_eq!(bakery.release(order, &demand).await, Write::Committed);
    assert_eq!(bakery.left("croissant").await, 5);
}

async fn concurrent_orders_hold_no_more_than_the_capacity(bakery: Bakery<impl Stock>) {
    let demand = bakery.demand(&[("croissant", 1)]);
    let outcomes = join_all((0..8).map(|_| bakery.hold(new_order(), &demand))).await;
    let held = outcomes.iter().filter(|outcome| **outcome == Hold::Held).count();
    let short = outcomes
        .iter()
        .filter(|outcome| **outcome == Hold::Short(vec![shortage("croissant", 1, 0)]))
        .count();
    assert_eq!((held, short), (5, 3), "{outcomes:?}");
}

async fn one_of_several_concurrent_deliveries_holds(bakery: Bakery<impl Stock>) {
    let (order, demand) = (new_order(), bakery.demand(&[("croissant", 1), ("eclair", 1)]));
    let outcomes = join_all((0..6).map(|_| bakery.hold(order, &demand))).await;
    let held = outcomes.iter().filter(|outcome| **outcome == Hold::Held).count();
    let decided = Hold::Decided(Reservation::Held(demand.clone()));
    assert_eq!(
        (held, outcomes.iter().filter(|outcome| **outcome == decided).count()),
        (1, 5),
        "{outcomes:?}"
    );
    assert_eq!((bakery.left("croissant").await, bakery.left("eclair").await), (4, 1));
}

async fn what_is_held_for_a_day_expires_after_it<S: Stock>(bakery: Bakery<S>)
where
    Bakery<S>: Rows,
{
    // 37 days after the day began.
    let expires_at = fixtures::at("2099-12-31T00:00:00Z").as_second();
    let counter = |held| Some(Counter { held, expires_at });
    let (first, demand) = bakery.holding(&[("croissant", 2)]).await;
    assert_eq!(bakery.counter("croissant").await, counter(2));
    let (second, _) = bakery.holding(&[("croissant", 1)]).await;
    assert_eq!(bakery.counter("croissant").await, counter(3));
    assert_eq!(bakery.reservation_expires_at(first).await, expires_at);
    assert_eq!(bakery.release(first, &demand).await, Write::Committed);
    assert_eq!(bakery.counter("croissant").await, counter(1));
    assert_eq!(bakery.reservation_expires_at(first).await, tombstone_expiry(now()));
    assert_eq!(bakery.reservation_expires_at(second).await, expires_at);
}

async fn a_late_release_takes_nothing_from_rows_that_have_expired<S: Stock>(bakery: Bakery<S>)
where
    Bakery<S>: Rows,
{
    let (order, demand) = bakery.holding(&[("croissant", 2), ("eclair", 1)]).await;
    let (last, _) = bakery.holding(&[("croissant", 1), ("eclair", 1)]).await;
    bakery.count("croissant", None).await;
    // The row of the other item is not deleted yet.
    assert_eq!(bakery.release(order, &demand).await, Write::Committed);
    assert_eq!(bakery.decided(order).await, Some(Reservation::Released));
    assert_eq!(bakery.counter("croissant").await, None);
    assert_eq!(bakery.counter("eclair").await.unwrap().held, 1);

    bakery.count("eclair", None).await;
    assert_eq!(bakery.release(last, &demand).await, Write::Committed);
    assert_eq!(bakery.release(last, &demand).await, Write::Conflict(Reservation::Released));
    assert_eq!((bakery.counter("croissant").await, bakery.counter("eclair").await), (None, None));
}

async fn a_release_never_takes_more_than_is_held<S: Stock>(bakery: Bakery<S>)
where
    Bakery<S>: Rows,
{
    let (order, demand) = bakery.holding(&[("croissant", 3), ("eclair", 1)]).await;
    // As after a row that had expired has been written anew.
    bakery.count("croissant", Some(2)).await;
    assert_eq!(bakery.release(order, &demand).await, Write::Committed);
    assert_eq!(bakery.counter("croissant").await.unwrap().held, 2);
    assert_eq!(bakery.counter("eclair").await.unwrap().held, 0);
}
