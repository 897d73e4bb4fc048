//! The rows of all domains, read and never written.

use std::collections::HashMap;

use aws_sdk_dynamodb::{Client as DynamoDb, types::AttributeValue};
use jiff::{Timestamp, civil};
use local::error::aws;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use shop::{
    id::{ItemId, LocationId, OrderId},
    money::Money,
    order::Order,
    payment::Payment,
    stock::Reservation,
};

use crate::{
    deployment::Deployment,
    error::{Error, UnreadableRow},
};

/// The tables of a stack.
pub(crate) struct Tables<'a> {
    deployment: &'a Deployment,
    client: DynamoDb,
}

/// A row of the Payments table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PaymentRow {
    pub(crate) order_id: OrderId,
    #[serde(flatten)]
    pub(crate) payment: Payment,
    /// What the order cost when the row was written.
    #[serde(flatten)]
    pub(crate) price: Money,
    pub(crate) updated_at: Timestamp,
}

/// A row of the Notices table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct NoticeRow {
    /// The last revision told; while there is a claim, the one that is being told.
    pub(crate) revision: u32,
    /// When the claim lapses, in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) claimed_until: Option<i64>,
}

/// An item of a shop on a day.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Shelf {
    pub(crate) location: LocationId,
    pub(crate) day: civil::Date,
    pub(crate) item: ItemId,
}

/// A row of the Stock table, but for the bake plans.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "RawStockRow")]
pub(crate) enum StockRow {
    /// What was decided for an order.
    Decided(OrderId, Reservation),
    /// How many pieces are held.
    Held(Shelf, i64),
}

/// Rows of a table.
#[derive(Debug)]
pub(crate) struct Rows<T> {
    pub(crate) rows: Vec<T>,
    /// Those that this version cannot read.
    pub(crate) unreadable: Vec<UnreadableRow>,
}

impl<T: DeserializeOwned> Rows<T> {
    fn read(table: &'static str, key: &str, items: Vec<Item>) -> Self {
        let mut all = Self { rows: vec![], unreadable: vec![] };
        for item in items {
            match read(table, key, item) {
                Ok(row) => all.rows.push(row),
                Err(row) => all.unreadable.push(row),
            }
        }
        all
    }
}

/// A row as DynamoDB has it.
type Item = HashMap<String, AttributeValue>;

const ORDERS: &str = "OrdersTable";
const PAYMENTS: &str = "PaymentsTable";
const STOCK: &str = "StockTable";
const NOTICES: &str = "NoticesTable";

impl<'a> Tables<'a> {
    pub(crate) fn of(deployment: &'a Deployment) -> Self {
        Self { deployment, client: DynamoDb::new(&deployment.config) }
    }

    pub(crate) async fn order(&self, id: OrderId) -> Result<Option<Order>, Error> {
        self.get(ORDERS, "order_id", id.to_string()).await
    }

    pub(crate) async fn payment(&self, order: OrderId) -> Result<Option<PaymentRow>, Error> {
        self.get(PAYMENTS, "order_id", order.to_string()).await
    }

    pub(crate) async fn reservation(&self, order: OrderId) -> Result<Option<Reservation>, Error> {
        self.get(STOCK, "key", format!("{DECIDED}{order}")).await
    }

    pub(crate) async fn notice(&self, order: OrderId) -> Result<Option<NoticeRow>, Error> {
        self.get(NOTICES, "order_id", order.to_string()).await
    }

    /// All orders.
    pub(crate) async fn orders(&self) -> Result<Rows<Order>, Error> {
        Ok(Rows::read(ORDERS, "order_id", self.scan(ORDERS).await?))
    }

    /// All payments.
    pub(crate) async fn payments(&self) -> Result<Rows<PaymentRow>, Error> {
        Ok(Rows::read(PAYMENTS, "order_id", self.scan(PAYMENTS).await?))
    }

    /// All that is held, and all that was decided about it.
    pub(crate) async fn stock(&self) -> Result<Rows<StockRow>, Error> {
        let mut rows = self.scan(STOCK).await?;
        rows.retain(|row| !text(row, "key").starts_with(PLAN));
        Ok(Rows::read(STOCK, "key", rows))
    }

    async fn get<T: DeserializeOwned>(
        &self,
        table: &'static str,
        key: &'static str,
        value: String,
    ) -> Result<Option<T>, Error> {
        let get = self
            .client
            .get_item()
            .table_name(self.deployment.resource(table)?)
            .consistent_read(true);
        let row = get
            .key(key, AttributeValue::S(value))
            .send()
            .await
            .map_err(aws("dynamodb:GetItem"))?
            .item;
        Ok(row.map(|row| read(table, key, row)).transpose()?)
    }

