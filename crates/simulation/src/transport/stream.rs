//! The stream of the Orders table: every change, in order within a shard, until it is handled or
//! too old.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use shop::{id::OrderId, order::Order};

use crate::{engine::core::Core, transport::topology::TOPOLOGY};

/// How many shards there are. All changes of an order are in one of them.
const SHARDS: usize = 2;

/// The wait after a batch's first failure; each further wait is twice as long.
const FIRST_RETRY: SignedDuration = SignedDuration::from_secs(1);
/// How often the wait doubles.
const DOUBLINGS: u32 = 6;

pub(crate) struct Stream {
    core: Rc<Core>,
    shards: RefCell<[Shard; SHARDS]>,
    records: Cell<u64>,
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
    written_at: Timestamp,
    text: Box<RawValue>,
}

/// A record as Lambda passes it to a function.
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
    pub(crate) fn new(core: &Rc<Core>) -> Rc<Self> {
        Rc::new(Self { core: core.clone(), shards: RefCell::default(), records: Cell::default() })
    }

    /// Adds a change of an order.
    pub(crate) fn append(&self, order: Order, inserted: bool) {
        let id = order.order_id;
        let shard =
            usize::try_from(id.as_uuid().as_u128() % SHARDS as u128).expect("a small number");
        let image = serde_dynamo::to_item(order).expect("an order is an item");
        self.push(shard, Some(id), image, inserted);
    }

    /// Adds a row that is not an order, and returns its record.
    pub(crate) fn append_poison(&self, shard: usize, row: serde_json::Value) -> String {
        let image = serde_dynamo::to_item(row).expect("an object is an item");
        self.push(shard % SHARDS, None, image, true)
    }

    fn push(
        &self,
        shard: usize,
        order: Option<OrderId>,
        new_image: serde_dynamo::Item,
        inserted: bool,
    ) -> String {
        self.records.set(self.records.get() + 1);
        let number = self.records.get().to_string();
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
        let record = Record { order, written_at: self.core.now(), text };
        self.shards.borrow_mut()[shard].records.push_back(record);
        copy
    }

    /// Adds the shards with records that no invocation is reading.
    pub(crate) fn readable(&self, mut add: impl FnMut(usize)) {
        let now = self.core.now();
        for (index, shard) in self.shards.borrow().iter().enumerate() {
            if shard.waits() && shard.retry_at <= now {
                add(index);
            }
        }
    }

    /// The next time at which a failed batch is retried.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        let (now, shards) = (self.core.now(), self.shards.borrow());
        let waiting = shards.iter().filter(|shard| shard.waits() && shard.retry_at > now);
        waiting.map(|shard| shard.retry_at).min()
    }

    /// The next records of a shard, at least one and at most `most`.
    pub(crate) fn read(&self, shard: usize, most: usize) -> Vec<Box<RawValue>> {
        let records = &self.shards.borrow()[shard].records;
        let count = 1 + self.core.luck.below(records.len().min(most));
        records.iter().take(count).map(|record| record.text.clone()).collect()
    }

    /// How old the oldest record of a shard is.
    pub(crate) fn age(&self, shard: usize) -> Option<SignedDuration> {
        let oldest = self.shards.borrow()[shard].records.front()?.written_at;
        Some(self.core.now().duration_since(oldest))
    }

    /// Moves on past the first `handled` records of a shard.
    pub(crate) fn advance(&self, shard: usize, handled: usize) {
        self.shards.borrow_mut()[shard].records.drain(..handled);
    }

    /// Skips records that are too old, and returns the orders whose changes are lost by that.
    pub(crate) fn skip_expired(&self) -> Vec<OrderId> {
        let (mut lost, now) = (Vec::new(), self.core.now());
        for shard in self.shards.borrow_mut().iter_mut().filter(|shard| !shard.is_read) {
            while let Some(first) = shard.records.front()
                && first.written_at + TOPOLOGY.max_record_age <= now
            {
                lost.extend(first.order);
                shard.records.pop_front();
            }
        }
        lost
    }

    /// Whether a change of the order is yet to be handled.
    pub(crate) fn contains(&self, order: OrderId) -> bool {
        let shards = self.shards.borrow();
        shards.iter().flat_map(|it| &it.records).any(|record| record.order == Some(order))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.shards.borrow().iter().all(|shard| shard.records.is_empty())
    }
}

impl Shard {
    fn waits(&self) -> bool {
        !self.is_read && !self.records.is_empty()
    }
}

/// An invocation's hold on a shard, which no other reads meanwhile. Unless the invocation succeeds,
/// the records wait before they are read again.
pub(crate) struct Reading {
    stream: Rc<Stream>,
    shard: usize,
    succeeded: bool,
}

impl Reading {
    pub(crate) fn begin(stream: &Rc<Stream>, shard: usize) -> Self {
        stream.shards.borrow_mut()[shard].is_read = true;
        Self { stream: stream.clone(), shard, succeeded: false }
    }

    /// Ends it with success: the next records need not wait.
    pub(crate) fn succeed(mut self) {
        self.succeeded = true;
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let core = &self.stream.core;
        let shard = &mut self.stream.shards.borrow_mut()[self.shard];
        shard.is_read = false;
        if self.succeeded {
            shard.failures = 0;
        } else {
            let wait = FIRST_RETRY * 2_i32.pow(shard.failures.min(DOUBLINGS));
            shard.retry_at = core.luck.due(core.now() + wait);
            shard.failures += 1;
        }
    }
}
