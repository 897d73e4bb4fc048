//! [`Menus`]: the menus that order-intake reads.

use aws_sdk_dynamodb::types::AttributeValue;
use local::shops::Shop;
use order_intake::{memory::MemoryTables, menus::Menus, store::DynamoDb};
use platform::table::StoreError;
use shop::{id::LocationId, menu::Location};
use uuid::Uuid;

use super::conformance;
use crate::harness::{System, new_shop};

conformance!(
    [
        a_shops_menu_is_found_and_an_unknown_shop_has_none,
        every_shop_is_listed_with_name_time_zone_and_currency,
        a_menu_that_cannot_be_read_is_left_out_of_all_menus_and_shops_and_hides_no_other,
    ];
    memory: memory(),
    dynamodb: dynamodb().await,
);

/// Menus, and the shops of two of them, of which one cannot be read.
struct Known<M> {
    menus: M,
    shop: Shop,
    unreadable: LocationId,
}

fn memory() -> Known<MemoryTables> {
    let (menus, shop, unreadable) = (MemoryTables::default(), new_shop(), new_shop().menu);
    menus.load(shop.menu.clone());
    menus.load(unreadable.clone());
    menus.corrupt_menu(unreadable.location.clone());
    Known { menus, shop, unreadable: unreadable.location }
}

async fn dynamodb() -> Known<DynamoDb> {
    let system = System::shared().await;
    let table = |output| system.stack.outputs.get(output).unwrap().to_owned();
    let menus =
        DynamoDb::new(&system.stack.aws(), table("OrdersTableName"), table("MenuTableName"));
    let unreadable = new_shop().menu.location;
    let put = system
        .dynamodb
        .put_item()
        .table_name(table("MenuTableName"))
        .item("location", AttributeValue::S(unreadable.to_string()))
        .item("name", AttributeValue::Bool(true));
    put.send().await.unwrap();
    Known { menus, shop: system.shop().await, unreadable }
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

async fn a_menu_that_cannot_be_read_is_left_out_of_all_menus_and_shops_and_hides_no_other(
    known: Known<impl Menus>,
) {
    let Known { menus, shop, unreadable } = known;
    let read: Vec<_> = menus.menus().await.unwrap().into_iter().map(|menu| menu.location).collect();
    let listed: Vec<_> =
        menus.locations().await.unwrap().into_iter().map(|shop| shop.location).collect();
    for locations in [read, listed] {
        assert!(locations.contains(&shop.menu.location) && !locations.contains(&unreadable));
    }
    let error = menus.menu(&unreadable).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Row { key, .. } if *key == unreadable.to_string()),
        "{error:?}"
    );
}
