//! What a shop sells, for how much, and when it is open.

use std::collections::BTreeSet;

use jiff::{SignedDuration, civil, tz::TimeZone};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    calendar::{Calendar, InvalidHours, OpeningHours, SpecialHours, Weekday},
    id::{ItemId, LocationId},
    money::{Currency, MAX_TOTAL},
    name::Name,
};

/// The most items of a menu, which must fit into a row of 400 KB.
pub const MAX_ITEMS: usize = 300;

/// An item of a menu.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// The item's id in orders, stock and bake plans.
    pub sku: ItemId,
    /// The item's name.
    pub name: Name,
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
    pub name: Name,
    /// The shop's time zone, by IANA name. Opening hours and pickup days are in this time zone.
    #[serde(with = "jiff::fmt::serde::tz::required")]
    #[schemars(with = "String")]
    pub time_zone: TimeZone,
    /// The currency of all prices.
    pub currency: Currency,
    /// The opening hours of each day of the week. On a day that is missing, the shop is closed.
    pub opening_hours: OpeningHours,
    /// The opening hours of single dates, such as public holidays, which replace those of the day
    /// of the week. On a date with an empty list, the shop is closed.
    #[serde(default)]
    pub special_hours: SpecialHours,
    /// The shortest time from placing an order to its pickup, in minutes.
    #[serde(default, rename = "lead_time_minutes")]
    #[schemars(with = "u16", range(min = 1, max = LeadTime::MAX_MINUTES))]
    pub lead_time: LeadTime,
    /// The items that the shop sells.
    pub items: Vec<Item>,
}

/// The time that a shop needs for an order before its pickup: 1 minute to a day.
// A minute is also the least that an order gets to be confirmed in, since its deadline is not after
// its pickup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "u16")]
pub struct LeadTime(u16);

impl LeadTime {
    /// The longest lead time.
    pub const MAX_MINUTES: u16 = 24 * 60;

    /// The lead time in minutes.
    #[must_use]
    pub const fn minutes(self) -> u16 {
        self.0
    }

    /// The lead time as a duration.
    #[must_use]
    pub fn duration(self) -> SignedDuration {
        SignedDuration::from_mins(self.0.into())
    }
}

impl Default for LeadTime {
    /// 15 minutes, also for menus that were stored before shops had lead times.
    fn default() -> Self {
        Self(15)
    }
}

/// Why a number is not a lead time.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("must be a whole number of minutes from 1 to {}", LeadTime::MAX_MINUTES)]
pub struct InvalidLeadTime;

impl TryFrom<i64> for LeadTime {
    type Error = InvalidLeadTime;

    fn try_from(minutes: i64) -> Result<Self, InvalidLeadTime> {
        match u16::try_from(minutes) {
            Ok(minutes @ 1..=Self::MAX_MINUTES) => Ok(Self(minutes)),
            _ => Err(InvalidLeadTime),
        }
    }
}

impl From<LeadTime> for u16 {
    fn from(lead_time: LeadTime) -> Self {
        lead_time.0
    }
}

/// Why a menu is not valid. Each message names the field.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidMenu {
    /// The menu has no items, or more than [`MAX_ITEMS`].
    #[error("items: must be 1 to {MAX_ITEMS} items")]
    Items,
    /// An item has more than one entry.
    #[error("items: `{0}` appears twice; remove one of the two")]
    DuplicateItem(ItemId),
    /// A price is 0 or above [`MAX_TOTAL`].
    #[error("items: the price of `{0}` must be 1 to {MAX_TOTAL} minor units")]
    Price(ItemId),
    /// The time zone is not in the time zone database, by which mails and calendars know it.
    #[error("time_zone: must be an IANA name, such as Europe/Paris, and not an offset")]
    TimeZone,
    /// Opening hours are empty or overlap.
    #[error(transparent)]
    Hours(#[from] InvalidHours),
}

impl Menu {
    /// Checks what the types do not ensure.
    ///
    /// # Errors
    /// The first error found.
    pub fn validate(&self) -> Result<(), InvalidMenu> {
        if self.time_zone.iana_name().is_none() {
            return Err(InvalidMenu::TimeZone);
        }
        if !(1..=MAX_ITEMS).contains(&self.items.len()) {
            return Err(InvalidMenu::Items);
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
        Ok(self.calendar().validate()?)
    }

    /// The item with that id, if the shop sells it on any day.
    #[must_use]
    pub fn item(&self, sku: &ItemId) -> Option<&Item> {
        self.items.iter().find(|item| &item.sku == sku)
    }

    /// When the shop is open.
    #[must_use]
    pub const fn calendar(&self) -> Calendar<'_> {
        Calendar {
            time_zone: &self.time_zone,
            opening_hours: &self.opening_hours,
            special_hours: &self.special_hours,
        }
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
    pub name: Name,
    /// The shop's time zone, by IANA name.
    #[serde(with = "jiff::fmt::serde::tz::required")]
    #[schemars(with = "String")]
    pub time_zone: TimeZone,
    /// The currency of all prices.
    pub currency: Currency,
}

#[cfg(test)]
pub(crate) mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;

