//! Corrupted queue messages, each processed by the function behind its queue.

use std::{cell::Cell, collections::BTreeSet, sync::LazyLock};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_lambda_events::sqs::{SqsEvent, SqsMessage};
use aws_sdk_sqs::config::{Credentials, SharedCredentialsProvider};
use axum::Router;
use inventory::{handler::Inventory, memory::MemoryStock};
use jiff::{SignedDuration, Timestamp, ToSpan};
use notifications::{
    handler::{Address, Contact, Notifications},
    memory::{MemoryCustomers, MemoryMailer, MemoryNotices},
    notice::Templates,
};
use order_status::handler::{OrderStatus, Report};
use payment::{
    handler::Cashier,
    limit::Limit,
    memory::{MemoryPayments, MemoryProvider},
};
use platform::{
    bus::MemoryBus,
    decode,
    queue::{Backoff, Queue, Retryable},
};
use proptest::{collection::vec, prelude::*};
use resources::Template;
use serde::de::DeserializeOwned;
use serde_dynamo::Item;
use serde_json::Value;
use shop::{
    event::OrderEvent,
    id::{CustomerId, OrderId},
    intent_changed::IntentChanged,
    order::Order,
    stock::BakePlan,
};
use tables::orders::MemoryOrders;
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::{RUNTIME, block_on, corrupted, read_json};

/// A queue whose server answers every request with success. The runner asks it to hide failed
/// messages.
static QUEUE: LazyLock<Queue> = LazyLock::new(|| {
    let url = block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        RUNTIME.spawn(async { axum::serve(listener, Router::new().fallback(async || "{}")).await });
        url
    });
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("eu-central-1"))
        .endpoint_url(&url)
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
            "test", "test", None, None, "test",
        )))
        .build();
    Queue::new(&config, format!("{url}/000000000000/queue"), Backoff::outlasting(60))
});

/// A message of a batch.
#[derive(Clone, Debug)]
enum Message {
    /// A valid message about an order of its own.
    Good(Good),
    /// A message that differs from a valid one.
    Corrupted(String),
}

#[derive(Clone, Debug)]
struct Good {
    order: OrderId,
    text: String,
}

impl Message {
    fn text(&self) -> &str {
        match self {
            Self::Good(good) => &good.text,
            Self::Corrupted(text) => text,
        }
    }

    const fn is_good(&self) -> bool {
        matches!(self, Self::Good(_))
    }
}

/// A message of a sample event.
fn sample(event: &str, place: usize) -> Value {
    serde_json::from_str(
        read_json(&format!("events/{event}.json"))["Records"][place]["body"].as_str().unwrap(),
    )
    .unwrap()
}

/// A batch of messages like the sample, some of them corrupted.
fn batch(sample: Value) -> impl Strategy<Value = Vec<Message>> {
    // Its own order, if it names one.
    let order = sample["detail"]["data"]["order_id"].as_str().unwrap_or("no order").to_owned();
    let text = sample.to_string();
    let good = any::<u128>().prop_map(move |id| {
        let id = Uuid::from_u128(id).to_string();
        Message::Good(Good { text: text.replace(&order, &id), order: id.parse().unwrap() })
    });
    vec(prop_oneof![1 => good, 2 => corrupted::text(sample).prop_map(Message::Corrupted)], 1..5)
}

fn orders(messages: &[Message]) -> impl Iterator<Item = OrderId> {
    messages.iter().filter_map(|message| match message {
        Message::Good(good) => Some(good.order),
        Message::Corrupted(_) => None,
    })
}

/// Processes a batch and checks that exactly those messages fail that cannot be read or that the
/// handler refuses.
fn check<T: DeserializeOwned, E: Retryable>(
    messages: &[Message],
    handle: impl AsyncFn(T) -> Result<(), E>,
) {
    let record = |(place, message): (usize, &Message)| {
        let mut record = SqsMessage::default();
        record.message_id = Some(place.to_string());
        record.receipt_handle = Some(place.to_string());
        record.body = Some(message.text().to_owned());
        record
    };
    let mut event = SqsEvent::default();
    event.records = messages.iter().enumerate().map(record).collect();
    let refused = Cell::new(0);
    let context = fixtures::context();
    let answer = block_on(QUEUE.process(&context, event, async |message: T| {
        let outcome = handle(message).await;
        refused.set(refused.get() + usize::from(outcome.is_err()));
        outcome
    }));

    let failed: Vec<usize> = answer
        .batch_item_failures
        .iter()
        .map(|failure| failure.item_identifier.parse().unwrap())
        .collect();
    let unreadable = |place: &usize| serde_json::from_str::<T>(messages[*place].text()).is_err();
    let unreadable: BTreeSet<usize> = (0..messages.len()).filter(unreadable).collect();
    assert!(
        unreadable.iter().all(|place| failed.contains(place)),
        "unreadable are {unreadable:?}, but only {failed:?} failed"
    );
    assert_eq!(
        failed.len(),
        unreadable.len() + refused.get(),
        "a handler has panicked, or a message has failed twice: {failed:?}"
    );
    assert!(
        failed.iter().all(|place| !messages[*place].is_good()),
        "a valid message has failed: {failed:?}"
    );
}

