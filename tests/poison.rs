//! Records that nobody can read: they end where people look for them, and spoil nothing beside them.

use aws_sdk_dynamodb::types::AttributeValue;
use futures::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Customer, System, croissants, eventually, paid_with};

/// Sends something unreadable in the midst of two good events, and waits until that, and nothing but that, is in the
/// dead-letter queue.
async fn fails_alone(system: &System, queue: &str, good: [&Value; 2]) {
    let poison = [
        format!("no JSON, {}", Uuid::new_v4()),
        json!({"detail-type": "order.unheard-of", "detail": {"data": {"order_id": Uuid::new_v4()}}}).to_string(),
    ];
    let [first, last] = good.map(Value::to_string);
    system.queue(&format!("{queue}Queue")).await.send(&[first, poison[0].clone(), poison[1].clone(), last]).await;

    let dead_letters = system.queue(&format!("{queue}DeadLetters")).await;
    eventually(&format!("dead letters of {queue}"), async || {
        let dead = dead_letters.messages().await;
        poison.iter().all(|poison| dead.contains(poison)).then_some(())
    })
    .await;
    for event in good {
        assert!(!dead_letters.messages().await.contains(&event.to_string()));
    }
}

/// The event of a customer's order that nobody has placed.
fn event(customer: &Customer<'_>, name: &str, change: Value) -> Value {
    let order = Uuid::new_v4();
    let (now, later) = ("2099-11-24T08:00:00Z", "2099-11-24T08:15:00Z");
    let mut data = json!({
        "order_id": order, "customer_id": customer.id, "revision": 1, "status": "placed", "payment": "none",
        "location": "paris-marais", "pickup_at": now, "pickup_day": "2099-11-24", "deadline": later,
        "lines": [{"item": "croissant", "name": "Butter croissant", "quantity": 1, "unit_price": 190}],
        "total": 190, "currency": "EUR"
    });
    for (field, value) in change.as_object().unwrap() {
        data[field] = value.clone();
    }
    let metadata = json!({"event_id": Uuid::new_v4(), "version": 1, "occurred_at": now, "correlation_id": order});
    json!({"source": "amelie.orders", "detail-type": name, "detail": {"metadata": metadata, "data": data}})
}

fn order_of(event: &Value) -> &str {
    event["detail"]["data"]["order_id"].as_str().unwrap()
}

/// Waits for a row of a table that is about the order of an event.
async fn row(system: &System, table: &str, event: &Value) -> Value {
    let order = order_of(event);
    eventually(&format!("a row about an order in {table}"), async || {
        let rows = system.rows(table).await;
        rows.into_iter().find(|row| row["order_id"] == order || row["key"] == format!("order#{order}"))
    })
    .await
}

#[tokio::test]
async fn a_poison_record_in_the_stock_queue_fails_alone() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let placed = [(); 2].map(|()| event(&camille, "order.placed", json!({})));
    fails_alone(&system, "Stock", [&placed[0], &placed[1]]).await;
    for event in &placed {
        assert_eq!(row(&system, "StockTableName", event).await["state"], "held");
    }
}

#[tokio::test]
async fn a_poison_record_in_the_charge_queue_fails_alone() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let reserved = [(); 2].map(|()| event(&camille, "order.reserved", json!({"payment_method": "pm_card_visa"})));
    fails_alone(&system, "Charge", [&reserved[0], &reserved[1]]).await;
    for event in &reserved {
        eventually("a charge", async || (system.paid(order_of(event)).await == 190).then_some(())).await;
    }
}

#[tokio::test]
async fn a_poison_record_in_the_refund_queue_fails_alone() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let cancelled = [(); 2].map(|()| event(&camille, "order.cancelled", json!({"status": "cancelled"})));
    fails_alone(&system, "Refund", [&cancelled[0], &cancelled[1]]).await;
    for event in &cancelled {
        assert_eq!(row(&system, "PaymentsTableName", event).await["state"], "forbidden");
    }
}

#[tokio::test]
async fn a_poison_record_in_the_results_queue_fails_alone() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let shop = system.shop().await;
    let declined = join_all([(); 2].map(async |()| {
        let id = camille.places(&paid_with("pm_card_chargeDeclined", croissants(&shop, 1))).await;
        camille.outcome(&id).await["order_id"].clone()
    }))
    .await;
    // Not what payment tells of a declined order, but what can be seen when it is applied.
    let voided = [0, 1].map(|n| {
        let metadata = json!({"event_id": Uuid::new_v4(), "version": 1, "occurred_at": "2099-11-24T08:00:00Z", "correlation_id": declined[n]});
        let data = json!({"order_id": declined[n], "amount": 190, "currency": "EUR"});
        json!({"source": "amelie.payment", "detail-type": "payment.voided", "detail": {"metadata": metadata, "data": data}})
    });
    fails_alone(&system, "Results", [&voided[0], &voided[1]]).await;
    for event in &voided {
        let applied = async || Some(camille.order(order_of(event)).await).filter(|order| order["payment"] == "voided");
        eventually("a report to be applied", applied).await;
    }
}

#[tokio::test]
async fn a_poison_record_in_the_notice_queue_fails_alone() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let confirmed = [(); 2].map(|()| event(&camille, "order.confirmed", json!({"status": "confirmed", "payment": "captured"})));
    fails_alone(&system, "Notice", [&confirmed[0], &confirmed[1]]).await;
    let mail = camille.gets_mail(2).await;
    for event in &confirmed {
        assert_eq!(mail.iter().filter(|mail| mail.text.contains(order_of(event))).count(), 1);
    }
}

#[tokio::test]
async fn a_row_that_is_no_order_goes_to_the_relays_dead_letters_and_holds_up_no_order() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let shop = system.shop().await;
    let before = camille.places(&croissants(&shop, 1)).await;
    let broken = format!("broken-{}", Uuid::new_v4());
    let table = system.stack.outputs.get("OrdersTableName").unwrap();
    let put = system.dynamodb.put_item().table_name(table).item("order_id", AttributeValue::S(broken.clone()));
    put.send().await.unwrap();
    let after = camille.places(&croissants(&shop, 1)).await;

    let dead_letters = system.queue("RelayDeadLetters").await;
    let buried = async || dead_letters.messages().await.iter().any(|dead| dead.contains(&broken)).then_some(());
    eventually("the broken row among the dead letters", buried).await;
    for id in [before, after] {
        camille.sees_confirmed(&id).await;
    }
}
