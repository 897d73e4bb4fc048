//! The Orders and Menu tables, as far as this function may touch them.

use std::collections::HashMap;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::{
    Client,
    error::SdkError,
    operation::put_item::PutItemError,
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use platform::{
    decode::{self, DecodeError},
    table::StoreError,
};
use serde::de::DeserializeOwned;
use shop::{
    id::{CustomerId, LocationId, OrderId},
    menu::{Location, Menu},
    order::{Order, Transition},
};
use tables::orders::{Applied, OrdersTable};

use crate::{handler::Orders, menus::Menus, request::Page};

/// The index of a customer's orders by the time of placing.
const BY_CUSTOMER: &str = "by-customer";

/// Both tables in DynamoDB.
#[derive(Clone, Debug)]
pub struct DynamoDb {
    client: Client,
    orders: OrdersTable,
    menu: String,
}

type Row = HashMap<String, AttributeValue>;

fn read_all<T: DeserializeOwned>(rows: Vec<Row>) -> Result<Vec<T>, DecodeError> {
    rows.into_iter().map(decode::item).collect()
}

impl DynamoDb {
    /// The tables of these names.
    #[must_use]
    pub fn new(config: &SdkConfig, orders: String, menu: String) -> Self {
        let client = Client::new(config);
        Self { orders: OrdersTable::new(client.clone(), orders), client, menu }
    }
}

impl tables::orders::Orders for DynamoDb {
    async fn get(&self, order: OrderId) -> Result<Option<Order>, StoreError> {
        self.orders.get(order).await
    }

    async fn apply(&self, order: OrderId, transition: &Transition) -> Result<Applied, StoreError> {
        self.orders.apply(order, transition).await
    }
}

impl Orders for DynamoDb {
    async fn put(&self, order: &Order) -> Result<Option<Order>, StoreError> {
        let put = self
            .client
            .put_item()
            .table_name(self.orders.name())
            .set_item(Some(serde_dynamo::to_item(order)?))
            .condition_expression("attribute_not_exists(order_id)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match put.send().await.map_err(SdkError::into_service_error) {
            Ok(_) => Ok(None),
            Err(PutItemError::ConditionalCheckFailedException(first)) => {
                Ok(Some(decode::item(first.item.unwrap_or_default())?))
            }
            Err(error) => Err(StoreError::call("PutItem", error)),
        }
    }

    async fn list(&self, customer: &CustomerId, page: &Page) -> Result<Vec<Order>, StoreError> {
        let after: Option<Row> = match &page.after {
            None => None,
            Some(position) => {
                let mut key: Row = serde_dynamo::to_item(position)?;
                key.insert("customer_id".into(), AttributeValue::S(customer.as_str().to_owned()));
                Some(key)
            }
        };
        let query = self
            .client
            .query()
            .table_name(self.orders.name())
            .index_name(BY_CUSTOMER)
            .key_condition_expression("customer_id = :customer")
            .expression_attribute_values(
                ":customer",
                AttributeValue::S(customer.as_str().to_owned()),
            )
            .scan_index_forward(false)
            .limit(i32::try_from(page.limit).unwrap_or(i32::MAX))
            .set_exclusive_start_key(after);
        let rows = query.send().await.map_err(|error| StoreError::call("Query", error))?.items;
        Ok(read_all(rows.unwrap_or_default())?)
    }
}

impl Menus for DynamoDb {
    async fn menu(&self, location: &LocationId) -> Result<Option<Menu>, StoreError> {
        let key = AttributeValue::S(location.to_string());
        let get = self.client.get_item().table_name(&self.menu).key("location", key);
        let row = get.send().await.map_err(|error| StoreError::call("GetItem", error))?.item;
        Ok(row.map(decode::item).transpose()?)
    }

    async fn menus(&self) -> Result<Vec<Menu>, StoreError> {
        let scan = self.client.scan().table_name(&self.menu);
        let rows = scan.send().await.map_err(|error| StoreError::call("Scan", error))?.items;
        Ok(read_all(rows.unwrap_or_default())?)
    }

    async fn locations(&self) -> Result<Vec<Location>, StoreError> {
        let rows = self
            .client
            .scan()
            .table_name(&self.menu)
            .projection_expression("#location, #name, time_zone, currency")
            .expression_attribute_names("#location", "location")
            .expression_attribute_names("#name", "name")
            .into_paginator()
            .items()
            .send()
            .collect::<Result<Vec<_>, _>>()
            .await
            .map_err(|error| StoreError::call("Scan", error))?;
        Ok(read_all(rows)?)
    }
}
