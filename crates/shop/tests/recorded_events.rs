//! Events of earlier versions, recorded as they were on the bus, are still read.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeSet, fs, path::PathBuf};

use fixtures::at;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shop::{
    authentication::AuthenticationUrl,
    dispute::{Dispute, DisputeState},
    event::{
        AuthenticationRequired, INVENTORY, InventoryEvent, Metadata, ORDERS, OrderEvent, PAYMENT,
        PaymentChanged, PaymentEvent, PaymentFailed, PaymentMade, PaymentRefunded, RefundFailed,
        StockRejected, StockReserved,
    },
    id::OrderId,
    money::Currency,
    order::{Order, OrderEventType, Trigger},
    refund::{Refund, RefundReport, RefundState},
    stock::Shortage,
    trace::TraceParent,
};
use uuid::Uuid;

/// Every recording: its file's name, and the event that it must be read as.
fn recordings() -> Vec<(String, Event)> {
    let trace: TraceParent =
        "00-f454ae800a1b2c3d4e5f60718293a4b5-4e5f60718293a4b5-00".parse().unwrap();
    let (in_kronur, refunds) = (in_kronur(&trace), refunds(&trace));
    let (authentication, dispute) = (authentication(&trace), dispute(&trace));
    let sent_back = sent_back(&trace);
    [(1, None), (2, Some(trace))]
        .into_iter()
        .flat_map(|(version, trace)| {
            let orders = order_recordings(trace.as_ref())
                .into_iter()
                .map(|(name, it)| (name, Event::Order(it.into())));
            let inventory = inventory_recordings(trace.as_ref());
            let inventory = inventory.into_iter().map(|(name, it)| (name, Event::Inventory(it)));
            let payment = payment_recordings(trace.as_ref());
            let payment = payment.into_iter().map(|(name, it)| (name, Event::Payment(it)));
            let file = move |(name, event)| (format!("{name}.v{version}.json"), event);
            orders.chain(inventory).chain(payment).map(file).collect::<Vec<_>>()
        })
        .chain(in_kronur)
        .chain(refunds)
        .chain(authentication)
        .chain(dispute)
        .chain([sent_back])
        .collect()
}

#[derive(Debug, PartialEq)]
enum Event {
    Order(Box<OrderEvent>),
    Inventory(InventoryEvent),
    Payment(PaymentEvent),
}

impl Event {
    fn read(envelope: &Value) -> Self {
        fn event<E: DeserializeOwned>(envelope: &Value) -> E {
            serde_json::from_value(envelope.clone())
                .unwrap_or_else(|error| panic!("{} is not read: {error}", envelope["detail-type"]))
        }
        match envelope["source"].as_str().unwrap() {
            ORDERS => Self::Order(Box::new(event(envelope))),
            INVENTORY => Self::Inventory(event(envelope)),
            PAYMENT => Self::Payment(event(envelope)),
            other => panic!("unknown source {other}"),
        }
    }

    fn with_version(mut self, version: u32) -> Self {
        let metadata = match &mut self {
            Self::Order(event) => &mut event.detail.metadata,
            Self::Inventory(InventoryEvent::Reserved(detail)) => &mut detail.metadata,
            Self::Inventory(InventoryEvent::Rejected(detail)) => &mut detail.metadata,
            Self::Payment(PaymentEvent::Captured(detail) | PaymentEvent::Voided(detail)) => {
                &mut detail.metadata
            }
            Self::Payment(PaymentEvent::Declined(detail)) => &mut detail.metadata,
            Self::Payment(PaymentEvent::Refunded(detail)) => &mut detail.metadata,
            Self::Payment(PaymentEvent::RefundFailed(detail)) => &mut detail.metadata,
            Self::Payment(PaymentEvent::Changed(detail)) => &mut detail.metadata,
            Self::Payment(PaymentEvent::AuthenticationRequired(detail)) => &mut detail.metadata,
        };
        metadata.version = version;
        self
    }
}

/// Since version 3 of orders and payment, in a currency that earlier versions do not know.
fn in_kronur(trace: &TraceParent) -> [(String, Event); 2] {
    let (order_id, currency) = (order_id(), Currency::Isk);
    let placed = Order { currency, traceparent: Some(trace.clone()), ..placed() };
    let made = PaymentMade { order_id, amount: 380, currency };
    let cause = cause(REVISIONS[1], Some(trace));
    let captured = PaymentEvent::captured(made, at(DECIDED), &cause);
    [
        (
            "order.placed-isk.v3.json".into(),
            Event::Order(OrderEvent::latest(placed).unwrap().into()),
        ),
        ("payment.captured-isk.v3.json".into(), Event::Payment(captured)),
    ]
}

