//! Orders for more than a shop bakes.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::types::{AttributeValue, BillingMode, TimeToLiveSpecification};
use futures::future::join_all;
use inventory::{
    handler::{Hold, Stock},
    store::DynamoDb,
};
use jiff::{ToSpan, Zoned};
use serde_json::json;
use shop::stock::{BakePlan, Demand, Quantity};
use uuid::Uuid;

use crate::harness::{System, eventually, new_shop, order};

#[tokio::test]
async fn an_order_for_too_many_pieces_is_rejected_with_the_shortage_and_holds_nothing() {
    let system = System::shared().await;
    let mut shop = new_shop();
    shop.bake_plan.insert("eclair".parse().unwrap(), 3);
    system.open(&shop).await;
    let (early, late) = (system.customer().await, system.customer().await);
    let first = early.place(&order(&shop, &[("eclair", 2)])).await;
    early.confirmed(&first).await;

    let id = late.place(&order(&shop, &[("croissant", 1), ("eclair", 2)])).await;
    let rejected = late.outcome(&id).await;
    let shortage = json!({"item": "eclair", "requested": 2, "left": 1});
    let rejection = json!({"code": "out_of_stock", "shortages": [shortage]});
    assert_eq!((&rejected["status"], &rejected["rejection"]), (&json!("rejected"), &rejection));
    assert_eq!(rejected["payment"], "none");

    let [mail] = &late.mails(1).await[..] else { panic!("the customer needs exactly one mail") };
    assert!(mail.text.contains("Coffee éclair: you ordered 2, 1 left"), "{}", mail.text);
    assert_eq!((system.held(&shop, "eclair").await, system.held(&shop, "croissant").await), (2, 0));
    assert_eq!(system.ledger(&id).await, []);
}

#[tokio::test]
async fn concurrent_orders_for_the_last_pieces_are_confirmed_until_none_is_left() {
    let system = System::shared().await;
    let mut shop = new_shop();
    shop.bake_plan.insert("eclair".parse().unwrap(), 3);
    system.open(&shop).await;
    let customers = join_all((0..8).map(|_| system.customer())).await;
    let outcomes = join_all(customers.iter().map(async |customer| {
        let id = customer.place(&order(&shop, &[("eclair", 1)])).await;
        customer.outcome(&id).await
    }))
    .await;
    let count = |status| outcomes.iter().filter(|order| order["status"] == status).count();
    assert_eq!((count("confirmed"), count("rejected")), (3, 5), "{outcomes:?}");
    assert_eq!(system.held(&shop, "eclair").await, 3);
}

#[tokio::test]
async fn the_stock_of_a_declined_order_is_available_to_the_next() {
    let system = System::shared().await;
    let mut shop = new_shop();
    shop.bake_plan.insert("eclair".parse().unwrap(), 1);
    system.open(&shop).await;
    let camille = system.customer().await;
    let mut wanted = order(&shop, &[("eclair", 1)]);
    wanted["payment_method"] = json!("pm_card_chargeDeclined");
    let declined = camille.place(&wanted).await;
    assert_eq!(camille.outcome(&declined).await["status"], "rejected");
    eventually("the stock to be released", async || {
        (system.held(&shop, "eclair").await == 0).then_some(())
    })
    .await;

    let id = camille.place(&order(&shop, &[("eclair", 1)])).await;
    camille.confirmed(&id).await;
}

#[tokio::test]
async fn the_rows_of_a_day_are_deleted_37_days_after_it_began_and_not_before() {
    let system = System::shared().await;
    let table = table_with_time_to_live(&system).await;
    let stock = DynamoDb::new(&system.stack.aws(), table.clone());
    let shop = new_shop();
    let today = Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC).date();
    let (past, standing) = (today - 37.days(), today - 36.days());
    let orders = [past, standing].map(|day| (day, Uuid::new_v4()));
    for (pickup_day, order) in orders {
        let location = shop.menu.location.clone();
        let items = vec![Quantity { item: "eclair".parse().unwrap(), quantity: 1 }];
        let plan = BakePlan { capacity: shop.bake_plan.clone() };
        let demand = Demand { location, pickup_day, items };
        let held = stock.hold(order.to_string().parse().unwrap(), &demand, &plan).await;
        assert_eq!(held.unwrap(), Hold::Held);
    }
    let keys = orders.map(|(day, order)| {
        [format!("order#{order}"), format!("held#{}#{day}#eclair", shop.menu.location)]
    });
    // The embedded AWS looks for expired rows every minute.
    let left = eventually("the rows of the past day to be deleted", async || {
        let rows = system.dynamodb.scan().table_name(&table).send().await.unwrap();
        let key = |row: &HashMap<_, AttributeValue>| row["key"].as_s().unwrap().clone();
        let left: BTreeSet<_> = rows.items().iter().map(key).collect();
        keys[0].iter().all(|key| !left.contains(key)).then_some(left)
    })
    .await;
    assert_eq!(left, keys[1].clone().into());
}

/// Creates a table with the key and the time to live of the Stock table. The embedded AWS has no
/// time to live for tables that CloudFormation creates.
async fn table_with_time_to_live(system: &System) -> String {
    let stock = system.stack.outputs.get("StockTableName").unwrap();
    let stock = system.dynamodb.describe_table().table_name(stock).send().await.unwrap();
    let stock = stock.table.unwrap();
    let name = format!("stock-{}", Uuid::new_v4());
    let copy = system
        .dynamodb
        .create_table()
        .table_name(&name)
        .billing_mode(BillingMode::PayPerRequest)
        .set_attribute_definitions(stock.attribute_definitions)
        .set_key_schema(stock.key_schema);
    copy.send().await.unwrap();
    let template = resources::Template::on_aws();
    let attribute = &template.properties("StockTable")["TimeToLiveSpecification"]["AttributeName"];
    let specification = TimeToLiveSpecification::builder()
        .attribute_name(attribute.as_str().unwrap())
        .enabled(true)
        .build()
        .unwrap();
    let enable = system.dynamodb.update_time_to_live().table_name(&name);
    enable.time_to_live_specification(specification).send().await.unwrap();
    name
}
