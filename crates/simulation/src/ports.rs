//! The functions' ports: doubles in memory, whose calls can fail and are observed.

use std::{rc::Rc, time::Duration};

use aws_lambda_events::sqs::SqsMessage;
use futures::executor::block_on;
use inventory::{
    handler::{Hold, Stock},
    memory::MemoryStock,
};
use jiff::{SignedDuration, Timestamp};
use notifications::{
    handler::{
        Address, Claim, Claimed, Contact, CustomerError, Customers, MailError, Mailer, Notices,
    },
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
    limit::{PlaceStore, Places},
    memory::{MemoryPayments, MemoryProvider},
    provider::{Provider, ProviderError},
};
use platform::{
    bus::{EventBus, MemoryBus, PublishError},
    queue::{CopyError, HideError, Redelivery},
    table::{StoreError, Write},
};
use serde::Serialize;
use serde_json::{json, value::RawValue};
use shop::{
    id::{CustomerId, LocationId, OrderId},
    menu::{Location, Menu},
    money::Money,
    order::{Order, Transition},
    payment::{DisputeEntry, IntentId, Payment, PaymentRecord},
    stock::{BakePlan, Demand, Quantity, Reservation},
};
use stripe::{BookedRefund, Intent, NewIntent, NewRefund, Refund, Unavailable};
use tables::notices::Outcome;

use crate::{
    engine::calls::Port,
    observation::{Observation, StockAnswer},
    transport::{
        archive::Passed,
        message::{Content, EventTag},
        topology::TOPOLOGY,
    },
    world::World,
};

/// A port whose calls can fail.
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

/// The error of the SDK after its last attempt.
fn throttled() -> StoreError {
    StoreError::Call { action: "call", reason: "ThrottlingException".into() }
}

impl<O: tables::orders::Orders + 'static> tables::orders::Orders for Unreliable<O> {
    async fn get(&self, order: OrderId) -> Result<Option<Order>, StoreError> {
        let orders = self.behind.clone();
        self.world
            .calls
            .call(Port::Orders, "get", move || block_on(orders.get(order)), throttled)
            .await
    }

    async fn apply(
        &self,
        order: OrderId,
        transition: &Transition,
    ) -> Result<Write<Order>, StoreError> {
        let (world, orders, transition) =
            (self.world.clone(), self.behind.clone(), transition.clone());
        let by = world.core.tasks.current();
        let apply =
            move || world.write_order(by, order, || block_on(orders.apply(order, &transition)));
        self.world.calls.call(Port::Orders, "apply", apply, throttled).await
    }
}

impl order_intake::handler::Orders for Unreliable<MemoryTables> {
    async fn put(&self, order: &Order) -> Result<Write<Order>, StoreError> {
        let (world, tables, order) = (self.world.clone(), self.behind.clone(), order.clone());
        let by = world.core.tasks.current();
        let put = move || world.write_order(by, order.order_id, || block_on(tables.put(&order)));
        self.world.calls.call(Port::Orders, "put", put, throttled).await
    }

    async fn list(&self, customer: &CustomerId, page: &Page) -> Result<Vec<Order>, StoreError> {
        let (tables, customer, page) = (self.behind.clone(), customer.clone(), page.clone());
        self.world
            .calls
            .call(Port::Orders, "list", move || block_on(tables.list(&customer, &page)), throttled)
            .await
    }
}

impl Menus for Unreliable<MemoryTables> {
    async fn menu(&self, location: &LocationId) -> Result<Option<Menu>, StoreError> {
        let (tables, location) = (self.behind.clone(), location.clone());
        self.world
            .calls
            .call(Port::Menus, "menu", move || block_on(tables.menu(&location)), throttled)
            .await
    }

    async fn menus(&self) -> Result<Vec<Menu>, StoreError> {
        let tables = self.behind.clone();
        self.world
            .calls
            .call(Port::Menus, "menus", move || block_on(Menus::menus(&*tables)), throttled)
            .await
    }

    async fn locations(&self) -> Result<Vec<Location>, StoreError> {
        let tables = self.behind.clone();
        self.world
            .calls
            .call(Port::Menus, "locations", move || block_on(tables.locations()), throttled)
            .await
    }
}

impl Stock for Unreliable<MemoryStock> {
    async fn plan(&self, location: &LocationId) -> Result<BakePlan, StoreError> {
        let (stock, location) = (self.behind.clone(), location.clone());
        self.world
            .calls
            .call(Port::Stock, "plan", move || block_on(stock.plan(&location)), throttled)
            .await
    }

    async fn find(&self, order: OrderId) -> Result<Option<Reservation>, StoreError> {
        let stock = self.behind.clone();
        self.world
            .calls
            .call(Port::Stock, "find", move || block_on(stock.find(order)), throttled)
            .await
    }

