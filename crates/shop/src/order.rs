//! An order, its states, and the one function that says how it goes from one to the next.

use std::fmt;

use jiff::{Timestamp, civil, tz::TimeZone};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    id::{CustomerId, ItemId, LocationId, OrderId},
    money::{Currency, Money},
    stock::{Quantity, Shortage},
};

/// Where an order stands: `placed → reserved → confirmed → preparing → ready → collected`, or one
/// of three early ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Accepted; nothing is held or charged yet.
    Placed,
    /// Its stock is held.
    Reserved,
    /// Paid: the shop will make it.
    Confirmed,
    /// Being made; it can no longer be cancelled.
    Preparing,
    /// Waiting for the customer.
    Ready,
    /// Handed over. The end of an order that went well.
    Collected,
    /// Out of stock or declined; see [`Rejection`].
    Rejected,
    /// Called off by the customer.
    Cancelled,
    /// Not confirmed by its deadline.
    Expired,
}

impl Status {
    /// Whether the order ended without being handed over, so that stock and money have to go back.
    #[must_use]
    pub const fn ended_early(self) -> bool {
        matches!(self, Self::Rejected | Self::Cancelled | Self::Expired)
    }
}

/// What became of the customer's money.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    /// Nothing was taken.
    #[default]
    None,
    /// The full amount was taken.
    Captured,
    /// A charge that had begun was called off before it took anything.
    Voided,
    /// The full amount was given back.
    Refunded,
    /// The provider could not give the amount back; somebody has to.
    RefundFailed,
}

/// Why an order was rejected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Rejection {
    /// Too little of at least one item.
    OutOfStock {
        /// Each item that fell short, with what was left of it.
        shortages: Vec<Shortage>,
    },
    /// The payment provider declined the charge.
    PaymentDeclined {
        /// The provider's code, such as `insufficient_funds`.
        reason: String,
    },
}

/// The provider's token for the customer's means of payment. It prints as `…`, so that no log line
/// can hold it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct PaymentMethod(String);

impl PaymentMethod {
    /// Takes a token as the customer sent it.
    #[must_use]
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }

    /// The token, for the provider alone.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PaymentMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PaymentMethod(…)")
    }
}

/// One item of an order. An order names each item once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    /// What.
    pub item: ItemId,
    /// Its name when the order was placed.
    pub name: String,
    /// How many pieces.
    pub quantity: u32,
    /// Price of one piece when the order was placed, in minor units of the order's currency.
    pub unit_price: u64,
}

impl From<&Line> for Quantity {
    fn from(line: &Line) -> Self {
        Self { item: line.item.clone(), quantity: line.quantity }
    }
}

/// What a transition of an order is announced as, on the bus and in its history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "each is the state that the order has reached")]
pub enum OrderEventType {
    #[serde(rename = "order.placed")]
    Placed,
    #[serde(rename = "order.reserved")]
    Reserved,
    #[serde(rename = "order.confirmed")]
    Confirmed,
    #[serde(rename = "order.preparing")]
    Preparing,
    #[serde(rename = "order.ready")]
    Ready,
    #[serde(rename = "order.collected")]
    Collected,
    #[serde(rename = "order.rejected")]
    Rejected,
    #[serde(rename = "order.cancelled")]
    Cancelled,
    #[serde(rename = "order.expired")]
    Expired,
    /// Only what became of the money has changed.
    #[serde(rename = "order.payment_changed")]
    PaymentChanged,
}

impl OrderEventType {
    /// Every event type.
    pub const ALL: [Self; 10] = [
        Self::Placed,
        Self::Reserved,
        Self::Confirmed,
        Self::Preparing,
        Self::Ready,
        Self::Collected,
        Self::Rejected,
        Self::Cancelled,
        Self::Expired,
        Self::PaymentChanged,
    ];
}

/// One transition in an order's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// The order's revision after it, from 1 on.
    pub revision: u32,
    /// What it is announced as.
    pub event: OrderEventType,
    /// The order's state after it.
    pub status: Status,
    /// When it was decided.
    pub at: Timestamp,
    /// The event that caused it; none for what a customer or a shop did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Uuid>,
}

