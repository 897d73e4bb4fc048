//! The stream of the Orders table: every change, in order within a shard, until it was handled.

use std::{collections::VecDeque, rc::Rc};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use shop::{id::OrderId, order::Order};

use crate::world::World;

/// An order's changes are all in one shard.
const SHARDS: usize = 2;

/// How long a batch waits after its first failure; each further wait is twice as long.
const FIRST_RETRY: SignedDuration = SignedDuration::from_secs(1);
/// How often that doubles.
const DOUBLINGS: u32 = 6;

#[derive(Debug, Default)]
pub(crate) struct Stream {
    shards: [Shard; SHARDS],
    records: u64,
}

#[derive(Debug, Default)]
struct Shard {
    records: VecDeque<Record>,
    is_read: bool,
    failures: u32,
    retry_at: Timestamp,
}

#[derive(Debug)]
struct Record {
    /// None for poison.
    order: Option<OrderId>,
    text: Box<RawValue>,
}

/// A record as Lambda hands it to a function.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StreamRecord {
    #[serde(rename = "eventID")]
    event_id: String,
    event_name: &'static str,
    aws_region: &'static str,
    dynamodb: Change,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Change {
    approximate_creation_date_time: f64,
    keys: serde_dynamo::Item,
    new_image: serde_dynamo::Item,
    sequence_number: String,
    size_bytes: u32,
    stream_view_type: &'static str,
}

impl Stream {
    /// Adds a change of an order.
    pub(crate) fn append(&mut self, order: Order, inserted: bool) {
        let id = order.order_id;
        let shard =
            usize::try_from(id.as_uuid().as_u128() % SHARDS as u128).expect("a small number");
        let image = serde_dynamo::to_item(order).expect("an order is an item");
        self.push(shard, Some(id), image, inserted);
    }

    /// Adds a row that is no order.
    pub(crate) fn poison(&mut self, shard: usize, row: serde_json::Value) -> String {
        let image = serde_dynamo::to_item(row).expect("an object is an item");
        self.push(shard % SHARDS, None, image, true)
    }

    fn push(
        &mut self,
        shard: usize,
        order: Option<OrderId>,
        new_image: serde_dynamo::Item,
        inserted: bool,
    ) -> String {
        self.records += 1;
        let number = self.records.to_string();
        let record = StreamRecord {
            event_id: number.clone(),
            event_name: if inserted { "INSERT" } else { "MODIFY" },
            aws_region: "eu-central-1",
            dynamodb: Change {
                approximate_creation_date_time: 0.0,
                keys: serde_dynamo::Item::default(),
                new_image,
                sequence_number: number,
                size_bytes: 1,
                stream_view_type: "NEW_IMAGE",
            },
        };
        let text = to_raw_value(&record).expect("a record is JSON");
        let copy = text.get().to_owned();
        self.shards[shard].records.push_back(Record { order, text });
        copy
    }

    /// Shards with records that nobody is reading.
    pub(crate) fn readable(&self, now: Timestamp) -> impl Iterator<Item = usize> {
        let readable = move |shard: &Shard| {
            !shard.is_read && !shard.records.is_empty() && shard.retry_at <= now
        };
        self.shards
            .iter()
            .enumerate()
            .filter(move |(_, shard)| readable(shard))
            .map(|(index, _)| index)
    }

    /// The first time after `now` at which a failed batch comes again.
    pub(crate) fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let waiting = self
            .shards
            .iter()
            .filter(|shard| !shard.is_read && !shard.records.is_empty() && shard.retry_at > now);
        waiting.map(|shard| shard.retry_at).min()
    }

    /// The next records of a shard, at most `most`.
    pub(crate) fn read(&self, shard: usize, most: usize) -> Vec<Box<RawValue>> {
        self.shards[shard].records.iter().take(most).map(|record| record.text.clone()).collect()
    }

    pub(crate) fn len(&self, shard: usize) -> usize {
        self.shards[shard].records.len()
    }

    /// The first `handled` records of a shard are done with.
    pub(crate) fn advance(&mut self, shard: usize, handled: usize) {
        self.shards[shard].records.drain(..handled);
    }

    /// Whether a change of the order is still to be handled.
    pub(crate) fn holds(&self, order: OrderId) -> bool {
        self.shards
            .iter()
            .flat_map(|shard| &shard.records)
            .any(|record| record.order == Some(order))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.shards.iter().all(|shard| shard.records.is_empty())
    }
}

/// An invocation's hold on a shard: nobody else reads it meanwhile. If the invocation comes to
/// nothing, the records wait a little before they are read again.
pub(crate) struct Reading {
    world: Rc<World>,
    shard: usize,
    is_done: bool,
}

impl Reading {
    pub(crate) fn begin(world: &Rc<World>, shard: usize) -> Self {
        world.stream.borrow_mut().shards[shard].is_read = true;
        Self { world: world.clone(), shard, is_done: false }
    }

    /// All is well: the next records need not wait.
    pub(crate) fn end(mut self) {
        self.is_done = true;
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let shard = &mut self.world.stream.borrow_mut().shards[self.shard];
        shard.is_read = false;
        if self.is_done {
            shard.failures = 0;
        } else {
            let wait = FIRST_RETRY * 2_i32.pow(shard.failures.min(DOUBLINGS));
            shard.retry_at = self.world.luck.due(self.world.now() + wait);
            shard.failures += 1;
        }
    }
}
