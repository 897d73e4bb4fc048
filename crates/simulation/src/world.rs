//! Everything that is shared: time, luck, tables, queues, the stream, the provider, and who watches
//! them.

use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    sync::MutexGuard,
};

use futures::channel::oneshot;
use inventory::memory::MemoryStock;
use jiff::{SignedDuration, Timestamp};
use notifications::memory::{MemoryCustomers, MemoryMailer, MemoryNotices};
use order_intake::memory::MemoryTables;
use order_relay::memory::MemoryDeadLetters;
use payment::memory::{MemoryPayments, MemoryProvider};
use shop::{id::OrderId, order::Order};
use tables::orders::MemoryOrders;

use crate::{
    call::{Calls, Port},
    checker::Witness,
    luck::Luck,
    queue::Queues,
    scheduler::{Beginning, TaskId},
    story::Story,
    stream::Stream,
    topology::{Parameters, TOPOLOGY},
};

/// A Tuesday morning on which the shops are open.
const START: Timestamp = Timestamp::constant(1_795_503_600, 0);

pub(crate) struct World {
    pub(crate) luck: Luck,
    pub(crate) story: Story,
    pub(crate) parameters: Parameters,
    pub(crate) calls: Calls,
    pub(crate) queues: RefCell<Queues>,
    pub(crate) stream: RefCell<Stream>,
    pub(crate) witness: RefCell<Witness>,

    /// The one Orders table, which order-intake sees beside its menus.
    pub(crate) orders: Rc<MemoryOrders>,
    pub(crate) intake_tables: Rc<MemoryTables>,
    pub(crate) relay_dead_letters: Rc<MemoryDeadLetters>,
    pub(crate) stock: Rc<MemoryStock>,
    pub(crate) payments: Rc<MemoryPayments>,
    pub(crate) provider: Rc<MemoryProvider>,
    pub(crate) notices: Rc<MemoryNotices>,
    pub(crate) customers: Rc<MemoryCustomers>,
    pub(crate) mailer: Rc<MemoryMailer>,

    now: Cell<Timestamp>,
    outages: RefCell<Vec<Outage>>,
    current: Cell<TaskId>,
    tasks: RefCell<Vec<TaskRecord>>,
    beginnings: RefCell<Vec<Beginning>>,
}

/// A port that is down for a while.
#[derive(Debug)]
pub(crate) struct Outage {
    pub(crate) port: Port,
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
}

/// What is remembered of every task.
#[derive(Debug)]
struct TaskRecord {
    name: Cow<'static, str>,
    began: Timestamp,
    harms: u32,
}

impl World {
    pub(crate) fn new(
        luck: Luck,
        story: Story,
        parameters: Parameters,
        customers: MemoryCustomers,
    ) -> Rc<Self> {
        let orders = MemoryOrders::default();
        let queues = Queues::new(&parameters);
        Rc::new(Self {
            luck,
            story,
            calls: Calls::default(),
            queues: RefCell::new(queues),
            stream: RefCell::default(),
            witness: RefCell::default(),
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
            now: Cell::new(START),
            outages: RefCell::default(),
            current: Cell::new(0),
            tasks: RefCell::default(),
            beginnings: RefCell::default(),
        })
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.now.get()
    }

    pub(crate) fn time_is(&self, at: Timestamp) {
        self.now.set(self.now().max(at));
    }

    /// The little that a call takes when nothing is wrong.
    pub(crate) fn time_passes(&self) {
        self.now.set(self.now() + SignedDuration::from_millis(self.luck.between(0, 3)));
    }

    pub(crate) fn order_rows(&self) -> MutexGuard<'_, BTreeMap<OrderId, Order>> {
        self.orders.rows()
    }

    pub(crate) fn order(&self, id: OrderId) -> Option<Order> {
        self.order_rows().get(&id).cloned()
    }

    /// Does something to an order's row. Whatever it changes comes out of the stream.
    pub(crate) fn writing<T>(&self, id: OrderId, write: impl FnOnce() -> T) -> T {
        let before = self.order(id);
        let result = write();
        if let Some(after) = self.order(id)
            && before.as_ref() != Some(&after)
        {
            self.tell("Orders", || {
                format!("{id} is {:?}, its payment {:?}", after.status, after.payment)
            });
            self.witness.borrow_mut().order_written(self, before.as_ref(), &after);
            self.stream.borrow_mut().append(after, before.is_none());
        }
        result
    }

    pub(crate) fn suffer(&self, outage: Outage) {
        self.outages.borrow_mut().push(outage);
    }

    pub(crate) fn is_down(&self, port: Port) -> bool {
        let now = self.now();
        self.outages
            .borrow()
            .iter()
            .any(|outage| outage.port == port && outage.from <= now && now < outage.to)
    }

    /// Begins an invocation of a function. It tells what came of it, unless it dies.
    pub(crate) fn invoke<W>(
        &self,
        function: &'static str,
        work: W,
    ) -> impl Future<Output = Option<W::Output>> + use<W>
    where
        W: Future<Output: 'static> + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let ends = Some(self.now() + TOPOLOGY.timeouts[function]);
        self.begin(function.into(), ends, async move {
            let result = work.await;
            answer.send(result).ok();
        });
        async { answered.await.ok() }
    }

    /// Begins what a person does.
    pub(crate) fn spawn_person(
        &self,
        name: impl Into<Cow<'static, str>>,
        work: impl Future<Output = ()> + 'static,
    ) {
        self.begin(name.into(), None, work);
    }

    fn begin(
        &self,
        name: Cow<'static, str>,
        ends: Option<Timestamp>,
        work: impl Future<Output = ()> + 'static,
    ) {
        let mut tasks = self.tasks.borrow_mut();
        let id = tasks.len();
        tasks.push(TaskRecord { name: name.clone(), began: self.now(), harms: 0 });
        self.beginnings.borrow_mut().push(Beginning { id, name, future: Box::pin(work), ends });
    }

    pub(crate) fn beginnings(&self) -> Vec<Beginning> {
        self.beginnings.take()
    }

    /// Does something in the name of a task.
    pub(crate) fn as_task<T>(&self, id: TaskId, work: impl FnOnce() -> T) -> T {
        let before = self.current.replace(id);
        let result = work();
        self.current.set(before);
        result
    }

    pub(crate) fn current_task(&self) -> TaskId {
        self.current.get()
    }

    /// When a task began.
    pub(crate) fn began(&self, id: TaskId) -> Timestamp {
        self.tasks.borrow()[id].began
    }

    /// Something has gone wrong for a task.
    pub(crate) fn harm(&self, id: TaskId) {
        self.tasks.borrow_mut()[id].harms += 1;
    }

    /// How often something has gone wrong for a task.
    pub(crate) fn harms(&self, id: TaskId) -> u32 {
        self.tasks.borrow()[id].harms
    }

    pub(crate) fn tell_of(&self, id: TaskId, what: impl FnOnce() -> String) {
        let tasks = self.tasks.borrow();
        self.story.tell(self.now(), format_args!("{} #{id}", tasks[id].name), what);
    }

    pub(crate) fn tell(&self, who: &str, what: impl FnOnce() -> String) {
        self.story.tell(self.now(), who, what);
    }
}
