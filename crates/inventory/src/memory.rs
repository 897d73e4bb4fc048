//! Stock in memory, for tests: behaves like [`crate::store::DynamoDb`] without DynamoDB.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::{Timestamp, civil};
use platform::table::{StoreError, Write};
use shop::{
    id::{ItemId, LocationId, OrderId},
    stock::{BakePlan, Demand, Reservation, Shortage, stock_expiry},
    tombstone_expiry,
};

use crate::handler::{Hold, Stock};

/// A Stock table in memory.
#[derive(Debug, Default)]
pub struct MemoryStock {
    tables: Mutex<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    plans: BTreeMap<LocationId, BakePlan>,
    held: BTreeMap<HeldKey, u32>,
    decisions: BTreeMap<OrderId, Decision>,
}

/// What held pieces are counted by: shop, pickup day and item.
pub type HeldKey = (LocationId, civil::Date, ItemId);

#[derive(Debug)]
struct Decision {
    reservation: Reservation,
    /// In seconds since the epoch.
    expires_at: i64,
}

impl MemoryStock {
    /// Shops with these plans and no held pieces.
    pub fn new(plans: impl IntoIterator<Item = (LocationId, BakePlan)>) -> Self {
        Self {
            tables: Mutex::new(Tables { plans: plans.into_iter().collect(), ..Tables::default() }),
        }
    }

    /// Replaces a shop's bake plan.
    pub fn bake(&self, location: LocationId, plan: BakePlan) {
        self.tables().plans.insert(location, plan);
    }

    /// Deletes the decisions whose time to live has passed, and returns them.
    pub fn expire_decisions(&self, now: Timestamp) -> Vec<(OrderId, Reservation)> {
        let is_over = |decision: &Decision| decision.expires_at <= now.as_second();
        let mut tables = self.tables();
        let expired = tables.decisions.extract_if(.., |_, decision| is_over(decision));
        expired.map(|(order, decision)| (order, decision.reservation)).collect()
    }

    /// Deletes the numbers of held pieces whose time to live has passed.
    pub fn expire_held(&self, now: Timestamp) {
        self.tables().held.retain(|key, _| Self::held_expires_at(key) > now.as_second());
    }

    /// When the row of an order's reservation expires, in seconds since the epoch.
    #[must_use]
    pub fn expires_at(&self, order: OrderId) -> Option<i64> {
        self.tables().decisions.get(&order).map(|decision| decision.expires_at)
    }

    /// When the row of held pieces expires, in seconds since the epoch.
    #[must_use]
    pub fn held_expires_at((_, day, _): &HeldKey) -> i64 {
        stock_expiry(*day)
    }

    /// Replaces the number of held pieces of one item, or deletes its row.
    pub fn count(&self, key: HeldKey, held: Option<u32>) {
        match held {
            Some(held) => self.tables().held.insert(key, held),
            None => self.tables().held.remove(&key),
        };
    }

    /// The number of held pieces by shop, day and item.
    #[must_use]
    pub fn all_held(&self) -> BTreeMap<HeldKey, u32> {
        self.tables().held.clone()
    }

    /// The number of held pieces of one item.
    #[must_use]
    pub fn held(&self, location: &LocationId, day: civil::Date, item: &ItemId) -> u32 {
        self.tables().held.get(&(location.clone(), day, item.clone())).copied().unwrap_or(0)
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stock for MemoryStock {
    async fn plan(&self, location: &LocationId) -> Result<BakePlan, StoreError> {
        Ok(self.tables().plans.get(location).cloned().unwrap_or_default())
    }

    async fn find(&self, order: OrderId) -> Result<Option<Reservation>, StoreError> {
        Ok(self.tables().decisions.get(&order).map(|decision| decision.reservation.clone()))
    }

    async fn hold(
        &self,
        order: OrderId,
        demand: &Demand,
        plan: &BakePlan,
    ) -> Result<Hold, StoreError> {
        let mut tables = self.tables();
        if let Some(decision) = tables.decisions.get(&order) {
            return Ok(Hold::Decided(decision.reservation.clone()));
        }
        let key = |item: &ItemId| (demand.location.clone(), demand.pickup_day, item.clone());
        let mut shortages = Vec::new();
        for needed in &demand.items {
            let held = tables.held.get(&key(&needed.item)).copied().unwrap_or(0);
            let left = plan.of(&needed.item).saturating_sub(held);
            if left < needed.quantity {
                shortages.push(Shortage {
                    item: needed.item.clone(),
                    requested: needed.quantity,
                    left,
                });
            }
        }
        if !shortages.is_empty() {
            return Ok(Hold::Short(shortages));
        }
        for needed in &demand.items {
            *tables.held.entry(key(&needed.item)).or_default() += needed.quantity;
        }
        tables.decisions.insert(
            order,
            Decision {
                reservation: Reservation::Held(demand.clone()),
                expires_at: stock_expiry(demand.pickup_day),
            },
        );
        Ok(Hold::Held)
    }

    async fn refuse(
        &self,
        order: OrderId,
        refusal: &Reservation,
        now: Timestamp,
    ) -> Result<Write<Reservation>, StoreError> {
        let mut tables = self.tables();
        if let Some(decision) = tables.decisions.get(&order) {
            return Ok(Write::Conflict(decision.reservation.clone()));
        }
        let expires_at = tombstone_expiry(now);
        tables.decisions.insert(order, Decision { reservation: refusal.clone(), expires_at });
        Ok(Write::Committed)
    }

    async fn release(
        &self,
        order: OrderId,
        demand: &Demand,
        now: Timestamp,
    ) -> Result<Write<Reservation>, StoreError> {
        let mut tables = self.tables();
        let decision = tables.decisions.get(&order).ok_or(StoreError::MissingRow)?;
        if !matches!(decision.reservation, Reservation::Held(_)) {
            return Ok(Write::Conflict(decision.reservation.clone()));
        }
        let expires_at = tombstone_expiry(now);
        tables.decisions.insert(order, Decision { reservation: Reservation::Released, expires_at });
        for held in &demand.items {
            let key = (demand.location.clone(), demand.pickup_day, held.item.clone());
            if let Some(count) = tables.held.get_mut(&key)
                && *count >= held.quantity
            {
                *count -= held.quantity;
            }
        }
        Ok(Write::Committed)
    }
}
