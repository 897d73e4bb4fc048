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
    text::{self, Unprintable},
};

/// A day of the week.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are enough")]
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

/// Opening hours within one day, in the shop's time zone: open from `from` until `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hours {
    /// The earliest time when an order can be picked up.
    pub from: civil::Time,
    /// The time from which no order can be picked up.
    pub to: civil::Time,
}

/// An item of a menu.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// The item's id in orders, stock and bake plans.
    pub sku: ItemId,
    /// The item's name.
    pub name: String,
    /// The price of one piece in minor units of the menu's currency.
    pub price: u64,
    /// The days on which the item is sold; every day if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sold_on: Option<BTreeSet<Weekday>>,
}

/// What a shop sells, at which prices, and when it is open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Menu {
    /// The shop's id.
    pub location: LocationId,
    /// The shop's name.
    pub name: String,
    /// The shop's time zone, by IANA name. Opening hours and pickup days are in this time zone.
    #[serde(with = "jiff::fmt::serde::tz::required")]
    #[schemars(with = "String")]
    pub time_zone: TimeZone,
    /// The currency of all prices.
    pub currency: Currency,
    /// The opening hours of each day. On a day that is missing, the shop is closed.
    pub opening_hours: BTreeMap<Weekday, Vec<Hours>>,
    /// The items that the shop sells.
    pub items: Vec<Item>,
}

/// Why a menu is not valid. Each message names the field.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidMenu {
    /// The shop's name is not [text](crate::text).
    #[error("name: {0}")]
    Name(Unprintable),
    /// An item's name is not [text](crate::text).
    #[error("items: the name of `{0}` {1}")]
    ItemName(ItemId, Unprintable),
    /// The menu has no items.
    #[error("items: must have at least one item")]
    NoItems,
    /// An item has more than one entry.
    #[error("items: `{0}` appears twice; remove one of the two")]
    DuplicateItem(ItemId),
    /// A price is 0 or above [`MAX_TOTAL`].
    #[error("items: the price of `{0}` must be 1 to {MAX_TOTAL} minor units")]
    Price(ItemId),
    /// Opening hours end before they start. Hours past midnight belong to the next day.
    #[error(
        "opening_hours: `to` must be after `from` on {0:?}; \
         split opening hours that pass midnight between the two days"
    )]
    Hours(Weekday),
}

impl Menu {
    /// Checks what the types do not ensure.
    ///
    /// # Errors
    /// The first error found.
    pub fn validate(&self) -> Result<(), InvalidMenu> {
        text::check(&self.name).map_err(InvalidMenu::Name)?;
        if self.items.is_empty() {
            return Err(InvalidMenu::NoItems);
        }
        let mut seen = BTreeSet::new();
        for item in &self.items {
            if !seen.insert(&item.sku) {
                return Err(InvalidMenu::DuplicateItem(item.sku.clone()));
            }
            let unprintable = |error| InvalidMenu::ItemName(item.sku.clone(), error);
            text::check(&item.name).map_err(unprintable)?;
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

    /// The item with that id, if the shop sells it on any day.
    #[must_use]
    pub fn item(&self, sku: &ItemId) -> Option<&Item> {
        self.items.iter().find(|item| &item.sku == sku)
    }

    /// The day in the shop's time zone.
    #[must_use]
    pub fn day(&self, at: Timestamp) -> civil::Date {
        at.to_zoned(self.time_zone.clone()).date()
    }

    /// Whether an order can be picked up at that time.
    #[must_use]
    pub fn is_open(&self, at: Timestamp) -> bool {
        self.spans(self.day(at)).any(|(from, to)| from <= at && at < to)
    }

    /// The earliest time from `at` to `until`, both included, when an order can be picked up.
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

    /// The opening hours of a day as timestamps. A local time that a clock change skips is moved
    /// past the gap.
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
    /// Whether the item is sold on that day in the shop's time zone.
    #[must_use]
    pub fn is_sold_on(&self, day: civil::Date) -> bool {
        self.sold_on.as_ref().is_none_or(|days| days.contains(&day.weekday().into()))
    }
}

/// A shop in the list of all shops.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Location {
    /// The shop's id.
    pub location: LocationId,
    /// The shop's name.
    pub name: String,
    /// The shop's time zone, by IANA name.
    #[serde(with = "jiff::fmt::serde::tz::required")]
    #[schemars(with = "String")]
    pub time_zone: TimeZone,
    /// The currency of all prices.
    pub currency: Currency,
}

/// How many days ahead an order may be picked up.
pub const MAX_DAYS_AHEAD: i64 = 14;

/// The latest pickup of an order that is placed at `now`.
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
    fn the_next_opening_starts_at_its_hours_and_ends_before_closing_time() {
        let shop = paris();
        let next = |from, until| shop.next_open(at(from), at(until));
        let (opens, closes) = ("2026-11-24T06:00:00Z", "2026-11-24T11:00:00Z");
        let reopens = "2026-11-24T13:00:00Z";
        assert_eq!(next(opens, closes), Some(at(opens)));
        assert_eq!(next("2026-11-24T10:59:59Z", reopens), Some(at("2026-11-24T10:59:59Z")));
        assert_eq!(next(closes, reopens), Some(at(reopens)));
        assert_eq!(next(closes, "2026-11-24T12:59:59Z"), None);
        assert_eq!(next(opens, opens), Some(at(opens)));
        assert_eq!(
            next("2026-11-24T18:00:00Z", "2026-11-25T06:00:00Z"),
            Some(at("2026-11-25T06:00:00Z"))
        );
        assert_eq!(next("2026-11-24T18:00:00Z", "2026-11-25T05:59:59Z"), None);
    }

    #[test]
    fn a_price_is_1_to_99999999_minor_units() {
        let priced = |price| {
            let mut menu = paris();
            menu.items[0].price = price;
            menu.validate()
        };
        let invalid = Err(InvalidMenu::Price("croissant".parse().unwrap()));
        assert_eq!((priced(1), priced(MAX_TOTAL)), (Ok(()), Ok(())));
        assert_eq!((priced(0), priced(MAX_TOTAL + 1)), (invalid.clone(), invalid));
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
    fn an_invalid_menu_is_refused() {
        assert_eq!(paris().validate(), Ok(()));
        assert_eq!(Menu { items: vec![], ..paris() }.validate(), Err(InvalidMenu::NoItems));

        let mut free = paris();
        free.items[1].price = 0;
        assert_eq!(free.validate(), Err(InvalidMenu::Price("eclair".parse().unwrap())));

        let mut twice = paris();
        twice.items[1].sku = "croissant".parse().unwrap();
        assert_eq!(twice.validate(), Err(InvalidMenu::DuplicateItem("croissant".parse().unwrap())));

        let mut reordered = paris();
        reordered.name = "Amélie\u{202e}siraP".to_owned();
        assert_eq!(
            reordered.validate().unwrap_err().to_string(),
            "name: must be one line without control characters and invisible characters: \
             character 7 is U+202E"
        );
        let mut printing = paris();
        printing.items[1].name = "Éclair\u{1b}@".to_owned();
        assert_eq!(
            printing.validate().unwrap_err().to_string(),
            "items: the name of `eclair` must be one line without control characters and \
             invisible characters: character 7 is U+001B"
        );

        let mut backwards = paris();
        backwards.opening_hours.get_mut(&Weekday::Friday).unwrap()[0].to = civil::time(6, 0, 0, 0);
        assert_eq!(backwards.validate(), Err(InvalidMenu::Hours(Weekday::Friday)));
    }
}
