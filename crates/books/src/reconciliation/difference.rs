//! The findings of a reconciliation, in words.

use std::fmt;

use jiff::Timestamp;
use platform::time::moment;
use serde::{Serialize, Serializer};
use shop::{
    id::OrderId,
    money::Money,
    order::{PaymentStatus, Status},
};
use stripe::UnreadableObject;
use uuid::Uuid;

use crate::{error::UnreadableRow, ledger::Amount, rows::HoldKey, words::name};

/// Why an order cannot be judged yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pending {
    /// It changed while the books were read.
    Changing,
    /// It will be confirmed, or expire at this time.
    Deciding(Timestamp),
    /// It ended early, and its stock or money has not been returned yet. Until this time, a message
    /// that does so may be under way.
    Undoing(Timestamp),
    /// It ended early, and its money is on the way back: the provider or the bank has not finished.
    AtBank,
    /// Its customer disputes the payment, and the bank has not decided.
    Disputed,
    /// Its shop gives money back. Until this time, a message that does so may be under way.
    Refunding(Timestamp),
    /// One of its rows cannot be read, or what the provider has about it.
    Unreadable,
}

impl fmt::Display for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable => f.write_str("cannot be judged: a part of its books cannot be read"),
            Self::Changing => f.write_str("changed while the books were read"),
            Self::Deciding(deadline) => {
                write!(f, "will be confirmed, or expires at {}", moment(*deadline))
            }
            Self::AtBank => f.write_str(
                "gives all back, which the provider has taken and not finished; that may last for \
                 days: do not pay it back by hand",
            ),
            Self::Disputed => f.write_str(
                "is disputed by its customer: nothing is given back before the bank has decided; \
                 answer it in the provider's dashboard, and do not pay it back by hand",
            ),
            Self::Refunding(until) => write!(
                f,
                "is being refunded in part: do not pay it back by hand before {}",
                moment(*until)
            ),
            Self::Undoing(until) => write!(
                f,
                "ended early, and its stock or money is still being returned: do not pay it back \
                 by hand before {}",
                moment(*until)
            ),
        }
    }
}

