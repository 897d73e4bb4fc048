//! Stock: what a shop bakes of an item on a day, and what is held of it for orders.

use std::collections::BTreeMap;

use jiff::civil;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{ItemId, LocationId};

/// How many pieces of each item a shop bakes a day. It may change at any time; what is held stays
/// held.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BakePlan {
    /// Pieces a day; an item that is missing is not baked.
    pub capacity: BTreeMap<ItemId, u32>,
}

impl BakePlan {
    /// Pieces of that item a day.
    #[must_use]
    pub fn of(&self, item: &ItemId) -> u32 {
        self.capacity.get(item).copied().unwrap_or(0)
    }
}

/// Pieces of one item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quantity {
    /// Of what.
    pub item: ItemId,
    /// How many.
    pub quantity: u32,
}

/// What an order needs, and where and when. An item appears once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demand {
    /// The shop.
    pub location: LocationId,
    /// The day in the shop's own calendar.
    pub pickup_day: civil::Date,
    /// Pieces of each item.
    pub items: Vec<Quantity>,
}

/// An item that fell short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Shortage {
    /// Which.
    pub item: ItemId,
    /// How many were asked for.
    pub requested: u32,
    /// How many could still be had when it was decided.
    pub left: u32,
}

/// What inventory has decided for an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Reservation {
    /// Its stock is held.
    Held(Demand),
    /// There was too little.
    Rejected {
        /// What fell short.
        shortages: Vec<Shortage>,
    },
    /// Its stock was given back, or must never be held: a release that overtook its reservation
    /// leaves this.
    Released,
}

/// What a release has to do about an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Release {
    /// Write down that nothing may be held for it any more.
    LeaveTombstone,
    /// Give this back.
    GiveBack(Demand),
    /// Nothing is held and nothing ever will be.
    Nothing,
}

impl Reservation {
    /// The state's name, as the row has it in `state`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Held(_) => "held",
            Self::Rejected { .. } => "rejected",
            Self::Released => "released",
        }
    }

    /// What a release has to do, given what was decided for the order before.
    #[must_use]
    pub fn release(decided: Option<Self>) -> Release {
        match decided {
            None => Release::LeaveTombstone,
            Some(Self::Held(demand)) => Release::GiveBack(demand),
            Some(Self::Rejected { .. } | Self::Released) => Release::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demand() -> Demand {
        Demand {
            location: "paris".parse().unwrap(),
            pickup_day: civil::date(2026, 11, 24),
            items: vec![Quantity { item: "croissant".parse().unwrap(), quantity: 2 }],
        }
    }

    #[test]
    fn a_release_gives_back_exactly_what_is_held() {
        assert_eq!(
            Reservation::release(Some(Reservation::Held(demand()))),
            Release::GiveBack(demand())
        );
    }

    #[test]
    fn a_release_that_overtakes_its_reservation_leaves_a_tombstone() {
        assert_eq!(Reservation::release(None), Release::LeaveTombstone);
    }

    #[test]
    fn a_repeated_release_gives_nothing_back() {
        assert_eq!(Reservation::release(Some(Reservation::Released)), Release::Nothing);
        assert_eq!(
            Reservation::release(Some(Reservation::Rejected { shortages: vec![] })),
            Release::Nothing
        );
    }

    #[test]
    fn an_item_outside_the_plan_is_not_baked() {
        let plan: BakePlan =
            serde_json::from_value(serde_json::json!({"capacity": {"croissant": 3}})).unwrap();
        assert_eq!(plan.of(&"croissant".parse().unwrap()), 3);
        assert_eq!(plan.of(&"eclair".parse().unwrap()), 0);
    }

    #[test]
    fn a_reservation_reads_back_as_it_was_written() {
        for row in [
            Reservation::Held(demand()),
            Reservation::Rejected { shortages: vec![] },
            Reservation::Released,
        ] {
            let json = serde_json::to_value(&row).unwrap();
            assert_eq!(json["state"], row.name());
            assert_eq!(serde_json::from_value::<Reservation>(json).unwrap(), row);
        }
    }
}