/// An order: the row of the Orders table, which is also its outbox and its audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Its id, derived from customer and idempotency key.
    pub order_id: OrderId,
    /// Who placed it.
    pub customer_id: CustomerId,
    /// At which shop.
    pub location: LocationId,
    /// The shop's name when the order was placed.
    pub location_name: String,
    /// The shop's time zone.
    #[serde(with = "jiff::fmt::serde::tz::required")]
    pub time_zone: TimeZone,
    /// Where it stands.
    pub status: Status,
    /// How many transitions it has seen, the placing included.
    pub revision: u32,
    /// What became of the money.
    pub payment: PaymentStatus,
    /// What was ordered, each item once.
    pub lines: Vec<Line>,
    /// The sum of all lines in minor units.
    pub total: u64,
    /// The currency of all prices.
    pub currency: Currency,
    /// The means of payment, until the payment is final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_method: Option<PaymentMethod>,
    /// The customer's words to the shop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// When it was placed. Written with exactly three decimals, so that text sorts as time does.
    #[serde(with = "milliseconds")]
    pub placed_at: Timestamp,
    /// When it can be picked up.
    pub pickup_at: Timestamp,
    /// The day of the pickup in the shop's own calendar: the day whose stock it takes.
    pub pickup_day: civil::Date,
    /// An order that is not confirmed by then expires; nothing is reserved or charged for it any
    /// more.
    pub deadline: Timestamp,
    /// Why it was rejected, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejection: Option<Rejection>,
    /// Tells a repeated request from another one with the same key: a hash of what was asked for.
    pub fingerprint: String,
    /// Every transition, oldest first. Never empty.
    pub history: Vec<HistoryEntry>,
}

/// What can happen to an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Inventory holds its stock.
    StockReserved,
    /// Inventory had too little.
    StockRejected(Vec<Shortage>),
    /// The charge went through.
    PaymentCaptured,
    /// The charge was declined, with the provider's reason.
    PaymentDeclined(String),
    /// The charge was called off before it took anything.
    PaymentVoided,
    /// The charge was given back.
    PaymentRefunded,
    /// The charge could not be given back.
    RefundFailed,
    /// The deadline has passed.
    DeadlinePassed,
    /// The customer calls it off.
    Cancelled,
    /// The shop starts making it.
    PreparationStarted,
    /// The shop has made it.
    PreparationFinished,
    /// The customer has picked it up.
    PickedUp,
}

/// A change that an order goes through: what to write, and on the condition of which revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The revision that the order must still have.
    pub from_revision: u32,
    /// What became of the money.
    pub payment: PaymentStatus,
    /// Why it is rejected, if this rejects it.
    pub rejection: Option<Rejection>,
    /// The payment is final: the means of payment is no longer needed and has to go.
    pub forgets_payment_method: bool,
    /// The history's next entry, with the new revision and state.
    pub entry: HistoryEntry,
}

impl Order {
    /// What it costs.
    #[must_use]
    pub const fn price(&self) -> Money {
        Money { amount: self.total, currency: self.currency }
    }

    /// What follows from `trigger` for this order, decided at `at` because of the event `cause`.
    /// None when it does not apply (any more): messages come twice, late and out of order, and the
    /// row decides.
    #[must_use]
    pub fn transition(
        &self,
        trigger: Trigger,
        at: Timestamp,
        cause: Option<Uuid>,
    ) -> Option<Transition> {
        use OrderEventType as Event;
        use PaymentStatus as Paid;
        use Status::{Collected, Confirmed, Expired, Placed, Preparing, Ready, Rejected, Reserved};

        let mut rejection = None;
        let (event, status, payment) = match (self.status, trigger) {
            (Placed, Trigger::StockReserved) => (Event::Reserved, Reserved, self.payment),
            (Placed, Trigger::StockRejected(shortages)) => {
                rejection = Some(Rejection::OutOfStock { shortages });
                (Event::Rejected, Rejected, self.payment)
            }
            (Reserved, Trigger::PaymentCaptured) => (Event::Confirmed, Confirmed, Paid::Captured),
            (Reserved, Trigger::PaymentDeclined(reason)) => {
                rejection = Some(Rejection::PaymentDeclined { reason });
                (Event::Rejected, Rejected, self.payment)
            }
            (Confirmed, Trigger::PreparationStarted) => (Event::Preparing, Preparing, self.payment),
            (Preparing, Trigger::PreparationFinished) => (Event::Ready, Ready, self.payment),
            (Ready, Trigger::PickedUp) => (Event::Collected, Collected, self.payment),
            (Placed | Reserved, Trigger::DeadlinePassed) if self.deadline <= at => {
                (Event::Expired, Expired, self.payment)
            }
            (Placed | Reserved | Confirmed, Trigger::Cancelled) => {
                (Event::Cancelled, Status::Cancelled, self.payment)
            }
            (ended, trigger) if ended.ended_early() => {
                (Event::PaymentChanged, ended, settle(self.payment, &trigger)?)
            }
            _ => return None,
        };
        Some(Transition {
            from_revision: self.revision,
            payment,
            rejection,
            // Until it is confirmed or has ended, a charge may still need it.
            forgets_payment_method: !matches!(status, Placed | Reserved),
            entry: HistoryEntry { revision: self.revision + 1, event, status, at, cause },
        })
    }