/// Since version 4 of orders and payment: a refund by the shop, and what became of it.
fn refunds(trace: &TraceParent) -> [(String, Event); 2] {
    let recorded = order_recordings(Some(trace));
    let (_, confirmed) = recorded.into_iter().find(|(name, _)| *name == "order.confirmed").unwrap();
    let refund = Refund {
        id: 1,
        amount: 190,
        reason: "One croissant was burnt".parse().unwrap(),
        requested_at: at("2026-11-24T08:00:11.5Z"),
        attempt: 1,
        state: RefundState::Requested,
    };
    let mut requested = confirmed;
    requested.event_type = OrderEventType::RefundRequested;
    requested.detail.data.revision = 4;
    requested.detail.data.refunds = vec![refund];
    let metadata = &mut requested.detail.metadata;
    metadata.event_id = id(REVISIONS[3]);
    metadata.occurred_at = at("2026-11-24T08:00:11.5Z");
    metadata.causation_id = None;
    let changed = PaymentChanged {
        order_id: order_id(),
        version: 4,
        refunds: vec![RefundReport { id: 1, attempt: 1, state: RefundState::Succeeded }],
        dispute: None,
    };
    let changed = PaymentEvent::changed(changed, at(DECIDED), &cause(REVISIONS[3], Some(trace)));
    [
        ("order.refund_requested.v4.json".into(), Event::Order(requested.into())),
        ("payment.changed.v4.json".into(), Event::Payment(changed)),
    ]
}

/// Since version 4 of orders and payment: a refund failed after it had succeeded.
fn sent_back(trace: &TraceParent) -> (String, Event) {
    let reason = "expired_or_canceled_card".to_owned();
    let failed = RefundFailed { order_id: order_id(), reason, version: 5 };
    let failed =
        PaymentEvent::refund_failed(failed, at(DECIDED), &cause(REVISIONS[3], Some(trace)));
    ("payment.refund_failed.v4.json".into(), Event::Payment(failed))
}

/// Since version 4 of orders and payment: the customer disputes the payment, which no event causes.
fn dispute(trace: &TraceParent) -> [(String, Event); 2] {
    let dispute = Some(Dispute { state: DisputeState::Open, amount: 380 });
    let changed = PaymentChanged { order_id: order_id(), version: 3, refunds: vec![], dispute };
    let changed = PaymentEvent::changed(changed, at(DECIDED), None);
    let PaymentEvent::Changed(detail) = &changed else { unreachable!() };
    let recorded = order_recordings(Some(trace));
    let (_, mut disputed) =
        recorded.into_iter().find(|(name, _)| *name == "order.confirmed").unwrap();
    disputed.event_type = OrderEventType::DisputeChanged;
    disputed.detail.data.revision = 4;
    disputed.detail.data.dispute = dispute;
    let metadata = &mut disputed.detail.metadata;
    metadata.event_id = id(REVISIONS[3]);
    metadata.occurred_at = at("2026-11-24T08:00:21.5Z");
    metadata.causation_id = Some(detail.metadata.event_id);
    [
        ("order.dispute_changed.v4.json".into(), Event::Order(disputed.into())),
        ("payment.changed-dispute.v4.json".into(), Event::Payment(changed)),
    ]
}

/// Since version 4 of orders and payment: the customer has to authenticate.
fn authentication(trace: &TraceParent) -> [(String, Event); 2] {
    let page = "https://hooks.stripe.com/3d_secure_2/hosted".to_owned();
    let authentication_url: AuthenticationUrl = page.try_into().unwrap();
    let recorded = order_recordings(Some(trace));
    let (_, mut asked) = recorded.into_iter().find(|(name, _)| *name == "order.reserved").unwrap();
    asked.event_type = OrderEventType::AuthenticationRequired;
    asked.detail.data.revision = 3;
    asked.detail.data.payment_method = None;
    let metadata = &mut asked.detail.metadata;
    metadata.event_id = id(REVISIONS[2]);
    metadata.occurred_at = at("2026-11-24T08:00:02.5Z");
    let cause_of_asking = cause(REVISIONS[1], Some(trace));
    let required = AuthenticationRequired { order_id: order_id(), authentication_url };
    let required = PaymentEvent::authentication_required(required, at(DECIDED), &cause_of_asking);
    let PaymentEvent::AuthenticationRequired(detail) = &required else { unreachable!() };
    asked.detail.metadata.causation_id = Some(detail.metadata.event_id);
    [
        ("order.authentication_required.v4.json".into(), Event::Order(asked.into())),
        ("payment.authentication_required.v4.json".into(), Event::Payment(required)),
    ]
}

