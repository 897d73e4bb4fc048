//! Everything that functions and people share: tables, queues, the stream and the provider.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use futures::{channel::oneshot, executor::block_on};
use inventory::{handler::Stock, memory::MemoryStock};
use jiff::{SignedDuration, Timestamp};
use notifications::memory::{MemoryCustomers, MemoryMailer, MemoryNotices};
use order_intake::memory::MemoryTables;
use order_relay::memory::MemoryDeadLetters;
use payment::{
    handler::Payments,
    memory::{MemoryPayments, MemoryProvider},
};
use shop::{id::OrderId, order::Order};
use tables::orders::MemoryOrders;

use crate::{
    engine::{calls::Calls, core::Core, tasks::Worker},
    observation::{Log, Observation, Rest, UnderWay},
    transport::{
        archive::Archive,
        queues::Queues,
        stream::Stream,
        topology::{Parameters, TOPOLOGY},
    },
};

/// The longest that DynamoDB takes to delete a row whose time to live is over.
pub(crate) const SLOWEST_DELETION: SignedDuration = SignedDuration::from_hours(48);

/// How often rows, messages and records are looked at for being too old.
const SWEEP_INTERVAL: SignedDuration = SignedDuration::from_mins(1);

/// A time in which other functions use up the account's concurrency.
#[derive(Debug)]
pub(crate) struct Shortage {
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
    /// How many of 1,000 invocations are throttled.
    pub(crate) throttled: u32,
}

pub(crate) struct World {
    pub(crate) core: Rc<Core>,
    pub(crate) calls: Rc<Calls>,
    pub(crate) queues: Rc<Queues>,
    pub(crate) stream: Rc<Stream>,
    pub(crate) archive: Archive,
    pub(crate) log: Log,
    pub(crate) parameters: Parameters,

    pub(crate) orders: Rc<MemoryOrders>,
    /// The same orders, and the menus.
    pub(crate) intake_tables: Rc<MemoryTables>,
    pub(crate) relay_dead_letters: Rc<MemoryDeadLetters>,
    pub(crate) stock: Rc<MemoryStock>,
    pub(crate) payments: Rc<MemoryPayments>,
    pub(crate) provider: Rc<MemoryProvider>,
    pub(crate) notices: Rc<MemoryNotices>,
    pub(crate) customers: Rc<MemoryCustomers>,
    pub(crate) mailer: Rc<MemoryMailer>,

    shortage: RefCell<Option<Shortage>>,
    next_sweep: Cell<Timestamp>,
    /// How long rows stay after their time to live.
    deletion_lag: SignedDuration,
}

impl World {
    pub(crate) fn new(
        core: Rc<Core>,
        parameters: Parameters,
        customers: MemoryCustomers,
    ) -> Rc<Self> {
        let orders = MemoryOrders::default();
        let at_once = core.luck.below(3) == 0;
        let deletion_lag =
            if at_once { SignedDuration::ZERO } else { core.luck.time(SLOWEST_DELETION) };
        Rc::new(Self {
            calls: Calls::new(&core),
            queues: Queues::new(&core, &parameters),
            stream: Stream::new(&core),
            archive: Archive::default(),
            log: Log::default(),
            intake_tables: Rc::new(MemoryTables::over(orders.clone())),
            orders: Rc::new(orders),
            parameters,
            relay_dead_letters: Rc::default(),
            stock: Rc::default(),
            payments: Rc::default(),
            provider: Rc::default(),
            notices: Rc::default(),
            customers: Rc::new(customers),
            mailer: Rc::default(),
            shortage: RefCell::default(),
            next_sweep: Cell::new(core.now()),
            deletion_lag,
            core,
        })
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.core.now()
    }

    /// Lets time pass until `at`. What grows too old by then is deleted.
    pub(crate) fn advance_to(&self, at: Timestamp) {
        self.core.clock.advance_to(at);
        let now = self.now();
        if now >= self.next_sweep.get() {
            self.next_sweep.set(now + SWEEP_INTERVAL);
            self.delete_expired(now);
        }
    }

