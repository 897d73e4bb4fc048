//! Reading rows: one by its key, or all of a table.

use std::collections::HashMap;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::{Client as DynamoDb, types::AttributeValue};
use futures::future::try_join_all;
use jiff::{Timestamp, civil};
use shop::{
    id::{CustomerId, ItemId, LocationId, OrderId},
    menu::Menu,
    order::{Order, Status},
    stock::{BakePlan, Reservation},
};
use tables::{
    orders::{self, PLACED_AT},
    payments,
    stock::Key,
};

use super::kinds::{FromRow, NoticeRow, OrderKey, PaymentRow, Pieces, StockRow, Table, read};
use crate::{
    error::{Error, UnreadableRow, aws},
    words::name,
};

/// The tables of a stack.
#[derive(Debug)]
pub struct Tables {
    client: DynamoDb,
    names: TableNames,
}

/// The names of the tables of a stack.
#[derive(Clone, Debug)]
pub struct TableNames {
    pub orders: String,
    pub payments: String,
    pub stock: String,
    pub menus: String,
    pub notices: String,
}

impl TableNames {
    fn of(&self, table: Table) -> &str {
        match table {
            Table::Orders => &self.orders,
            Table::Payments => &self.payments,
            Table::Stock => &self.stock,
            Table::Menus => &self.menus,
            Table::Notices => &self.notices,
        }
    }
}

/// The rows of a table.
#[derive(Debug)]
pub struct Rows<T> {
    pub rows: Vec<T>,
    /// The rows that this version cannot read.
    pub unreadable: Vec<UnreadableRow>,
}

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), unreadable: Vec::new() }
    }
}

/// The wanted orders. DynamoDB applies it to what it has read, so that it saves time, not money.
#[derive(Clone, Debug, Default)]
pub struct OrderFilter {
    /// The oldest wanted time of placing.
    pub since: Timestamp,
    pub status: Option<Status>,
    pub location: Option<LocationId>,
}

/// A filter of a scan: an expression, with the attributes and values that it names.
#[derive(Default)]
struct Filter {
    expression: Option<String>,
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl Filter {
    /// Wants that the attribute compares with the value like this.
    fn and(self, attribute: &str, comparison: &str, value: String) -> Self {
        let condition = format!("#{attribute} {comparison} :{attribute}");
        self.with(attribute, condition, value)
    }

    /// Wants no rows whose keys begin like this.
    fn without_keys(self, key: &str, prefix: &str) -> Self {
        self.with(key, format!("NOT begins_with(#{key}, :{key})"), prefix.to_owned())
    }

    fn with(mut self, attribute: &str, condition: String, value: String) -> Self {
        self.names.insert(format!("#{attribute}"), attribute.to_owned());
        self.values.insert(format!(":{attribute}"), AttributeValue::S(value));
        self.expression = Some(match self.expression {
            Some(others) => format!("{others} AND {condition}"),
            None => condition,
        });
        self
    }
}

impl Table {
    /// The rows that say something about orders.
    fn about_orders(self, filter: Filter) -> Filter {
        match self {
            Self::Payments => filter.without_keys(payments::KEY, payments::PLACES),
            Self::Orders | Self::Stock | Self::Menus | Self::Notices => filter,
        }
    }
}

impl OrderFilter {
    fn expression(&self) -> Filter {
        // As rows spell the time of placing, so that the texts compare as the times do.
        let since = self.since.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
        let filter = Filter::default().and(PLACED_AT, ">=", since);
        let filter = match self.status {
            Some(status) => filter.and("status", "=", name(status)),
            None => filter,
        };
        match &self.location {
            Some(location) => filter.and("location", "=", location.to_string()),
            None => filter,
        }
    }
}

impl Tables {
    /// The tables with these names.
    #[must_use]
    pub fn new(config: &SdkConfig, names: TableNames) -> Self {
        Self { client: DynamoDb::new(config), names }
    }

    pub async fn order(&self, id: OrderId) -> Result<Option<Order>, Error> {
        self.get(Table::Orders, id.to_string()).await
    }

    /// The ids of a customer's orders, oldest first. An order that was placed a moment ago may be
    /// missing.
    pub async fn orders_of(&self, customer: &CustomerId) -> Result<Vec<OrderId>, Error> {
        let of_customer = AttributeValue::S(customer.as_str().to_owned());
        let mut items = self
            .client
            .query()
            .table_name(&self.names.orders)
            .index_name(orders::BY_CUSTOMER)
            .key_condition_expression("#customer = :customer")
            .expression_attribute_names("#customer", orders::CUSTOMER)
            .expression_attribute_values(":customer", of_customer)
            .into_paginator()
            .items()
            .send();
        let mut ids = Vec::new();
        while let Some(item) = items.next().await {
            let item = item.map_err(aws("dynamodb:Query"))?;
            ids.push(read::<OrderKey>(Table::Orders, item)?.order_id);
        }
        Ok(ids)
    }

    pub async fn payment(&self, order: OrderId) -> Result<Option<PaymentRow>, Error> {
        self.get(Table::Payments, order.to_string()).await
    }

    pub async fn reservation(&self, order: OrderId) -> Result<Option<Reservation>, Error> {
        self.get(Table::Stock, Key::Reservation(order).to_string()).await
    }

    pub async fn notice(&self, order: OrderId) -> Result<Option<NoticeRow>, Error> {
        self.get(Table::Notices, order.to_string()).await
    }

    /// The bake plan of a shop.
    pub async fn plan(&self, location: &LocationId) -> Result<Option<BakePlan>, Error> {
        self.get(Table::Stock, Key::Plan(location.clone()).to_string()).await
    }