    async fn hold(
        &self,
        order: OrderId,
        demand: &Demand,
        plan: &BakePlan,
    ) -> Result<Hold, StoreError> {
        let (world, stock, demand, plan) =
            (self.world.clone(), self.behind.clone(), demand.clone(), plan.clone());
        let by = world.core.tasks.current();
        let hold = move || {
            let hold = block_on(stock.hold(order, &demand, &plan))?;
            let held =
                |needed: &Quantity| stock.held(&demand.location, demand.pickup_day, &needed.item);
            world.log.add(Observation::StockAsked {
                by,
                order,
                answer: match &hold {
                    Hold::Held => StockAnswer::Held,
                    Hold::Short(shortages) => StockAnswer::Short(shortages.clone()),
                    Hold::Decided(_) => StockAnswer::Decided,
                },
                held: demand.items.iter().map(held).collect(),
                demand: demand.clone(),
            });
            Ok(hold)
        };
        self.world.calls.call(Port::Stock, "hold", hold, throttled).await
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
                let refusal = refusal.clone();
                world.log.add(Observation::StockRefused { order, refusal });
            }
            Ok(write)
        };
        self.world.calls.call(Port::Stock, "refuse", refuse, throttled).await
    }

    async fn release(
        &self,
        order: OrderId,
        demand: &Demand,
        now: Timestamp,
    ) -> Result<Write<Reservation>, StoreError> {
        let (stock, demand) = (self.behind.clone(), demand.clone());
        self.world
            .calls
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
    async fn find(&self, order: OrderId) -> Result<Option<PaymentRecord>, StoreError> {
        let payments = self.behind.clone();
        self.world
            .calls
            .call(Port::Payments, "find", move || block_on(payments.find(order)), throttled)
            .await
    }

    async fn find_with_price(
        &self,
        order: OrderId,
    ) -> Result<Option<(PaymentRecord, Money)>, StoreError> {
        let payments = self.behind.clone();
        let find = move || block_on(payments.find_with_price(order));
        self.world.calls.call(Port::Payments, "find", find, throttled).await
    }

    async fn write(
        &self,
        order: OrderId,
        price: Money,
        from: Option<&PaymentRecord>,
        next: &PaymentRecord,
        now: Timestamp,
    ) -> Result<Write<PaymentRecord>, StoreError> {
        let (world, payments, from, next) =
            (self.world.clone(), self.behind.clone(), from.cloned(), next.clone());
        let by = world.core.tasks.current();
        let write = move || {
            if matches!(next.payment, Payment::Refused { .. }) {
                world.log.add(Observation::RefusalWritten { by, order });
            }
            let written = block_on(payments.write(order, price, from.as_ref(), &next, now))?;
            if written == Write::Committed {
                let record = next.clone();
                world.log.add(Observation::PaymentWritten { by, order, record });
            }
            Ok(written)
        };
        self.world.calls.call(Port::Payments, "write", write, throttled).await
    }
}

impl PlaceStore for Unreliable<MemoryPayments> {
    async fn places(&self, customer: &CustomerId) -> Result<Places, StoreError> {
        let (payments, customer) = (self.behind.clone(), customer.clone());
        let read = move || block_on(payments.places(&customer));
        self.world.calls.call(Port::Payments, "places", read, throttled).await
    }

    async fn write_places(
        &self,
        customer: &CustomerId,
        places: &Places,
        expires: Timestamp,
    ) -> Result<Write<Places>, StoreError> {
        let (payments, customer, places) = (self.behind.clone(), customer.clone(), places.clone());
        let write = move || block_on(payments.write_places(&customer, &places, expires));
        self.world.calls.call(Port::Payments, "write places", write, throttled).await
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
        stripe::Error::from(*self.world.core.luck.pick(&troubles)).into()
    }
}

impl Provider for Unreliable<MemoryProvider> {
    async fn create(&self, new: &NewIntent) -> Result<Intent, ProviderError> {
        let (world, provider, new) = (self.world.clone(), self.behind.clone(), new.clone());
        let by = world.core.tasks.current();
        let create = move || {
            let created = block_on(provider.create(&new));
            match &created {
                Ok(intent) => {
                    let (intent, order) = (intent.id.clone(), new.order_id);
                    world.log.add(Observation::IntentCreated { by, intent, order });
                }
                Err(ProviderError::Call(stripe::Error::Refused { code: Some(code), .. }))
                    if code == "amount_too_small" =>
                {
                    let (order, reason) = (new.order_id, code.clone());
                    world.log.add(Observation::IntentRefused { by, order, reason });
                }
                Err(_) => {}
            }
            created
        };
        self.world.calls.call(Port::Provider, "create", create, || self.trouble()).await
    }

