use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use platform::{
    decode::DecodeError,
    table::{StoreError, Write},
};
use shop::{
    id::OrderId,
    order::{Order, Transition},
};

use super::Orders;

/// Orders in memory, for tests: behaves like [`super::OrdersTable`] without DynamoDB. Clones share
/// the rows.
#[derive(Clone, Debug, Default)]
pub struct MemoryOrders {
    rows: Arc<Mutex<BTreeMap<OrderId, Order>>>,
    unreadable: Arc<Mutex<BTreeSet<OrderId>>>,
}

impl MemoryOrders {
    /// A table with these orders.
    pub fn new(orders: impl IntoIterator<Item = Order>) -> Self {
        Self {
            rows: Arc::new(Mutex::new(
                orders.into_iter().map(|order| (order.order_id, order)).collect(),
            )),
            unreadable: Arc::default(),
        }
    }

    pub fn rows(&self) -> MutexGuard<'_, BTreeMap<OrderId, Order>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a row unreadable, as another version of the code or a hand could.
    pub fn corrupt(&self, order: OrderId) {
        self.unreadable.lock().unwrap_or_else(PoisonError::into_inner).insert(order);
    }

    /// The row as it is read.
    ///
    /// # Errors
    /// The row was made unreadable.
    pub fn read(&self, row: &Order) -> Result<Order, StoreError> {
        let unreadable = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
        if unreadable.contains(&row.order_id) {
            return Err(StoreError::Row {
                table: "orders".to_owned(),
                key: row.order_id.to_string(),
                reason: DecodeError::Unfit { place: ".".to_owned() },
            });
        }
        Ok(row.clone())
    }
}

impl Orders for MemoryOrders {
    async fn get(&self, order: OrderId) -> Result<Option<Order>, StoreError> {
        self.rows().get(&order).map(|row| self.read(row)).transpose()
    }

    async fn apply(
        &self,
        order: OrderId,
        transition: &Transition,
    ) -> Result<Write<Order>, StoreError> {
        let mut rows = self.rows();
        let row = rows.get_mut(&order).ok_or(StoreError::MissingRow)?;
        if row.revision != transition.from_revision {
            return Ok(Write::Conflict(self.read(row)?));
        }
        *row = row.clone().after(transition.clone());
        Ok(Write::Committed)
    }
}
