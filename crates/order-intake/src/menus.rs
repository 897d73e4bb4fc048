//! Menus, which change a few times a day and are needed for every order: they are cached.

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

/// The Menu table, which this function may only read. What it returns may be some seconds old.
pub trait Menus {
    /// Reads the menu of a shop.
    async fn menu(&self, location: &LocationId) -> Result<Option<Menu>, StoreError>;

    /// Reads as many menus as one call returns, which is 1 MB: those of all shops, unless there are
    /// hundreds. One that cannot be read is logged and left out.
    async fn menus(&self) -> Result<Vec<Menu>, StoreError>;

    /// Reads all shops, in no particular order. One that cannot be read is logged and left out.
    async fn locations(&self) -> Result<Vec<Location>, StoreError>;
}

/// A cache of menus up to a maximum age. A shop that does not exist is not cached.
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

    /// Fills the cache before the first request.
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

    /// All shops, sorted by name, and by id if names are equal.
    pub(crate) async fn locations(&self, now: Timestamp) -> Result<Arc<Vec<Location>>, StoreError> {
        if let Some(locations) = self.locations.get(&(), now) {
            return Ok(locations);
        }
        let mut locations = self.source.locations().await?;
        locations.sort_by(|a, b| (&a.name, &a.location).cmp(&(&b.name, &b.location)));
        Ok(self.locations.keep((), locations, now))
    }
}

/// Values up to a maximum age. It never holds more values than there are shops, so none is evicted.
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
