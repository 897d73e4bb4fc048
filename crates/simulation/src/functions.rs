//! The functions: real handlers and the real batch runner, on the ports of this world.

use std::{collections::BTreeSet, rc::Rc};

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use inventory::{handler::Inventory, memory::MemoryStock};
use jiff::SignedDuration;
use notifications::{
    handler::Notifications,
    memory::{MemoryCustomers, MemoryMailer, MemoryNotices},
    notice::Templates,
};
use order_intake::{handler::OrderIntake, memory::MemoryTables};
use order_relay::{
    handler::{Relay, StreamEvent},
    memory::MemoryDeadLetters,
};
use order_status::handler::{OrderStatus, Report};
use payment::{
    asking,
    handler::Cashier,
    limit::Limit,
    memory::{MemoryPayments, MemoryProvider},
};
use platform::{
    http::{Request, Response},
    queue::{Backoff, Retryable, process},
};
use serde::de::DeserializeOwned;
use shop::event::{INVENTORY, ORDERS, OrderEvent, PAYMENT};
use tables::orders::MemoryOrders;

use crate::{
    engine::calls::Port,
    observation::Observation,
    ports::{Bus, Unreliable, Visible},
    transport::{
        queues::{Received, Slot},
        stream::Reading,
        topology::{Parameters, TOPOLOGY},
    },
    world::World,
};

/// The most changes of orders that the relay gets at once.
const STREAM_BATCH: usize = 100;

/// What the API answers when the function does not.
const NO_ANSWER: i64 = 503;

type Notifier =
    Notifications<Unreliable<MemoryNotices>, Unreliable<MemoryCustomers>, Unreliable<MemoryMailer>>;

/// All functions of the template.
#[derive(Clone)]
pub(crate) struct Functions {
    world: Rc<World>,
    intake: Rc<OrderIntake<Unreliable<MemoryTables>>>,
    relay: Rc<Relay<Bus, Unreliable<MemoryDeadLetters>>>,
    status: Rc<OrderStatus<Unreliable<MemoryOrders>>>,
    inventory: Rc<Inventory<Unreliable<MemoryStock>, Bus>>,
    cashier: Rc<Cashier<Unreliable<MemoryPayments>, Unreliable<MemoryProvider>, Bus>>,
    notifications: Rc<Notifier>,
}

/// The limit of a customer's payments in a run.
pub(crate) fn limit(parameters: &Parameters) -> Limit {
    Limit {
        payments: usize::try_from(parameters["DeclinesPerCustomer"]).expect("a number"),
        window: SignedDuration::from_secs(parameters["DeclineWindowSeconds"]),
    }
}

impl Functions {
    pub(crate) fn new(world: &Rc<World>) -> Self {
        let seconds = |name| SignedDuration::from_secs(world.parameters[name]);
        Self {
            world: world.clone(),
            intake: Rc::new(OrderIntake::new(
                Unreliable::new(world, &world.intake_tables),
                seconds("ConfirmWithinSeconds"),
                seconds("MenuCacheSeconds"),
            )),
            relay: Rc::new(Relay {
                bus: Bus::new(world, ORDERS),
                dead_letters: Unreliable::new(world, &world.relay_dead_letters),
            }),
            status: Rc::new(OrderStatus { orders: Unreliable::new(world, &world.orders) }),
            inventory: Rc::new(Inventory {
                stock: Unreliable::new(world, &world.stock),
                bus: Bus::new(world, INVENTORY),
            }),
            cashier: Rc::new(Cashier {
                payments: Unreliable::new(world, &world.payments),
                provider: Unreliable::new(world, &world.provider),
                bus: Bus::new(world, PAYMENT),
                limit: limit(&world.parameters),
            }),
            notifications: Rc::new(Notifications {
                notices: Unreliable::new(world, &world.notices),
                customers: Unreliable::new(world, &world.customers),
                mailer: Unreliable::new(world, &world.mailer),
                templates: Templates::new().expect("the templates compile"),
            }),
        }
    }

    /// Sends a request to the API. The response is missing when the function died or could not
    /// start.
    pub(crate) fn request(
        &self,
        request: Request,
    ) -> impl Future<Output = Option<Response>> + use<> {
        let (intake, world, now) = (self.intake.clone(), self.world.clone(), self.world.now());
        let answer = world.invoke("OrderIntake", async move { intake.handle(request, now).await });
        async move {
            let answer = answer.await;
            let status = answer.as_ref().map_or(NO_ANSWER, |answer| answer.status_code);
            let latency = world.now().duration_since(now);
            world.log.add(Observation::RequestAnswered { status, latency });
            answer
        }
    }

    /// The Orders table, as order-status calls it.
    pub(crate) fn orders_table(&self) -> &Unreliable<MemoryOrders> {
        &self.status.orders
    }

