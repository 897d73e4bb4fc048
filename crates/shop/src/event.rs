//! The events on the bus: `source`, `detail-type` and `detail` of an EventBridge envelope.
//!
//! An event carries everything that its consumers need, except addresses. The payment method
//! travels in `order.reserved` alone, which only the payment function receives, and the page on
//! which a customer authenticates in `payment.authentication_required` alone. The archive of the
//! bus keeps neither.
//!
//! # Versions
//!
//! Each source has its own version, which its events carry in `metadata.version`. Queues outlive
//! deployments, so a consumer receives events of earlier versions, and for a moment also of a later
//! one. Therefore:
//!
//! - A new version may add optional fields, detail types and enum values. It never removes, renames
//!   or redefines anything; an event that would have to becomes a new detail type.
//! - The current types read the events of every earlier version.
//! - A consumer reads the parts of a later version that it knows: it ignores unknown fields, and
//!   does not look at the version. An unknown enum value is a decoding error, so the message is
//!   retried, and waits in the dead-letter queue if the consumer's deployment takes longer.
//!
//! Version 3 of orders and payment adds currencies, version 4 the refunds of orders that go on, the
//! shop's reason for a cancellation, the authentication of payments, and disputes.
//!
//! The JSON Schemas in `schemas/` are generated from these types, and `tests/recorded/` holds
//! events of each version.

use jiff::{Timestamp, civil, tz::TimeZone};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    authentication::AuthenticationUrl,
    dispute::Dispute,
    id::{CustomerId, LocationId, OrderId},
    money::{Currency, Money},
    order::{
        HistoryEntry, Line, Order, OrderEventType, PaymentMethod, PaymentStatus, Rejection, Status,
    },
    reason::Reason,
    refund::{Refund, RefundReport, RefundState, is_zero},
    stock::{Demand, Shortage},
    trace::TraceParent,
};

/// `source` of the order domain's events.
pub const ORDERS: &str = "amelie.orders";
/// `source` of inventory's events.
pub const INVENTORY: &str = "amelie.inventory";
/// `source` of payment's events.
pub const PAYMENT: &str = "amelie.payment";

/// The version of the events from [`ORDERS`].
pub const ORDERS_VERSION: u32 = 4;
/// The version of the events from [`INVENTORY`].
pub const INVENTORY_VERSION: u32 = 2;
/// The version of the events from [`PAYMENT`].
pub const PAYMENT_VERSION: u32 = 4;

/// Metadata common to all events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Metadata {
    /// The event's id, derived from the order and the event. All copies of the event have the same
    /// id, however often it is published.
    pub event_id: Uuid,
    /// The version of the event's source.
    pub version: u32,
    /// When the change that the event reports was decided.
    pub occurred_at: Timestamp,
    /// The order's id, which is the same in all events that follow from one order.
    pub correlation_id: Uuid,
    /// The id of the event that caused this one; absent if a person caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<Uuid>,
    /// The trace of the request that placed the order. Events have it since version 2, if the
    /// request had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<TraceParent>,
}

/// The `detail` of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Detail<D> {
    /// Metadata common to all events.
    pub metadata: Metadata,
    /// Data that depends on the detail type.
    pub data: D,
}

/// A transition of an order, from the order domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderEvent {
    /// The kind of transition.
    #[serde(rename = "detail-type")]
    pub event_type: OrderEventType,
    /// The order after the transition.
    pub detail: Detail<OrderData>,
}

/// Data of `order.*`: the order after the transition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderData {
    /// The order's id.
    pub order_id: OrderId,
    /// The customer who placed the order.
    pub customer_id: CustomerId,
    /// The number of transitions so far, including the placing.
    pub revision: u32,
    /// The order's state.
    pub status: Status,
    /// What happened to the customer's money.
    pub payment: PaymentStatus,
    /// What the shop has given back, or is giving back; since version 4.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refunds: Vec<Refund>,
    /// The customer's dispute of the payment, if there is one; since version 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dispute: Option<Dispute>,
    /// The shop's id.
    pub location: LocationId,
    /// The shop's name.
    pub location_name: String,
    /// The shop's time zone, by IANA name.
    #[serde(with = "jiff::fmt::serde::tz::required")]
    #[schemars(with = "String")]
    pub time_zone: TimeZone,
    /// When the order can be picked up.
    pub pickup_at: Timestamp,
    /// The day whose stock the order uses: the date, in the shop's time zone, on which the opening
    /// hours of the pickup began.
    pub pickup_day: civil::Date,
    /// The time from which nothing may be reserved or charged for the order.
    pub deadline: Timestamp,
    /// The ordered items, each once.
    pub lines: Vec<Line>,
    /// The sum of all lines in minor units.
    pub total: u64,
    /// The currency of all prices.
    pub currency: Currency,
    /// The payment method to charge; only in `order.reserved`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_method: Option<PaymentMethod>,
    /// Why the order was rejected; only for a rejected order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejection: Option<Rejection>,
    /// Why the shop has cancelled the order, if the shop has; since version 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancellation_reason: Option<Reason>,
}

