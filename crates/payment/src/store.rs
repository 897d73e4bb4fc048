//! The Payments table.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::{
    Client,
    error::SdkError,
    operation::put_item::PutItemError,
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use jiff::Timestamp;
use platform::{decode, table::StoreError};
use serde::Serialize;
use shop::{id::OrderId, money::Money, payment::Payment, tombstone_expiry};

use crate::handler::{Payments, Written};

/// The Payments table in DynamoDB.
#[derive(Clone, Debug)]
pub struct DynamoDb {
    client: Client,
    table: String,
}

impl DynamoDb {
    /// The table of that name.
    #[must_use]
    pub fn new(config: &SdkConfig, table: String) -> Self {
        Self { client: Client::new(config), table }
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
        let key = AttributeValue::S(order.to_string());
        let get = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("order_id", key)
            .consistent_read(true);
        let row = get.send().await.map_err(|error| StoreError::call("GetItem", error))?.item;
        Ok(row.map(decode::item).transpose()?)
    }

    async fn write(
        &self,
        order: OrderId,
        price: Money,
        from: Option<&Payment>,
        next: &Payment,
        now: Timestamp,
    ) -> Result<Written, StoreError> {
        let expires_at = matches!(next, Payment::Forbidden).then(|| tombstone_expiry(now));
        let row = Row { order_id: order, payment: next, price, updated_at: now, expires_at };
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(serde_dynamo::to_item(row)?))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let put = match from {
            None => put.condition_expression("attribute_not_exists(order_id)"),
            // An order has one intent for ever, so the name of the state tells it apart from every
            // other.
            Some(from) => put
                .condition_expression("#state = :from")
                .expression_attribute_names("#state", "state")
                .expression_attribute_values(":from", AttributeValue::S(from.name().to_owned())),
        };
        match put.send().await.map_err(SdkError::into_service_error) {
            Ok(_) => Ok(Written::Yes),
            Err(PutItemError::ConditionalCheckFailedException(first)) => {
                Ok(Written::Instead(decode::item(first.item.unwrap_or_default())?))
            }
            Err(error) => Err(StoreError::call("PutItem", error)),
        }
    }
}
