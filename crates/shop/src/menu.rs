//! What a shop sells, for how much, and when it is open.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{
    Timestamp, ToSpan, civil,
    tz::{self, TimeZone},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    id::{ItemId, LocationId},
    money::{Currency, MAX_TOTAL},
};

/// A day of the week.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl From<civil::Weekday> for Weekday {
    fn from(day: civil::Weekday) -> Self {
        match day {
            civil::Weekday::Monday => Self::Monday,
            civil::Weekday::Tuesday => Self::Tuesday,
            civil::Weekday::Wednesday => Self::Wednesday,
            civil::Weekday::Thursday => Self::Thursday,
            civil::Weekday::Friday => Self::Friday,
            civil::Weekday::Saturday => Self::Saturday,
            civil::Weekday::Sunday => Self::Sunday,
        }
    }
}

/// A span of opening within one day, in the shop's own time: open at `from`, closed at `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hours {
    /// The first moment at which an order can be picked up.
    pub from: civil::Time,
    /// The first moment at which none can any more.
    pub to: civil::Time,
}

/// An item of a menu.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// Its name in orders, stock and bake plans.
    pub sku: ItemId,
    /// Its name for customers.
    pub name: String,
    /// Price of one piece in minor units of the menu's currency.
    pub price: u64,
    /// The days on which it is sold; every day when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sold_on: Option<BTreeSet<Weekday>>,
}

/// Everything that a customer may know of a shop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Menu {
    /// The shop.
    pub location: LocationId,
    /// Its name for customers.
    pub name: String,
    /// Its time zone, by IANA name: opening hours and pickup days are meant in it.
    #[serde(with = "jiff::fmt::serde::tz::required")]
    #[schemars(with = "String")]
    pub time_zone: TimeZone,
    /// The currency of its prices.
    pub currency: Currency,
    /// When it is open; a day that is missing is closed.
    pub opening_hours: BTreeMap<Weekday, Vec<Hours>>,
    /// What it sells.
    pub items: Vec<Item>,
}

/// Why a menu cannot be used. Each message names the field.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidMenu {
    /// No item could be ordered.
    #[error("items: give at least one")]
    NoItems,
    /// Two prices for one thing.
    #[error("items: `{0}` appears twice; keep one")]
    DuplicateItem(ItemId),
    /// Free or beyond [`MAX_TOTAL`].
    #[error("items: the price of `{0}` must be 1 to {MAX_TOTAL} minor units")]
    Price(ItemId),
    /// A span that ends before it starts. One that goes past midnight is two spans.
    #[error(
        "opening_hours: on {0:?} a span ends at or before its start; split one that passes midnight"
    )]
    Hours(Weekday),
}

impl Menu {
    /// Checks what the types cannot.
    ///
    /// # Errors
    /// The first fault found.
    pub fn validate(&self) -> Result<(), InvalidMenu> {
        if self.items.is_empty() {
            return Err(InvalidMenu::NoItems);
        }
        let mut seen = BTreeSet::new();
        for item in &self.items {
            if !seen.insert(&item.sku) {
                return Err(InvalidMenu::DuplicateItem(item.sku.clone()));
            }
            if !(1..=MAX_TOTAL).contains(&item.price) {
                return Err(InvalidMenu::Price(item.sku.clone()));
            }
        }
        match self
            .opening_hours
            .iter()
            .find(|(_, spans)| spans.iter().any(|span| span.to <= span.from))
        {
            Some((day, _)) => Err(InvalidMenu::Hours(*day)),
            None => Ok(()),
        }
    }

    /// The item of that name, if the shop has it at all.
    #[must_use]
    pub fn item(&self, sku: &ItemId) -> Option<&Item> {
        self.items.iter().find(|item| &item.sku == sku)
    }

    /// The day in the shop's own calendar.
    #[must_use]
    pub fn day(&self, at: Timestamp) -> civil::Date {
        at.to_zoned(self.time_zone.clone()).date()
    }

    /// Whether an order can be picked up at that moment.
    #[must_use]
    pub fn is_open(&self, at: Timestamp) -> bool {
        self.spans(self.day(at)).any(|(from, to)| from <= at && at < to)
    }

    /// The first moment from `at` on at which an order can be picked up, looking no further than
    /// `until`.
    #[must_use]
    pub fn next_open(&self, at: Timestamp, until: Timestamp) -> Option<Timestamp> {
        let last = self.day(until);
        let mut day = self.day(at);
        while day <= last {
            let opening =
                self.spans(day).filter(|(_, to)| at < *to).map(|(from, _)| from.max(at)).min();
            if let Some(opening) = opening {
                return (opening <= until).then_some(opening);
            }
            day = day.tomorrow().ok()?;
        }
        None
    }

    /// The opening spans of a day as moments. A time that a clock change skips is taken as the
    /// moment after the gap.
    fn spans(&self, day: civil::Date) -> impl Iterator<Item = (Timestamp, Timestamp)> + '_ {
        let moment = move |time| {
            self.time_zone
                .to_ambiguous_zoned(day.to_datetime(time))
                .disambiguate(tz::Disambiguation::Compatible)
                .ok()
                .map(|zoned| zoned.timestamp())
        };
        let spans = self.opening_hours.get(&day.weekday().into()).map_or(&[][..], Vec::as_slice);
        spans.iter().filter_map(move |span| Some((moment(span.from)?, moment(span.to)?)))
    }
}

