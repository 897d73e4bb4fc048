//! What the parts of the business tell each other, as it stands on the event bus: `detail-type` and
//! `detail` of an EventBridge envelope. Whatever a consumer needs travels in the event, except
//! addresses and, but for the one who charges, means of payment.
//!
//! The schemas in `schemas/` are generated from these types. A change to a type needs a new
//! [`VERSION`]; queues outlive deployments, so consumers accept the version before it as well.

use jiff::{Timestamp, civil, tz::TimeZone};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    id::{CustomerId, LocationId, OrderId},
    money::{Currency, Money},
    order::{Line, Order, OrderEventType, PaymentMethod, PaymentStatus, Rejection, Status},
    stock::{Demand, Shortage},
};

/// The version of all events' details.
pub const VERSION: u32 = 1;

/// Says of an event what every event has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Metadata {
    /// The same for every copy of the event, however often it is published.
    pub event_id: Uuid,
    /// The version of the detail's schema.
    pub version: u32,
    /// When what it tells of was decided.
    pub occurred_at: Timestamp,
    /// The order that all of this is about.
    pub correlation_id: Uuid,
    /// The event that caused this one; none when a person did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<Uuid>,
}

/// The `detail` of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Detail<D> {
    /// What every event has.
    pub metadata: Metadata,
    /// What this kind of event tells.
    pub data: D,
}

impl<D> Detail<D> {
    /// The one event of this order that is called `name`, caused by the event `cause`.
    pub fn of(
        order: OrderId,
        name: &str,
        occurred_at: Timestamp,
        cause: Option<Uuid>,
        data: D,
    ) -> Self {
        let metadata = Metadata {
            event_id: order.derived(name),
            version: VERSION,
            occurred_at,
            correlation_id: order.as_uuid(),
            causation_id: cause,
        };
        Self { metadata, data }
    }
}

/// `source` of what the order domain tells.
pub const ORDERS: &str = "amelie.orders";
/// `source` of what inventory tells.
pub const INVENTORY: &str = "amelie.inventory";
/// `source` of what payment tells.
pub const PAYMENT: &str = "amelie.payment";

/// A transition of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderEvent {
    /// Which.
    #[serde(rename = "detail-type")]
    pub event_type: OrderEventType,
    /// The order after it.
    pub detail: Detail<OrderData>,
}

/// An order as its events tell of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderData {
    /// Which order.
    pub order_id: OrderId,
    /// Whose.
    pub customer_id: CustomerId,
    /// How many transitions it has seen.
    pub revision: u32,
    /// Where it stands.
    pub status: Status,
    /// What became of the money.
    pub payment: PaymentStatus,
    /// At which shop.
    pub location: LocationId,
    /// The shop's name.
    pub location_name: String,
    /// The shop's time zone, by IANA name.
    #[serde(with = "jiff::fmt::serde::tz::required")]
    #[schemars(with = "String")]
    pub time_zone: TimeZone,
    /// When it can be picked up.
    pub pickup_at: Timestamp,
    /// The day of that in the shop's own calendar.
    pub pickup_day: civil::Date,
    /// Nothing may be reserved or charged from then on.
    pub deadline: Timestamp,
    /// What was ordered, each item once.
    pub lines: Vec<Line>,
    /// The sum of all lines in minor units.
    pub total: u64,
    /// The currency of all prices.
    pub currency: Currency,
    /// The means of payment: in `order.reserved` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_method: Option<PaymentMethod>,
    /// Why it was rejected, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejection: Option<Rejection>,
}

impl OrderData {
    /// What it costs.
    #[must_use]
    pub const fn price(&self) -> Money {
        Money { amount: self.total, currency: self.currency }
    }

    /// The stock that it needs.
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
    /// The event of an order's latest transition. None for a row without a history, which no
    /// transition can make.
    #[must_use]
    pub fn latest(order: Order) -> Option<Self> {
        let entry = order.history.last()?.clone();
        let data = OrderData {
            order_id: order.order_id,
            customer_id: order.customer_id,
            revision: entry.revision,
            status: order.status,
            payment: order.payment,
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
        };
        let detail =
            Detail::of(order.order_id, &entry.revision.to_string(), entry.at, entry.cause, data);
        Some(Self { event_type: entry.event, detail })
    }
}

/// What inventory has decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "detail-type", content = "detail")]
pub enum InventoryEvent {
    /// The order's stock is held.
    #[serde(rename = "inventory.reserved")]
    Reserved(Detail<StockReserved>),
    /// There was too little.
    #[serde(rename = "inventory.rejected")]
    Rejected(Detail<StockRejected>),
}

