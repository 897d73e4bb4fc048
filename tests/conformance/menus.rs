//! [`Menus`]: the menus that order-intake reads.

use local::shops::Shop;
use order_intake::{memory::MemoryTables, menus::Menus, store::DynamoDb};
use shop::menu::Location;
use uuid::Uuid;

use super::conformance;
use crate::harness::{System, new_shop};

conformance!(
    [
        a_shops_menu_is_found_and_an_unknown_shop_has_none,
        every_shop_is_listed_with_name_time_zone_and_currency,
    ];
    memory: memory(),
    dynamodb: dynamodb().await,
);

/// Menus, and the shop of one of them.
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

async fn a_shops_menu_is_found_and_an_unknown_shop_has_none(known: Known<impl Menus>) {
    let menu = known.shop.menu;
    assert_eq!(known.menus.menu(&menu.location).await.unwrap(), Some(menu));
    assert_eq!(known.menus.menu(&Uuid::new_v4().to_string().parse().unwrap()).await.unwrap(), None);
}

async fn every_shop_is_listed_with_name_time_zone_and_currency(known: Known<impl Menus>) {
    let menu = known.shop.menu;
    let mut listed = known.menus.locations().await.unwrap();
    listed.retain(|shop| shop.location == menu.location);
    let Location { name, time_zone, currency, .. } = &listed[0];
    assert_eq!(
        (listed.len(), name, time_zone, *currency),
        (1, &menu.name, &menu.time_zone, menu.currency)
    );
}