impl Item {
    /// Whether it is sold on that day of the shop's calendar.
    #[must_use]
    pub fn is_sold_on(&self, day: civil::Date) -> bool {
        self.sold_on.as_ref().is_none_or(|days| days.contains(&day.weekday().into()))
    }
}

/// A shop as the list of all shops shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Location {
    /// The shop.
    pub location: LocationId,
    /// Its name for customers.
    pub name: String,
    /// Its IANA time zone.
    #[serde(with = "jiff::fmt::serde::tz::required")]
    #[schemars(with = "String")]
    pub time_zone: TimeZone,
    /// The currency of its prices.
    pub currency: Currency,
}

/// How far ahead an order may be placed.
pub const MAX_DAYS_AHEAD: i64 = 14;

/// The last moment for which an order may be placed at `now`.
#[must_use]
pub fn latest_pickup(now: Timestamp) -> Timestamp {
    now.saturating_add((MAX_DAYS_AHEAD * 24).hours()).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// Open in Paris from Tuesday to Saturday, with a lunch break on Tuesdays; brioche on
    /// Saturdays.
    pub(crate) fn paris() -> Menu {
        serde_json::from_value(serde_json::json!({
            "location": "paris",
            "name": "Amélie Paris",
            "time_zone": "Europe/Paris",
            "currency": "EUR",
            "opening_hours": {
                "tuesday": [{"from": "07:00", "to": "12:00"}, {"from": "14:00", "to": "19:00"}],
                "wednesday": [{"from": "07:00", "to": "19:00"}],
                "thursday": [{"from": "07:00", "to": "19:00"}],
                "friday": [{"from": "07:00", "to": "19:00"}],
                "saturday": [{"from": "07:00", "to": "19:00"}]
            },
            "items": [
                {"sku": "croissant", "name": "Butter croissant", "price": 190},
                {"sku": "eclair", "name": "Éclair", "price": 450},
                {"sku": "brioche", "name": "Brioche", "price": 700, "sold_on": ["saturday"]}
            ]
        }))
        .unwrap()
    }

    #[test]
    fn a_shop_is_open_within_its_hours_in_its_own_time_zone() {
        let shop = paris();
        // 2026-11-24 is a Tuesday; Paris is an hour ahead of UTC in winter.
        assert!(!shop.is_open(at("2026-11-24T05:59:59Z")));
        assert!(shop.is_open(at("2026-11-24T06:00:00Z")));
        assert!(!shop.is_open(at("2026-11-24T11:00:00Z")));
        assert!(shop.is_open(at("2026-11-24T17:59:59Z")));
        assert!(!shop.is_open(at("2026-11-24T18:00:00Z")));
    }

    #[test]
    fn the_next_opening_is_now_for_an_open_shop_and_otherwise_its_next_span() {
        let shop = paris();
        let next = |text| {
            let from = at(text);
            shop.next_open(from, latest_pickup(from))
        };
        assert_eq!(next("2026-11-24T08:00:00Z"), Some(at("2026-11-24T08:00:00Z")));
        assert_eq!(next("2026-11-24T11:30:00Z"), Some(at("2026-11-24T13:00:00Z")));
        assert_eq!(next("2026-11-24T20:00:00Z"), Some(at("2026-11-25T06:00:00Z")));
        assert_eq!(next("2026-11-28T20:00:00Z"), Some(at("2026-12-01T06:00:00Z")));
    }

    #[test]
    fn a_shop_that_never_opens_has_no_next_opening() {
        let shop = Menu { opening_hours: BTreeMap::new(), ..paris() };
        assert_eq!(shop.next_open(at("2026-11-24T08:00:00Z"), at("2026-12-08T08:00:00Z")), None);
    }

    #[test]
    fn hours_keep_their_local_time_across_a_clock_change() {
        // Summer time ends on Sunday 2026-10-25.
        let shop = paris();
        assert!(shop.is_open(at("2026-10-24T05:00:00Z")));
        assert!(!shop.is_open(at("2026-10-27T05:00:00Z")));
        assert!(shop.is_open(at("2026-10-27T06:00:00Z")));
    }

    #[test]
    fn a_menu_that_cannot_be_sold_from_is_refused() {
        assert_eq!(paris().validate(), Ok(()));
        assert_eq!(Menu { items: vec![], ..paris() }.validate(), Err(InvalidMenu::NoItems));

        let mut free = paris();
        free.items[1].price = 0;
        assert_eq!(free.validate(), Err(InvalidMenu::Price("eclair".parse().unwrap())));

        let mut twice = paris();
        twice.items[1].sku = "croissant".parse().unwrap();
        assert_eq!(twice.validate(), Err(InvalidMenu::DuplicateItem("croissant".parse().unwrap())));

        let mut backwards = paris();
        backwards.opening_hours.get_mut(&Weekday::Friday).unwrap()[0].to = civil::time(6, 0, 0, 0);
        assert_eq!(backwards.validate(), Err(InvalidMenu::Hours(Weekday::Friday)));
    }
}
