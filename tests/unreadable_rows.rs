//! A row that cannot be read is left out of lists, is found by `cargo ops`, and hides no other row.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{System, croissants, eventually, new_shop};

/// Puts a row as another version, or a hand, could have written it.
async fn put(system: &System, table: &str, row: Value) {
    let put = system
        .dynamodb
        .put_item()
        .table_name(system.stack.outputs.get(table).unwrap())
        .set_item(Some(serde_dynamo::to_item(row).unwrap()));
    put.send().await.unwrap();
}

#[tokio::test]
async fn an_unreadable_order_is_logged_and_left_out_of_its_customers_list() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let shop = system.shop().await;
    let first = camille.place(&croissants(&shop, 1)).await;
    let unreadable = Uuid::new_v4().to_string();
    let row = json!({
        "order_id": unreadable,
        "customer_id": camille.id,
        "placed_at": jiff::Timestamp::now(),
        "total": "much"
    });
    put(&system, "OrdersTableName", row).await;
    let second = camille.place(&croissants(&shop, 2)).await;

    let listed = eventually("both orders in the list", async || {
        let page = camille.get("/orders").await;
        assert_eq!(page.status, 200, "{}", page.body);
        Some(page.body["orders"].as_array().unwrap().clone()).filter(|orders| orders.len() == 2)
    })
    .await;
    assert_eq!((&listed[0]["order_id"], &listed[1]["order_id"]), (&json!(second), &json!(first)));
    assert_eq!(camille.get(&format!("/orders/{unreadable}")).await.status, 503);
    let log = system.log("order-intake").await;
    let lines: Vec<_> = log.lines().filter(|line| line.contains(&unreadable)).collect();
    assert!(lines[0].contains("ERROR") && lines[0].contains("a row was left out"), "{lines:?}");
}

#[tokio::test]
async fn an_unreadable_menu_hides_no_other_shop() {
    let system = System::shared().await;
    let unreadable = new_shop().menu.location;
    put(&system, "MenuTableName", json!({"location": unreadable, "name": 7})).await;
    // Opened later, so the list that has it was read with the unreadable menu.
    let shop = system.shop().await;
    let listed = eventually("the shop in the list", async || {
        let list = system.get("/locations").await;
        assert_eq!(list.status, 200, "{}", list.body);
        let shops = list.body["locations"].as_array().unwrap().clone();
        shops.iter().any(|it| it["location"] == shop.menu.location.as_str()).then_some(shops)
    })
    .await;
    assert!(listed.iter().all(|it| it["location"] != unreadable.as_str()));
    assert_eq!(system.get(&format!("/menu/{unreadable}")).await.status, 503);
}

#[tokio::test]
async fn cargo_ops_lists_the_unreadable_rows_of_every_table_by_key_and_field() {
    let system = System::shared().await;
    let id = Uuid::new_v4().to_string();
    let rows = [
        ("OrdersTableName", json!({"order_id": id, "total": 380}), &id, "`customer_id`"),
        ("MenuTableName", json!({"location": id, "name": 7}), &id, "`name`"),
        ("PaymentsTableName", json!({"order_id": id, "state": "captured"}), &id, "`intent`"),
        ("NoticesTableName", json!({"order_id": id, "revision": -1}), &id, "`revision`"),
        (
            "StockTableName",
            json!({"key": format!("order#{id}"), "state": "hold"}),
            &format!("order#{id}"),
            "`state`",
        ),
        (
            "StockTableName",
            json!({"key": format!("held#{id}#2026-11-24#eclair"), "held": "two"}),
            &format!("held#{id}#2026-11-24#eclair"),
            "`held`",
        ),
        (
            "StockTableName",
            json!({"key": format!("plan#{id}"), "capacity": {"eclair": "two"}}),
            &format!("plan#{id}"),
            "`capacity.eclair`",
        ),
    ];
    for (table, row, ..) in &rows {
        put(&system, table, row.clone()).await;
    }
    let found = system.ops(&["reconcile"]).await;
    assert_eq!(found.status, 1, "{found:?}");
    for (table, _, key, field) in &rows {
        let table = table.strip_suffix("Name").unwrap();
        let line = format!(
            "the row {key} of the {table} cannot be read: {field} is missing or not what it should \
             be"
        );
        assert_eq!(found.lines(&line).len(), 1, "{line}: {found:?}");
    }
}

#[tokio::test]
async fn an_unreadable_payment_hides_nothing_else_about_its_order() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let id = camille.place(&croissants(&system.shop().await, 1)).await;
    camille.confirmed(&id).await;
    let update = system
        .dynamodb
        .update_item()
        .table_name(system.stack.outputs.get("PaymentsTableName").unwrap())
        .key("order_id", AttributeValue::S(id.clone()))
        .update_expression("REMOVE intent");
    update.send().await.unwrap();

    let shown = system.ops(&["order", &id]).await;
    let unreadable =
        format!("the row {id} of the PaymentsTable cannot be read: `intent` is missing");
    // As a fact, and as a problem of the verdict.
    assert_eq!((shown.status, shown.lines(&unreadable).len()), (1, 2), "{shown:?}");
    // Neither is taken for missing.
    for fact in ["  payment       cannot be read", "  provider      unknown"] {
        assert_eq!(shown.lines(fact).len(), 1, "{fact}: {shown:?}");
    }
    assert_eq!(shown.lines("order.confirmed, revision 3").len(), 1, "{shown:?}");
}
