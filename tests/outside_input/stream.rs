//! Corrupted records of the Orders table's stream.

use order_relay::{
    handler::{Relay, StreamEvent},
    memory::MemoryDeadLetters,
};
use platform::bus::MemoryBus;
use proptest::{collection::vec, prelude::*, sample::Index};
use serde_json::Value;

use crate::{block_on, corrupted, read_json};

fn valid() -> Value {
    read_json("events/order-relay-orders-stream.json")["Records"][1].clone()
}

proptest! {
    #[test]
    fn every_record_is_announced_or_becomes_a_dead_letter(
        records in vec(corrupted::json(valid()), 1..4),
        place in any::<Index>(),
    ) {
        let mut records = records;
        records.insert(place.index(records.len() + 1), valid());
        let batch: StreamEvent =
            serde_json::from_str(&fixtures::stream_batch(&records).to_string()).unwrap();

        let relay = Relay { bus: MemoryBus::default(), dead_letters: MemoryDeadLetters::default() };
        block_on(relay.handle(batch)).unwrap();

        let (announced, dead_letters) = (relay.bus.published(), relay.dead_letters.letters());
        // A deleted row is not announced.
        let deletions = records.iter().filter(|record| record["eventName"] == "REMOVE").count();
        let handled = announced.len() + dead_letters.len();
        assert!(
            handled + deletions >= records.len() && handled <= records.len(),
            "{announced:?} {dead_letters:?}"
        );
        let came: Vec<_> = records.iter().map(Value::to_string).collect();
        assert!(dead_letters.iter().all(|(record, _)| came.contains(record)), "{dead_letters:?}");
        let id = &valid()["dynamodb"]["NewImage"]["order_id"]["S"];
        assert!(
            announced.iter().any(|event| event["detail"]["data"]["order_id"] == *id),
            "the valid record was not announced"
        );
    }
}