impl OrderData {
    /// The order's total with its currency.
    #[must_use]
    pub const fn price(&self) -> Money {
        Money { amount: self.total, currency: self.currency }
    }

    /// The stock that the order needs.
    #[must_use]
    pub fn demand(&self) -> Demand {
        Demand {
            location: self.location.clone(),
            pickup_day: self.pickup_day,
            items: self.lines.iter().map(Into::into).collect(),
        }
    }
}

impl OrderEvent {
    /// The event of an order's latest transition, or `None` for a row without a history, which no
    /// transition leaves behind.
    #[must_use]
    pub fn latest(order: Order) -> Option<Self> {
        let entry = order.history.last()?.clone();
        let data = OrderData {
            order_id: order.order_id,
            customer_id: order.customer_id,
            revision: entry.revision,
            status: order.status,
            payment: order.payment,
            refunds: order.refunds,
            dispute: order.dispute,
            location: order.location,
            location_name: order.location_name,
            time_zone: order.time_zone,
            pickup_at: order.pickup_at,
            pickup_day: order.pickup_day,
            deadline: order.deadline,
            lines: order.lines,
            total: order.total,
            currency: order.currency,
            payment_method: order
                .payment_method
                .filter(|_| entry.event == OrderEventType::Reserved),
            rejection: order.rejection,
            cancellation_reason: order.cancellation_reason,
        };
        let metadata = Metadata {
            event_id: order.order_id.derived(&entry.revision.to_string()),
            version: ORDERS_VERSION,
            occurred_at: entry.at,
            correlation_id: order.order_id.as_uuid(),
            causation_id: entry.cause,
            traceparent: order.traceparent,
        };
        Some(Self { event_type: entry.event, detail: Detail { metadata, data } })
    }

    /// The event to publish again if nobody knows whether it got through: the order's latest one.
    /// While the charge or a refund is not made, or is on its way, that is the one for which it is
    /// tried: the reservation or the end of an order, or the request of its shop. A later one only
    /// says, for example, that the refund failed.
    #[must_use]
    pub fn repeated(order: Order) -> Option<Self> {
        use OrderEventType::{Cancelled, Expired, RefundRequested, Rejected, Reserved};

        let is_open =
            |refund: &Refund| matches!(refund.state, RefundState::Requested | RefundState::Pending);
        if order.payment == PaymentStatus::RefundFailed {
            Self::last_of(order, &[Rejected, Cancelled, Expired])
        } else if !order.status.ended_early() && order.refunds.iter().any(is_open) {
            Self::last_of(order, &[RefundRequested])
        } else if order.status == Status::Reserved {
            Self::last_of(order, &[Reserved])
        } else {
            Self::latest(order)
        }
    }

    /// The event of the order's latest transition among those of these types.
    fn last_of(mut order: Order, types: &[OrderEventType]) -> Option<Self> {
        let is_wanted = |entry: &HistoryEntry| types.contains(&entry.event);
        let last = order.history.iter().rposition(is_wanted)?;
        order.history.truncate(last + 1);
        Self::latest(order)
    }
}

/// The data of an event about an order.
trait AboutOrder {
    fn order_id(&self) -> OrderId;

    /// What the event's id is derived from, next to the order. An order has at most one event of
    /// most detail types.
    fn name(&self, detail_type: &str) -> String {
        detail_type.to_owned()
    }
}

macro_rules! about_order {
    ($($data:ty),*) => {
        $(impl AboutOrder for $data {
            fn order_id(&self) -> OrderId {
                self.order_id
            }
        })*
    };
}

