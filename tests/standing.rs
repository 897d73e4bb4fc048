//! Orders that nothing moves on: their queue is taken by nobody, or their message was discarded.
//!
//! It has a stack of its own, whose mapping is disabled.

use local::Running;

use crate::harness::{System, croissants, eventually, stack};

/// Enables the mapping of the charge queue with `cargo ops`.
async fn is_enabled_by_command(system: &System) {
    let enabled = system.ops(&["mapping", "enable", "charge"]).await;
    assert_eq!((enabled.status, enabled.lines("is being enabled").len()), (0, 1), "{enabled:?}");
    let again = system.ops_by_name(&["mapping", "enable", "charge"]).await;
    assert_eq!((again.status, again.lines("was enabled before").len()), (0, 1), "{again:?}");
    let unknown = system.ops(&["mapping", "enable", "mail"]).await;
    let names = "there is no mapping for the queue mail; choose one of ";
    assert!(unknown.status == 2 && unknown.errors.contains(names), "{unknown:?}");
    assert!(system.ops(&["health"]).await.lines("nobody takes").is_empty());
}

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
    let enable = "`cargo ops mapping enable charge --local";
    let shown = system.ops(&["order", &id]).await;
    assert_eq!((shown.status, shown.lines(stands).len()), (1, 1), "{shown:?}");
    let [remedy] = shown.lines("do: ")[..] else { panic!("{shown:?}") };
    assert!(remedy.contains(enable), "{shown:?}");
    let health = system.ops(&["health"]).await;
    assert_eq!((health.status, health.lines(stands).len()), (1, 1), "{health:?}");
    assert!(!health.lines("docs/runbook.md#orders-waiting").is_empty(), "{health:?}");

    let retried = system.ops(&["order", &id, "retry"]).await;
    assert!(retried.status == 0 && retried.errors.contains(stands), "{retried:?}");
    eventually("the event in the queue again", async || {
        (charges.messages().await.len() == 2).then_some(())
    })
    .await;

    // Its last message is discarded.
    system.sqs.purge_queue().queue_url(&charges.url).send().await.unwrap();
    system.queue("ChargeDeadLetters").await.send(&[charge]).await;
    let dry = system.ops(&["dlq", "redrive", "charge", "--dry-run"]).await;
    assert!(dry.errors.contains(stands) && dry.errors.contains(enable), "{dry:?}");
    let elsewhere = system.ops(&["dlq", "redrive", "notice", "--dry-run"]).await;
    assert!(!elsewhere.errors.contains("warning"), "{elsewhere:?}");
    is_enabled_by_command(&system).await;
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
