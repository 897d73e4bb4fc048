//! Dead letters: shown, sent back to where they come from, published, kept or discarded.

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sqs::types::MessageAttributeValue;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{System, croissants, eventually};

#[tokio::test]
async fn an_event_that_a_rule_could_not_deliver_is_sent_to_its_target() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let genuine = camille.place(&croissants(&system.shop().await, 1)).await;
    camille.confirmed(&genuine).await;
    let placed = system
        .events(&genuine)
        .into_iter()
        .find(|event| event["detail-type"] == "order.placed")
        .unwrap();
    let [undelivered, other] = [(); 2].map(|()| Uuid::new_v4().to_string());
    let target = system.sqs.get_queue_attributes().queue_url(system.resource("StockQueue").await);
    let target = target
        .attribute_names("QueueArn".into())
        .send()
        .await
        .unwrap()
        .attributes
        .unwrap()
        .remove(&"QueueArn".into())
        .unwrap();
    let dead_letters = system.queue("RuleDeadLetters").await;
    for order in [&undelivered, &other] {
        let attribute = MessageAttributeValue::builder()
            .data_type("String")
            .string_value(&target)
            .build()
            .unwrap();
        let send = system
            .sqs
            .send_message()
            .queue_url(&dead_letters.url)
            .message_attributes("TARGET_ARN", attribute);
        send.message_body(placed.to_string().replace(&genuine, order)).send().await.unwrap();
    }

    let redrive = system.ops(&["dlq", "redrive", "rule", "--order", &undelivered]).await;
    assert_eq!(
        (redrive.status, redrive.lines(&undelivered).len(), redrive.lines(&other).len()),
        (0, 1, 0),
        "{redrive:?}"
    );
    let held = async || {
        let rows = system.rows("StockTableName").await;
        rows.iter()
            .any(|row| row["key"] == format!("order#{undelivered}") && row["state"] == "held")
            .then_some(())
    };
    eventually("the event to reach inventory", held).await;
    let left = dead_letters.messages().await;
    assert!(
        left.iter().any(|letter| letter.contains(&other))
            && !left.iter().any(|letter| letter.contains(&undelivered))
    );
}

#[tokio::test]
async fn a_redriven_stream_record_is_published_if_it_or_its_row_can_be_read_and_stays_otherwise() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let order = camille.place(&croissants(&system.shop().await, 1)).await;
    camille.confirmed(&order).await;
    let table = system.stack.outputs.get("OrdersTableName").unwrap();
    let broken = Uuid::new_v4().to_string();
    system
        .dynamodb
        .put_item()
        .table_name(table)
        .item("order_id", AttributeValue::S(broken.clone()))
        .send()
        .await
        .unwrap();
    let dead_letters = system.queue("RelayDeadLetters").await;
    let unreadable = eventually("the record among the dead letters", async || {
        dead_letters.messages().await.into_iter().find(|letter| letter.contains(&broken))
    })
    .await;
    // The same record with a row that is an order.
    let row = system
        .rows("OrdersTableName")
        .await
        .into_iter()
        .find(|row| row["order_id"] == *order)
        .unwrap();
    let mut repaired: Value = serde_json::from_str(&unreadable.replace(&broken, &order)).unwrap();
    let image: serde_dynamo::Item = serde_dynamo::to_item(row.clone()).unwrap();
    repaired["dynamodb"]["NewImage"] = serde_json::to_value(image).unwrap();
    dead_letters.send(&[repaired.to_string()]).await;

    let published = system.ops(&["dlq", "redrive", "relay", "--order", &order]).await;
    assert!(published.status == 0 && published.text.contains("1 published"), "{published:?}");
    let twice = async || {
        let confirmed = system
            .events(&order)
            .into_iter()
            .filter(|event| event["detail-type"] == "order.confirmed")
            .count();
        (confirmed == 2).then_some(())
    };
    eventually("the event to pass again", twice).await;
    let stays = system.ops(&["dlq", "redrive", "relay", "--order", &broken]).await;
    assert!(
        stays.status == 1
            && stays.text.contains("still cannot be read: the new image is not an order"),
        "{stays:?}"
    );
    let left = dead_letters.messages().await;
    assert!(left.contains(&unreadable) && !left.iter().any(|letter| letter.contains(&order)));

    // Once the row is corrected, there is nothing left to keep the record for.
    let mut row = row;
    row["order_id"] = json!(broken);
    let row = serde_dynamo::to_item(row).unwrap();
    system.dynamodb.put_item().table_name(table).set_item(Some(row)).send().await.unwrap();
    let healed = system.ops(&["dlq", "redrive", "relay", "--order", &broken]).await;
    assert!(healed.status == 0 && healed.text.contains("1 published"), "{healed:?}");
    assert!(!dead_letters.messages().await.iter().any(|letter| letter.contains(&broken)));
    let delete = system.dynamodb.delete_item().table_name(table);
    delete.key("order_id", AttributeValue::S(broken)).send().await.unwrap();
}