    async fn scan(&self, table: &'static str) -> Result<Vec<Item>, Error> {
        let scan =
            self.client.scan().table_name(self.deployment.resource(table)?).consistent_read(true);
        Ok(scan
            .into_paginator()
            .items()
            .send()
            .try_collect()
            .await
            .map_err(aws("dynamodb:Scan"))?)
    }
}

fn read<T: DeserializeOwned>(
    table: &'static str,
    key: &str,
    row: Item,
) -> Result<T, UnreadableRow> {
    let key = text(&row, key).to_owned();
    platform::decode::item(row).map_err(|reason| UnreadableRow {
        table,
        key,
        reason: reason.to_string(),
    })
}

fn text<'a>(row: &'a Item, attribute: &str) -> &'a str {
    row.get(attribute).and_then(|value| value.as_s().ok()).map_or("", String::as_str)
}

/// How the keys of the Stock table begin: of what was decided for an order, of what is held on a
/// shelf, of a bake plan.
const DECIDED: &str = "order#";
const HELD: &str = "held#";
const PLAN: &str = "plan#";

/// A row as it stands in the table: either is there, as the key says.
#[derive(Deserialize)]
struct RawStockRow {
    key: String,
    #[serde(flatten)]
    decided: Option<Reservation>,
    held: Option<i64>,
}

impl TryFrom<RawStockRow> for StockRow {
    type Error = String;

    fn try_from(RawStockRow { key, decided, held }: RawStockRow) -> Result<Self, String> {
        let shelf = |key: &str| {
            let mut parts = key.strip_prefix(HELD)?.split('#');
            let (location, day, item) = (parts.next()?, parts.next()?, parts.next()?);
            Some(Shelf {
                location: location.parse().ok()?,
                day: day.parse().ok()?,
                item: item.parse().ok()?,
            })
        };
        let order = key.strip_prefix(DECIDED).and_then(|order| order.parse().ok());
        match (order, decided, shelf(&key), held) {
            (Some(order), Some(decided), ..) => Ok(Self::Decided(order, decided)),
            (_, _, Some(shelf), Some(held)) => Ok(Self::Held(shelf, held)),
            _ => Err("it says neither what was decided for an order nor what is held on a shelf"
                .to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ORDER: &str = "0b7c55f2-9d4e-4c6b-8a1f-3e2d7c9014aa";

    fn row<T: DeserializeOwned>(row: Value) -> Result<T, UnreadableRow> {
        read("Table", "key", serde_dynamo::to_item(row).unwrap())
    }

    #[test]
    fn a_row_of_the_stock_table_is_what_its_key_says() {
        let demand = json!({"location": "paris", "pickup_day": "2026-11-24", "items": [{"item": "eclair", "quantity": 2}]});
        let mut decided = demand.clone();
        decided["key"] = json!(format!("order#{ORDER}"));
        decided["state"] = json!("held");
        let StockRow::Decided(order, reservation) = row(decided).unwrap() else {
            panic!("not what was decided")
        };
        assert_eq!(
            (order.to_string().as_str(), reservation),
            (ORDER, Reservation::Held(serde_json::from_value(demand).unwrap()))
        );

        let StockRow::Held(shelf, held) =
            row(json!({"key": "held#paris#2026-11-24#eclair", "held": 2})).unwrap()
        else {
            panic!("not what is held")
        };
        assert_eq!((shelf.location.as_str(), shelf.item.as_str(), held), ("paris", "eclair", 2));
        assert_eq!(shelf.day, civil::date(2026, 11, 24));
    }

    #[test]
    fn a_row_that_cannot_be_read_is_named() {
        let error =
            row::<StockRow>(json!({"key": "held#paris", "held": 2})).unwrap_err().to_string();
        assert!(error.starts_with("the row held#paris of the Table cannot be read: "), "{error}");
    }

    #[test]
    fn a_payment_is_read_with_its_price() {
        let paid = json!({
            "order_id": ORDER, "state": "captured", "intent": "pi_1", "amount": 380, "currency": "EUR",
            "updated_at": "2026-11-24T08:00:00Z"
        });
        let PaymentRow { payment, price, .. } = row(paid).unwrap();
        assert_eq!(
            (payment.name(), payment.intent().unwrap().as_str(), price.to_string().as_str()),
            ("captured", "pi_1", "3.80 EUR")
        );
    }
}
