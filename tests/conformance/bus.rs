//! [`EventBus`]: where functions tell what happened.

use platform::bus::{EventBridge, EventBus, MemoryBus, PublishError};
use serde_json::{Value, json};
use uuid::Uuid;

use super::conformance;
use crate::harness::{System, eventually};

conformance!(
    [
        events_are_published_as_they_are_however_many,
        an_event_published_again_is_there_again,
        nothing_published_is_no_fault,
        what_is_no_event_is_refused_with_all_that_came_with_it,
    ];
    memory: MemoryBus::default(),
    eventbridge: Bridge::new().await,
);

/// A bus that can be looked at.
trait Watched: EventBus {
    /// Everything published so far, in any order: `detail-type` and `detail` of each.
    async fn seen(&self) -> Vec<Value>;
}

impl Watched for MemoryBus {
    async fn seen(&self) -> Vec<Value> {
        self.published()
    }
}

/// The bus of the stack, with a source to which no function listens.
struct Bridge {
    bus: EventBridge,
    system: System,
}

const SOURCE: &str = "conformance";

impl Bridge {
    async fn new() -> Self {
        let system = System::shared().await;
        let name = system.stack.outputs.get("EventBusName").unwrap().to_owned();
        Self { bus: EventBridge::new(&system.stack.aws(), name, SOURCE), system }
    }
}

impl EventBus for Bridge {
    async fn publish<E: serde::Serialize>(&self, events: &[E]) -> Result<(), PublishError> {
        self.bus.publish(events).await
    }
}

impl Watched for Bridge {
    async fn seen(&self) -> Vec<Value> {
        let mut events = self.system.stack.events().unwrap().recorded().unwrap();
        events.retain(|event| event["source"] == SOURCE);
        events
            .iter()
            .map(|event| json!({"detail-type": event["detail-type"], "detail": event["detail"]}))
            .collect()
    }
}

/// Waits until so many events of a test have come through, and returns them in the order of their
/// numbers.
async fn seen(bus: &impl Watched, test: &str, count: usize) -> Vec<Value> {
    let mut events = eventually("events on the bus", async || {
        let mut events = bus.seen().await;
        events.retain(|event| event["detail"]["test"] == test);
        (events.len() >= count).then_some(events)
    })
    .await;
    events.sort_by_key(|event| event["detail"]["number"].as_u64());
    events
}

/// The name of a test's events.
fn a_test() -> String {
    Uuid::new_v4().to_string()
}

fn event(test: &str, number: usize) -> Value {
    let name = "Éclair \"café & crème\"\n\u{1f370}";
    json!({
        "detail-type": "order.tested",
        "detail": {"test": test, "number": number, "name": name}
    })
}

async fn events_are_published_as_they_are_however_many(bus: impl Watched) {
    let test = a_test();
    // More than one call of PutEvents takes.
    let events: Vec<_> = (0..23).map(|number| event(&test, number)).collect();
    bus.publish(&events).await.unwrap();
    assert_eq!(seen(&bus, &test, events.len()).await, events);
}

async fn an_event_published_again_is_there_again(bus: impl Watched) {
    let test = a_test();
    for _ in 0..2 {
        bus.publish(&[event(&test, 1)]).await.unwrap();
    }
    assert_eq!(seen(&bus, &test, 2).await, [event(&test, 1), event(&test, 1)]);
}

async fn nothing_published_is_no_fault(bus: impl Watched) {
    bus.publish::<Value>(&[]).await.unwrap();
}

async fn what_is_no_event_is_refused_with_all_that_came_with_it(bus: impl Watched) {
    let test = a_test();
    let not_events = [
        json!({"detail": {"test": test}}),
        json!({"detail-type": 1, "detail": {"test": test}}),
        json!("order.tested"),
    ];
    for not_event in not_events {
        let refused = bus.publish(&[event(&test, 1), not_event]).await;
        assert!(matches!(refused, Err(PublishError::Malformed(_))), "{refused:?}");
    }
    // What comes later has come alone.
    bus.publish(&[event(&test, 2)]).await.unwrap();
    assert_eq!(seen(&bus, &test, 1).await, [event(&test, 2)]);
}
