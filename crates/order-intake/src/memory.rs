//! Orders and menus in memory, for tests: the behaviour of [`crate::store::DynamoDb`] without DynamoDB.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use platform::table::StoreError;
use shop::{
    id::{CustomerId, LocationId, OrderId},
    menu::{Location, Menu},
    order::Order,
};

use crate::{handler::Orders, menus::Menus, request::Page};

/// Tables that live as long as the last clone of this value.
#[derive(Clone, Debug, Default)]
pub struct MemoryTables {
    tables: Arc<Mutex<Tables>>,
}

#[derive(Debug, Default)]
struct Tables {
    orders: BTreeMap<OrderId, Order>,
    menus: BTreeMap<LocationId, Menu>,
}

impl MemoryTables {
    /// Adds or replaces a shop's menu.
    pub fn load(&self, menu: Menu) {
        self.tables().menus.insert(menu.location.clone(), menu);
    }

    /// Replaces an order, as another function would.
    pub fn replace(&self, order: Order) {
        self.tables().orders.insert(order.order_id, order);
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Orders for MemoryTables {
    async fn put(&self, order: &Order) -> Result<Option<Order>, StoreError> {
        let orders = &mut self.tables().orders;
        let first = orders.get(&order.order_id).cloned();
        if first.is_none() {
            orders.insert(order.order_id, order.clone());
        }
        Ok(first)
    }

    async fn get(&self, order: OrderId) -> Result<Option<Order>, StoreError> {
        Ok(self.tables().orders.get(&order).cloned())
    }

    async fn list(&self, customer: &CustomerId, page: &Page) -> Result<Vec<Order>, StoreError> {
        let mut orders: Vec<_> = self.tables().orders.values().filter(|order| order.customer_id == *customer).cloned().collect();
        orders.sort_by_key(|order| std::cmp::Reverse((order.placed_at, order.order_id)));
        let after = page.after.as_ref().map(|position| (position.placed_at, position.order_id));
        let rest = orders.into_iter().filter(|order| after.is_none_or(|after| (order.placed_at, order.order_id) < after));
        Ok(rest.take(page.limit).collect())
    }
}

impl Menus for MemoryTables {
    async fn menu(&self, location: &LocationId) -> Result<Option<Menu>, StoreError> {
        Ok(self.tables().menus.get(location).cloned())
    }

    async fn menus(&self) -> Result<Vec<Menu>, StoreError> {
        Ok(self.tables().menus.values().cloned().collect())
    }

    async fn locations(&self) -> Result<Vec<Location>, StoreError> {
        let location = |menu: &Menu| Location {
            location: menu.location.clone(),
            name: menu.name.clone(),
            time_zone: menu.time_zone.clone(),
            currency: menu.currency,
        };
        Ok(self.tables().menus.values().map(location).collect())
    }
}
