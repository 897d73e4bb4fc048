//! [`Menus`]: what order-intake reads of the shops.

use local::shops::Shop;
use order_intake::{memory::MemoryTables, menus::Menus, store::DynamoDb};
use shop::menu::Location;
use uuid::Uuid;

use super::conformance;
use crate::harness::{System, new_shop};

conformance!(
    [
        a_menu_is_what_was_loaded_and_a_shop_that_there_is_not_has_none,
        every_shop_is_told_with_what_a_customer_needs_to_choose_it,
    ];
    memory: memory(),
    dynamodb: dynamodb().await,
);

/// Menus, with one of a shop that is open.
struct Known<M> {
    menus: M,
    shop: Shop,
}

fn memory() -> Known<MemoryTables> {
    let (menus, shop) = (MemoryTables::default(), new_shop());
    menus.load(shop.menu.clone());
    Known { menus, shop }
}

async fn dynamodb() -> Known<DynamoDb> {
    let system = System::shared().await;
    let table = |output| system.stack.outputs.get(output).unwrap().to_owned();
    let menus =
        DynamoDb::new(&system.stack.aws(), table("OrdersTableName"), table("MenuTableName"));
    Known { menus, shop: system.shop().await }
}

async fn a_menu_is_what_was_loaded_and_a_shop_that_there_is_not_has_none(known: Known<impl Menus>) {
    let menu = known.shop.menu;
    assert_eq!(known.menus.menu(&menu.location).await.unwrap(), Some(menu));
    assert_eq!(known.menus.menu(&Uuid::new_v4().to_string().parse().unwrap()).await.unwrap(), None);
}

async fn every_shop_is_told_with_what_a_customer_needs_to_choose_it(known: Known<impl Menus>) {
    let menu = known.shop.menu;
    let mut told = known.menus.locations().await.unwrap();
    told.retain(|told| told.location == menu.location);
    let Location { name, time_zone, currency, .. } = &told[0];
    assert_eq!(
        (told.len(), name, time_zone, *currency),
        (1, &menu.name, &menu.time_zone, menu.currency)
    );
}
