//! The use case: publish every committed change of an order, in the order of the stream.

use aws_lambda_events::dynamodb::EventRecord;
use platform::{
    bus::{self, EventBus, PublishError},
    cause::chain,
    decode::{self, DecodeError},
    queue::RECORDS_DEAD_LETTERED,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use shop::{event::OrderEvent, order::Order, trace::TraceParent};

use crate::metrics::{self, Origin};

/// A batch of the stream. Its records are parsed one by one, so that an unreadable record affects
/// no other.
#[derive(Debug, Deserialize)]
pub struct StreamEvent {
    #[serde(rename = "Records")]
    pub records: Vec<Box<RawValue>>,
}

/// The queue for records that no retry makes readable.
pub trait DeadLetters {
    /// Sends a record to the queue, with the reason.
    ///
    /// # Errors
    /// The record may not have reached the queue.
    async fn send(&self, record: &RawValue, reason: &Unreadable) -> Result<(), SendError>;
}

/// Why a record cannot be published.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unreadable {
    #[error("not a record of a DynamoDB stream: {0}")]
    Record(DecodeError),
    #[error("the new image is not an order: {0}")]
    Order(DecodeError),
    /// The bus refuses such an event however often it is published. No order that order-intake
    /// accepts is nearly as large, so this row was written in another way.
    #[error("the record has {0} bytes, and the bus takes at most {max}", max = bus::MAX_SIZE)]
    TooLarge(usize),
    /// Every transition appends to the history, so this row was written in another way.
    #[error("the order has no history")]
    NoHistory,
}

/// Why a record may not have reached the dead-letter queue.
#[derive(Debug, thiserror::Error)]
#[error("SQS SendMessage to the dead-letter queue failed: {0}")]
pub struct SendError(pub String);

/// Why a batch failed. The stream delivers the whole batch again, in the same order.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    DeadLetter(#[from] SendError),
}

/// The function with its ports.
#[derive(Debug)]
pub struct Relay<B, D> {
    pub bus: B,
    pub dead_letters: D,
}

impl<B: EventBus, D: DeadLetters> Relay<B, D> {
    /// Publishes an event for every insert and modification in the batch. Records that cannot be
    /// read go to the dead-letter queue.
    ///
    /// # Errors
    /// An event may not have been published, or a record may not have reached the dead-letter
    /// queue. The batch fails as a whole: a partial answer could let a later change of an order
    /// overtake an earlier one.
    pub async fn handle(&self, batch: StreamEvent) -> Result<(), RelayError> {
        let mut events = Vec::with_capacity(batch.records.len());
        let mut origins = Vec::with_capacity(batch.records.len());
        let mut unreadable = Vec::new();
        for record in &batch.records {
            match change(record) {
                Ok(Some(change)) => {
                    events.push(change.event);
                    origins.push(change.origin);
                }
                Ok(None) => {}
                Err(reason) => unreadable.push((record, reason)),
            }
        }
        self.bus.publish(&events).await?;
        // Last: while the bus fails, the batch is retried, and each retry would send them again.
        for (record, reason) in unreadable {
            tracing::error!(error = chain(&reason), "record sent to the dead-letter queue");
            self.dead_letters.send(record, &reason).await?;
            ::metrics::counter!(RECORDS_DEAD_LETTERED).increment(1);
        }
        for (event, origin) in events.iter().zip(origins) {
            let OrderEvent { event_type, detail } = event;
            tracing::info!(
                order_id = %detail.data.order_id,
                trace_id = detail.metadata.traceparent.as_ref().map(TraceParent::trace_id),
                revision = detail.data.revision,
                event = ?event_type,
                location = %detail.data.location,
                "published"
            );
            metrics::record(event, origin);
        }
        Ok(())
    }
}

/// The event of a record, or `None` for the deletion of a row.
///
/// # Errors
/// The record does not hold an order that a transition has written.
pub fn read(record: &RawValue) -> Result<Option<OrderEvent>, Unreadable> {
    Ok(change(record)?.map(|change| change.event))
}

/// A committed change of an order.
struct Change {
    event: OrderEvent,
    origin: Origin,
}

fn change(record: &RawValue) -> Result<Option<Change>, Unreadable> {
    // The record holds all that the event does, in a longer form.
    let size = record.get().len();
    if size > bus::MAX_SIZE {
        return Err(Unreadable::TooLarge(size));
    }
    let record: EventRecord = decode::json(record.get()).map_err(Unreadable::Record)?;
    if record.event_name == "REMOVE" {
        return Ok(None);
    }
    let order: Order = decode::item(record.change.new_image).map_err(Unreadable::Order)?;
    let origin = Origin::of(&order);
    let event = OrderEvent::latest(order).ok_or(Unreadable::NoHistory)?;
    Ok(Some(Change { event, origin }))
}

