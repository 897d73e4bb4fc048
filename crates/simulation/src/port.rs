//! The functions' ports: what is in memory behind them, called with the run's luck, and watched.

use std::{rc::Rc, time::Duration};

use futures::executor::block_on;
use inventory::{
    handler::{Hold, Stock},
    memory::MemoryStock,
};
use jiff::{SignedDuration, Timestamp};
use notifications::{
    handler::{Address, Claim, Claimed, CustomerError, Customers, MailError, Mailer, Notices},
    memory::{MemoryCustomers, MemoryMailer, MemoryNotices},
    notice::Notice,
};
use order_intake::{memory::MemoryTables, menus::Menus, request::Page};
use order_relay::{
    handler::{DeadLetters, SendError, Unreadable},
    memory::MemoryDeadLetters,
};
use payment::{
    handler::Payments,
    memory::{MemoryPayments, MemoryProvider},
    provider::{Provider, ProviderError},
};
use platform::{
    bus::{EventBus, MemoryBus, PublishError},
    queue::{HideError, Visibility},
    table::{StoreError, Write},
};
use serde::Serialize;
use serde_json::{json, value::RawValue};
use shop::{
    id::{CustomerId, LocationId, OrderId},
    menu::{Location, Menu},
    money::Money,
    order::{Order, Transition},
    payment::{IntentId, Payment},
    stock::{BakePlan, Demand, Reservation},
};
use stripe::{Intent, NewIntent, Refund, Unavailable};

use crate::{
    call::Port,
    queue::{Content, Tag},
    topology::TOPOLOGY,
    world::World,
};

/// A port whose calls go as the run's luck has it.
pub(crate) struct Unreliable<P> {
    world: Rc<World>,
    behind: Rc<P>,
}

impl<P> Unreliable<P> {
    pub(crate) fn new(world: &Rc<World>, behind: &Rc<P>) -> Self {
        Self { world: world.clone(), behind: behind.clone() }
    }
}

impl<P> Clone for Unreliable<P> {
    fn clone(&self) -> Self {
        Self::new(&self.world, &self.behind)
    }
}

/// What the SDK gives up with in the end.
fn throttled() -> StoreError {
    StoreError::Call { action: "call", reason: "ThrottlingException".into() }
}

impl<O: tables::orders::Orders + 'static> tables::orders::Orders for Unreliable<O> {
    async fn get(&self, order: OrderId) -> Result<Option<Order>, StoreError> {
        let orders = self.behind.clone();
        self.world.call(Port::Orders, "get", move || block_on(orders.get(order)), throttled).await
    }

    async fn apply(
        &self,
        order: OrderId,
        transition: &Transition,
    ) -> Result<Write<Order>, StoreError> {
        let (world, orders, transition) =
            (self.world.clone(), self.behind.clone(), transition.clone());
        let apply = move || world.writing(order, || block_on(orders.apply(order, &transition)));
        self.world.call(Port::Orders, "apply", apply, throttled).await
    }
}

impl order_intake::handler::Orders for Unreliable<MemoryTables> {
    async fn put(&self, order: &Order) -> Result<Write<Order>, StoreError> {
        let (world, tables, order) = (self.world.clone(), self.behind.clone(), order.clone());
        let put = move || world.writing(order.order_id, || block_on(tables.put(&order)));
        self.world.call(Port::Orders, "put", put, throttled).await
    }

    async fn list(&self, customer: &CustomerId, page: &Page) -> Result<Vec<Order>, StoreError> {
        let (tables, customer, page) = (self.behind.clone(), customer.clone(), page.clone());
        self.world
            .call(Port::Orders, "list", move || block_on(tables.list(&customer, &page)), throttled)
            .await
    }
}

impl Menus for Unreliable<MemoryTables> {
    async fn menu(&self, location: &LocationId) -> Result<Option<Menu>, StoreError> {
        let (tables, location) = (self.behind.clone(), location.clone());
        self.world
            .call(Port::Menus, "menu", move || block_on(tables.menu(&location)), throttled)
            .await
    }

