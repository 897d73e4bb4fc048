//! What is observed of a run: facts about rows, money, messages and mails, never what the functions
//! report about themselves.

use std::{
    borrow::Cow,
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use jiff::{SignedDuration, Timestamp, civil};
use notifications::{handler::Address, notice::Notice};
use payment::memory::Account;
use shop::{
    id::{CustomerId, ItemId, LocationId, OrderId},
    order::Order,
    payment::{IntentId, PaymentRecord},
    stock::{BakePlan, Demand, Reservation, Shortage},
};

use crate::{
    engine::{
        calls::Port,
        tasks::{TaskId, Worker},
    },
    transport::{
        message::{EventTag, QueuedMessage},
        queues::GivenUp,
    },
};

/// One fact, in the order in which they happened.
#[derive(Debug)]
pub(crate) enum Observation {
    /// A call of the task failed, or the task died.
    Mishap(TaskId),
    /// An invocation of a function started.
    InvocationStarted(&'static str),
    /// An invocation of a function died, timed out or answered with an error.
    InvocationFailed(Cow<'static, str>),
    /// Lambda had no room for an invocation of a function.
    Throttled(&'static str),
    /// A port did not take a call.
    CallRefused(Port),
    /// The relay read records, of which the oldest is so old.
    StreamRead(SignedDuration),
    /// The API answered a request.
    RequestAnswered {
        status: i64,
        latency: SignedDuration,
    },
    /// A shop opened for the run.
    ShopOpened {
        location: LocationId,
        opening: Opening,
    },
    /// A shop bakes this from `at` on.
    PlanChanged {
        at: Timestamp,
        location: LocationId,
        plan: BakePlan,
    },
    /// An order's row changed, while these messages and changes about it were under way.
    OrderWritten {
        by: Worker,
        before: Option<Box<Order>>,
        after: Box<Order>,
        under_way: UnderWay,
    },
    /// Inventory asked the table to hold stock. `held` is what is held of each item afterwards.
    StockAsked {
        by: Worker,
        order: OrderId,
        demand: Demand,
        answer: StockAnswer,
        held: Vec<u32>,
    },
    /// Inventory committed a refusal.
    StockRefused {
        order: OrderId,
        refusal: Reservation,
    },
    /// Payment asked the table to commit an order to the provider's refusal.
    RefusalWritten {
        by: Worker,
        order: OrderId,
    },
    PaymentWritten {
        by: Worker,
        order: OrderId,
        record: PaymentRecord,
    },
    /// The provider created an intent, or found the one that it had created for the order before.
    IntentCreated {
        by: Worker,
        intent: IntentId,
        order: OrderId,
    },
    /// The provider refused for good to create an intent for an order.
    IntentRefused {
        by: Worker,
        order: OrderId,
        reason: String,
    },
    /// A function asked the provider to confirm an intent.
    IntentConfirmed {
        by: Worker,
        intent: IntentId,
        order: Option<OrderId>,
    },
    EventPublished {
        event: EventTag,
        data: serde_json::Value,
    },
    /// A function was granted the right to notify the customer. It decides at `now` whether the
    /// notice still helps.
    NoticeClaimed {
        order: OrderId,
        revision: u32,
        now: Timestamp,
    },
    MailSent {
        by: Worker,
        to: Address,
        notice: Notice,
    },
    MessageDeleted {
        by: Worker,
        at: Timestamp,
        message: QueuedMessage,
    },
    /// A copy of a message was sent to its queue, so that nothing happens until then.
    MessageCopied {
        /// The id of the message.
        of: String,
        queue: &'static str,
        order: OrderId,
        until: Timestamp,
    },
    /// A message was received too often and became a dead letter.
    GivenUp(GivenUp),
    /// A message or dead letter reached the end of its retention.
    MessageExpired(QueuedMessage),
    /// A change of an order grew too old in the stream.
    ChangeExpired(OrderId),
    /// What was decided about an order's stock reached the end of its time to live.
    ReservationExpired {
        order: OrderId,
        reservation: Reservation,
        under_way: UnderWay,
    },
    /// An order's payment row reached the end of its time to live.
    PaymentExpired {
        order: OrderId,
        under_way: UnderWay,
    },
    /// A message was sent that no function can read.
    PoisonSent(QueuedMessage),
    /// A row was written that the relay cannot read.
    PoisonWritten {
        record: String,
    },
    /// The API answered a request to place an order.
    PlacingAnswered(Answer),
    /// The API answered that an order is cancelled.
    CancellationAccepted(OrderId),
}

/// When a shop is open, by plain arithmetic, so that a check does not ask the code under test.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opening {
    /// The minutes by which the shop's clock is ahead of UTC. No clock changes during a run.
    pub(crate) ahead: i64,
    /// The minute of each day at which the shop opens.
    pub(crate) from: i64,
    /// The minute at which it closes, counted from the same midnight: above 1,440 on the next day.
    pub(crate) to: i64,
    /// The shortest time until a pickup, in minutes.
    pub(crate) lead: i64,
}

/// What the table answered when asked to hold stock.
#[derive(Debug)]
pub(crate) enum StockAnswer {
    Held,
    Short(Vec<Shortage>),
    /// Something was decided about the order before.
    Decided,
}

/// What is yet to be handled about one order.
#[derive(Debug)]
pub(crate) struct UnderWay {
    /// A change in the stream.
    pub(crate) in_stream: bool,
    /// Messages in queues and among dead letters.
    pub(crate) messages: Vec<QueuedMessage>,
}

/// What the API answered to a request to place an order.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) customer: CustomerId,
    pub(crate) key: String,
    pub(crate) body: String,
    pub(crate) status: i64,
    /// The order, if it was accepted.
    pub(crate) order: Option<OrderId>,
}

/// The observations of a run.
#[derive(Default)]
pub(crate) struct Log {
    new: RefCell<Vec<Observation>>,
}

impl Log {
    pub(crate) fn add(&self, observation: Observation) {
        self.new.borrow_mut().push(observation);
    }

    /// Everything that was added since this was last called.
    pub(crate) fn take_new(&self) -> Vec<Observation> {
        self.new.take()
    }
}

/// Everything that is left when a run has come to rest.
#[derive(Debug)]
pub(crate) struct Rest {
    pub(crate) now: Timestamp,
    /// Rows whose time to live ended by then are deleted; those that it ended for since may be.
    pub(crate) deleted_until: Timestamp,
    pub(crate) orders: BTreeMap<OrderId, Order>,
    pub(crate) reservations: BTreeMap<OrderId, Reservation>,
    pub(crate) payments: BTreeMap<OrderId, PaymentRecord>,
    /// The provider's intents.
    pub(crate) accounts: Vec<Account>,
    /// Held pieces by shop, day and item.
    pub(crate) held: BTreeMap<(LocationId, civil::Date, ItemId), u32>,
    pub(crate) pending: Vec<QueuedMessage>,
    pub(crate) dead_letters: Vec<QueuedMessage>,
    pub(crate) stream_is_empty: bool,
    /// The records that the relay put aside.
    pub(crate) unreadable_records: BTreeSet<String>,
}
