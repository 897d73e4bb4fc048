use aws_sdk_dynamodb::{Client, types::AttributeValue};
use platform::table::{Commit, StoreError, Table, Write};
use serde_dynamo::to_attribute_value;
use shop::{
    id::{CustomerId, OrderId},
    order::{Order, Transition},
};

use super::{KEY, Orders};

/// The Orders table in DynamoDB.
#[derive(Clone, Debug)]
pub struct OrdersTable {
    table: Table,
}

impl OrdersTable {
    /// The Orders table that is called `name`.
    #[must_use]
    pub fn new(client: Client, name: String) -> Self {
        Self { table: Table::new(client, name, KEY) }
    }

    /// The table itself, for operations that only one function needs.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.table
    }
}

impl Orders for OrdersTable {
    async fn get(&self, order: OrderId) -> Result<Option<Order>, StoreError> {
        self.table.get(order).await
    }

    async fn apply(
        &self,
        order: OrderId,
        transition: &Transition,
    ) -> Result<Write<Order>, StoreError> {
        let entry = &transition.entry;
        let mut change = String::from(
            "SET #status = :status, revision = :revision, payment = :payment, \
             history = list_append(history, :entry)",
        );
        let mut update = self
            .table
            .update(order)
            .condition_expression("revision = :from")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":from", to_attribute_value(transition.from_revision)?)
            .expression_attribute_values(":status", to_attribute_value(entry.status)?)
            .expression_attribute_values(":revision", to_attribute_value(entry.revision)?)
            .expression_attribute_values(":payment", to_attribute_value(transition.payment)?)
            .expression_attribute_values(":entry", to_attribute_value([entry])?);
        if let Some(version) = transition.payment_version {
            change.push_str(", payment_version = :payment_version");
            update = update
                .expression_attribute_values(":payment_version", to_attribute_value(version)?);
        }
        if let Some(refunds) = &transition.refunds {
            change.push_str(", refunds = :refunds");
            update = update.expression_attribute_values(":refunds", to_attribute_value(refunds)?);
        }
        if let Some(dispute) = &transition.dispute {
            change.push_str(", dispute = :dispute");
            update = update.expression_attribute_values(":dispute", to_attribute_value(dispute)?);
        }
        if let Some(rejection) = &transition.rejection {
            change.push_str(", rejection = :rejection");
            update =
                update.expression_attribute_values(":rejection", to_attribute_value(rejection)?);
        }
        if let Some(reason) = &transition.cancellation_reason {
            change.push_str(", cancellation_reason = :cancellation_reason");
            update = update
                .expression_attribute_values(":cancellation_reason", to_attribute_value(reason)?);
        }
        if let Some(url) = &transition.authentication_url {
            change.push_str(", authentication_url = :authentication_url");
            update =
                update.expression_attribute_values(":authentication_url", to_attribute_value(url)?);
        }
        if transition.erases_customer {
            change.push_str(", customer_id = :erased, fingerprint = :nothing");
            update = update
                .expression_attribute_values(":erased", to_attribute_value(CustomerId::erased())?)
                .expression_attribute_values(":nothing", AttributeValue::S(String::new()));
        }
        let removed: Vec<_> = [
            (transition.forgets_charge, "payment_method"),
            (transition.forgets_charge, "authentication_url"),
            (transition.erases_customer, "note"),
            (transition.erases_customer, "traceparent"),
        ]
        .into_iter()
        .filter_map(|(is_removed, attribute)| is_removed.then_some(attribute))
        .collect();
        if !removed.is_empty() {
            change.push_str(" REMOVE ");
            change.push_str(&removed.join(", "));
        }
        update.update_expression(change).commit(&self.table).await
    }
}