    /// Delivers messages of a queue to its function.
    pub(crate) fn deliver(&self, queue: usize) {
        let (world, this) = (self.world.clone(), self.clone());
        match TOPOLOGY.queues[queue].id.as_str() {
            "StockQueue" => {
                self.batch(queue, "RetryBudgetSeconds", async move |event: OrderEvent| {
                    this.inventory.handle(event, world.now()).await
                })
            }
            "ChargeQueue" => {
                self.batch(queue, "ChargeRetryBudgetSeconds", async move |event: OrderEvent| {
                    asking::charge(&this.cashier, event, || world.now()).await
                })
            }
            "RefundQueue" => {
                self.batch(queue, "RefundRetryBudgetSeconds", async move |event: OrderEvent| {
                    asking::refund(&this.cashier, event, world.now()).await
                })
            }
            "IntentQueue" => self.batch(queue, "RefundRetryBudgetSeconds", async move |changed| {
                asking::follow(&this.cashier, changed, world.now()).await
            }),
            "ResultsQueue" => {
                self.batch(queue, "RetryBudgetSeconds", async move |report: Report| {
                    this.status.apply(report, world.now()).await
                })
            }
            "DeadlineQueue" => {
                self.batch(queue, "RetryBudgetSeconds", async move |placed: OrderEvent| {
                    this.status.expire(placed, world.now()).await
                })
            }
            "NoticeQueue" => {
                let until = world.now() + TOPOLOGY.timeouts["Notifications"];
                self.batch(queue, "NoticeRetryBudgetSeconds", async move |event: OrderEvent| {
                    this.notifications.handle(&event, world.now(), until).await
                });
            }
            other => panic!("connect {other}, which is new in the template, to its function"),
        }
    }

    fn batch<T, E>(
        &self,
        queue: usize,
        budget: &str,
        handle: impl AsyncFn(T) -> Result<(), E> + 'static,
    ) where
        T: DeserializeOwned + 'static,
        E: Retryable + 'static,
    {
        let world = self.world.clone();
        let throttled = world.is_throttled();
        if throttled {
            world.log.add(Observation::Throttled(&TOPOLOGY.queues[queue].function));
        }
        let Received { batch, given_up } = world.queues.receive(queue, throttled);
        for message in given_up {
            world.log.add(Observation::GivenUp(message));
        }
        if batch.is_empty() {
            return;
        }
        let budget = u32::try_from(world.parameters[budget]).expect("a budget");
        let backoff = Backoff::outlasting(budget);
        let slot = Slot::take(&world.queues, queue);
        let work = {
            let world = world.clone();
            async move {
                let receipts: Vec<_> = batch
                    .iter()
                    .map(|record| {
                        (
                            record.message_id.clone().unwrap_or_default(),
                            record.receipt_handle.clone().unwrap_or_default(),
                        )
                    })
                    .collect();
                let mut event = SqsEvent::default();
                event.records = batch;
                let visible = Visible { world: world.clone(), queue };
                let answer = process(&visible, backoff, event, handle).await;
                for receipt_handle in handled(receipts, &answer) {
                    acknowledge(&world, queue, receipt_handle).await;
                }
                drop(slot);
            }
        };
        drop(world.run(&TOPOLOGY.queues[queue].function, work));
    }

    /// Passes changes of orders to the relay.
    pub(crate) fn relay(&self, shard: usize) {
        let (world, relay) = (self.world.clone(), self.relay.clone());
        if let Some(age) = world.stream.age(shard) {
            world.log.add(Observation::StreamRead(age));
        }
        let reading = Reading::begin(&world.stream, shard);
        let records = world.stream.read(shard, STREAM_BATCH);
        let count = records.len();
        let work = {
            let world = world.clone();
            async move {
                if let Err(error) = relay.handle(StreamEvent { records }).await {
                    world.core.trace("OrderRelay", || format!("the batch failed: {error}"));
                    world.log.add(Observation::InvocationFailed("OrderRelay".into()));
                    return;
                }
                let stream = world.stream.clone();
                let advance = move || {
                    stream.advance(shard, count);
                    Ok::<_, &str>(())
                };
                let advanced = world.calls.call(Port::Stream, "advance", advance, || "no answer");
                if advanced.await.is_ok() {
                    reading.succeed();
                }
            }
        };
        drop(world.invoke("OrderRelay", work));
    }
}

/// The receipt handles of all messages that an answer does not list as failed. An answer that lists
/// a message which was not in the batch fails all of it.
fn handled(receipts: Vec<(String, String)>, answer: &SqsBatchResponse) -> Vec<String> {
    let failed: BTreeSet<_> =
        answer.batch_item_failures.iter().map(|failure| failure.item_identifier.as_str()).collect();
    if failed.iter().any(|id| !receipts.iter().any(|(known, _)| known == id)) {
        return Vec::new();
    }
    receipts
        .into_iter()
        .filter(|(id, _)| !failed.contains(id.as_str()))
        .map(|(_, receipt_handle)| receipt_handle)
        .collect()
}

async fn acknowledge(world: &Rc<World>, queue: usize, receipt_handle: String) {
    let by = world.core.tasks.current();
    let delete = {
        let world = world.clone();
        move || {
            if let Some(message) = world.queues.delete(queue, &receipt_handle) {
                let at = world.now();
                world.log.add(Observation::MessageDeleted { by, at, message });
            }
            Ok::<_, &str>(())
        }
    };
    // A message that is not deleted is received again.
    world.calls.call(Port::Queue, "delete", delete, || "no answer").await.ok();
}