about_order!(StockReserved, StockRejected, AuthenticationRequired, PaymentMade, PaymentFailed);

macro_rules! about_version {
    ($($data:ty),*) => {
        $(impl AboutOrder for $data {
            fn order_id(&self) -> OrderId {
                self.order_id
            }

            fn name(&self, detail_type: &str) -> String {
                match self.version {
                    0 => detail_type.to_owned(),
                    version => format!("{detail_type}/{version}"),
                }
            }
        })*
    };
}

about_version!(PaymentRefunded, RefundFailed, PaymentChanged);

/// Defines the events that a source publishes about orders: an enum with a variant for each detail
/// type, and a constructor for each variant.
///
/// A detail type is written once: the wire format, the event's id and `DETAIL_TYPES` take it from
/// the same literal, and cannot drift apart.
macro_rules! events {
    (
        $(#[$doc:meta])*
        $event:ident, version $version:ident:
        $($(#[$variant_doc:meta])* $detail_type:literal => $variant:ident, $new:ident($data:ty);)*
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(tag = "detail-type", content = "detail")]
        pub enum $event {
            $(
                $(#[$variant_doc])*
                #[serde(rename = $detail_type)]
                $variant(Detail<$data>),
            )*
        }

        impl $event {
            /// All detail types of this source.
            pub const DETAIL_TYPES: &[&str] = &[$($detail_type),*];

            $(
                #[doc = concat!("The order's `", $detail_type, "` event, caused by event `cause`.")]
                #[must_use]
                pub fn $new<'a>(
                    data: $data,
                    occurred_at: Timestamp,
                    cause: impl Into<Option<&'a Metadata>>,
                ) -> Self {
                    let cause = cause.into();
                    let metadata = Metadata {
                        event_id: data.order_id().derived(&data.name($detail_type)),
                        version: $version,
                        occurred_at,
                        correlation_id: data.order_id().as_uuid(),
                        causation_id: cause.map(|cause| cause.event_id),
                        traceparent: cause.and_then(|cause| cause.traceparent.clone()),
                    };
                    Self::$variant(Detail { metadata, data })
                }
            )*
        }
    };
}

events! {
    /// A decision of inventory about an order's stock.
    InventoryEvent, version INVENTORY_VERSION:
    /// The order's stock is held.
    "inventory.reserved" => Reserved, reserved(StockReserved);
    /// At least one item fell short, and nothing is held.
    "inventory.rejected" => Rejected, rejected(StockRejected);
}

/// Data of `inventory.reserved`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StockReserved {
    /// The order's id.
    pub order_id: OrderId,
}

/// Data of `inventory.rejected`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StockRejected {
    /// The order's id.
    pub order_id: OrderId,
    /// Each item that fell short.
    pub shortages: Vec<Shortage>,
}

events! {
    /// A result of an order's payment.
    PaymentEvent, version PAYMENT_VERSION:
    /// The customer's bank asks them to authenticate the payment; since version 4.
    "payment.authentication_required"
        => AuthenticationRequired, authentication_required(AuthenticationRequired);
    /// The full amount was taken.
    "payment.captured" => Captured, captured(PaymentMade);
    /// The provider declined the charge, or refused for good to begin it.
    "payment.declined" => Declined, declined(PaymentFailed);
    /// The charge was voided before it took anything.
    "payment.voided" => Voided, voided(PaymentMade);
    /// The full amount was refunded.
    "payment.refunded" => Refunded, refunded(PaymentRefunded);
    /// The provider could not refund the amount, or the bank has sent it back.
    "payment.refund_failed" => RefundFailed, refund_failed(RefundFailed);
    /// The refunds of an order that goes on have changed, or the dispute of any order; since
    /// version 4.
    "payment.changed" => Changed, changed(PaymentChanged);
}

/// Data of `payment.authentication_required`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuthenticationRequired {
    /// The order's id.
    pub order_id: OrderId,
    /// The page for the customer alone.
    pub authentication_url: AuthenticationUrl,
}

/// Data of `payment.changed`: the payment's row as it stood. An event with a lower version than one
/// that came before it is older.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentChanged {
    /// The order's id.
    pub order_id: OrderId,
    /// The number of times that the row was written.
    pub version: u32,
    /// All refunds that the shop has asked for.
    pub refunds: Vec<RefundReport>,
    /// A summary of the disputes, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dispute: Option<Dispute>,
}