/// Data of `inventory.reserved`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StockReserved {
    /// For which order.
    pub order_id: OrderId,
}

/// Data of `inventory.rejected`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StockRejected {
    /// For which order.
    pub order_id: OrderId,
    /// What fell short.
    pub shortages: Vec<Shortage>,
}

/// What payment has achieved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "detail-type", content = "detail")]
pub enum PaymentEvent {
    /// The full amount was taken.
    #[serde(rename = "payment.captured")]
    Captured(Detail<PaymentMade>),
    /// The provider declined.
    #[serde(rename = "payment.declined")]
    Declined(Detail<PaymentFailed>),
    /// A charge was called off before it took anything.
    #[serde(rename = "payment.voided")]
    Voided(Detail<PaymentMade>),
    /// The full amount was given back.
    #[serde(rename = "payment.refunded")]
    Refunded(Detail<PaymentMade>),
    /// The provider could not give it back.
    #[serde(rename = "payment.refund_failed")]
    RefundFailed(Detail<PaymentFailed>),
}

/// Data of `payment.captured`, `voided` and `refunded`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentMade {
    /// For which order.
    pub order_id: OrderId,
    /// How much, in minor units.
    pub amount: u64,
    /// Of what.
    pub currency: Currency,
}

/// Data of `payment.declined` and `refund_failed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentFailed {
    /// For which order.
    pub order_id: OrderId,
    /// The provider's code.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use schemars::Schema;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        menu::tests::at,
        order::{Trigger, tests::order},
    };

    fn schemas() -> [(&'static str, Schema); 3] {
        [
            (ORDERS, schemars::schema_for!(OrderEvent)),
            (INVENTORY, schemars::schema_for!(InventoryEvent)),
            (PAYMENT, schemars::schema_for!(PaymentEvent)),
        ]
    }

    fn schema_file(source: &str, version: u32) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("schemas")
            .join(format!("{source}.v{version}.json"))
    }

    /// Writes the schemas of a new version; never changes those of one that exists.
    #[test]
    fn a_schema_never_changes_without_its_version() {
        for (source, schema) in schemas() {
            let file = schema_file(source, VERSION);
            let generated = serde_json::to_value(schema).unwrap();
            if !file.exists() && std::env::var_os("CI").is_none() {
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(&file, format!("{generated:#}\n")).unwrap();
            }
            let committed: Value = serde_json::from_str(
                &fs::read_to_string(&file).expect("commit the schemas of this version"),
            )
            .unwrap();
            assert_eq!(
                generated, committed,
                "{source} has changed: raise event::VERSION, run this test and commit the schema that it writes"
            );
        }
    }

    #[test]
    fn an_event_is_the_same_whenever_it_is_made() {
        let row = order(Status::Placed, PaymentStatus::None);
        assert_eq!(OrderEvent::latest(row.clone()), OrderEvent::latest(row));
    }

    #[test]
    fn each_revision_has_an_event_of_its_own() {
        let placed = order(Status::Placed, PaymentStatus::None);
        let reserved = placed.clone().after(
            placed.transition(Trigger::StockReserved, at("2026-11-24T08:00:01Z"), None).unwrap(),
        );
        let id = |order| OrderEvent::latest(order).unwrap().detail.metadata.event_id;
        assert_ne!(id(placed), id(reserved));
    }

    #[test]
    fn only_the_one_who_charges_is_told_the_means_of_payment() {
        let placed = order(Status::Placed, PaymentStatus::None);
        let reserved = placed.clone().after(
            placed.transition(Trigger::StockReserved, at("2026-11-24T08:00:01Z"), None).unwrap(),
        );
        let told = |order| OrderEvent::latest(order).unwrap().detail.data.payment_method.is_some();
        assert!(!told(placed));
        assert!(told(reserved));
    }

    #[test]
    fn an_event_reads_back_from_a_whole_envelope() {
        let id: OrderId = "0b7c55f2-9d4e-4c6b-8a1f-3e2d7c9014aa".parse().unwrap();
        let event = InventoryEvent::Reserved(Detail::of(
            id,
            "inventory.reserved",
            at("2026-11-24T08:00:01Z"),
            None,
            StockReserved { order_id: id },
        ));
        let mut envelope = serde_json::to_value(&event).unwrap();
        envelope["source"] = json!(INVENTORY);
        envelope["id"] = json!("another id");
        assert_eq!(serde_json::from_value::<InventoryEvent>(envelope).unwrap(), event);
    }
}