    pub(crate) fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// Open in Paris from Tuesday to Saturday, with a lunch break on Tuesdays; brioche on
    /// Saturdays.
    pub(crate) fn paris() -> Menu {
        serde_json::from_value(json!({
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
    fn a_time_zone_has_a_name() {
        let in_zone = |time_zone: &str| {
            let mut menu = json!(paris());
            menu["time_zone"] = json!(time_zone);
            serde_json::from_value::<Menu>(menu).unwrap().validate()
        };
        assert_eq!(in_zone("+01:00"), Err(InvalidMenu::TimeZone));
        assert_eq!((in_zone("America/New_York"), in_zone("UTC")), (Ok(()), Ok(())));
    }

    #[test]
    fn a_menu_has_at_most_300_items() {
        let with_items = |count: usize| {
            let item = |number: usize| Item {
                sku: format!("item-{number}").parse().unwrap(),
                ..paris().items[0].clone()
            };
            Menu { items: (0..count).map(item).collect(), ..paris() }.validate()
        };
        assert_eq!((with_items(300), with_items(301)), (Ok(()), Err(InvalidMenu::Items)));
    }

    #[test]
    fn a_name_that_is_too_long_is_refused_with_its_limit() {
        let mut menu = json!(paris());
        menu["items"][1]["name"] = json!("é".repeat(101));
        let error = serde_json::from_value::<Menu>(menu).unwrap_err();
        assert_eq!(error.to_string(), "must be 1 to 100 characters");
    }

    #[test]
    fn a_lead_time_is_1_minute_to_a_day_and_15_minutes_if_none_is_given() {
        for minutes in [1, 1440] {
            assert_eq!(LeadTime::try_from(minutes).map(|it| it.minutes().into()), Ok(minutes));
        }
        for minutes in [i64::MIN, -1, 0, 1441, 65_551, i64::MAX] {
            assert_eq!(LeadTime::try_from(minutes), Err(InvalidLeadTime), "{minutes}");
        }
        assert_eq!(paris().lead_time.duration(), SignedDuration::from_mins(15));
    }

    #[test]
    fn a_menu_that_was_stored_before_special_hours_and_lead_times_is_read() {
        let stored = json!({
            "location": "paris",
            "name": "Amélie Paris",
            "time_zone": "Europe/Paris",
            "currency": "EUR",
            "opening_hours": {"friday": [{"from": "07:00:00", "to": "23:59:59.999999999"}]},
            "items": [{"sku": "croissant", "name": "Butter croissant", "price": 190}]
        });
        let menu: Menu = serde_json::from_value(stored.clone()).unwrap();
        assert_eq!((&menu.special_hours, menu.lead_time.minutes()), (&SpecialHours::new(), 15));
        let mut written = serde_json::to_value(&menu).unwrap();
        let added = ["special_hours", "lead_time_minutes"]
            .map(|name| written.as_object_mut().unwrap().remove(name).unwrap());
        assert_eq!((added, written), ([json!({}), json!(15)], stored));
    }

    #[test]
    fn an_invalid_menu_is_refused() {
        assert_eq!(paris().validate(), Ok(()));
        assert_eq!(Menu { items: vec![], ..paris() }.validate(), Err(InvalidMenu::Items));

        let mut free = paris();
        free.items[1].price = 0;
        assert_eq!(free.validate(), Err(InvalidMenu::Price("eclair".parse().unwrap())));

        let mut twice = paris();
        twice.items[1].sku = "croissant".parse().unwrap();
        assert_eq!(twice.validate(), Err(InvalidMenu::DuplicateItem("croissant".parse().unwrap())));

        let mut overlapping = paris();
        let friday = overlapping.opening_hours.get_mut(&Weekday::Friday).unwrap();
        friday.push(friday[0]);
        assert!(matches!(overlapping.validate(), Err(InvalidMenu::Hours(_))));
    }
}