    /// The order after `transition`.
    #[must_use]
    pub fn after(mut self, transition: Transition) -> Self {
        self.status = transition.entry.status;
        self.revision = transition.entry.revision;
        self.payment = transition.payment;
        if transition.rejection.is_some() {
            self.rejection = transition.rejection;
        }
        if transition.forgets_payment_method {
            self.payment_method = None;
        }
        self.history.push(transition.entry);
        self
    }
}

/// What became of the money of an order that ended early. It only ever moves on: captured, then
/// given back or not; what failed may still succeed.
const fn settle(payment: PaymentStatus, trigger: &Trigger) -> Option<PaymentStatus> {
    use PaymentStatus::{Captured, None as Nothing, RefundFailed, Refunded, Voided};
    match (payment, trigger) {
        (Nothing, Trigger::PaymentCaptured) => Some(Captured),
        (Nothing, Trigger::PaymentVoided) => Some(Voided),
        (Nothing | Captured | RefundFailed, Trigger::PaymentRefunded) => Some(Refunded),
        (Nothing | Captured, Trigger::RefundFailed) => Some(RefundFailed),
        _ => None,
    }
}

/// For `serde(with)`: RFC 3339 in UTC with exactly three decimals, as [`Order::placed_at`] is
/// written.
#[expect(missing_docs, reason = "serde names them")]
pub mod milliseconds {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{at:.3}"))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        Timestamp::deserialize(deserializer)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::menu::tests::at;

    pub(crate) fn order(status: Status, payment: PaymentStatus) -> Order {
        let placed_at = at("2026-11-24T08:00:00.120Z");
        Order {
            order_id: "0b7c55f2-9d4e-4c6b-8a1f-3e2d7c9014aa".parse().unwrap(),
            customer_id: CustomerId::new("camille"),
            location: "paris".parse().unwrap(),
            location_name: "Amélie Paris".into(),
            time_zone: TimeZone::get("Europe/Paris").unwrap(),
            status,
            revision: 1,
            payment,
            lines: vec![Line {
                item: "croissant".parse().unwrap(),
                name: "Butter croissant".into(),
                quantity: 2,
                unit_price: 190,
            }],
            total: 380,
            currency: Currency::Eur,
            payment_method: Some(PaymentMethod::new("pm_card_visa")),
            note: None,
            placed_at,
            pickup_at: placed_at,
            pickup_day: civil::date(2026, 11, 24),
            deadline: at("2026-11-24T08:15:00.120Z"),
            rejection: None,
            fingerprint: "f".into(),
            history: vec![HistoryEntry {
                revision: 1,
                event: OrderEventType::Placed,
                status: Status::Placed,
                at: placed_at,
                cause: None,
            }],
        }
    }

    fn triggers() -> Vec<Trigger> {
        vec![
            Trigger::StockReserved,
            Trigger::StockRejected(vec![]),
            Trigger::PaymentCaptured,
            Trigger::PaymentDeclined("card_declined".into()),
            Trigger::PaymentVoided,
            Trigger::PaymentRefunded,
            Trigger::RefundFailed,
            Trigger::DeadlinePassed,
            Trigger::Cancelled,
            Trigger::PreparationStarted,
            Trigger::PreparationFinished,
            Trigger::PickedUp,
        ]
    }

    fn walk(order: Order, steps: &[Trigger]) -> Order {
        let late = at("2026-11-24T09:00:00Z");
        steps.iter().fold(order, |order, trigger| {
            match order.transition(trigger.clone(), late, None) {
                Some(transition) => order.after(transition),
                None => order,
            }
        })
    }

    #[test]
    fn an_order_that_goes_well_is_reserved_confirmed_made_and_collected() {
        let steps = [
            Trigger::StockReserved,
            Trigger::PaymentCaptured,
            Trigger::PreparationStarted,
            Trigger::PreparationFinished,
            Trigger::PickedUp,
        ];
        let order = walk(order(Status::Placed, PaymentStatus::None), &steps);
        assert_eq!(
            (order.status, order.payment, order.revision),
            (Status::Collected, PaymentStatus::Captured, 6)
        );
    }

    #[test]
    fn an_order_out_of_stock_is_rejected_with_what_is_left() {
        let shortage = Shortage { item: "croissant".parse().unwrap(), requested: 2, left: 1 };
        let order = walk(
            order(Status::Placed, PaymentStatus::None),
            &[Trigger::StockRejected(vec![shortage.clone()])],
        );
        assert_eq!(order.status, Status::Rejected);
        assert_eq!(order.rejection, Some(Rejection::OutOfStock { shortages: vec![shortage] }));
    }

    #[test]
    fn a_declined_payment_rejects_with_the_providers_reason() {
        let order = walk(
            order(Status::Reserved, PaymentStatus::None),
            &[Trigger::PaymentDeclined("insufficient_funds".into())],
        );
        assert_eq!(order.status, Status::Rejected);
        assert_eq!(
            order.rejection,
            Some(Rejection::PaymentDeclined { reason: "insufficient_funds".into() })
        );
    }

