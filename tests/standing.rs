//! Orders that nothing moves on: their queue is taken by nobody, or their message was discarded.
//!
//! It has a stack of its own, whose mapping is disabled.

use local::Running;

use crate::harness::{System, croissants, eventually, stack};

#[tokio::test]
async fn an_order_whose_queue_stands_or_whose_message_was_discarded_needs_somebody() {
    let running = Running::start(&stack("standing")).await.unwrap();
    let system = System::connect(&running.stack);
    let camille = system.customer().await;
    let shop = system.shop().await;
    let healthy = system.ops(&["health"]).await;
    assert_eq!(healthy.status, 0, "{healthy:?}");

    system.set_mapping("ChargeMapping", false).await;
    let id = camille.place(&croissants(&shop, 2)).await;
    let charges = system.queue("ChargeQueue").await;
    let charge = eventually("the charge in its queue", async || {
        charges.messages().await.into_iter().find(|message| message.contains(&id))
    })
    .await;
    let stands = "nobody takes messages from the queue `charge`: the mapping ChargeMapping is \
                  disabled";
    let uuid = system.resource("ChargeMapping").await;
    let enable = format!("aws lambda update-event-source-mapping --uuid {uuid} --enabled");
    let shown = system.ops(&["order", &id]).await;
    assert_eq!((shown.status, shown.lines(stands).len()), (1, 1), "{shown:?}");
    let [remedy] = shown.lines("do: ")[..] else { panic!("{shown:?}") };
    assert!(remedy.contains(&enable) && remedy.contains(" --endpoint-url http"), "{shown:?}");
    let health = system.ops(&["health"]).await;
    assert_eq!((health.status, health.lines(stands).len()), (1, 1), "{health:?}");
    assert!(!health.lines("docs/runbook.md#orders-waiting").is_empty(), "{health:?}");

    // Its last message is discarded.
    system.sqs.purge_queue().queue_url(&charges.url).send().await.unwrap();
    system.queue("ChargeDeadLetters").await.send(&[charge]).await;
    system.set_mapping("ChargeMapping", true).await;
    let letter = system.ops(&["dlq", "show", "charge"]).await;
    let message = letter.lines(&id)[0].split(' ').next().unwrap();
    let discard = ["dlq", "discard", "charge", "--message", message, "--reason", "looked wrong"];
    assert_eq!(system.ops(&discard).await.status, 0);
    let shown = system.ops(&["order", &id]).await;
    let gone = shown.lines("problem: a message that the order waits for is gone");
    assert!(shown.status == 1 && gone[0].ends_with("looked wrong"), "{shown:?}");
    let [remedy] = shown.lines("do: ")[..] else { panic!("{shown:?}") };
    assert!(remedy.contains(&format!("cargo ops order {id} retry")), "{shown:?}");
    assert_eq!(system.ops(&["order", &id, "retry"]).await.status, 0);
    camille.confirmed(&id).await;
    let shown = system.ops(&["order", &id]).await;
    assert!(shown.status == 0 && shown.text.contains("nothing needs to be done"), "{shown:?}");
}
