//! [`Stock`]: held stock and reservations.

use futures::future::join_all;
use inventory::{
    handler::{Hold, Stock},
    memory::MemoryStock,
    store::DynamoDb,
};
use jiff::{Timestamp, ToSpan, civil};
use local::shops::Shop;
use platform::table::{StoreError, Write};
use shop::{
    id::OrderId,
    stock::{BakePlan, Demand, Quantity, Reservation, Shortage},
};
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
            pickup_day: civil::date(2026, 11, 24),
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

    /// How many pieces of an item are left: the shortage of an order for far too many.
    async fn left(&self, item: &str) -> u32 {
        match self.hold(new_order(), &self.demand(&[(item, 1_000_000)])).await {
            Hold::Short(shortages) => shortages[0].left,
            other => panic!("{other:?}"),
        }
    }
}

fn now() -> Timestamp {
    fixtures::at(fixtures::PLACED_AT)
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