    fn delete_expired(&self, now: Timestamp) {
        for message in self.queues.delete_expired() {
            self.log.add(Observation::MessageExpired(message));
        }
        for order in self.stream.skip_expired() {
            self.log.add(Observation::ChangeExpired(order));
        }
        let expired_by = now - self.deletion_lag;
        for (order, reservation) in self.stock.expire_decisions(expired_by) {
            let under_way = self.under_way(order);
            self.log.add(Observation::ReservationExpired { order, reservation, under_way });
        }
        // Of what expires together, DynamoDB deletes some early and some late.
        self.stock.expire_held(now - (SLOWEST_DELETION - self.deletion_lag));
        for order in self.payments.expire(expired_by) {
            let under_way = self.under_way(order);
            self.log.add(Observation::PaymentExpired { order, under_way });
        }
    }

    fn under_way(&self, order: OrderId) -> UnderWay {
        let mut messages = self.queues.pending();
        messages.extend(self.queues.dead_letters());
        messages.retain(|message| message.event().is_some_and(|event| event.order == order));
        UnderWay { in_stream: self.stream.contains(order), messages }
    }

    pub(crate) fn order(&self, id: OrderId) -> Option<Order> {
        self.orders.rows().get(&id).cloned()
    }

    /// Does `write` for the task `by`, and adds what it changes of the order's row to the stream.
    pub(crate) fn write_order<T>(&self, by: Worker, id: OrderId, write: impl FnOnce() -> T) -> T {
        let before = self.order(id);
        let result = write();
        if let Some(after) = self.order(id)
            && before.as_ref() != Some(&after)
        {
            self.core.trace("Orders", || {
                format!("{id} is {:?}, its payment {:?}", after.status, after.payment)
            });
            self.log.add(Observation::OrderWritten {
                by,
                before: before.clone().map(Box::new),
                after: Box::new(after.clone()),
                under_way: self.under_way(id),
            });
            self.stream.append(after, before.is_none());
        }
        result
    }

    /// Replaces the time in which concurrency is short.
    pub(crate) fn set_shortage(&self, shortage: Shortage) {
        self.shortage.replace(Some(shortage));
    }

    /// Draws whether Lambda has room for an invocation.
    pub(crate) fn is_throttled(&self) -> bool {
        let (luck, now) = (&self.core.luck, self.now());
        self.shortage.borrow().as_ref().is_some_and(|shortage| {
            shortage.from <= now && now < shortage.to && luck.chance(shortage.throttled)
        }) && !luck.is_calm()
    }

    /// Invokes a function, and returns its result unless it dies or is throttled.
    pub(crate) fn invoke<W>(
        &self,
        function: &'static str,
        work: W,
    ) -> impl Future<Output = Option<W::Output>> + use<W>
    where
        W: Future<Output: 'static> + 'static,
    {
        let running = if self.is_throttled() {
            self.core.trace(function, || "is throttled".to_owned());
            self.log.add(Observation::Throttled(function));
            None
        } else {
            Some(self.run(function, work))
        };
        async { running?.await }
    }

    /// Starts an invocation of a function, and returns its result unless it dies.
    pub(crate) fn run<W>(
        &self,
        function: &'static str,
        work: W,
    ) -> impl Future<Output = Option<W::Output>> + use<W>
    where
        W: Future<Output: 'static> + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let timeout = Some(self.now() + TOPOLOGY.timeouts[function]);
        self.log.add(Observation::InvocationStarted(function));
        self.core.tasks.start(function.into(), self.now(), timeout, async move {
            let result = work.await;
            answer.send(result).ok();
        });
        async { answered.await.ok() }
    }

    pub(crate) fn rest(&self) -> Rest {
        let orders = self.orders.rows().clone();
        let decided =
            |id: &OrderId| block_on(self.stock.find(*id)).expect("a table in memory does not fail");
        let payment = |id: &OrderId| {
            block_on(self.payments.find(*id)).expect("a table in memory does not fail")
        };
        let letters = self.relay_dead_letters.letters().into_iter();
        Rest {
            now: self.now(),
            deleted_until: self.now() - SLOWEST_DELETION,
            reservations: orders.keys().filter_map(|id| Some((*id, decided(id)?))).collect(),
            payments: orders.keys().filter_map(|id| Some((*id, payment(id)?))).collect(),
            accounts: self.provider.accounts(),
            held: self.stock.all_held(),
            pending: self.queues.pending(),
            dead_letters: self.queues.dead_letters(),
            stream_is_empty: self.stream.is_empty(),
            unreadable_records: letters.map(|(record, _)| record).collect(),
            orders,
        }
    }
}
