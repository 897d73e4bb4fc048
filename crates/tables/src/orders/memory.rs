use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use platform::table::{StoreError, Write};
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
}

impl MemoryOrders {
    /// A table with these orders.
    pub fn new(orders: impl IntoIterator<Item = Order>) -> Self {
        Self {
            rows: Arc::new(Mutex::new(
                orders.into_iter().map(|order| (order.order_id, order)).collect(),
            )),
        }
    }

    pub fn rows(&self) -> MutexGuard<'_, BTreeMap<OrderId, Order>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Orders for MemoryOrders {
    async fn get(&self, order: OrderId) -> Result<Option<Order>, StoreError> {
        Ok(self.rows().get(&order).cloned())
    }

    async fn apply(
        &self,
        order: OrderId,
        transition: &Transition,
    ) -> Result<Write<Order>, StoreError> {
        let mut rows = self.rows();
        let row = rows.get_mut(&order).ok_or(StoreError::MissingRow)?;
        if row.revision != transition.from_revision {
            return Ok(Write::Conflict(row.clone()));
        }
        *row = row.clone().after(transition.clone());
        Ok(Write::Committed)
    }
}