#[tokio::test]
async fn a_dead_letter_shows_its_record_and_is_discarded_with_a_reason() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let id = camille.place(&croissants(&system.shop().await, 1)).await;
    camille.confirmed(&id).await;
    let reserved = eventually("the event", async || {
        system.events(&id).into_iter().find(|event| event["detail-type"] == "order.reserved")
    })
    .await;
    let mut unknown: Value = reserved;
    unknown["detail-type"] = json!("order.unknown");
    unknown["detail"]["data"]["payment_method"] = json!("pm_card_visa");
    unknown["detail"]["data"]["note"] = json!("Ring twice");
    system.queue("DeadlineQueue").await.send(&[unknown.to_string()]).await;
    let dead_letters = system.queue("DeadlineDeadLetters").await;
    eventually("the dead letter", async || {
        dead_letters.messages().await.iter().any(|letter| letter.contains(&id)).then_some(())
    })
    .await;

    // Another test may hold the letter for a moment.
    let shown = async |arguments: &[&str], text: &str| {
        let look =
            async || Some(system.ops(arguments).await).filter(|it| !it.lines(text).is_empty());
        eventually(text, look).await
    };
    for _ in 0..2 {
        let text = format!("order.unknown  order {id}");
        let show = shown(&["dlq", "show", "deadline"], &text).await;
        assert_eq!(show.lines(&text).len(), 1, "{show:?}");
        // However often somebody looks.
        assert!(!show.lines("given up after 16 receives").is_empty(), "{show:?}");
        assert!(show.text.contains(r#""payment_method": "(left out)""#), "{show:?}");
        assert!(!show.text.contains("pm_card") && !show.text.contains("Ring"), "{show:?}");
        let remedy = show.text.lines().last().unwrap();
        assert!(remedy.contains("do: remove the cause, then run `cargo ops dlq redrive deadline "));
        assert!(remedy.ends_with("docs/runbook.md#dead-orders"), "{show:?}");
    }
    let redrive = ["dlq", "redrive", "deadline", "--order", &id];
    let redrive = shown(&redrive, "kept, because").await;
    assert_eq!((redrive.status, redrive.lines("kept, because").len()), (1, 1), "{redrive:?}");
    let dry = ["dlq", "redrive", "deadline", "--order", &id, "--force", "--dry-run"];
    let dry = shown(&dry, "would be sent to").await;
    assert_eq!((dry.status, dry.lines("would be sent to").len()), (0, 1), "{dry:?}");

    let message = redrive.lines("kept, because")[0].split_whitespace().next().unwrap();
    let reason = "sent by a test";
    let wrong = Uuid::new_v4().to_string();
    let missing =
        system.ops(&["dlq", "discard", "deadline", "--message", &wrong, "--reason", reason]).await;
    assert!(missing.status == 2 && missing.errors.contains("there is no message"), "{missing:?}");
    let discard = ["dlq", "discard", "deadline", "--message", message, "--reason", reason];
    eventually("the letter to be discarded", async || {
        (system.ops(&discard).await.status == 0).then_some(())
    })
    .await;
    assert!(!dead_letters.messages().await.iter().any(|letter| letter.contains(&id)));
    let journal = system.ops(&["journal", "--since", "10m"]).await;
    let entry = journal.lines(message)[0];
    assert!(entry.contains("arn:aws:") && entry.ends_with(reason), "{entry}");
}