    async fn find(&self, intent: &IntentId) -> Result<Intent, ProviderError> {
        let (provider, intent) = (self.behind.clone(), intent.clone());
        self.world
            .calls
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
        let by = world.core.tasks.current();
        let confirm = move || {
            let account = provider.accounts().into_iter().find(|it| it.intent.id == intent);
            world.log.add(Observation::IntentConfirmed {
                by,
                intent: intent.clone(),
                order: account.map(|account| account.order_id),
            });
            block_on(provider.confirm(&intent))
        };
        self.world.calls.call(Port::Provider, "confirm", confirm, || self.trouble()).await
    }

    async fn cancel(&self, intent: &IntentId) -> Result<Intent, ProviderError> {
        let (provider, intent) = (self.behind.clone(), intent.clone());
        self.world
            .calls
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
            .calls
            .call(
                Port::Provider,
                "refund",
                move || block_on(provider.refund(&intent)),
                || self.trouble(),
            )
            .await
    }

    async fn refund_part(&self, new: &NewRefund) -> Result<(), ProviderError> {
        let (provider, new) = (self.behind.clone(), new.clone());
        let refund = move || block_on(provider.refund_part(&new));
        // A failure that is answered sticks to the refund's name, so that only the provider makes
        // it.
        let trouble = || {
            let troubles =
                [Unavailable::TimedOut, Unavailable::Disconnected, Unavailable::Busy(429)];
            stripe::Error::from(*self.world.core.luck.pick(&troubles)).into()
        };
        self.world.calls.call(Port::Provider, "refund part", refund, trouble).await
    }

    async fn refunds(&self, intent: &IntentId) -> Result<Vec<BookedRefund>, ProviderError> {
        let (provider, intent) = (self.behind.clone(), intent.clone());
        let list = move || block_on(provider.refunds(&intent));
        self.world.calls.call(Port::Provider, "refunds", list, || self.trouble()).await
    }

    async fn disputes(&self, intent: &IntentId) -> Result<Vec<DisputeEntry>, ProviderError> {
        let (provider, intent) = (self.behind.clone(), intent.clone());
        let list = move || block_on(provider.disputes(&intent));
        self.world.calls.call(Port::Provider, "disputes", list, || self.trouble()).await
    }

    async fn order_of(&self, intent: &IntentId) -> Result<Option<OrderId>, ProviderError> {
        let (provider, intent) = (self.behind.clone(), intent.clone());
        let find = move || block_on(provider.order_of(&intent));
        self.world.calls.call(Port::Provider, "order of", find, || self.trouble()).await
    }
}

impl Notices for Unreliable<MemoryNotices> {
    async fn claim(&self, claim: &Claim, now: Timestamp) -> Result<Claimed, StoreError> {
        let (world, notices, claim) = (self.world.clone(), self.behind.clone(), *claim);
        let make = move || {
            let claimed = block_on(notices.claim(&claim, now))?;
            if claimed == Claimed::Granted {
                let Claim { order, revision, .. } = claim;
                world.log.add(Observation::NoticeClaimed { order, revision, now });
            }
            Ok(claimed)
        };
        self.world.calls.call(Port::Notices, "claim", make, throttled).await
    }

    async fn settle(&self, claim: &Claim, outcome: Outcome) -> Result<(), StoreError> {
        let (notices, claim) = (self.behind.clone(), *claim);
        let settle = move || block_on(notices.settle(&claim, outcome));
        self.world.calls.call(Port::Notices, "settle", settle, throttled).await
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        let (notices, claim) = (self.behind.clone(), *claim);
        self.world
            .calls
            .call(Port::Notices, "release", move || block_on(notices.release(&claim)), throttled)
            .await
    }
}

impl Customers for Unreliable<MemoryCustomers> {
    async fn contact(&self, customer: &CustomerId) -> Result<Contact, CustomerError> {
        let (customers, customer) = (self.behind.clone(), customer.clone());
        let look_up = move || block_on(customers.contact(&customer));
        self.world
            .calls
            .call(Port::Customers, "contact", look_up, || {
                CustomerError("TooManyRequestsException".into())
            })
            .await
    }
}

impl Mailer for Unreliable<MemoryMailer> {
    async fn send(&self, to: &Address, notice: &Notice) -> Result<(), MailError> {
        let (world, mailer, to, notice) =
            (self.world.clone(), self.behind.clone(), to.clone(), notice.clone());
        let by = world.core.tasks.current();
        let send = move || {
            world.log.add(Observation::MailSent { by, to: to.clone(), notice: notice.clone() });
            block_on(mailer.send(&to, &notice))
        };
        self.world
            .calls
            .call(Port::Mailer, "send", send, || MailError::NotTaken("no answer".into()))
            .await
    }
}

