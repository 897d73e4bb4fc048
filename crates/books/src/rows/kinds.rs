//! What the rows of each table hold.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{Timestamp, civil};
use platform::decode::{self, DecodeError};
use serde::{Deserialize, Serialize};
use shop::{
    id::{ItemId, LocationId, OrderId},
    menu::Menu,
    money::Money,
    order::Order,
    payment::{Payment, PaymentRecord, RefundEntry},
    stock::{BakePlan, Reservation},
};
use tables::{
    menus,
    notices::{self, Outcome},
    orders, payments, stock as stock_table,
};

use crate::error::UnreadableRow;

/// A table of a stack.
#[derive(Clone, Copy)]
pub(super) enum Table {
    Orders,
    Payments,
    Stock,
    Menus,
    Notices,
}

impl Table {
    /// The table's id in template.yaml.
    pub(super) const fn logical_id(self) -> &'static str {
        match self {
            Self::Orders => "OrdersTable",
            Self::Payments => "PaymentsTable",
            Self::Stock => "StockTable",
            Self::Menus => "MenuTable",
            Self::Notices => "NoticesTable",
        }
    }

    /// The key attribute.
    pub(super) const fn key(self) -> &'static str {
        match self {
            Self::Orders => orders::KEY,
            Self::Payments => payments::KEY,
            Self::Stock => stock_table::KEY,
            Self::Menus => menus::KEY,
            Self::Notices => notices::KEY,
        }
    }
}

/// A row of the Payments table.
#[derive(Clone, Debug, Serialize)]
pub struct PaymentRow {
    pub order_id: OrderId,
    #[serde(flatten)]
    pub payment: Payment,
    /// What the shop gives back of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refunds: Vec<RefundEntry>,
    /// The order's price when the row was written.
    #[serde(flatten)]
    pub price: Money,
    pub updated_at: Timestamp,
}

/// A row of the Notices table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NoticeRow {
    /// The revision of the last notice, or of the one that is being sent while there is a claim.
    pub revision: u32,
    /// What became of it; absent from rows that were written when every notice was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// When the claim ends, in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed_until: Option<i64>,
}

/// What held pieces are counted by: an item of a shop on a pickup day.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct HoldKey {
    pub location: LocationId,
    pub day: civil::Date,
    pub item: ItemId,
}

/// A row of the Stock table with a number of held pieces.
#[derive(Deserialize)]
pub(super) struct Pieces {
    pub held: i64,
}

/// The key of a row of the Orders table.
#[derive(Deserialize)]
pub(super) struct OrderKey {
    pub order_id: OrderId,
}

/// A row of the Stock table.
#[derive(Clone, Debug)]
pub enum StockRow {
    /// A bake plan, which is compared with nothing.
    Plan,
    Reservation(OrderId, Reservation),
    /// The number of held pieces.
    Held(HoldKey, i64),
}

/// A row in DynamoDB's form.
pub(super) type Item = HashMap<String, AttributeValue>;

pub(super) fn read<T: FromRow>(table: Table, row: Item) -> Result<T, UnreadableRow> {
    let key = text(&row, table.key()).to_owned();
    T::from_row(row).map_err(|reason| UnreadableRow {
        table: table.logical_id(),
        key,
        reason: reason.to_string(),
    })
}

fn text<'a>(row: &'a Item, attribute: &str) -> &'a str {
    row.get(attribute).and_then(|value| value.as_s().ok()).map_or("", String::as_str)
}

/// What a row holds. Each part is decoded by itself, so that an error names its field.
pub(super) trait FromRow: Sized {
    fn from_row(row: Item) -> Result<Self, RowError>;
}

/// Rows that are read as they are written.
macro_rules! read_whole {
    ($($row:ty),*) => {
        $(impl FromRow for $row {
            fn from_row(row: Item) -> Result<Self, RowError> {
                Ok(decode::item(row)?)
            }
        })*
    };
}

read_whole!(Order, OrderKey, Menu, Reservation, BakePlan, NoticeRow, Pieces);