    async fn menus(&self) -> Result<Vec<Menu>, StoreError> {
        let tables = self.behind.clone();
        self.world
            .call(Port::Menus, "menus", move || block_on(Menus::menus(&*tables)), throttled)
            .await
    }

    async fn locations(&self) -> Result<Vec<Location>, StoreError> {
        let tables = self.behind.clone();
        self.world
            .call(Port::Menus, "locations", move || block_on(tables.locations()), throttled)
            .await
    }
}

impl Stock for Unreliable<MemoryStock> {
    async fn plan(&self, location: &LocationId) -> Result<BakePlan, StoreError> {
        let (stock, location) = (self.behind.clone(), location.clone());
        self.world
            .call(Port::Stock, "plan", move || block_on(stock.plan(&location)), throttled)
            .await
    }

    async fn find(&self, order: OrderId) -> Result<Option<Reservation>, StoreError> {
        let stock = self.behind.clone();
        self.world.call(Port::Stock, "find", move || block_on(stock.find(order)), throttled).await
    }

    async fn hold(
        &self,
        order: OrderId,
        demand: &Demand,
        plan: &BakePlan,
    ) -> Result<Hold, StoreError> {
        let (world, stock, demand, plan) =
            (self.world.clone(), self.behind.clone(), demand.clone(), plan.clone());
        let task = world.current_task();
        let hold = move || {
            let hold = block_on(stock.hold(order, &demand, &plan))?;
            world.witness.borrow_mut().held(&world, task, order, &demand, &hold);
            Ok(hold)
        };
        self.world.call(Port::Stock, "hold", hold, throttled).await
    }

    async fn refuse(
        &self,
        order: OrderId,
        refusal: &Reservation,
        now: Timestamp,
    ) -> Result<Write<Reservation>, StoreError> {
        let (world, stock, refusal) = (self.world.clone(), self.behind.clone(), refusal.clone());
        let refuse = move || {
            let write = block_on(stock.refuse(order, &refusal, now))?;
            if write == Write::Committed {
                world.witness.borrow_mut().refused(order, &refusal);
            }
            Ok(write)
        };
        self.world.call(Port::Stock, "refuse", refuse, throttled).await
    }

    async fn release(
        &self,
        order: OrderId,
        demand: &Demand,
        now: Timestamp,
    ) -> Result<Write<Reservation>, StoreError> {
        let (stock, demand) = (self.behind.clone(), demand.clone());
        self.world
            .call(
                Port::Stock,
                "release",
                move || block_on(stock.release(order, &demand, now)),
                throttled,
            )
            .await
    }
}

impl Payments for Unreliable<MemoryPayments> {
    async fn find(&self, order: OrderId) -> Result<Option<Payment>, StoreError> {
        let payments = self.behind.clone();
        self.world
            .call(Port::Payments, "find", move || block_on(payments.find(order)), throttled)
            .await
    }

    async fn write(
        &self,
        order: OrderId,
        price: Money,
        from: Option<&Payment>,
        next: &Payment,
        now: Timestamp,
    ) -> Result<Write<Payment>, StoreError> {
        let (world, payments, from, next) =
            (self.world.clone(), self.behind.clone(), from.cloned(), next.clone());
        let write = move || {
            let written = block_on(payments.write(order, price, from.as_ref(), &next, now))?;
            if written == Write::Committed {
                world.witness.borrow_mut().paid(order, &next);
            }
            Ok(written)
        };
        self.world.call(Port::Payments, "write", write, throttled).await
    }
}

impl Unreliable<MemoryProvider> {
    fn trouble(&self) -> ProviderError {
        let troubles = [
            Unavailable::TimedOut,
            Unavailable::Disconnected,
            Unavailable::Busy(429),
            Unavailable::Failed(500),
            Unavailable::Unreadable,
        ];
        stripe::Error::from(*self.world.luck.one_of(&troubles)).into()
    }
}