/// The event bus as one function sees it, with the rules of the template.
pub(crate) struct Bus {
    world: Rc<World>,
    source: &'static str,
}

/// The most entries of one `PutEvents`.
const MAX_ENTRIES: usize = 10;

impl Bus {
    pub(crate) fn new(world: &Rc<World>, source: &'static str) -> Self {
        Self { world: world.clone(), source }
    }

    fn refused(&self) -> PublishError {
        match self.world.core.luck.below(2) {
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
            let luck = &world.core.luck;
            let taken = if luck.chance(luck.odds().fails) {
                // The bus takes some and refuses the rest.
                luck.below(entries.len())
            } else {
                entries.len()
            };
            let all = taken == entries.len();
            let by = world.core.tasks.current().task;
            let put = move || {
                for entry in &entries[..taken] {
                    route(&world, source, entry);
                }
                if all {
                    Ok(())
                } else {
                    world.log.add(Observation::Mishap(by));
                    Err(PublishError::Call("it took some of the entries".into()))
                }
            };
            self.world.calls.call(Port::Bus, "put events", put, || self.refused()).await?;
        }
        Ok(())
    }
}

/// Sends an event to every queue that a rule matches it with.
pub(crate) fn route(world: &World, source: &'static str, entry: &serde_json::Value) {
    let (event, detail) = (EventTag::of(entry), &entry["detail"]);
    let EventTag { detail_type, order, .. } = &event;
    world.core.trace("bus", || format!("{detail_type} of {order}"));
    world
        .log
        .add(Observation::EventPublished { event: event.clone(), data: detail["data"].clone() });
    let envelope = json!({
        "version": "0", "source": source, "detail-type": &**detail_type, "detail": detail,
        "id": detail["metadata"]["event_id"], "time": world.now(), "resources": [],
    });
    let passed = Passed { at: world.now(), source, event, body: envelope.to_string().into() };
    deliver(world, &passed);
    world.archive.add(passed);
}

/// Sends an event to the queues of the rules that match it, as a replay does once more.
pub(crate) fn deliver(world: &World, passed: &Passed) {
    let Passed { source, event, body, .. } = passed;
    let content = Content::Event(event.clone());
    for rule in TOPOLOGY.rules.iter().filter(|rule| rule.matches(source, &event.detail_type)) {
        world.queues.send(rule.target, body, &content);
    }
}

/// A queue as the batch runner sees it.
pub(crate) struct Visible {
    pub(crate) world: Rc<World>,
    pub(crate) queue: usize,
}

impl Redelivery for Visible {
    async fn hide(&self, receipt_handle: &str, wait: Duration) -> Result<(), HideError> {
        let (queues, queue, handle) =
            (self.world.queues.clone(), self.queue, receipt_handle.to_owned());
        let wait = SignedDuration::try_from(wait).expect("at most hours");
        let hide = move || {
            queues.hide(queue, &handle, wait);
            Ok(())
        };
        self.world.calls.call(Port::Queue, "hide", hide, || HideError("no answer".into())).await
    }

    async fn copy(
        &self,
        record: &SqsMessage,
        ask: u32,
        wait: Duration,
    ) -> Result<String, CopyError> {
        let (world, queue, asked_at) = (self.world.clone(), self.queue, self.world.now());
        let body: Rc<str> = record.body.as_deref().unwrap_or_default().into();
        let of = record.message_id.clone().unwrap_or_default();
        let wait = SignedDuration::try_from(wait).expect("at most minutes");
        let copy = move || {
            let content = if queue == TOPOLOGY.intents() {
                Content::Intent
            } else {
                let event = EventTag::of(&serde_json::from_str(&body).expect("a copy of an event"));
                let (order, until) = (event.order, asked_at + wait);
                let (of, id) = (of.clone(), &TOPOLOGY.queues[queue].id);
                world.log.add(Observation::MessageCopied { of, queue: id, order, until });
                Content::Event(event)
            };
            Ok(world.queues.send_copy(queue, &body, &content, ask, wait))
        };
        self.world.calls.call(Port::Queue, "copy", copy, || CopyError("no answer".into())).await
    }
}

impl DeadLetters for Unreliable<MemoryDeadLetters> {
    async fn send(&self, record: &RawValue, reason: &Unreadable) -> Result<(), SendError> {
        let (letters, record, reason) = (self.behind.clone(), record.to_owned(), reason.clone());
        let send = move || block_on(letters.send(&record, &reason));
        self.world
            .calls
            .call(Port::DeadLetters, "send", send, || SendError("no answer".into()))
            .await
    }
}
