//! Menus, read and kept for a while: they change a few times a day and are read with every order.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use platform::table::StoreError;
use shop::{
    id::LocationId,
    menu::{Location, Menu},
};

/// Menus, which this function may only read. They may be some seconds old.
pub trait Menus {
    /// The menu of a shop.
    async fn menu(&self, location: &LocationId) -> Result<Option<Menu>, StoreError>;

    /// As many menus as one read brings, which is 1 MB of them: those of all shops, unless there
    /// are hundreds.
    async fn menus(&self) -> Result<Vec<Menu>, StoreError>;

    /// All shops, in no particular order.
    async fn locations(&self) -> Result<Vec<Location>, StoreError>;
}

/// Menus that are read again once they are older than a maximum age. A shop that does not exist is
/// looked for each time.
#[derive(Debug)]
pub(crate) struct MenuCache<M> {
    source: M,
    menus: Cache<LocationId, Menu>,
    locations: Cache<(), Vec<Location>>,
}

impl<M: Menus> MenuCache<M> {
    pub(crate) fn new(source: M, max_age: SignedDuration) -> Self {
        Self { source, menus: Cache::new(max_age), locations: Cache::new(max_age) }
    }

    /// Reads what it can ahead of the first request.
    pub(crate) async fn fill(&self, now: Timestamp) -> Result<(), StoreError> {
        for menu in self.source.menus().await? {
            self.menus.keep(menu.location.clone(), menu, now);
        }
        Ok(())
    }

    pub(crate) async fn menu(
        &self,
        location: &LocationId,
        now: Timestamp,
    ) -> Result<Option<Arc<Menu>>, StoreError> {
        if let Some(menu) = self.menus.get(location, now) {
            return Ok(Some(menu));
        }
        let menu = self.source.menu(location).await?;
        Ok(menu.map(|menu| self.menus.keep(location.clone(), menu, now)))
    }

    pub(crate) async fn locations(&self, now: Timestamp) -> Result<Arc<Vec<Location>>, StoreError> {
        if let Some(locations) = self.locations.get(&(), now) {
            return Ok(locations);
        }
        let mut locations = self.source.locations().await?;
        locations.sort_by(|a, b| a.location.cmp(&b.location));
        Ok(self.locations.keep((), locations, now))
    }
}

/// It holds no more than there are shops, so nothing is ever evicted.
#[derive(Debug)]
struct Cache<K, V> {
    max_age: SignedDuration,
    entries: Mutex<HashMap<K, (Timestamp, Arc<V>)>>,
}

impl<K: Eq + Hash, V> Cache<K, V> {
    fn new(max_age: SignedDuration) -> Self {
        Self { max_age, entries: Mutex::default() }
    }

    fn get(&self, key: &K, now: Timestamp) -> Option<Arc<V>> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let (read_at, value) = entries.get(key)?;
        (now.duration_since(*read_at) < self.max_age).then(|| value.clone())
    }

    fn keep(&self, key: K, value: V, now: Timestamp) -> Arc<V> {
        let value = Arc::new(value);
        self.entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, (now, value.clone()));
        value
    }
}
