use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use platform::table::StoreError;
use shop::{
    id::OrderId,
    order::{Order, Transition},
};

use super::{Applied, Orders};

/// Orders in memory, for tests: the behaviour of [`super::OrdersTable`] without DynamoDB. They live
/// as long as the last clone of this value.
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

    /// The rows, for as long as the guard is held.
    pub fn rows(&self) -> MutexGuard<'_, BTreeMap<OrderId, Order>> {
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
