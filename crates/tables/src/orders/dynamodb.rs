use aws_sdk_dynamodb::{
    Client, error::SdkError, operation::update_item::UpdateItemError, types::AttributeValue,
};
use platform::{decode, table::StoreError};
use serde_dynamo::to_attribute_value;
use shop::{
    id::OrderId,
    order::{Order, Transition},
};

use super::{Applied, Orders};

/// The Orders table in DynamoDB.
#[derive(Clone, Debug)]
pub struct OrdersTable {
    client: Client,
    name: String,
}

impl OrdersTable {
    /// The table of that name.
    #[must_use]
    pub fn new(client: Client, name: String) -> Self {
        Self { client, name }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

fn key(order: OrderId) -> AttributeValue {
    AttributeValue::S(order.to_string())
}

impl Orders for OrdersTable {
    async fn get(&self, order: OrderId) -> Result<Option<Order>, StoreError> {
        let get = self
            .client
            .get_item()
            .table_name(&self.name)
            .key("order_id", key(order))
            .consistent_read(true);
        let row = get.send().await.map_err(|error| StoreError::call("GetItem", error))?.item;
        Ok(row.map(decode::item).transpose()?)
    }

    async fn apply(&self, order: OrderId, transition: &Transition) -> Result<Applied, StoreError> {
        let entry = &transition.entry;
        let mut change = String::from(
            "SET #status = :status, revision = :revision, payment = :payment, history = list_append(history, :entry)",
        );
        let mut update = self
            .client
            .update_item()
            .table_name(&self.name)
            .key("order_id", key(order))
            .condition_expression("revision = :from")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":from", to_attribute_value(transition.from_revision)?)
            .expression_attribute_values(":status", to_attribute_value(entry.status)?)
            .expression_attribute_values(":revision", to_attribute_value(entry.revision)?)
            .expression_attribute_values(":payment", to_attribute_value(transition.payment)?)
            .expression_attribute_values(":entry", to_attribute_value([entry])?);
        if let Some(rejection) = &transition.rejection {
            change.push_str(", rejection = :rejection");
            update =
                update.expression_attribute_values(":rejection", to_attribute_value(rejection)?);
        }
        if transition.forgets_payment_method {
            change.push_str(" REMOVE payment_method");
        }
        match update.update_expression(change).send().await.map_err(SdkError::into_service_error) {
            Ok(_) => Ok(Applied::Yes),
            Err(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(Applied::Outdated),
            Err(error) => Err(StoreError::call("UpdateItem", error)),
        }
    }
}