    pub async fn menu(&self, location: &LocationId) -> Result<Option<Menu>, Error> {
        self.get(Table::Menus, location.to_string()).await
    }

    /// How many pieces of some items a shop holds for a day.
    pub async fn held(
        &self,
        location: &LocationId,
        day: civil::Date,
        items: impl IntoIterator<Item = ItemId>,
    ) -> Result<Vec<(ItemId, i64)>, Error> {
        let held = items.into_iter().map(async |item| {
            let key = Key::Held { location: location.clone(), day, item: item.clone() };
            let pieces: Option<Pieces> = self.get(Table::Stock, key.to_string()).await?;
            Ok::<_, Error>((item, pieces.map_or(0, |pieces| pieces.held)))
        });
        try_join_all(held).await
    }

    pub async fn orders(&self) -> Result<Rows<Order>, Error> {
        self.all(Table::Orders).await
    }

    /// Visits every payment, page by page, in no order.
    pub async fn every_payment(
        &self,
        visit: impl FnMut(Result<PaymentRow, UnreadableRow>),
    ) -> Result<(), Error> {
        self.each(Table::Payments, Filter::default(), visit).await
    }

    /// All bake plans, reservations and held pieces.
    pub async fn stock(&self) -> Result<Rows<StockRow>, Error> {
        self.all(Table::Stock).await
    }

    /// Visits the orders that pass a filter, page by page, in no order.
    pub async fn each_order(
        &self,
        filter: &OrderFilter,
        visit: impl FnMut(Result<Order, UnreadableRow>),
    ) -> Result<(), Error> {
        self.each(Table::Orders, filter.expression(), visit).await
    }

    /// Visits the orders that pass a filter, a whole page at a time, in no order. No more than a
    /// page of a megabyte is kept in memory.
    pub async fn order_pages<E: From<Error>>(
        &self,
        filter: &OrderFilter,
        visit: impl AsyncFnMut(Vec<Result<Order, UnreadableRow>>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.pages(Table::Orders, filter.expression(), visit).await
    }

    /// Visits every order, page by page, in no order.
    pub async fn every_order(
        &self,
        visit: impl FnMut(Result<Order, UnreadableRow>),
    ) -> Result<(), Error> {
        self.each(Table::Orders, Filter::default(), visit).await
    }

    /// Visits every row of the Stock table, page by page, in no order.
    pub async fn every_stock_row(
        &self,
        visit: impl FnMut(Result<StockRow, UnreadableRow>),
    ) -> Result<(), Error> {
        self.each(Table::Stock, Filter::default(), visit).await
    }

    /// The rows that cannot be read of the tables that nothing is compared with: Menu and Notices.
    pub async fn unreadable_menus_and_notices(&self) -> Result<Vec<UnreadableRow>, Error> {
        let mut menus = self.unreadable::<Menu>(Table::Menus).await?;
        menus.extend(self.unreadable::<NoticeRow>(Table::Notices).await?);
        Ok(menus)
    }

    /// The rows that cannot be read of Payments and Stock.
    pub async fn unreadable_payments_and_stock(&self) -> Result<Vec<UnreadableRow>, Error> {
        let mut payments = self.unreadable::<PaymentRow>(Table::Payments).await?;
        payments.extend(self.unreadable::<StockRow>(Table::Stock).await?);
        Ok(payments)
    }

    async fn unreadable<T: FromRow>(&self, table: Table) -> Result<Vec<UnreadableRow>, Error> {
        let mut unreadable = Vec::new();
        let visit = |row: Result<T, UnreadableRow>| unreadable.extend(row.err());
        self.each(table, Filter::default(), visit).await?;
        Ok(unreadable)
    }

    async fn get<T: FromRow>(&self, table: Table, key: String) -> Result<Option<T>, Error> {
        let get = self
            .client
            .get_item()
            .table_name(self.names.of(table))
            .key(table.key(), AttributeValue::S(key))
            .consistent_read(true);
        let row = get.send().await.map_err(aws("dynamodb:GetItem"))?.item;
        Ok(row.map(|row| read(table, row)).transpose()?)
    }

    async fn all<T: FromRow>(&self, table: Table) -> Result<Rows<T>, Error> {
        let mut all = Rows::default();
        let visit = |row| match row {
            Ok(row) => all.rows.push(row),
            Err(row) => all.unreadable.push(row),
        };
        self.each(table, Filter::default(), visit).await?;
        Ok(all)
    }

    async fn each<T: FromRow>(
        &self,
        table: Table,
        filter: Filter,
        mut visit: impl FnMut(Result<T, UnreadableRow>),
    ) -> Result<(), Error> {
        let each = async |rows: Vec<_>| {
            rows.into_iter().for_each(&mut visit);
            Ok(())
        };
        self.pages(table, filter, each).await
    }

    /// Visits the rows of a table that pass a filter. No more than a page of a megabyte is kept in
    /// memory, and the SDK asks again for a page that fails.
    async fn pages<T: FromRow, E: From<Error>>(
        &self,
        table: Table,
        filter: Filter,
        mut visit: impl AsyncFnMut(Vec<Result<T, UnreadableRow>>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Filter { expression, names, values } = table.about_orders(filter);
        let mut pages = self
            .client
            .scan()
            .table_name(self.names.of(table))
            .consistent_read(true)
            .set_filter_expression(expression)
            .set_expression_attribute_names((!names.is_empty()).then_some(names))
            .set_expression_attribute_values((!values.is_empty()).then_some(values))
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let rows = page.map_err(aws("dynamodb:Scan"))?.items.unwrap_or_default();
            visit(rows.into_iter().map(|row| read(table, row)).collect()).await?;
        }
        Ok(())
    }
}