#[derive(Debug, thiserror::Error)]
pub(super) enum RowError {
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Key(#[from] stock_table::InvalidKey),
}

impl FromRow for PaymentRow {
    fn from_row(row: Item) -> Result<Self, RowError> {
        #[derive(Deserialize)]
        struct Facts {
            order_id: OrderId,
            updated_at: Timestamp,
        }

        let PaymentRecord { payment, refunds, .. } = decode::item(row.clone())?;
        let price = decode::item(row.clone())?;
        let Facts { order_id, updated_at } = decode::item(row)?;
        Ok(Self { order_id, payment, refunds, price, updated_at })
    }
}

impl FromRow for StockRow {
    fn from_row(row: Item) -> Result<Self, RowError> {
        use stock_table::Key;

        Ok(match text(&row, Table::Stock.key()).parse()? {
            Key::Plan(_) => decode::item(row).map(|_: BakePlan| Self::Plan)?,
            Key::Reservation(order) => Self::Reservation(order, decode::item(row)?),
            Key::Held { location, day, item } => {
                let Pieces { held } = decode::item(row)?;
                Self::Held(HoldKey { location, day, item }, held)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ORDER: &str = "0b7c55f2-9d4e-4c6b-8a1f-3e2d7c9014aa";

    fn row<T: FromRow>(row: Value) -> Result<T, UnreadableRow> {
        read(Table::Stock, serde_dynamo::to_item(row).unwrap())
    }

    #[test]
    fn a_stock_row_is_read_according_to_its_key() {
        let demand = json!({
            "location": "paris",
            "pickup_day": "2026-11-24",
            "items": [{"item": "eclair", "quantity": 2}]
        });
        let mut reserved = demand.clone();
        reserved["key"] = json!(format!("order#{ORDER}"));
        reserved["state"] = json!("held");
        let StockRow::Reservation(order, reservation) = row(reserved).unwrap() else {
            panic!("not a reservation")
        };
        assert_eq!(
            (order.to_string().as_str(), reservation),
            (ORDER, Reservation::Held(serde_json::from_value(demand).unwrap()))
        );

        let held = json!({"key": "held#paris#2026-11-24#eclair", "held": 2});
        let StockRow::Held(key, held) = row(held).unwrap() else { panic!("not held pieces") };
        assert_eq!((key.location.as_str(), key.item.as_str(), held), ("paris", "eclair", 2));
        assert_eq!(key.day, civil::date(2026, 11, 24));
    }

    #[test]
    fn an_unreadable_row_is_named_by_its_key() {
        let order = format!("order#{ORDER}");
        for (stock, reason) in [
            (json!({"key": "held#paris", "held": 2}), "the key must be plan#<location>, "),
            (json!({"key": "held#paris#2026-11-24#eclair"}), "`held` is missing"),
            (json!({"key": order, "held": 2}), "`state` is missing"),
            (json!({"key": order, "state": "held", "location": "paris"}), "`pickup_day` is "),
            (json!({"key": "plan#paris", "capacity": {"eclair": -1}}), "`capacity.eclair` is "),
        ] {
            let key = stock["key"].as_str().unwrap().to_owned();
            let error = row::<StockRow>(stock).unwrap_err().to_string();
            let start = format!("the row {key} of the StockTable cannot be read: {reason}");
            assert!(error.starts_with(&start), "{error}");
        }
    }

    #[test]
    fn a_notice_is_read_with_and_without_its_outcome() {
        let outcome = |notice| row::<NoticeRow>(notice).unwrap().outcome;
        assert_eq!(outcome(json!({"order_id": ORDER, "revision": 3})), None);
        let late = json!({"order_id": ORDER, "revision": 3, "outcome": "too_late"});
        assert_eq!(outcome(late), Some(Outcome::TooLate));
    }

    #[test]
    fn an_unreadable_payment_is_named_by_its_field() {
        let paid = json!({
            "order_id": ORDER,
            "state": "captured",
            "intent": "pi_1",
            "amount": 380,
            "currency": "EUR",
            "updated_at": "2026-11-24T08:00:00Z"
        });
        for field in ["order_id", "state", "intent", "amount", "currency", "updated_at"] {
            let mut wrong = paid.clone();
            wrong[field] = json!([]);
            let error = row::<PaymentRow>(wrong).unwrap_err();
            assert_eq!(error.reason, format!("`{field}` is missing or not what it should be"));
        }
    }

    #[test]
    fn a_payment_is_read_with_its_price() {
        let paid = json!({
            "order_id": ORDER,
            "state": "captured",
            "intent": "pi_1",
            "amount": 380,
            "currency": "EUR",
            "updated_at": "2026-11-24T08:00:00Z"
        });
        let PaymentRow { payment, price, .. } = row(paid).unwrap();
        assert_eq!(payment.name(), "captured");
        assert_eq!(payment.intent().unwrap().as_str(), "pi_1");
        assert_eq!(price.to_string(), "3.80 EUR");
    }
}
