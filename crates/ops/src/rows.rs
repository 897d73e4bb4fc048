//! The rows of all tables. They are read and never written.

use std::collections::HashMap;

use aws_sdk_dynamodb::{Client as DynamoDb, types::AttributeValue};
use jiff::{Timestamp, civil};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use shop::{
    id::{ItemId, LocationId, OrderId},
    money::Money,
    order::Order,
    payment::Payment,
    stock::Reservation,
};
use stack::{Deployment, error::aws};
use tables::{notices, orders, payments, stock as stock_table};

use crate::error::{Error, UnreadableRow};

/// The tables of a stack.
pub(crate) struct Tables<'a> {
    deployment: &'a Deployment,
    client: DynamoDb,
}

/// A table: its logical id and its key attribute.
#[derive(Clone, Copy)]
struct Table {
    logical_id: &'static str,
    key: &'static str,
}

const ORDERS: Table = Table { logical_id: "OrdersTable", key: orders::KEY };
const PAYMENTS: Table = Table { logical_id: "PaymentsTable", key: payments::KEY };
const STOCK: Table = Table { logical_id: "StockTable", key: stock_table::KEY };
const NOTICES: Table = Table { logical_id: "NoticesTable", key: notices::KEY };

/// A row of the Payments table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PaymentRow {
    pub(crate) order_id: OrderId,
    #[serde(flatten)]
    pub(crate) payment: Payment,
    /// The order's price when the row was written.
    #[serde(flatten)]
    pub(crate) price: Money,
    pub(crate) updated_at: Timestamp,
}

/// A row of the Notices table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct NoticeRow {
    /// The revision of the last notice, or of the one that is being sent while there is a claim.
    pub(crate) revision: u32,
    /// When the claim ends, in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) claimed_until: Option<i64>,
}

/// What held pieces are counted by: an item of a shop on a pickup day.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HoldKey {
    pub(crate) location: LocationId,
    pub(crate) day: civil::Date,
    pub(crate) item: ItemId,
}

/// A row of the Stock table that is not a bake plan.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "RawStockRow")]
pub(crate) enum StockRow {
    Reservation(OrderId, Reservation),
    /// The number of held pieces.
    Held(HoldKey, i64),
}

/// The rows of a table.
#[derive(Debug)]
pub(crate) struct Rows<T> {
    pub(crate) rows: Vec<T>,
    /// The rows that this version cannot read.
    pub(crate) unreadable: Vec<UnreadableRow>,
}

/// A row in DynamoDB's form.
type Item = HashMap<String, AttributeValue>;

impl<'a> Tables<'a> {
    pub(crate) fn of(deployment: &'a Deployment) -> Self {
        Self { deployment, client: DynamoDb::new(&deployment.config) }
    }

    pub(crate) async fn order(&self, id: OrderId) -> Result<Option<Order>, Error> {
        self.get(ORDERS, id.to_string()).await
    }

    pub(crate) async fn payment(&self, order: OrderId) -> Result<Option<PaymentRow>, Error> {
        self.get(PAYMENTS, order.to_string()).await
    }

    pub(crate) async fn reservation(&self, order: OrderId) -> Result<Option<Reservation>, Error> {
        self.get(STOCK, stock_table::Key::Reservation(order).to_string()).await
    }

    pub(crate) async fn notice(&self, order: OrderId) -> Result<Option<NoticeRow>, Error> {
        self.get(NOTICES, order.to_string()).await
    }

    pub(crate) async fn orders(&self) -> Result<Rows<Order>, Error> {
        Ok(Rows::read(ORDERS, self.scan(ORDERS).await?))
    }

    pub(crate) async fn payments(&self) -> Result<Rows<PaymentRow>, Error> {
        Ok(Rows::read(PAYMENTS, self.scan(PAYMENTS).await?))
    }

    /// All reservations and held pieces.
    pub(crate) async fn stock(&self) -> Result<Rows<StockRow>, Error> {
        let mut rows = self.scan(STOCK).await?;
        rows.retain(|row| !matches!(text(row, STOCK.key).parse(), Ok(stock_table::Key::Plan(_))));
        Ok(Rows::read(STOCK, rows))
    }

    async fn get<T: DeserializeOwned>(
        &self,
        table: Table,
        key: String,
    ) -> Result<Option<T>, Error> {
        let get = self
            .client
            .get_item()
            .table_name(self.deployment.resource(table.logical_id)?)
            .key(table.key, AttributeValue::S(key))
            .consistent_read(true);
        let row = get.send().await.map_err(aws("dynamodb:GetItem"))?.item;
        Ok(row.map(|row| read(table, row)).transpose()?)
    }

    async fn scan(&self, table: Table) -> Result<Vec<Item>, Error> {
        let name = self.deployment.resource(table.logical_id)?;
        let scan = self.client.scan().table_name(name).consistent_read(true);
        let items = scan.into_paginator().items().send();
        Ok(items.try_collect().await.map_err(aws("dynamodb:Scan"))?)
    }
}

impl<T: DeserializeOwned> Rows<T> {
    fn read(table: Table, items: Vec<Item>) -> Self {
        let mut all = Self { rows: vec![], unreadable: vec![] };
        for item in items {
            match read(table, item) {
                Ok(row) => all.rows.push(row),
                Err(row) => all.unreadable.push(row),
            }
        }
        all
    }
}

fn read<T: DeserializeOwned>(table: Table, row: Item) -> Result<T, UnreadableRow> {
    let key = text(&row, table.key).to_owned();
    platform::decode::item(row).map_err(|reason| UnreadableRow {
        table: table.logical_id,
        key,
        reason: reason.to_string(),
    })
}

fn text<'a>(row: &'a Item, attribute: &str) -> &'a str {
    row.get(attribute).and_then(|value| value.as_s().ok()).map_or("", String::as_str)
}

/// A row of the Stock table before its key is parsed. It has one of the two contents.
#[derive(Deserialize)]
struct RawStockRow {
    key: String,
    #[serde(flatten)]
    reservation: Option<Reservation>,
    held: Option<i64>,
}

impl TryFrom<RawStockRow> for StockRow {
    type Error = String;

    fn try_from(row: RawStockRow) -> Result<Self, String> {
        use stock_table::Key;
        match (row.key.parse(), row.reservation, row.held) {
            (Ok(Key::Reservation(order)), Some(reservation), _) => {
                Ok(Self::Reservation(order, reservation))
            }
            (Ok(Key::Held { location, day, item }), _, Some(held)) => {
                Ok(Self::Held(HoldKey { location, day, item }, held))
            }
            (Ok(_), ..) => Err("it has neither a reservation nor a number of held pieces".into()),
            (Err(reason), ..) => Err(reason.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ORDER: &str = "0b7c55f2-9d4e-4c6b-8a1f-3e2d7c9014aa";

    fn row<T: DeserializeOwned>(row: Value) -> Result<T, UnreadableRow> {
        read(STOCK, serde_dynamo::to_item(row).unwrap())
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
        for stock in [
            json!({"key": "held#paris", "held": 2}),
            json!({"key": "held#paris#2026-11-24#eclair"}),
            json!({"key": format!("order#{ORDER}"), "held": 2}),
        ] {
            let key = stock["key"].as_str().unwrap().to_owned();
            let error = row::<StockRow>(stock).unwrap_err().to_string();
            let start = format!("the row {key} of the StockTable cannot be read: ");
            assert!(error.starts_with(&start), "{error}");
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