/// Where the books disagree. What is serialized is what makes it this difference and no other: of
/// the order's status, nothing that changes while the order goes its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Difference {
    /// An order was neither confirmed nor expired by its deadline.
    Stuck {
        order: OrderId,
        #[serde(skip)]
        status: Status,
        deadline: Timestamp,
    },
    /// The provider has kept another amount than is due: the order's price, or nothing if it ended
    /// early.
    Kept {
        order: OrderId,
        #[serde(skip)]
        status: Status,
        kept: Amount,
        due: Money,
        /// What explains it, if anything does. `kept` says as much.
        #[serde(skip)]
        refund: Option<RefundByHand>,
    },
    /// The provider has given money back after somebody had settled that it kept too much.
    GivenBackTwice { order: OrderId, back: Amount },
    /// The shop has asked for a refund, and nothing came of it.
    RefundUnmade { order: OrderId, refund: u32 },
    /// The state of the payment does not fit the state of the order.
    PaymentState {
        order: OrderId,
        #[serde(serialize_with = "ended_early")]
        status: Status,
        row: Option<&'static str>,
    },
    /// The order's payment status does not fit the state of the payment.
    PaymentField { order: OrderId, field: PaymentStatus, row: &'static str },
    /// The state of the payment does not fit the provider's intent.
    Provider { order: OrderId, row: &'static str, intent: String, account: String },
    /// The provider does not know the intent of a payment.
    NoIntent { order: OrderId, row: &'static str, intent: String },
    /// The payment or its intent is for another amount or currency than the order.
    Price { order: OrderId, order_price: Money, whose: &'static str, price: Amount },
    /// A payment belongs to no order.
    NoOrder { order: OrderId, row: &'static str },
    /// An intent for an order, which is not that of its payment, has taken money, or may still do
    /// so.
    UnknownIntent { intent: String, order: OrderId, account: String },
    /// An order is live, but its items are not held for it.
    NotHeld {
        order: OrderId,
        #[serde(skip)]
        status: Status,
        reservation: Option<&'static str>,
    },
    /// Stock is held for an order that has ended early or does not exist.
    StillHeld { order: OrderId, status: Option<Status> },
    /// The number of held pieces differs from the sum of the reservations.
    Held { key: HoldKey, counted: i64, held: i64 },
    /// A row cannot be read.
    Unreadable(UnreadableRow),
    /// An intent or a refund of the provider cannot be read.
    UnreadableObject(UnreadableObject),
}

/// Money of one intent that was given back in the provider's dashboard, or by other software.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundByHand {
    /// What the provider took.
    pub taken: Amount,
    /// What was given back of it.
    pub back: Amount,
}

impl fmt::Display for RefundByHand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { taken, back } = self;
        if taken == back {
            write!(f, "all of the {taken} that it took was refunded in its dashboard")
        } else {
            write!(f, "of the {taken} that it took, a part of {back} was refunded in its dashboard")
        }
    }
}

/// Of a status, whether the order has ended early: a payment fits either that or a live order.
fn ended_early<S: Serializer>(status: &Status, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bool(status.ended_early())
}

impl Difference {
    /// The short name under which the difference can be settled. Another amount or another state of
    /// the payment is another difference. The same one after the shop has made the order is not.
    pub fn key(&self) -> String {
        let text = serde_json::to_vec(self).expect("a difference has only text keys");
        Uuid::new_v5(&Uuid::NAMESPACE_OID, &text).simple().to_string()[..8].to_owned()
    }

    /// The order that it is about, if there is one.
    pub fn order(&self) -> Option<OrderId> {
        match self {
            Self::Stuck { order, .. }
            | Self::Kept { order, .. }
            | Self::GivenBackTwice { order, .. }
            | Self::RefundUnmade { order, .. }
            | Self::PaymentState { order, .. }
            | Self::PaymentField { order, .. }
            | Self::Provider { order, .. }
            | Self::NoIntent { order, .. }
            | Self::Price { order, .. }
            | Self::NoOrder { order, .. }
            | Self::UnknownIntent { order, .. }
            | Self::NotHeld { order, .. }
            | Self::StillHeld { order, .. } => Some(*order),
            Self::Held { .. } | Self::Unreadable(_) | Self::UnreadableObject(_) => None,
        }
    }

    /// Whether the provider has kept too much.
    pub(super) fn is_surplus(&self) -> bool {
        matches!(self, Self::Kept { kept, due, .. } if kept.amount > due.amount.into())
    }

    /// What to do about it, if it is the only one of its order.
    pub(super) fn remedy(&self) -> String {
        let settle = self.settling();
        match self {
            Self::Stuck { order, .. } => format!(
                "run `cargo ops order {order}`: redrive its dead letters, or, if it has none, run \
                 `cargo ops order {order} retry`"
            ),
            Self::Kept { kept, due, .. } if self.is_surplus() => {
                let (surplus, currency) = (kept.amount - i128::from(due.amount), &kept.currency);
                let surplus = Amount { amount: surplus, currency: currency.clone() };
                format!(
                    "refund {surplus} in the provider's dashboard, or pay it back in another way \
                     and run {settle}"
                )
            }
            Self::Kept { order, .. } => format!(
                "find out who gave money back (`cargo ops order {order}`), agree with the \
                 customer, and run {settle}"
            ),
            Self::GivenBackTwice { .. } => format!(
                "find out whether the customer got the money twice (`cargo ops journal --since \
                 90d` says how it was settled), agree with them, and run {settle}"
            ),
            Self::RefundUnmade { order, .. } => format!(
                "run `cargo ops order {order}`: redrive its dead letters, or, if it has none, run \
                 `cargo ops order {order} retry`, which asks for the refund again"
            ),
            Self::PaymentState { order, status, .. } if status.ended_early() => format!(
                "run `cargo ops order {order}`: redrive its dead letters, or, if it has none, run \
                 `cargo ops order {order} retry`, which gives the money back"
            ),
            Self::PaymentState { order, .. } | Self::PaymentField { order, .. } => format!(
                "run `cargo ops order {order} retry`, which lets payment report again; if that \
                 changes nothing, compare with the provider's dashboard"
            ),
            Self::Provider { intent, .. } | Self::UnknownIntent { intent, .. } => format!(
                "look at {intent} in the provider's dashboard: refund what nobody should have \
                 paid, and run {settle}"
            ),
            Self::NoIntent { .. } => {
                "check that ProviderUrl and the key are those of the account that took the \
                 payment, and that nobody has changed the intent's metadata"
                    .to_owned()
            }
            Self::Price { order, .. } => format!(
                "no change of the system does this: find out what wrote the row (`cargo ops order \
                 {order}`), charge or refund what is missing, and run {settle}"
            ),
            Self::NoOrder { .. } | Self::StillHeld { status: None, .. } => format!(
                "restore the order's row from the table's point-in-time backup, or, if it was \
                 deleted on purpose, run {settle}"
            ),
            Self::NotHeld { order, .. } => format!(
                "ask the shop whether it can make the order; if not, agree with the customer \
                 (`cargo ops order {order}` has the items), and run {settle}"
            ),
            Self::StillHeld { order, status: Some(_) } => {
                format!("run `cargo ops order {order} retry`, which releases the stock again")
            }
            Self::Held { key: HoldKey { location, day, .. }, .. } => format!(
                "run `cargo ops stock {location} {day} --orders`: if the day is still to come, \
                 correct `held` of that row to the sum of its orders"
            ),
            Self::Unreadable(_) => "correct the field in the table, or deploy a version that can \
                                    read it; docs/operations.md, \"A row that cannot be read\""
                .to_owned(),
            Self::UnreadableObject(object) => format!(
                "look at {} in the provider's dashboard, and deploy a version that can read it",
                object.id
            ),
        }
    }

    /// The command that settles it, with all others of its order.
    pub(super) fn settling(&self) -> String {
        let name = self.order().map_or_else(|| self.key(), |order| order.to_string());
        format!("`cargo ops reconcile settle {name} --reason TEXT`")
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stuck { order, status, deadline } => {
                let (status, deadline) = (name(status), moment(*deadline));
                write!(f, "order {order} is still {status}, but its deadline was {deadline}")
            }
            Self::Kept { order, status, kept, due, refund } => {
                let status = name(status);
                write!(
                    f,
                    "order {order} is {status}, but the provider has kept {kept} instead of {due}"
                )?;
                refund.as_ref().map_or(Ok(()), |refund| write!(f, ": {refund}"))
            }
            Self::GivenBackTwice { order, back } => write!(
                f,
                "order {order} was settled by hand and refunded: the provider has given {back} \
                 back as well"
            ),
            Self::RefundUnmade { order, refund } => write!(
                f,
                "the shop has asked for refund {refund} of order {order}, and nothing came of it"
            ),
            Self::PaymentState { order, status, row: Some(row) } => {
                write!(f, "order {order} is {}, but its payment is {row}", name(status))
            }
            Self::PaymentState { order, status, row: None } => {
                write!(f, "order {order} is {}, but has no payment", name(status))
            }
            Self::PaymentField { order, field, row } => {
                let field = name(field);
                write!(
                    f,
                    "order {order} says that its payment is {field}, but its payment is {row}"
                )
            }
            Self::Provider { order, row, intent, account } => write!(
                f,
                "order {order} has a payment that is {row}, but its intent {intent} {account}"
            ),
            Self::NoIntent { order, row, intent } => write!(
                f,
                "order {order} has a payment that is {row}, but the provider has no intent {intent}"
            ),
            Self::Price { order, order_price, whose, price } => {
                write!(f, "order {order} costs {order_price}, but its {whose} is for {price}")
            }
            Self::NoOrder { order, row } => {
                write!(f, "a payment that is {row} is for the order {order}, which does not exist")
            }
            Self::UnknownIntent { intent, order, account } => write!(
                f,
                "the intent {intent} for order {order} is not that of its payment, and {account}"
            ),
            Self::NotHeld { order, status, reservation } => {
                let (status, reservation) = (name(status), reservation.unwrap_or("missing"));
                write!(
                    f,
                    "order {order} is {status}, but its reservation is {reservation} or for other \
                     items"
                )
            }
            Self::StillHeld { order, status: Some(status) } => {
                write!(f, "order {order} is {}, but its stock is still held", name(status))
            }
            Self::StillHeld { order, status: None } => {
                write!(f, "stock is held for the order {order}, which does not exist")
            }
            Self::Held { key: HoldKey { location, day, item }, counted, held } => write!(
                f,
                "{location} counts {counted} × {item} as held for {day}, but its reservations add \
                 up to {held}"
            ),
            Self::Unreadable(row) => row.fmt(f),
            Self::UnreadableObject(object) => object.fmt(f),
        }
    }
}
