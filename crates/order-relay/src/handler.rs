//! The use case: read what was committed, announce it, in the order of the stream.

use aws_lambda_events::dynamodb::EventRecord;
use platform::{
    bus::{EventBus, PublishError},
    decode::{self, DecodeError},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use shop::{event::OrderEvent, order::Order};

/// A batch of the stream. Its records are read one by one, so that one that cannot be read spoils
/// no other.
#[derive(Debug, Deserialize)]
pub struct StreamEvent {
    /// The records, as they came.
    #[serde(rename = "Records")]
    pub records: Vec<Box<RawValue>>,
}

/// Where records go that no retry will make readable.
pub trait DeadLetters {
    /// Keeps a record for people to look at.
    ///
    /// # Errors
    /// When it may not have been kept.
    async fn bury(&self, record: &RawValue, reason: &Unreadable) -> Result<(), BuryError>;
}

/// Why a record cannot be announced.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unreadable {
    /// Not a record of a DynamoDB stream.
    #[error("not a record of a DynamoDB stream: {0}")]
    Record(#[source] DecodeError),
    /// Its new image is no order.
    #[error("the new image is not an order: {0}")]
    Order(#[source] DecodeError),
    /// An order that no transition has made.
    #[error("the order has no history")]
    NoHistory,
}

/// Why a record may not have reached the dead-letter queue.
#[derive(Debug, thiserror::Error)]
#[error("the dead-letter queue did not take a record: {0}")]
pub struct BuryError(pub String);

/// Why the whole batch has to come again. The stream keeps it, and keeps its order.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The bus failed.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The dead-letter queue failed.
    #[error(transparent)]
    Bury(#[from] BuryError),
}

/// The function with its ports.
#[derive(Debug)]
pub struct Relay<B, D> {
    /// Where changes are announced.
    pub bus: B,
    /// Where unreadable records go.
    pub dead_letters: D,
}

impl<B: EventBus, D: DeadLetters> Relay<B, D> {
    /// Announces every insert and modification in the batch.
    ///
    /// # Errors
    /// When anything may not have been announced or buried: the batch must then come again as a
    /// whole, since a partial answer could let a later change of an order overtake an earlier one.
    pub async fn handle(&self, batch: StreamEvent) -> Result<(), RelayError> {
        let mut events = Vec::with_capacity(batch.records.len());
        let mut unreadable = Vec::new();
        for record in &batch.records {
            match read(record) {
                Ok(Some(event)) => events.push(event),
                Ok(None) => {}
                Err(reason) => unreadable.push((record, reason)),
            }
        }
        self.bus.publish(&events).await?;
        // Last: a batch comes again for as long as the bus fails, and would be buried each time.
        for (record, reason) in unreadable {
            tracing::error!(error = %reason, "record buried");
            self.dead_letters.bury(record, &reason).await?;
        }
        for event in &events {
            let data = &event.detail.data;
            tracing::info!(order_id = %data.order_id, revision = data.revision, event = ?event.event_type, "announced");
        }
        Ok(())
    }
}

/// The event of a record; none for a row that was deleted.
///
/// # Errors
/// It is no record of an order that a transition has made.
pub fn read(record: &RawValue) -> Result<Option<OrderEvent>, Unreadable> {
    let record: EventRecord = decode::json(record.get()).map_err(Unreadable::Record)?;
    if record.event_name == "REMOVE" {
        return Ok(None);
    }
    let order: Order = decode::item(record.change.new_image).map_err(Unreadable::Order)?;
    OrderEvent::latest(order).map(Some).ok_or(Unreadable::NoHistory)
}

#[cfg(test)]
mod tests {
    use platform::bus::MemoryBus;
    use serde::Serialize;
    use serde_json::{Value, json};

    use super::*;
    use crate::memory::MemoryDeadLetters;

    struct BrokenBus;

    impl EventBus for BrokenBus {
        async fn publish<E: Serialize>(&self, _events: &[E]) -> Result<(), PublishError> {
            Err(PublishError::Refused {
                count: 1,
                code: "InternalFailure".into(),
                message: "try again".into(),
            })
        }
    }

    fn record(event_name: &str, revision: u32) -> Value {
        let at = "2026-11-24T08:00:00.000Z";
        let order = json!({
            "order_id": "0b7c55f2-9d4e-4c6b-8a1f-3e2d7c9014aa", "customer_id": "camille", "location": "paris", "location_name": "Amélie Paris", "time_zone": "Europe/Paris", "status": "placed",
            "revision": revision, "payment": "none", "total": 380, "currency": "EUR", "placed_at": at, "pickup_at": at,
            "lines": [{"item": "croissant", "name": "Butter croissant", "quantity": 2, "unit_price": 190}],
            "pickup_day": "2026-11-24", "deadline": "2026-11-24T08:15:00Z", "fingerprint": "f",
            "history": [{"revision": revision, "event": "order.placed", "status": "placed", "at": at}]
        });
        let image: serde_dynamo::Item = serde_dynamo::to_item(order).unwrap();
        json!({
            "eventID": "1", "eventName": event_name, "awsRegion": "eu-west-3",
            "dynamodb": {"ApproximateCreationDateTime": 1_795_000_000.0, "Keys": {}, "NewImage": image, "SequenceNumber": "1", "SizeBytes": 1, "StreamViewType": "NEW_IMAGE"}
        })
    }

    fn batch(records: Vec<Value>) -> StreamEvent {
        serde_json::from_str(&json!({"Records": records}).to_string()).unwrap()
    }

    #[tokio::test]
    async fn every_change_is_announced_in_the_order_of_the_stream() {
        let relay = Relay { bus: MemoryBus::default(), dead_letters: MemoryDeadLetters::default() };
        relay.handle(batch(vec![record("INSERT", 1), record("MODIFY", 2)])).await.unwrap();
        let revisions: Vec<_> = relay
            .bus
            .published()
            .iter()
            .map(|event| event["detail"]["data"]["revision"].clone())
            .collect();
        assert_eq!(revisions, [1, 2]);
    }

    #[tokio::test]
    async fn a_record_that_cannot_be_read_is_buried_and_its_neighbours_are_announced() {
        let relay = Relay { bus: MemoryBus::default(), dead_letters: MemoryDeadLetters::default() };
        let mut poison = record("INSERT", 1);
        poison["dynamodb"]["NewImage"]["total"] = json!({"S": "much"});
        relay.handle(batch(vec![poison, json!("what?"), record("INSERT", 1)])).await.unwrap();
        assert_eq!(relay.bus.published().len(), 1);
        assert_eq!(relay.dead_letters.buried().len(), 2);
    }

    #[tokio::test]
    async fn a_bus_that_takes_less_than_everything_fails_the_whole_batch() {
        let relay = Relay { bus: BrokenBus, dead_letters: MemoryDeadLetters::default() };
        assert!(matches!(
            relay.handle(batch(vec![record("INSERT", 1)])).await,
            Err(RelayError::Publish(_))
        ));
    }

    #[tokio::test]
    async fn a_batch_that_comes_again_has_buried_nothing() {
        let relay = Relay { bus: BrokenBus, dead_letters: MemoryDeadLetters::default() };
        relay.handle(batch(vec![json!("what?"), record("INSERT", 1)])).await.unwrap_err();
        assert!(relay.dead_letters.buried().is_empty());
    }

    #[tokio::test]
    async fn a_deleted_row_is_no_change_of_an_order() {
        let relay = Relay { bus: MemoryBus::default(), dead_letters: MemoryDeadLetters::default() };
        relay.handle(batch(vec![record("REMOVE", 1)])).await.unwrap();
        assert!(relay.bus.published().is_empty() && relay.dead_letters.buried().is_empty());
    }
}
