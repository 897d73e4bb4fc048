//! The Orders and Menu tables in DynamoDB, as far as this function may use them.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::{Client, types::AttributeValue};
use platform::table::{Row, StoreError, Table, Write};
use shop::{
    id::{CustomerId, LocationId, OrderId},
    menu::{Location, Menu},
    order::{Order, Transition},
};
use tables::{
    menus,
    orders::{self, OrdersTable},
};

use crate::{handler::Orders, menus::Menus, request::Page};

/// The client of both tables.
#[derive(Clone, Debug)]
pub struct DynamoDb {
    orders: OrdersTable,
    menus: Table,
}

impl DynamoDb {
    /// Uses the tables of these names.
    #[must_use]
    pub fn new(config: &SdkConfig, orders: String, menus: String) -> Self {
        let client = Client::new(config);
        Self {
            orders: OrdersTable::new(client.clone(), orders),
            menus: Table::new(client, menus, menus::KEY),
        }
    }
}

impl orders::Orders for DynamoDb {
    async fn get(&self, order: OrderId) -> Result<Option<Order>, StoreError> {
        self.orders.get(order).await
    }

    async fn apply(
        &self,
        order: OrderId,
        transition: &Transition,
    ) -> Result<Write<Order>, StoreError> {
        self.orders.apply(order, transition).await
    }
}

impl Orders for DynamoDb {
    async fn put(&self, order: &Order) -> Result<Write<Order>, StoreError> {
        self.orders.table().put_if_absent(order).await
    }

    async fn list(&self, customer: &CustomerId, page: &Page) -> Result<Vec<Order>, StoreError> {
        let customer = AttributeValue::S(customer.as_str().to_owned());
        let mut after: Option<Row> = match &page.after {
            None => None,
            Some(position) => {
                let mut key: Row = serde_dynamo::to_item(position)?;
                key.insert(orders::CUSTOMER.to_owned(), customer.clone());
                Some(key)
            }
        };
        let table = self.orders.table();
        let query = table
            .client()
            .query()
            .table_name(table.name())
            .index_name(orders::BY_CUSTOMER)
            .key_condition_expression("#customer = :customer")
            .expression_attribute_names("#customer", orders::CUSTOMER)
            .expression_attribute_values(":customer", customer)
            .scan_index_forward(false);
        let mut listed = Vec::new();
        // A call returns fewer orders than the page has room for if some cannot be read, or if they
        // have more than 1 MB. The key at which it ended may be that of an unreadable row, so it is
        // used as it is.
        loop {
            let room = i32::try_from(page.limit - listed.len()).unwrap_or(i32::MAX);
            let query = query.clone().limit(room).set_exclusive_start_key(after);
            let rows = query.send().await.map_err(|error| StoreError::call("Query", error))?;
            listed.extend(table.decode_readable(rows.items.unwrap_or_default()));
            after = rows.last_evaluated_key;
            if after.is_none() || listed.len() == page.limit {
                return Ok(listed);
            }
        }
    }
}

impl Menus for DynamoDb {
    async fn menu(&self, location: &LocationId) -> Result<Option<Menu>, StoreError> {
        self.menus.get_eventually_consistent(location).await
    }

    async fn menus(&self) -> Result<Vec<Menu>, StoreError> {
        let scan = self.menus.client().scan().table_name(self.menus.name());
        let rows = scan.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
        Ok(self.menus.decode_readable(rows.map_err(|error| StoreError::call("Scan", error))?))
    }

    async fn locations(&self) -> Result<Vec<Location>, StoreError> {
        let rows = self
            .menus
            .client()
            .scan()
            .table_name(self.menus.name())
            .projection_expression("#location, #name, time_zone, currency")
            .expression_attribute_names("#location", menus::KEY)
            .expression_attribute_names("#name", "name")
            .into_paginator()
            .items()
            .send()
            .collect::<Result<Vec<_>, _>>()
            .await
            .map_err(|error| StoreError::call("Scan", error))?;
        Ok(self.menus.decode_readable(rows))
    }
}
