//! Stock in memory, for tests: the behaviour of [`crate::store::DynamoDb`] without DynamoDB.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::{Timestamp, civil};
use platform::table::StoreError;
use shop::{
    id::{ItemId, LocationId, OrderId},
    stock::{BakePlan, Demand, Reservation, Shortage},
    tombstone_expiry,
};

use crate::handler::{Hold, Stock};

/// Tables that live as long as this value.
#[derive(Debug, Default)]
pub struct MemoryStock {
    tables: Mutex<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    plans: BTreeMap<LocationId, BakePlan>,
    held: BTreeMap<(LocationId, civil::Date, ItemId), u32>,
    decided: BTreeMap<OrderId, Decision>,
}

#[derive(Debug)]
struct Decision {
    reservation: Reservation,
    /// In seconds since the epoch; none for what stays.
    expires_at: Option<i64>,
}

impl MemoryStock {
    /// Shops with these plans, and nothing held.
    pub fn new(plans: impl IntoIterator<Item = (LocationId, BakePlan)>) -> Self {
        Self {
            tables: Mutex::new(Tables { plans: plans.into_iter().collect(), ..Tables::default() }),
        }
    }

    /// Changes what a shop bakes a day.
    pub fn bake(&self, location: LocationId, plan: BakePlan) {
        self.tables().plans.insert(location, plan);
    }

    /// Deletes what has lived its time at `now`, as DynamoDB does.
    pub fn expire(&self, now: Timestamp) {
        self.tables()
            .decided
            .retain(|_, decision| decision.expires_at.is_none_or(|at| now.as_second() < at));
    }

    /// Everything that is held, by shop, day and item.
    #[must_use]
    pub fn all_held(&self) -> BTreeMap<(LocationId, civil::Date, ItemId), u32> {
        self.tables().held.clone()
    }

    /// How many pieces of an item are held for a day.
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

    async fn decided(&self, order: OrderId) -> Result<Option<Reservation>, StoreError> {
        Ok(self.tables().decided.get(&order).map(|decision| decision.reservation.clone()))
    }

    async fn hold(
        &self,
        order: OrderId,
        demand: &Demand,
        plan: &BakePlan,
    ) -> Result<Hold, StoreError> {
        let mut tables = self.tables();
        if let Some(decided) = tables.decided.get(&order) {
            return Ok(Hold::Decided(decided.reservation.clone()));
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
        tables.decided.insert(
            order,
            Decision { reservation: Reservation::Held(demand.clone()), expires_at: None },
        );
        Ok(Hold::Held)
    }

    async fn refuse(
        &self,
        order: OrderId,
        refusal: &Reservation,
        now: Timestamp,
    ) -> Result<Option<Reservation>, StoreError> {
        let mut tables = self.tables();
        let first = tables.decided.get(&order).map(|decision| decision.reservation.clone());
        if first.is_none() {
            let expires_at = Some(tombstone_expiry(now));
            tables.decided.insert(order, Decision { reservation: refusal.clone(), expires_at });
        }
        Ok(first)
    }

    async fn give_back(
        &self,
        order: OrderId,
        demand: &Demand,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tables = self.tables();
        if !matches!(
            tables.decided.get(&order),
            Some(Decision { reservation: Reservation::Held(_), .. })
        ) {
            return Ok(());
        }
        let expires_at = Some(tombstone_expiry(now));
        tables.decided.insert(order, Decision { reservation: Reservation::Released, expires_at });
        for held in &demand.items {
            if let Some(count) = tables.held.get_mut(&(
                demand.location.clone(),
                demand.pickup_day,
                held.item.clone(),
            )) {
                *count -= held.quantity;
            }
        }
        Ok(())
    }
}
