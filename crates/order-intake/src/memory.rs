//! Orders and menus in memory, for tests: they behave like [`crate::store::DynamoDb`].

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use platform::{
    decode::DecodeError,
    table::{StoreError, Write},
};
use shop::{
    id::{CustomerId, LocationId, OrderId},
    menu::{Location, Menu},
    order::{Order, Transition},
};
use tables::orders::MemoryOrders;

use crate::{handler::Orders, menus::Menus, request::Page};

/// Both tables. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct MemoryTables {
    orders: MemoryOrders,
    menus: Arc<Mutex<BTreeMap<LocationId, Menu>>>,
    unreadable_menus: Arc<Mutex<BTreeSet<LocationId>>>,
}

impl MemoryTables {
    /// Uses these orders, which others may write as well, and starts without menus.
    #[must_use]
    pub fn over(orders: MemoryOrders) -> Self {
        Self { orders, ..Self::default() }
    }

    /// Adds or replaces a shop's menu.
    pub fn load(&self, menu: Menu) {
        self.menu_rows().insert(menu.location.clone(), menu);
    }

    /// Replaces an order, as if another function had written it.
    pub fn replace(&self, order: Order) {
        self.orders.rows().insert(order.order_id, order);
    }

    /// Makes the row of an order unreadable.
    pub fn corrupt_order(&self, order: OrderId) {
        self.orders.corrupt(order);
    }

    /// Makes the row of a menu unreadable.
    pub fn corrupt_menu(&self, location: LocationId) {
        self.unreadable_menus.lock().unwrap_or_else(PoisonError::into_inner).insert(location);
    }

    fn is_readable(&self, location: &LocationId) -> bool {
        let unreadable = self.unreadable_menus.lock().unwrap_or_else(PoisonError::into_inner);
        !unreadable.contains(location)
    }

    fn menu_rows(&self) -> MutexGuard<'_, BTreeMap<LocationId, Menu>> {
        self.menus.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl tables::orders::Orders for MemoryTables {
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

impl Orders for MemoryTables {
    async fn put(&self, order: &Order) -> Result<Write<Order>, StoreError> {
        let mut orders = self.orders.rows();
        if let Some(first) = orders.get(&order.order_id) {
            return Ok(Write::Conflict(self.orders.read(first)?));
        }
        orders.insert(order.order_id, order.clone());
        Ok(Write::Committed)
    }

    async fn list(&self, customer: &CustomerId, page: &Page) -> Result<Vec<Order>, StoreError> {
        let mut orders: Vec<_> = self
            .orders
            .rows()
            .values()
            .filter(|order| order.customer_id == *customer)
            .filter_map(|order| self.orders.read(order).ok())
            .collect();
        orders.sort_by_key(|order| std::cmp::Reverse((order.placed_at, order.order_id)));
        let after = page.after.as_ref().map(|position| (position.placed_at, position.order_id));
        let rest = orders
            .into_iter()
            .filter(|order| after.is_none_or(|after| (order.placed_at, order.order_id) < after));
        Ok(rest.take(page.limit).collect())
    }
}

impl Menus for MemoryTables {
    async fn menu(&self, location: &LocationId) -> Result<Option<Menu>, StoreError> {
        if !self.is_readable(location) {
            return Err(StoreError::Row {
                table: "menus".to_owned(),
                key: location.to_string(),
                reason: DecodeError::Unfit { place: ".".to_owned() },
            });
        }
        Ok(self.menu_rows().get(location).cloned())
    }

    async fn menus(&self) -> Result<Vec<Menu>, StoreError> {
        let mut menus: Vec<_> = self.menu_rows().values().cloned().collect();
        menus.retain(|menu| self.is_readable(&menu.location));
        Ok(menus)
    }

    async fn locations(&self) -> Result<Vec<Location>, StoreError> {
        let location = |menu: &Menu| Location {
            location: menu.location.clone(),
            name: menu.name.clone(),
            time_zone: menu.time_zone.clone(),
            currency: menu.currency,
        };
        let mut locations: Vec<_> = self.menu_rows().values().map(location).collect();
        locations.retain(|shop| self.is_readable(&shop.location));
        Ok(locations)
    }
}
