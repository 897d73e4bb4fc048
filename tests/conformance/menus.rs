//! [`Menus`]: the menus that order-intake reads.

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType,
    ScalarAttributeType,
};
use order_intake::{memory::MemoryTables, menus::Menus, store::DynamoDb};
use platform::table::StoreError;
use shop::{
    id::LocationId,
    menu::{Item, MAX_ITEMS, Menu},
    name::Name,
};
use tables::menus;
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

/// Menus that are known to be in a table, and a shop whose menu in it cannot be read.
struct Known<M> {
    menus: M,
    known: Vec<Menu>,
    unreadable: LocationId,
}

/// A usual menu and several of the largest. Together they have more than 1 MB, which is where an
/// answer of DynamoDB ends.
fn some_menus() -> Vec<Menu> {
    let name: Name = "\u{1f370}".repeat(Name::MAX_LENGTH).try_into().unwrap();
    let item = |number| Item {
        sku: format!("item-{number}").parse().unwrap(),
        name: name.clone(),
        price: 190,
        sold_on: None,
    };
    let items: Vec<_> = (0..MAX_ITEMS).map(item).collect();
    let large = || Menu { items: items.clone(), name: name.clone(), ..new_shop().menu };
    let menus: Vec<_> = std::iter::repeat_with(large).take(10).chain([new_shop().menu]).collect();
    assert!(menus.iter().all(|menu| menu.validate().is_ok()));
    assert!(serde_json::to_vec(&menus).unwrap().len() > 1_200_000);
    menus
}

fn memory() -> Known<MemoryTables> {
    let (menus, known, unreadable) = (MemoryTables::default(), some_menus(), new_shop().menu);
    known.iter().chain([&unreadable]).for_each(|menu| menus.load(menu.clone()));
    menus.corrupt_menu(unreadable.location.clone());
    Known { menus, known, unreadable: unreadable.location }
}

async fn dynamodb() -> Known<DynamoDb> {
    let (system, known) = (System::shared().await, some_menus());
    let table = format!("conformance-{}", Uuid::new_v4());
    let attribute = AttributeDefinition::builder()
        .attribute_name(menus::KEY)
        .attribute_type(ScalarAttributeType::S)
        .build();
    let key = KeySchemaElement::builder().attribute_name(menus::KEY).key_type(KeyType::Hash);
    let create = system.dynamodb.create_table().table_name(&table);
    let create = create.billing_mode(BillingMode::PayPerRequest);
    let create = create.attribute_definitions(attribute.unwrap()).key_schema(key.build().unwrap());
    create.send().await.unwrap();
    for menu in &known {
        let row = serde_dynamo::to_item(menu).unwrap();
        let put = system.dynamodb.put_item().table_name(&table).set_item(Some(row));
        put.send().await.unwrap();
    }
    let unreadable = new_shop().menu.location;
    let put = system
        .dynamodb
        .put_item()
        .table_name(&table)
        .item(menus::KEY, AttributeValue::S(unreadable.to_string()))
        .item("name", AttributeValue::Bool(true));
    put.send().await.unwrap();
    let orders = system.stack.outputs.get("OrdersTableName").unwrap().to_owned();
    Known { menus: DynamoDb::new(&system.stack.aws(), orders, table), known, unreadable }
}

async fn a_shops_menu_is_found_and_an_unknown_shop_has_none(known: Known<impl Menus>) {
    let Known { menus, known, .. } = known;
    for menu in known {
        assert!(menus.menu(&menu.location).await.unwrap() == Some(menu), "another menu");
    }
    assert_eq!(menus.menu(&Uuid::new_v4().to_string().parse().unwrap()).await.unwrap(), None);
}

async fn every_shop_is_listed_with_name_time_zone_and_currency(known: Known<impl Menus>) {
    let Known { menus, mut known, .. } = known;
    let mut listed = menus.locations().await.unwrap();
    listed.sort_by(|one, other| one.location.cmp(&other.location));
    known.sort_by(|one, other| one.location.cmp(&other.location));
    assert_eq!(listed.len(), known.len());
    for (listed, menu) in listed.iter().zip(&known) {
        assert_eq!(
            (&listed.location, &listed.name, &listed.time_zone, listed.currency),
            (&menu.location, &menu.name, &menu.time_zone, menu.currency)
        );
    }
}

async fn a_menu_that_cannot_be_read_is_left_out_of_all_menus_and_shops_and_hides_no_other(
    known: Known<impl Menus>,
) {
    let Known { menus, known, unreadable } = known;
    let read: Vec<_> = menus.menus().await.unwrap().into_iter().map(|menu| menu.location).collect();
    let listed: Vec<_> =
        menus.locations().await.unwrap().into_iter().map(|shop| shop.location).collect();
    for locations in [read, listed] {
        assert!(known.iter().all(|menu| locations.contains(&menu.location)));
        assert!(!locations.contains(&unreadable));
    }
    let error = menus.menu(&unreadable).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Row { key, .. } if *key == unreadable.to_string()),
        "{error:?}"
    );
}