/// Data of `payment.refunded`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentRefunded {
    /// The order's id.
    pub order_id: OrderId,
    /// The amount in minor units.
    pub amount: u64,
    /// The currency of the amount.
    pub currency: Currency,
    /// The version of the payment's row, since version 4; 0 if that is not known.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub version: u32,
}

/// Data of `payment.refund_failed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefundFailed {
    /// The order's id.
    pub order_id: OrderId,
    /// The provider's code, such as `expired_or_canceled_card`.
    pub reason: String,
    /// The version of the payment's row, since version 4; 0 if that is not known.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub version: u32,
}

/// Data of `payment.captured` and `payment.voided`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentMade {
    /// The order's id.
    pub order_id: OrderId,
    /// The amount in minor units.
    pub amount: u64,
    /// The currency of the amount.
    pub currency: Currency,
}

/// Data of `payment.declined`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentFailed {
    /// The order's id.
    pub order_id: OrderId,
    /// The provider's code, such as `insufficient_funds`.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use std::{env, fs, path::PathBuf};

    use schemars::Schema;
    use serde_json::Value;

    use super::*;
    use crate::{
        menu::tests::at,
        order::{Trigger, tests::order},
    };

    fn schemas() -> [(&'static str, u32, Schema); 3] {
        [
            (ORDERS, ORDERS_VERSION, schemars::schema_for!(OrderEvent)),
            (INVENTORY, INVENTORY_VERSION, schemars::schema_for!(InventoryEvent)),
            (PAYMENT, PAYMENT_VERSION, schemars::schema_for!(PaymentEvent)),
        ]
    }

    /// The schema without its descriptions, which may be reworded within a version.
    fn shape(mut schema: Value) -> Value {
        match &mut schema {
            Value::Object(members) => {
                members.retain(|name, value| name != "description" || !value.is_string());
                members.values_mut().for_each(|value| *value = shape(value.take()));
            }
            Value::Array(values) => {
                values.iter_mut().for_each(|value| *value = shape(value.take()))
            }
            _ => {}
        }
        schema
    }

    /// Outside CI, this test also writes the committed schemas: of a new version, and when only
    /// descriptions have changed.
    #[test]
    fn a_schema_never_changes_without_its_version() {
        for (source, version, schema) in schemas() {
            let file = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
                .join(format!("schemas/{source}.v{version}.json"));
            let generated = serde_json::to_value(schema).unwrap();
            let committed: Option<Value> =
                fs::read(&file).ok().map(|text| serde_json::from_slice(&text).unwrap());
            if let Some(committed) = &committed {
                assert_eq!(
                    shape(generated.clone()),
                    shape(committed.clone()),
                    "the events of {source} have changed: raise their version in event.rs"
                );
            }
            if committed.as_ref() != Some(&generated) {
                let file = file.display();
                assert!(
                    env::var_os("CI").is_none(),
                    "{file} is stale: run this test, and commit it"
                );
                fs::write(file.to_string(), format!("{generated:#}\n")).unwrap();
            }
        }
    }

    #[test]
    fn an_order_row_always_makes_the_same_event() {
        let row = order(Status::Placed, PaymentStatus::None);
        assert_eq!(OrderEvent::latest(row.clone()), OrderEvent::latest(row));
    }

    fn placed_and_reserved() -> [OrderEvent; 2] {
        let placed = order(Status::Placed, PaymentStatus::None);
        let reserved = placed.clone().after(
            placed.transition(Trigger::StockReserved, at("2026-11-24T08:00:01Z"), None).unwrap(),
        );
        [placed, reserved].map(|order| OrderEvent::latest(order).unwrap())
    }

    #[test]
    fn each_revision_has_its_own_event_id() {
        let [placed, reserved] = placed_and_reserved().map(|event| event.detail.metadata.event_id);
        assert_ne!(placed, reserved);
    }

    #[test]
    fn only_order_reserved_carries_the_payment_method() {
        let [placed, reserved] =
            placed_and_reserved().map(|event| event.detail.data.payment_method);
        assert_eq!(placed, None);
        assert!(reserved.is_some());
    }
}