impl Provider for Unreliable<MemoryProvider> {
    async fn create(&self, new: &NewIntent) -> Result<Intent, ProviderError> {
        let (world, provider, new) = (self.world.clone(), self.behind.clone(), new.clone());
        let task = world.current_task();
        let create = move || {
            let intent = block_on(provider.create(&new))?;
            world.witness.borrow_mut().created(task, &intent.id);
            Ok(intent)
        };
        self.world.call(Port::Provider, "create", create, || self.trouble()).await
    }

    async fn find(&self, intent: &IntentId) -> Result<Intent, ProviderError> {
        let (provider, intent) = (self.behind.clone(), intent.clone());
        self.world
            .call(
                Port::Provider,
                "find",
                move || block_on(provider.find(&intent)),
                || self.trouble(),
            )
            .await
    }

    async fn confirm(&self, intent: &IntentId) -> Result<Intent, ProviderError> {
        let (world, provider, intent) = (self.world.clone(), self.behind.clone(), intent.clone());
        let task = world.current_task();
        let confirm = move || {
            world.witness.borrow_mut().confirmed(&world, task, &intent);
            block_on(provider.confirm(&intent))
        };
        self.world.call(Port::Provider, "confirm", confirm, || self.trouble()).await
    }

    async fn cancel(&self, intent: &IntentId) -> Result<Intent, ProviderError> {
        let (provider, intent) = (self.behind.clone(), intent.clone());
        self.world
            .call(
                Port::Provider,
                "cancel",
                move || block_on(provider.cancel(&intent)),
                || self.trouble(),
            )
            .await
    }

    async fn refund(&self, intent: &IntentId) -> Result<Refund, ProviderError> {
        let (provider, intent) = (self.behind.clone(), intent.clone());
        self.world
            .call(
                Port::Provider,
                "refund",
                move || block_on(provider.refund(&intent)),
                || self.trouble(),
            )
            .await
    }
}

impl Notices for Unreliable<MemoryNotices> {
    async fn claim(&self, claim: &Claim, now: Timestamp) -> Result<Claimed, StoreError> {
        let (world, notices, claim) = (self.world.clone(), self.behind.clone(), *claim);
        let make = move || {
            let claimed = block_on(notices.claim(&claim, now))?;
            if claimed == Claimed::Granted {
                world.witness.borrow_mut().claimed(claim.order, claim.revision);
            }
            Ok(claimed)
        };
        self.world.call(Port::Notices, "claim", make, throttled).await
    }

    async fn settle(&self, claim: &Claim) -> Result<(), StoreError> {
        let (notices, claim) = (self.behind.clone(), *claim);
        self.world
            .call(Port::Notices, "settle", move || block_on(notices.settle(&claim)), throttled)
            .await
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        let (notices, claim) = (self.behind.clone(), *claim);
        self.world
            .call(Port::Notices, "release", move || block_on(notices.release(&claim)), throttled)
            .await
    }
}

impl Customers for Unreliable<MemoryCustomers> {
    async fn address(&self, customer: &CustomerId) -> Result<Option<Address>, CustomerError> {
        let (customers, customer) = (self.behind.clone(), customer.clone());
        let look_up = move || block_on(customers.address(&customer));
        self.world
            .call(Port::Customers, "address", look_up, || {
                CustomerError("TooManyRequestsException".into())
            })
            .await
    }
}

impl Mailer for Unreliable<MemoryMailer> {
    async fn send(&self, to: &Address, notice: &Notice) -> Result<(), MailError> {
        let (world, mailer, to, notice) =
            (self.world.clone(), self.behind.clone(), to.clone(), notice.clone());
        let task = world.current_task();
        let send = move || {
            world.witness.borrow_mut().mailed(&world, task, &to, &notice);
            block_on(mailer.send(&to, &notice))
        };
        self.world
            .call(Port::Mailer, "send", send, || MailError::NotTaken("no answer".into()))
            .await
    }
}

