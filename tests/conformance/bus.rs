//! [`EventBus`]: publishing events.

use platform::bus::{EventBridge, EventBus, MemoryBus, PublishError};
use serde_json::{Value, json};
use uuid::Uuid;

use super::conformance;
use crate::harness::{System, eventually};

conformance!(
    [
        any_number_of_events_is_published_unchanged,
        an_event_published_twice_arrives_twice,
        publishing_no_event_succeeds,
        one_malformed_event_makes_publish_refuse_the_whole_batch,
    ];
    memory: MemoryBus::default(),
    eventbridge: Bridge::new().await,
);

/// A bus whose events can be read.
trait Observed: EventBus {
    /// The `detail-type` and `detail` of all events so far, in any order.
    async fn seen(&self) -> Vec<Value>;
}

impl Observed for MemoryBus {
    async fn seen(&self) -> Vec<Value> {
        self.published()
    }
}

/// The bus of the stack, with a source that no rule matches.
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

impl Observed for Bridge {
    async fn seen(&self) -> Vec<Value> {
        let mut events = self.system.stack.events().unwrap().recorded().unwrap();
        events.retain(|event| event["source"] == SOURCE);
        events
            .iter()
            .map(|event| json!({"detail-type": event["detail-type"], "detail": event["detail"]}))
            .collect()
    }
}

/// Waits for `count` events of a test, and returns them in the order of their numbers.
async fn seen(bus: &impl Observed, test: &str, count: usize) -> Vec<Value> {
    let mut events = eventually("events on the bus", async || {
        let mut events = bus.seen().await;
        events.retain(|event| event["detail"]["test"] == test);
        (events.len() >= count).then_some(events)
    })
    .await;
    events.sort_by_key(|event| event["detail"]["number"].as_u64());
    events
}

/// A new name for a test's events.
fn new_test() -> String {
    Uuid::new_v4().to_string()
}

fn event(test: &str, number: usize) -> Value {
    let name = "Éclair \"café & crème\"\n\u{1f370}";
    json!({
        "detail-type": "order.tested",
        "detail": {"test": test, "number": number, "name": name}
    })
}

async fn any_number_of_events_is_published_unchanged(bus: impl Observed) {
    let test = new_test();
    // PutEvents takes ten events per call.
    let events: Vec<_> = (0..23).map(|number| event(&test, number)).collect();
    bus.publish(&events).await.unwrap();
    assert_eq!(seen(&bus, &test, events.len()).await, events);
}

async fn an_event_published_twice_arrives_twice(bus: impl Observed) {
    let test = new_test();
    for _ in 0..2 {
        bus.publish(&[event(&test, 1)]).await.unwrap();
    }
    assert_eq!(seen(&bus, &test, 2).await, [event(&test, 1), event(&test, 1)]);
}

async fn publishing_no_event_succeeds(bus: impl Observed) {
    bus.publish::<Value>(&[]).await.unwrap();
}

async fn one_malformed_event_makes_publish_refuse_the_whole_batch(bus: impl Observed) {
    let test = new_test();
    let not_events = [
        json!({"detail": {"test": test}}),
        json!({"detail-type": 1, "detail": {"test": test}}),
        json!("order.tested"),
    ];
    for not_event in not_events {
        let refused = bus.publish(&[event(&test, 1), not_event]).await;
        assert!(matches!(refused, Err(PublishError::Malformed(_))), "{refused:?}");
    }
    // A later event arrives alone.
    bus.publish(&[event(&test, 2)]).await.unwrap();
    assert_eq!(seen(&bus, &test, 1).await, [event(&test, 2)]);
}