/// The time of the sample events.
fn now() -> Timestamp {
    "2099-11-24T08:00:05Z".parse().unwrap()
}

/// The sample order as it was placed, under other ids.
fn placed(ids: impl Iterator<Item = OrderId>, deadline: Timestamp) -> MemoryOrders {
    let image =
        read_json("events/order-relay-orders-stream.json")["Records"][0]["dynamodb"]["NewImage"]
            .clone();
    let image: Item = serde_json::from_value(image).unwrap();
    let order: Order = decode::item(image).unwrap();
    MemoryOrders::new(ids.map(move |order_id| Order { order_id, deadline, ..order.clone() }))
}

#[test]
fn every_queue_has_a_test_in_this_file() {
    for queue in Template::on_aws().queues() {
        let test = format!("fn messages_of_the_{}_queue_fail_one_by_one(", queue.to_lowercase());
        assert!(include_str!("queues.rs").contains(&test), "add: {test}");
    }
}

fn cashier() -> Cashier<MemoryPayments, MemoryProvider, MemoryBus> {
    Cashier {
        payments: MemoryPayments::default(),
        provider: MemoryProvider::default(),
        bus: MemoryBus::default(),
        limit: Limit { payments: 5, window: SignedDuration::from_hours(1) },
    }
}

proptest! {
    #[test]
    fn messages_of_the_stock_queue_fail_one_by_one(
        messages in batch(sample("inventory-stock-queue", 0)),
    ) {
        let plan = BakePlan { capacity: [("croissant".parse().unwrap(), 5)].into() };
        let stock = MemoryStock::new([("paris-marais".parse().unwrap(), plan)]);
        let inventory = Inventory { stock, bus: MemoryBus::default() };
        check(&messages, async |event: OrderEvent| inventory.handle(event, now()).await);
    }

    #[test]
    fn messages_of_the_charge_queue_fail_one_by_one(
        messages in batch(sample("payment-charge-queue", 0)),
    ) {
        let cashier = cashier();
        check(&messages, async |event: OrderEvent| cashier.handle(event, now()).await);
    }

    #[test]
    fn messages_of_the_refund_queue_fail_one_by_one(
        messages in batch(sample("payment-refund-queue", 1)),
    ) {
        let cashier = cashier();
        check(&messages, async |event: OrderEvent| cashier.handle(event, now()).await);
    }

    #[test]
    fn messages_of_the_intent_queue_fail_one_by_one(
        messages in batch(sample("payment-intent-queue", 0)),
    ) {
        let cashier = cashier();
        check(&messages, async |changed: IntentChanged| cashier.follow(changed, now()).await);
    }

    #[test]
    fn messages_of_the_results_queue_fail_one_by_one(
        messages in batch(sample("order-status-results-queue", 0)),
    ) {
        let status = OrderStatus { orders: placed(orders(&messages), now()) };
        check(&messages, async |report: Report| status.apply(report, now()).await);
    }

    #[test]
    fn messages_of_the_deadline_queue_fail_one_by_one(
        messages in batch(sample("order-status-deadline-queue", 0)),
    ) {
        let status = OrderStatus { orders: placed(orders(&messages), now()) };
        check(&messages, async |event: OrderEvent| status.expire(event, now()).await);
    }

    #[test]
    fn messages_of_the_notice_queue_fail_one_by_one(
        messages in batch(sample("notifications-notice-queue", 0)),
    ) {
        let camille = (
            CustomerId::new("4d8f5e5c-8b0a-4f0e-9a55-0d4f7c2e6b31"),
            Contact::Verified(Address::new("camille@example.com")),
        );
        let notifications = Notifications {
            notices: MemoryNotices::default(),
            customers: MemoryCustomers([camille].into()),
            mailer: MemoryMailer::default(),
            templates: Templates::new().unwrap(),
        };
        let until = now() + 20.seconds();
        check(&messages, async |event: OrderEvent| {
            notifications.handle(&event, now(), until).await
        });
    }
}
