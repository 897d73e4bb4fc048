//! Reading rows: one by its key, or all of a table.

use std::collections::HashMap;

use aws_sdk_dynamodb::{Client as DynamoDb, types::AttributeValue};
use futures::future::try_join_all;
use jiff::{Timestamp, civil};
use shop::{
    id::{ItemId, LocationId, OrderId},
    menu::Menu,
    order::{Order, Status},
    stock::{BakePlan, Reservation},
};
use stack::{Deployment, error::aws};
use tables::{orders::PLACED_AT, stock::Key};

use super::kinds::{
    FromRow, MENUS, NOTICES, NoticeRow, ORDERS, PAYMENTS, PaymentRow, Pieces, STOCK, StockRow,
    Table, read,
};
use crate::{
    error::{Error, UnreadableRow},
    output::name,
};

/// The tables of a stack.
pub(crate) struct Tables<'a> {
    deployment: &'a Deployment,
    client: DynamoDb,
}

/// The rows of a table.
#[derive(Debug)]
pub(crate) struct Rows<T> {
    pub(crate) rows: Vec<T>,
    /// The rows that this version cannot read.
    pub(crate) unreadable: Vec<UnreadableRow>,
}

/// The wanted orders. DynamoDB applies it to what it has read, so that it saves time, not money.
#[derive(Clone, Debug)]
pub(crate) struct OrderFilter {
    /// The oldest wanted time of placing.
    pub(crate) since: Timestamp,
    pub(crate) status: Option<Status>,
    pub(crate) location: Option<LocationId>,
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
    fn and(mut self, attribute: &str, comparison: &str, value: String) -> Self {
        let condition = format!("#{attribute} {comparison} :{attribute}");
        self.names.insert(format!("#{attribute}"), attribute.to_owned());
        self.values.insert(format!(":{attribute}"), AttributeValue::S(value));
        self.expression = Some(match self.expression {
            Some(others) => format!("{others} AND {condition}"),
            None => condition,
        });
        self
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
        self.get(STOCK, Key::Reservation(order).to_string()).await
    }

    pub(crate) async fn notice(&self, order: OrderId) -> Result<Option<NoticeRow>, Error> {
        self.get(NOTICES, order.to_string()).await
    }

    /// The bake plan of a shop.
    pub(crate) async fn plan(&self, location: &LocationId) -> Result<Option<BakePlan>, Error> {
        self.get(STOCK, Key::Plan(location.clone()).to_string()).await
    }

    pub(crate) async fn menu(&self, location: &LocationId) -> Result<Option<Menu>, Error> {
        self.get(MENUS, location.to_string()).await
    }

    /// How many pieces of some items a shop holds for a day.
    pub(crate) async fn held(
        &self,
        location: &LocationId,
        day: civil::Date,
        items: impl IntoIterator<Item = ItemId>,
    ) -> Result<Vec<(ItemId, i64)>, Error> {
        let held = items.into_iter().map(async |item| {
            let key = Key::Held { location: location.clone(), day, item: item.clone() };
            let pieces: Option<Pieces> = self.get(STOCK, key.to_string()).await?;
            Ok::<_, Error>((item, pieces.map_or(0, |pieces| pieces.held)))
        });
        try_join_all(held).await
    }

    pub(crate) async fn orders(&self) -> Result<Rows<Order>, Error> {
        self.all(ORDERS).await
    }

    pub(crate) async fn payments(&self) -> Result<Rows<PaymentRow>, Error> {
        self.all(PAYMENTS).await
    }

    /// All bake plans, reservations and held pieces.
    pub(crate) async fn stock(&self) -> Result<Rows<StockRow>, Error> {
        self.all(STOCK).await
    }

    /// Visits the orders that pass a filter, page by page, in no order.
    pub(crate) async fn each_order(
        &self,
        filter: &OrderFilter,
        visit: impl FnMut(Result<Order, UnreadableRow>),
    ) -> Result<(), Error> {
        self.each(ORDERS, filter.expression(), visit).await
    }

    /// Visits every order, page by page, in no order.
    pub(crate) async fn every_order(
        &self,
        visit: impl FnMut(Result<Order, UnreadableRow>),
    ) -> Result<(), Error> {
        self.each(ORDERS, Filter::default(), visit).await
    }

    /// Visits every row of the Stock table, page by page, in no order.
    pub(crate) async fn every_stock_row(
        &self,
        visit: impl FnMut(Result<StockRow, UnreadableRow>),
    ) -> Result<(), Error> {
        self.each(STOCK, Filter::default(), visit).await
    }

    /// The rows that cannot be read of the tables that nothing is compared with: Menu and Notices.
    pub(crate) async fn unreadable_menus_and_notices(&self) -> Result<Vec<UnreadableRow>, Error> {
        let mut menus = self.unreadable::<Menu>(MENUS).await?;
        menus.extend(self.unreadable::<NoticeRow>(NOTICES).await?);
        Ok(menus)
    }

    /// The rows that cannot be read of Payments and Stock.
    pub(crate) async fn unreadable_payments_and_stock(&self) -> Result<Vec<UnreadableRow>, Error> {
        let mut payments = self.unreadable::<PaymentRow>(PAYMENTS).await?;
        payments.extend(self.unreadable::<StockRow>(STOCK).await?);
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
            .table_name(self.deployment.resource(table.logical_id)?)
            .key(table.key, AttributeValue::S(key))
            .consistent_read(true);
        let row = get.send().await.map_err(aws("dynamodb:GetItem"))?.item;
        Ok(row.map(|row| read(table, row)).transpose()?)
    }

    async fn all<T: FromRow>(&self, table: Table) -> Result<Rows<T>, Error> {
        let mut all = Rows { rows: vec![], unreadable: vec![] };
        let visit = |row| match row {
            Ok(row) => all.rows.push(row),
            Err(row) => all.unreadable.push(row),
        };
        self.each(table, Filter::default(), visit).await?;
        Ok(all)
    }

    /// Visits the rows of a table that pass a filter. No more than a page of a megabyte is kept in
    /// memory, and the SDK asks again for a page that fails.
    async fn each<T: FromRow>(
        &self,
        table: Table,
        filter: Filter,
        mut visit: impl FnMut(Result<T, UnreadableRow>),
    ) -> Result<(), Error> {
        let Filter { expression, names, values } = filter;
        let mut pages = self
            .client
            .scan()
            .table_name(self.deployment.resource(table.logical_id)?)
            .consistent_read(true)
            .set_filter_expression(expression)
            .set_expression_attribute_names((!names.is_empty()).then_some(names))
            .set_expression_attribute_values((!values.is_empty()).then_some(values))
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let rows = page.map_err(aws("dynamodb:Scan"))?.items.unwrap_or_default();
            rows.into_iter().for_each(|row| visit(read(table, row)));
        }
        Ok(())
    }
}
