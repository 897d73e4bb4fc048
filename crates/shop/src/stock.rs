//! Stock: what a shop bakes a day, and what is held of it for orders.

use std::collections::BTreeMap;

use jiff::{Timestamp, ToSpan, civil, tz::TimeZone};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    id::{ItemId, LocationId},
    tombstone_expiry,
};

/// How many pieces of each item a shop bakes a day. A plan may change at any time; pieces that are
/// held stay held.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BakePlan {
    /// Pieces a day. An item that is not listed is not baked.
    pub capacity: BTreeMap<ItemId, u32>,
}

impl BakePlan {
    /// The capacity for an item: 0 if the plan does not list it.
    #[must_use]
    pub fn of(&self, item: &ItemId) -> u32 {
        self.capacity.get(item).copied().unwrap_or(0)
    }
}

/// A number of pieces of one item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quantity {
    /// The item.
    pub item: ItemId,
    /// The number of pieces.
    pub quantity: u32,
}

/// The pieces that an order needs from one shop on one day. Each item appears once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demand {
    /// The shop.
    pub location: LocationId,
    /// The date, in the shop's time zone, on which the opening hours of the pickup began.
    pub pickup_day: civil::Date,
    /// The number of pieces of each item.
    pub items: Vec<Quantity>,
}

/// When what is held for a pickup day may be deleted, in seconds since the epoch: the reservations,
/// and the numbers of held pieces.
///
/// Everything that can still refer to them is a message about the end of an order, and a tombstone
/// outlives every message. No order for that day ends later than its pickup, which is at most two
/// days after the start of the day in UTC: in the westernmost time zone the day begins twelve hours
/// later, and opening hours may pass midnight.
#[must_use]
pub fn stock_expiry(pickup_day: civil::Date) -> i64 {
    let start = pickup_day.to_zoned(TimeZone::UTC).map_or(Timestamp::MAX, |day| day.timestamp());
    tombstone_expiry(start.saturating_add(48.hours()).unwrap_or(Timestamp::MAX))
}

/// An item of which too few pieces were left for an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Shortage {
    /// The item.
    pub item: ItemId,
    /// The number of pieces that the order needs.
    pub requested: u32,
    /// The number of pieces that were left when inventory decided.
    pub left: u32,
}

/// The stock of an order: what inventory has decided, and what its row holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Reservation {
    /// All pieces are held.
    Held(Demand),
    /// Too few pieces were left, and none is held.
    Rejected {
        /// The items that fell short.
        shortages: Vec<Shortage>,
    },
    /// No piece is held, and none ever will be. A release that arrives before its order leaves
    /// this as a tombstone.
    Released,
}

/// What can happen to the stock of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// The order was placed and needs these pieces.
    ReserveRequested(Demand),
    /// Some items of the order fell short.
    StockShort(Vec<Shortage>),
    /// The order ended early.
    ReleaseRequested,
}

impl Reservation {
    /// The reservation after `trigger`, or `None` if the trigger does not apply to `current`.
    #[must_use]
    pub fn next(current: Option<&Self>, trigger: Trigger) -> Option<Self> {
        match (current, trigger) {
            (None, Trigger::ReserveRequested(demand)) => Some(Self::Held(demand)),
            (None, Trigger::StockShort(shortages)) => Some(Self::Rejected { shortages }),
            (None | Some(Self::Held(_)), Trigger::ReleaseRequested) => Some(Self::Released),
            _ => None,
        }
    }

    /// The state's name, as the row spells it in `state`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Held(_) => "held",
            Self::Rejected { .. } => "rejected",
            Self::Released => "released",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demand(quantity: u32) -> Demand {
        Demand {
            location: "paris".parse().unwrap(),
            pickup_day: civil::date(2026, 11, 24),
            items: vec![Quantity { item: "croissant".parse().unwrap(), quantity }],
        }
    }

    fn shortages() -> Vec<Shortage> {
        vec![Shortage { item: "croissant".parse().unwrap(), requested: 2, left: 1 }]
    }

    #[test]
    fn the_first_trigger_of_an_order_decides_its_reservation() {
        for (trigger, next) in [
            (Trigger::ReserveRequested(demand(2)), Reservation::Held(demand(2))),
            (Trigger::StockShort(shortages()), Reservation::Rejected { shortages: shortages() }),
            // A tombstone: the release has arrived before the order.
            (Trigger::ReleaseRequested, Reservation::Released),
        ] {
            assert_eq!(Reservation::next(None, trigger.clone()), Some(next), "{trigger:?}");
        }
    }

    #[test]
    fn a_decided_reservation_changes_only_by_a_release_of_held_stock() {
        let held = Reservation::Held(demand(2));
        let rejected = Reservation::Rejected { shortages: shortages() };
        for (current, trigger, next) in [
            (&held, Trigger::ReleaseRequested, Some(Reservation::Released)),
            (&held, Trigger::ReserveRequested(demand(3)), None),
            (&held, Trigger::StockShort(shortages()), None),
            (&rejected, Trigger::ReleaseRequested, None),
            (&rejected, Trigger::ReserveRequested(demand(2)), None),
            (&rejected, Trigger::StockShort(vec![]), None),
            (&Reservation::Released, Trigger::ReleaseRequested, None),
            (&Reservation::Released, Trigger::ReserveRequested(demand(2)), None),
            (&Reservation::Released, Trigger::StockShort(shortages()), None),
        ] {
            let after = Reservation::next(Some(current), trigger.clone());
            assert_eq!(after, next, "{current:?} {trigger:?}");
        }
    }

    #[test]
    fn what_is_held_expires_37_days_after_its_pickup_day_began() {
        let expires: Timestamp = "2026-12-31T00:00:00Z".parse().unwrap();
        assert_eq!(stock_expiry(civil::date(2026, 11, 24)), expires.as_second());
        // A day at the end of all calendars is no reason to fail.
        assert!(stock_expiry(civil::Date::MAX) >= Timestamp::MAX.as_second());
    }

    #[test]
    fn an_item_outside_the_plan_is_not_baked() {
        let plan: BakePlan =
            serde_json::from_value(serde_json::json!({"capacity": {"croissant": 3}})).unwrap();
        assert_eq!(plan.of(&"croissant".parse().unwrap()), 3);
        assert_eq!(plan.of(&"eclair".parse().unwrap()), 0);
    }

    #[test]
    fn a_row_spells_the_state_as_its_name_and_reads_back() {
        for row in [
            Reservation::Held(demand(2)),
            Reservation::Rejected { shortages: shortages() },
            Reservation::Released,
        ] {
            let json = serde_json::to_value(&row).unwrap();
            assert_eq!(json["state"], row.name());
            assert_eq!(serde_json::from_value::<Reservation>(json).unwrap(), row);
        }
    }
}
