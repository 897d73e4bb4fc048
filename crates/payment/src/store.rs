//! The Payments table.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::{Client, types::AttributeValue};
use jiff::Timestamp;
use platform::table::{Commit, StoreError, Table, Write};
use serde::Serialize;
use shop::{id::OrderId, money::Money, payment::Payment, tombstone_expiry};
use tables::payments;

use crate::handler::Payments;

/// The Payments table in DynamoDB.
#[derive(Clone, Debug)]
pub struct DynamoDb {
    table: Table,
}

impl DynamoDb {
    /// The table of that name.
    #[must_use]
    pub fn new(config: &SdkConfig, name: String) -> Self {
        Self { table: Table::new(Client::new(config), name, payments::KEY) }
    }
}

#[derive(Serialize)]
struct Row<'a> {
    order_id: OrderId,
    #[serde(flatten)]
    payment: &'a Payment,
    #[serde(flatten)]
    price: Money,
    updated_at: Timestamp,
    /// A tombstone alone goes by itself: all else is the record of somebody's money.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
}

impl Payments for DynamoDb {
    async fn find(&self, order: OrderId) -> Result<Option<Payment>, StoreError> {
        self.table.get(order).await
    }

    async fn write(
        &self,
        order: OrderId,
        price: Money,
        from: Option<&Payment>,
        next: &Payment,
        now: Timestamp,
    ) -> Result<Write<Payment>, StoreError> {
        let expires_at = matches!(next, Payment::Forbidden).then(|| tombstone_expiry(now));
        let row = Row { order_id: order, payment: next, price, updated_at: now, expires_at };
        let Some(from) = from else {
            return self.table.put_if_absent(&row).await;
        };
        // An order has one intent for ever, so the name of the state tells it apart from every
        // other.
        self.table
            .put(&row)?
            .condition_expression("#state = :from")
            .expression_attribute_names("#state", payments::STATE)
            .expression_attribute_values(":from", AttributeValue::S(from.name().to_owned()))
            .commit()
            .await
    }
}