fn order_id() -> OrderId {
    fixtures::ORDER.parse().unwrap()
}

/// Ids are written out here, since they must never change.
fn id(text: &str) -> Uuid {
    text.parse().unwrap()
}

fn shortage() -> Shortage {
    Shortage { item: "croissant".parse().unwrap(), requested: 2, left: 1 }
}

fn placed() -> Order {
    let placed_at = at("2026-11-24T08:00:00.120Z");
    let deadline = at("2026-11-24T08:15:00.120Z");
    let mut order = Order { placed_at, pickup_at: placed_at, deadline, ..fixtures::order() };
    order.history[0].at = placed_at;
    order
}

fn order_recordings(trace: Option<&TraceParent>) -> Vec<(&'static str, OrderEvent)> {
    let after = |order: &Order, trigger, time: &str, cause: Option<&str>| {
        let at = at(&format!("2026-11-24T{time}Z"));
        order.clone().after(order.transition(trigger, at, cause.map(id)).unwrap())
    };
    let placed = Order { traceparent: trace.cloned(), ..placed() };
    let reserved = after(&placed, Trigger::StockReserved, "08:00:01.5", Some(RESERVED));
    let confirmed = after(&reserved, Trigger::PaymentCaptured, "08:00:02.5", Some(CAPTURED));
    let preparing = after(&confirmed, Trigger::PreparationStarted, "08:00:03.5", None);
    let ready = after(&preparing, Trigger::PreparationFinished, "08:00:04.5", None);
    let collected = after(&ready, Trigger::PickedUp, "08:00:05.5", None);
    let short = Trigger::StockRejected(vec![shortage()]);
    let out_of_stock = after(&placed, short, "08:00:06.5", Some(REJECTED));
    let declined = Trigger::PaymentDeclined("insufficient_funds".into());
    let declined = after(&reserved, declined, "08:00:07.5", Some(DECLINED));
    // It was recorded when an order could still be cancelled after its pickup.
    let in_time = Order { pickup_at: at("2026-11-24T09:00:00Z"), ..confirmed.clone() };
    let cancelled = after(&in_time, Trigger::Cancelled, "08:00:08.5", None);
    let cancelled = Order { pickup_at: confirmed.pickup_at, ..cancelled };
    let expired = after(&reserved, Trigger::DeadlinePassed, "08:16:09.5", Some(REVISIONS[0]));
    let refunded = after(&cancelled, Trigger::PaymentRefunded(0), "08:00:10.5", Some(REFUNDED));
    // Since version 2.
    let erased = trace.map(|_| {
        let erase = Trigger::ErasureRequested;
        let transition = collected.transition(erase, at("2026-12-24T08:00:00Z"), None).unwrap();
        ("order.erased", collected.clone().after(transition))
    });
    [
        ("order.placed", placed),
        ("order.reserved", reserved),
        ("order.confirmed", confirmed),
        ("order.preparing", preparing),
        ("order.ready", ready),
        ("order.collected", collected),
        ("order.rejected", out_of_stock),
        ("order.rejected-payment_declined", declined),
        ("order.cancelled", cancelled),
        ("order.expired", expired),
        ("order.payment_changed", refunded),
    ]
    .into_iter()
    .chain(erased)
    .map(|(name, order)| (name, OrderEvent::latest(order).unwrap()))
    .collect()
}

/// The metadata of the event that inventory or payment answered.
fn cause(event: &str, trace: Option<&TraceParent>) -> Metadata {
    Metadata {
        event_id: id(event),
        version: 1,
        occurred_at: at(DECIDED),
        correlation_id: order_id().as_uuid(),
        causation_id: None,
        traceparent: trace.cloned(),
    }
}

/// When inventory and payment decided.
const DECIDED: &str = "2026-11-24T08:00:20.25Z";

fn inventory_recordings(trace: Option<&TraceParent>) -> Vec<(&'static str, InventoryEvent)> {
    let (order_id, now, cause) = (order_id(), at(DECIDED), &cause(REVISIONS[0], trace));
    let rejected = StockRejected { order_id, shortages: vec![shortage()] };
    vec![
        ("inventory.reserved", InventoryEvent::reserved(StockReserved { order_id }, now, cause)),
        ("inventory.rejected", InventoryEvent::rejected(rejected, now, cause)),
    ]
}

