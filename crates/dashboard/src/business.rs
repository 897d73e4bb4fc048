//! How the business does: orders per minute, per shop, and how long customers wait.

use std::collections::BTreeMap;

use jiff::Timestamp;
use monitor::Metric;
use serde_json::{Map, Value, json};
use shop::money::Money;

/// What order-intake logs for each order, with its shop and its total.
const ORDER_PLACED: &str = "order placed";

/// What the log lines say about the business, besides the sums of metrics.
#[derive(Debug, Default)]
pub(crate) struct Business {
    pub(crate) placed: PerMinute,
    pub(crate) confirmed: PerMinute,
    /// The milliseconds from placed to confirmed, of each order.
    pub(crate) waits: Vec<f64>,
    shops: BTreeMap<String, Shop>,
}

/// The orders of a shop.
#[derive(Debug, Default)]
pub(crate) struct Shop {
    pub(crate) orders: u64,
    /// What they cost; `None` if their log lines do not say it.
    pub(crate) total: Option<Money>,
    pub(crate) placed: PerMinute,
}

impl Business {
    pub(crate) fn add(&mut self, at: Timestamp, fields: &Map<String, Value>) {
        if fields.get("message").is_none_or(|message| message != ORDER_PLACED) {
            return;
        }
        let Some(location) = fields.get("location").and_then(Value::as_str) else { return };
        let shop = self.shops.entry(location.to_owned()).or_default();
        shop.orders += 1;
        if let Some(price) = price(fields) {
            let before = shop.total.map_or(0, |total| total.amount);
            shop.total = Some(Money { amount: before + price.amount, ..price });
        }
        shop.placed.add(at, 1);
    }

    pub(crate) fn count(&mut self, at: Timestamp, metric: &Metric, values: &[f64]) {
        let sum = || values.iter().sum::<f64>() as u64;
        match metric.name.as_str() {
            "OrdersPlaced" => self.placed.add(at, sum()),
            "OrdersConfirmed" => self.confirmed.add(at, sum()),
            "TimeToConfirm" => self.waits.extend(values),
            _ => {}
        }
    }

    /// The shops with their orders, those with the most first.
    pub(crate) fn shops(&self) -> Vec<(&str, &Shop)> {
        let mut shops: Vec<_> = self.shops.iter().map(|(id, shop)| (id.as_str(), shop)).collect();
        shops.sort_by_key(|(_, shop)| std::cmp::Reverse(shop.orders));
        shops
    }
}

fn price(fields: &Map<String, Value>) -> Option<Money> {
    serde_json::from_value(json!({
        "amount": fields.get("total")?,
        "currency": fields.get("currency")?,
    }))
    .ok()
}

/// A count for each minute since the epoch in which anything was counted.
#[derive(Debug, Default)]
pub(crate) struct PerMinute(BTreeMap<i64, u64>);

impl PerMinute {
    fn add(&mut self, at: Timestamp, count: u64) {
        *self.0.entry(minute(at)).or_default() += count;
    }

    /// The counts of so many minutes, the last of which is that of `now`.
    pub(crate) fn last(&self, minutes: usize, now: Timestamp) -> Vec<u64> {
        let now = minute(now);
        let first = now + 1 - i64::try_from(minutes).unwrap_or(i64::MAX);
        (first..=now).map(|minute| self.0.get(&minute).copied().unwrap_or_default()).collect()
    }
}

fn minute(at: Timestamp) -> i64 {
    at.as_second().div_euclid(60)
}