    #[test]
    fn an_order_can_be_cancelled_until_it_is_being_made() {
        for (status, cancellable) in [
            (Status::Placed, true),
            (Status::Reserved, true),
            (Status::Confirmed, true),
            (Status::Preparing, false),
            (Status::Ready, false),
            (Status::Collected, false),
            (Status::Rejected, false),
            (Status::Cancelled, false),
            (Status::Expired, false),
        ] {
            let transition = order(status, PaymentStatus::None).transition(
                Trigger::Cancelled,
                at("2026-11-24T08:01:00Z"),
                None,
            );
            assert_eq!(transition.is_some(), cancellable, "{status:?}");
        }
    }

    #[test]
    fn the_deadline_expires_an_order_only_once_it_has_passed_and_only_before_it_is_confirmed() {
        let deadline = order(Status::Placed, PaymentStatus::None).deadline;
        let expires = |status, at| {
            order(status, PaymentStatus::None)
                .transition(Trigger::DeadlinePassed, at, None)
                .is_some()
        };
        assert!(!expires(Status::Reserved, at("2026-11-24T08:15:00.119Z")));
        assert!(expires(Status::Placed, deadline));
        assert!(expires(Status::Reserved, deadline));
        assert!(!expires(Status::Confirmed, deadline));
    }

    #[test]
    fn the_money_of_an_order_that_ended_early_only_moves_on() {
        let ended =
            |payment, steps: &[Trigger]| walk(order(Status::Cancelled, payment), steps).payment;
        assert_eq!(ended(PaymentStatus::None, &[Trigger::PaymentVoided]), PaymentStatus::Voided);
        assert_eq!(
            ended(PaymentStatus::None, &[Trigger::PaymentRefunded, Trigger::PaymentCaptured]),
            PaymentStatus::Refunded
        );
        assert_eq!(
            ended(PaymentStatus::Captured, &[Trigger::RefundFailed, Trigger::PaymentRefunded]),
            PaymentStatus::Refunded
        );
        assert_eq!(
            ended(PaymentStatus::Captured, &[Trigger::PaymentRefunded, Trigger::RefundFailed]),
            PaymentStatus::Refunded
        );
    }

    #[test]
    fn a_payment_method_never_prints() {
        assert!(
            !format!("{:?}", order(Status::Placed, PaymentStatus::None)).contains("pm_card_visa")
        );
    }

    #[test]
    fn the_time_of_placing_sorts_as_text() {
        let mut early = order(Status::Placed, PaymentStatus::None);
        early.placed_at = at("2026-11-24T08:00:00Z");
        let text = |order: &Order| {
            serde_json::to_value(order).unwrap()["placed_at"].as_str().unwrap().to_owned()
        };
        assert_eq!(text(&early), "2026-11-24T08:00:00.000Z");
        assert!(text(&early) < text(&order(Status::Placed, PaymentStatus::None)));
    }

    proptest! {
        #[test]
        fn whatever_happens_in_whatever_order_the_row_stays_whole(steps in prop::collection::vec(prop::sample::select(triggers()), 0..24)) {
            let order = walk(order(Status::Placed, PaymentStatus::None), &steps);
            let revisions: Vec<_> = order.history.iter().map(|entry| entry.revision).collect();
            prop_assert_eq!(revisions, (1..=order.revision).collect::<Vec<_>>());
            prop_assert_eq!(order.history.last().unwrap().status, order.status);
            prop_assert_eq!(order.rejection.is_some(), order.status == Status::Rejected);
            prop_assert_eq!(order.payment_method.is_some(), matches!(order.status, Status::Placed | Status::Reserved));
            if matches!(order.status, Status::Confirmed | Status::Preparing | Status::Ready | Status::Collected) {
                prop_assert_eq!(order.payment, PaymentStatus::Captured);
            }
        }

        #[test]
        fn an_end_is_never_left(steps in prop::collection::vec(prop::sample::select(triggers()), 0..24), more in prop::collection::vec(prop::sample::select(triggers()), 0..24)) {
            let order = walk(order(Status::Placed, PaymentStatus::None), &steps);
            let end = order.status;
            if end.ended_early() || end == Status::Collected {
                prop_assert_eq!(walk(order, &more).status, end);
            }
        }

        #[test]
        fn the_same_message_twice_changes_nothing_the_second_time(steps in prop::collection::vec(prop::sample::select(triggers()), 0..24), last in prop::sample::select(triggers())) {
            let once = walk(walk(order(Status::Placed, PaymentStatus::None), &steps), std::slice::from_ref(&last));
            let twice = walk(once.clone(), &[last]);
            prop_assert_eq!(once, twice);
        }
    }
}
