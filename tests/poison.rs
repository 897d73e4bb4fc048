//! Records that cannot be read end in a dead-letter queue and affect no other record.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Customer, System, croissants, eventually, paid_with};

/// Sends unreadable messages between two readable events, and waits until the unreadable ones, and
/// only those, are dead letters.
async fn fails_alone(system: &System, queue: &str, good: &[Value; 2]) {
    let poison = [
        format!("not JSON, {}", Uuid::new_v4()),
        json!({
            "detail-type": "order.unknown",
            "detail": {"data": {"order_id": Uuid::new_v4()}}
        })
        .to_string(),
    ];
    let good = good.each_ref().map(Value::to_string);
    let batch = [good[0].clone(), poison[0].clone(), poison[1].clone(), good[1].clone()];
    system.queue(&format!("{queue}Queue")).await.send(&batch).await;

    let dead_letters = system.queue(&format!("{queue}DeadLetters")).await;
    let dead = eventually(&format!("dead letters in {queue}DeadLetters"), async || {
        Some(dead_letters.messages().await)
            .filter(|dead| poison.iter().all(|poison| dead.contains(poison)))
    })
    .await;
    assert!(good.iter().all(|good| !dead.contains(good)), "{dead:?}");
}

#[tokio::test]
async fn the_errors_of_a_record_that_no_retry_helps_lead_to_the_section_about_dead_letters() {
    let system = System::shared().await;
    system.queue("NoticeQueue").await.send(&["not JSON".to_owned()]).await;
    let is_about = |line: &&str| {
        line.starts_with("notifications reported ") && line.contains("that no retry helps")
    };
    let health = eventually("the errors in the log", async || {
        let health = system.ops(&["health"]).await;
        health.text.lines().any(|line| is_about(&line)).then_some(health)
    })
    .await;
    let mut lines = health.text.lines().skip_while(|line| !is_about(line)).skip(1);
    assert_eq!(lines.next().map(str::trim), Some("docs/runbook.md#dead-lettered"), "{health:?}");
}

/// Two events of a type, about orders that do not exist.
async fn events(system: &System, customer: &Customer<'_>, name: &str) -> [Value; 2] {
    let genuine = customer.place(&croissants(&system.shop().await, 1)).await;
    customer.confirmed(&genuine).await;
    let event = eventually("an event", async || {
        system.events(&genuine).into_iter().find(|event| event["detail-type"] == name)
    })
    .await;
    [(); 2].map(|()| {
        let about_another = event.to_string().replace(&genuine, &Uuid::new_v4().to_string());
        serde_json::from_str(&about_another).unwrap()
    })
}

fn order_of(event: &Value) -> &str {
    event["detail"]["data"]["order_id"].as_str().unwrap()
}

/// Waits for the row with a key.
async fn row(system: &System, table: &str, key: (&str, String)) -> Value {
    let (name, value) = key;
    let look = async || system.rows(table).await.into_iter().find(|row| row[name] == *value);
    eventually(&format!("the row {value} in {table}"), look).await
}

#[tokio::test]
async fn an_unreadable_record_in_the_stock_queue_fails_alone() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let placed = events(&system, &camille, "order.placed").await;
    fails_alone(&system, "Stock", &placed).await;
    for event in &placed {
        let decided =
            row(&system, "StockTableName", ("key", format!("order#{}", order_of(event)))).await;
        assert_eq!(decided["state"], "held");
    }
}

#[tokio::test]
async fn an_unreadable_record_in_the_charge_queue_fails_alone() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let reserved = events(&system, &camille, "order.reserved").await;
    fails_alone(&system, "Charge", &reserved).await;
    for event in &reserved {
        eventually("a charge", async || {
            (system.net_paid(order_of(event)).await == 190).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn an_unreadable_record_in_the_refund_queue_fails_alone() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let mut cancelled = events(&system, &camille, "order.placed").await;
    for event in &mut cancelled {
        event["detail-type"] = json!("order.cancelled");
    }
    fails_alone(&system, "Refund", &cancelled).await;
    for event in &cancelled {
        let payment =
            row(&system, "PaymentsTableName", ("order_id", order_of(event).to_owned())).await;
        assert_eq!(payment["state"], "forbidden");
    }
}

#[tokio::test]
async fn an_unreadable_record_in_the_results_queue_fails_alone() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let shop = system.shop().await;
    let mut voided = events(&system, &camille, "payment.captured").await;
    for event in &mut voided {
        let declined =
            camille.place(&paid_with("pm_card_chargeDeclined", croissants(&shop, 1))).await;
        camille.outcome(&declined).await;
        event["detail-type"] = json!("payment.voided");
        event["detail"]["data"]["order_id"] = json!(declined);
    }
    fails_alone(&system, "Results", &voided).await;
    for event in &voided {
        let applied =
            async || (camille.order(order_of(event)).await["payment"] == "voided").then_some(());
        eventually("the event to be applied", applied).await;
    }
}

#[tokio::test]
async fn an_unreadable_record_in_the_notice_queue_fails_alone() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let confirmed = events(&system, &camille, "order.confirmed").await;
    fails_alone(&system, "Notice", &confirmed).await;
    let mail = camille.mails(3).await;
    for event in &confirmed {
        assert_eq!(mail.iter().filter(|mail| mail.text.contains(order_of(event))).count(), 1);
    }
}

#[tokio::test]
async fn an_unreadable_row_goes_to_the_relays_dead_letters_and_holds_up_no_order() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let shop = system.shop().await;
    let before = camille.place(&croissants(&shop, 1)).await;
    let broken = format!("broken-{}", Uuid::new_v4());
    let table = system.stack.outputs.get("OrdersTableName").unwrap();
    let put = system
        .dynamodb
        .put_item()
        .table_name(table)
        .item("order_id", AttributeValue::S(broken.clone()));
    put.send().await.unwrap();
    let after = camille.place(&croissants(&shop, 1)).await;

    let dead_letters = system.queue("RelayDeadLetters").await;
    let found = async || {
        dead_letters.messages().await.iter().any(|dead| dead.contains(&broken)).then_some(())
    };
    eventually("the broken row among the dead letters", found).await;
    for id in [before, after] {
        camille.confirmed(&id).await;
    }
}