fn payment_recordings(trace: Option<&TraceParent>) -> Vec<(&'static str, PaymentEvent)> {
    let (order_id, now) = (order_id(), at(DECIDED));
    let [_, second, third, fourth] = REVISIONS.map(|revision| cause(revision, trace));
    let made = || PaymentMade { order_id, amount: 380, currency: Currency::Eur };
    let failed = |reason: &str| PaymentFailed { order_id, reason: reason.into() };
    let declined = failed("insufficient_funds");
    // Before version 4, they had no version of the payment's row.
    let refunded = PaymentRefunded { order_id, amount: 380, currency: Currency::Eur, version: 0 };
    let reason = "expired_or_canceled_card".to_owned();
    let refund_failed = RefundFailed { order_id, reason, version: 0 };
    vec![
        ("payment.captured", PaymentEvent::captured(made(), now, &second)),
        ("payment.declined", PaymentEvent::declined(declined, now, &second)),
        ("payment.voided", PaymentEvent::voided(made(), now, &third)),
        ("payment.refunded", PaymentEvent::refunded(refunded, now, &fourth)),
        ("payment.refund_failed", PaymentEvent::refund_failed(refund_failed, now, &fourth)),
    ]
}

/// The id of `inventory.reserved`.
const RESERVED: &str = "ba47c3ab-705d-5b50-a8d6-fce9b8becd10";
/// The id of `inventory.rejected`.
const REJECTED: &str = "9de8ca2b-27b3-51d0-ad48-349c6f53e571";
/// The id of `payment.captured`.
const CAPTURED: &str = "085d766d-2bb0-585f-8782-b991d6750dd4";
/// The id of `payment.declined`.
const DECLINED: &str = "9072324a-aaaf-51c5-8bd2-70d1a8e4af24";
/// The id of `payment.refunded`.
const REFUNDED: &str = "411f24cd-d790-56d9-b173-3aba5594cdf9";
/// The ids of the order's own events, by revision from 1 on.
const REVISIONS: [&str; 4] = [
    "bd96d174-0076-59b0-8aa5-52da2306a184",
    "da0b14fd-53da-5287-bbb2-372b77b2696e",
    "7df805f1-9492-5156-90d5-6b23d102dc08",
    "ddb63ac2-2d67-5f96-bd05-32724b066228",
];

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/recorded")
}

fn recorded(file: &str) -> Value {
    let path = directory().join(file);
    let text = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap()
}

fn version(envelope: &Value) -> u32 {
    envelope["detail"]["metadata"]["version"].as_u64().unwrap().try_into().unwrap()
}

/// Adds an unknown field to every object of `value`.
fn extend(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.values_mut().for_each(extend);
            members.insert("unknown".into(), json!({"added": [1, "later"]}));
        }
        Value::Array(values) => values.iter_mut().for_each(extend),
        _ => {}
    }
}

#[test]
fn recorded_events_are_read_to_their_values_and_ids() {
    for (file, expected) in recordings() {
        let envelope = recorded(&file);
        assert_eq!(Event::read(&envelope), expected.with_version(version(&envelope)), "{file}");
    }
}

#[test]
fn unknown_fields_and_a_later_version_are_ignored() {
    for (file, expected) in recordings() {
        let mut envelope = recorded(&file);
        extend(&mut envelope["detail"]);
        envelope["detail"]["metadata"]["version"] = json!(99);
        assert_eq!(Event::read(&envelope), expected.with_version(99), "{file}");
    }
}

#[test]
fn every_file_is_tested_and_every_detail_type_is_recorded() {
    let tested: BTreeSet<_> = recordings().into_iter().map(|(file, _)| file).collect();
    let files: BTreeSet<_> = fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(tested, files);

    let recorded: BTreeSet<_> = files
        .iter()
        .map(|file| recorded(file)["detail-type"].as_str().unwrap().to_owned())
        .collect();
    let orders = OrderEventType::ALL
        .map(|event| serde_json::to_value(event).unwrap().as_str().unwrap().to_owned());
    let others = [InventoryEvent::DETAIL_TYPES, PaymentEvent::DETAIL_TYPES].concat();
    let expected = orders.into_iter().chain(others.into_iter().map(str::to_owned)).collect();
    assert_eq!(recorded, expected);
}
