//! Orders in memory, for tests: the behaviour of [`crate::store::DynamoDb`] without DynamoDB.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use platform::table::StoreError;
use shop::{
    id::OrderId,
    order::{Order, Transition},
};

use crate::handler::{Applied, Orders};

/// A table that lives as long as this value.
#[derive(Debug, Default)]
pub struct MemoryOrders {
    rows: Mutex<BTreeMap<OrderId, Order>>,
}

impl MemoryOrders {
    /// A table with these orders.
    pub fn new(orders: impl IntoIterator<Item = Order>) -> Self {
        Self { rows: Mutex::new(orders.into_iter().map(|order| (order.order_id, order)).collect()) }
    }

    fn rows(&self) -> MutexGuard<'_, BTreeMap<OrderId, Order>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Orders for MemoryOrders {
    async fn get(&self, order: OrderId) -> Result<Option<Order>, StoreError> {
        Ok(self.rows().get(&order).cloned())
    }

    async fn apply(&self, order: OrderId, transition: &Transition) -> Result<Applied, StoreError> {
        match self.rows().get_mut(&order) {
            Some(row) if row.revision == transition.from_revision => {
                *row = row.clone().after(transition.clone());
                Ok(Applied::Yes)
            }
            _ => Ok(Applied::Outdated),
        }
    }
}