/// The event bus as one function sees it. Its rules are the template's.
pub(crate) struct Bus {
    world: Rc<World>,
    source: &'static str,
}

/// As many entries as one `PutEvents` takes.
const MAX_ENTRIES: usize = 10;

impl Bus {
    pub(crate) fn new(world: &Rc<World>, source: &'static str) -> Self {
        Self { world: world.clone(), source }
    }

    fn refused(&self) -> PublishError {
        match self.world.luck.below(2) {
            0 => PublishError::Call("no answer".into()),
            _ => PublishError::Refused {
                count: 1,
                code: "InternalFailure".into(),
                message: "try again".into(),
            },
        }
    }
}

impl EventBus for Bus {
    async fn publish<E: Serialize>(&self, events: &[E]) -> Result<(), PublishError> {
        let entries = MemoryBus::default();
        entries.publish(events).await?;
        let entries = entries.published();
        for entries in entries.chunks(MAX_ENTRIES) {
            let (world, source, entries) = (self.world.clone(), self.source, entries.to_vec());
            let taken = if world.luck.strikes(world.luck.odds().fails) {
                // It takes some and refuses the rest.
                world.luck.below(entries.len())
            } else {
                entries.len()
            };
            let all = taken == entries.len();
            let put = move || {
                for entry in &entries[..taken] {
                    route(&world, source, entry);
                }
                if all {
                    Ok(())
                } else {
                    Err(PublishError::Call("it took some of the entries".into()))
                }
            };
            self.world.call(Port::Bus, "put events", put, || self.refused()).await?;
        }
        Ok(())
    }
}

/// Sends an event to every queue that wants it.
pub(crate) fn route(world: &Rc<World>, source: &str, entry: &serde_json::Value) {
    let (detail_type, detail) =
        (entry["detail-type"].as_str().expect("a detail-type"), &entry["detail"]);
    let order: OrderId =
        serde_json::from_value(detail["metadata"]["correlation_id"].clone()).expect("an order");
    let revision =
        detail["data"]["revision"].as_u64().and_then(|revision| u32::try_from(revision).ok());
    let tag = Tag { detail_type: detail_type.to_owned(), order, revision };
    world.tell("bus", || format!("{detail_type} of {order}"));
    world.witness.borrow_mut().published(world, &tag, &detail["data"]);
    let envelope = json!({
        "version": "0", "source": source, "detail-type": detail_type, "detail": detail,
        "id": detail["metadata"]["event_id"], "time": world.now(), "resources": [],
    });
    let body: Rc<str> = envelope.to_string().into();
    for rule in TOPOLOGY.rules.iter().filter(|rule| rule.matches(source, detail_type)) {
        world.queues.borrow_mut().send(rule.target, &body, &Content::Event(tag.clone()), world);
    }
}

/// A queue as the batch runner sees it.
pub(crate) struct Visible {
    pub(crate) world: Rc<World>,
    pub(crate) queue: usize,
}

impl Visibility for Visible {
    async fn hide(&self, receipt_handle: &str, wait: Duration) -> Result<(), HideError> {
        let (world, queue, handle) = (self.world.clone(), self.queue, receipt_handle.to_owned());
        let wait = SignedDuration::try_from(wait).expect("at most hours");
        let hide = move || {
            world.queues.borrow_mut().hide(queue, &handle, wait, &world);
            Ok(())
        };
        self.world.call(Port::Queue, "hide", hide, || HideError("no answer".into())).await
    }
}

impl DeadLetters for Unreliable<MemoryDeadLetters> {
    async fn send(&self, record: &RawValue, reason: &Unreadable) -> Result<(), SendError> {
        let (letters, record, reason) = (self.behind.clone(), record.to_owned(), reason.clone());
        let send = move || block_on(letters.send(&record, &reason));
        self.world.call(Port::DeadLetters, "send", send, || SendError("no answer".into())).await
    }
}
