//! The rows of all domains, read and never written.

use std::collections::{BTreeMap, HashMap};

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

use crate::{deployment::Deployment, error::Error};

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

/// The Stock table, but for the bake plans.
#[derive(Clone, Debug, Default)]
pub(crate) struct StockRows {
    /// What was decided for each order.
    pub(crate) decided: BTreeMap<OrderId, Reservation>,
    /// Pieces held.
    pub(crate) held: BTreeMap<Shelf, i64>,
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
    pub(crate) async fn orders(&self) -> Result<Vec<Order>, Error> {
        self.scan(ORDERS).await?.into_iter().map(|row| read(ORDERS, "order_id", row)).collect()
    }

    /// All payments.
    pub(crate) async fn payments(&self) -> Result<Vec<PaymentRow>, Error> {
        self.scan(PAYMENTS).await?.into_iter().map(|row| read(PAYMENTS, "order_id", row)).collect()
    }

    /// All that is held, and all that was decided about it.
    pub(crate) async fn stock(&self) -> Result<StockRows, Error> {
        let mut stock = StockRows::default();
        for row in self.scan(STOCK).await? {
            match Key::of(&row) {
                Some(Key::Decided(order)) => {
                    stock.decided.insert(order, read(STOCK, "key", row)?);
                }
                Some(Key::Held(shelf)) => {
                    let HeldRow { held } = read(STOCK, "key", row)?;
                    stock.held.insert(shelf, held);
                }
                None => {}
            }
        }
        Ok(stock)
    }

    async fn get<T: DeserializeOwned>(&self, table: &'static str, key: &'static str, value: String) -> Result<Option<T>, Error> {
        let get = self.client.get_item().table_name(self.deployment.resource(table)?).consistent_read(true);
        let row = get.key(key, AttributeValue::S(value)).send().await.map_err(aws("dynamodb:GetItem"))?.item;
        row.map(|row| read(table, key, row)).transpose()
    }

    async fn scan(&self, table: &'static str) -> Result<Vec<Item>, Error> {
        let scan = self.client.scan().table_name(self.deployment.resource(table)?).consistent_read(true);
        Ok(scan.into_paginator().items().send().try_collect().await.map_err(aws("dynamodb:Scan"))?)
    }
}

fn read<T: DeserializeOwned>(table: &'static str, key: &str, row: Item) -> Result<T, Error> {
    let name = text(&row, key).to_owned();
    serde_dynamo::from_item(row).map_err(|reason| Error::Row { table, row: name, reason })
}

fn text<'a>(row: &'a Item, attribute: &str) -> &'a str {
    row.get(attribute).and_then(|value| value.as_s().ok()).map_or("", String::as_str)
}

/// How the keys of the Stock table begin: of what was decided for an order, and of what is held on a shelf.
const DECIDED: &str = "order#";
const HELD: &str = "held#";

/// The key of a row of the Stock table.
enum Key {
    Decided(OrderId),
    Held(Shelf),
}

impl Key {
    /// None for the key of a bake plan.
    fn of(row: &Item) -> Option<Self> {
        let key = text(row, "key");
        if let Some(order) = key.strip_prefix(DECIDED) {
            return Some(Self::Decided(order.parse().ok()?));
        }
        let mut parts = key.strip_prefix(HELD)?.split('#');
        let (location, day, item) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self::Held(Shelf { location: location.parse().ok()?, day: day.parse().ok()?, item: item.parse().ok()? }))
    }
}

#[derive(Deserialize)]
struct HeldRow {
    held: i64,
}