#[cfg(test)]
mod tests {
    use fixtures::{after, order, stream_record};
    use platform::bus::MemoryBus;
    use serde::Serialize;
    use serde_json::{Value, json};
    use shop::order::Trigger;

    use super::*;
    use crate::memory::MemoryDeadLetters;

    struct BrokenBus;

    impl EventBus for BrokenBus {
        async fn publish<E: Serialize>(&self, _events: &[E]) -> Result<(), PublishError> {
            Err(PublishError::Call("timed out".to_owned()))
        }
    }

    fn relay<B>(bus: B) -> Relay<B, MemoryDeadLetters> {
        Relay { bus, dead_letters: MemoryDeadLetters::default() }
    }

    fn batch(records: Vec<Value>) -> StreamEvent {
        serde_json::from_str(&json!({"Records": records}).to_string()).unwrap()
    }

    #[tokio::test]
    async fn every_change_is_published_in_the_order_of_the_stream() {
        let relay = relay(MemoryBus::default());
        let reserved = after(order(), &[Trigger::StockReserved]);
        let records = vec![stream_record("INSERT", &order()), stream_record("MODIFY", &reserved)];
        relay.handle(batch(records)).await.unwrap();
        let published = relay.bus.published();
        let types: Vec<_> = published.iter().map(|event| &event["detail-type"]).collect();
        assert_eq!(types, ["order.placed", "order.reserved"]);
    }

    #[tokio::test]
    async fn an_unreadable_record_becomes_a_dead_letter_and_the_others_are_published() {
        let relay = relay(MemoryBus::default());
        let mut poison = stream_record("INSERT", &order());
        poison["dynamodb"]["NewImage"]["total"] = json!({"S": "much"});
        let mut new = order();
        new.history.clear();
        let without_history = stream_record("INSERT", &new);
        let mut large = stream_record("INSERT", &order());
        large["dynamodb"]["NewImage"]["note"] = json!({"S": "!".repeat(300_000)});
        let size = large.to_string().len();
        let good = stream_record("INSERT", &order());
        relay
            .handle(batch(vec![poison.clone(), json!("what?"), without_history, large, good]))
            .await
            .unwrap();
        assert_eq!(relay.bus.published().len(), 1);
        let letters = relay.dead_letters.letters();
        let reasons: Vec<_> = letters.iter().map(|(_, reason)| reason.as_str()).collect();
        assert_eq!(
            reasons,
            [
                "the new image is not an order: `total` is missing or not what it should be",
                "not a record of a DynamoDB stream: `.` is missing or not what it should be",
                "the order has no history",
                &format!("the record has {size} bytes, and the bus takes at most 262143"),
            ]
        );
        assert_eq!(letters[0].0, poison.to_string());
    }

    #[tokio::test]
    async fn a_batch_that_is_not_published_fails_without_dead_letters() {
        let relay = relay(BrokenBus);
        let records = vec![json!("what?"), stream_record("INSERT", &order())];
        let error = relay.handle(batch(records)).await.unwrap_err();
        assert!(matches!(error, RelayError::Publish(_)), "{error}");
        assert!(relay.dead_letters.letters().is_empty());
    }

    #[tokio::test]
    async fn the_deletion_of_a_row_is_not_published() {
        let relay = relay(MemoryBus::default());
        relay.handle(batch(vec![stream_record("REMOVE", &order())])).await.unwrap();
        assert!(relay.bus.published().is_empty() && relay.dead_letters.letters().is_empty());
    }

    #[test]
    fn errors_say_once_what_is_wrong() {
        let decode_error = || decode::json::<u32>("[]").unwrap_err();
        let record = Unreadable::Record(decode_error());
        assert_eq!(
            chain(&record),
            "not a record of a DynamoDB stream: `.` is missing or not what it should be"
        );
        let order = Unreadable::Order(decode_error());
        assert_eq!(
            chain(&order),
            "the new image is not an order: `.` is missing or not what it should be"
        );
        let send = RelayError::from(SendError("timed out".to_owned()));
        assert_eq!(chain(&send), "SQS SendMessage to the dead-letter queue failed: timed out");
        let publish = RelayError::from(PublishError::Call("timed out".to_owned()));
        assert_eq!(chain(&publish), "EventBridge PutEvents failed: timed out");
    }
}
