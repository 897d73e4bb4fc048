//! The Stock table: bake plans, held pieces, and reservations, distinguished by their keys.

use std::{fmt, str::FromStr};

use jiff::civil;
use shop::id::{ItemId, LocationId, OrderId};

/// The key attribute, whose values are [`Key`]s.
pub const KEY: &str = "key";

/// The attribute with a reservation's state, as [`shop::stock::Reservation::name`] spells it.
pub const STATE: &str = "state";

/// The attribute with the number of held pieces.
pub const HELD: &str = "held";

const PLAN: &str = "plan#";
const RESERVATION: &str = "order#";
const HELD_PREFIX: &str = "held#";

/// The key of a row, which says what the row is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// `plan#<location>`: a shop's [bake plan](shop::stock::BakePlan).
    Plan(LocationId),
    /// `held#<location>#<day>#<item>`: how many pieces are held. The row
    /// [expires](shop::stock::stock_expiry) after the day.
    Held {
        location: LocationId,
        /// The pickup day in the shop's time zone.
        day: civil::Date,
        item: ItemId,
    },
    /// `order#<order id>`: an order's [reservation](shop::stock::Reservation). The row expires
    /// after the pickup day or, once nothing is held, [as a tombstone](shop::tombstone_expiry).
    Reservation(OrderId),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plan(location) => write!(f, "{PLAN}{location}"),
            Self::Held { location, day, item } => write!(f, "{HELD_PREFIX}{location}#{day}#{item}"),
            Self::Reservation(order) => write!(f, "{RESERVATION}{order}"),
        }
    }
}

/// Why a text is not a key of the Stock table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the key must be plan#<location>, held#<location>#<day>#<item> or order#<order id>, each with \
     valid parts"
)]
pub struct InvalidKey;

impl FromStr for Key {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        if let Some(location) = text.strip_prefix(PLAN) {
            return location.parse().map(Self::Plan).map_err(|_| InvalidKey);
        }
        if let Some(order) = text.strip_prefix(RESERVATION) {
            return order.parse().map(Self::Reservation).map_err(|_| InvalidKey);
        }
        let rest = text.strip_prefix(HELD_PREFIX).ok_or(InvalidKey)?;
        let mut parts = rest.split('#');
        let (Some(location), Some(day), Some(item), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidKey);
        };
        Ok(Self::Held {
            location: location.parse().map_err(|_| InvalidKey)?,
            day: day.parse().map_err(|_| InvalidKey)?,
            item: item.parse().map_err(|_| InvalidKey)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_spelled_as_stored_rows_spell_them() {
        let location = "paris-marais".parse().unwrap();
        let id: OrderId = "0b7c55f2-9d4e-4c6b-8a1f-3e2d7c9014aa".parse().unwrap();
        for (key, text) in [
            (Key::Plan("lyon".parse().unwrap()), "plan#lyon".to_owned()),
            (
                Key::Held {
                    location,
                    day: civil::date(2026, 11, 4),
                    item: "croissant".parse().unwrap(),
                },
                "held#paris-marais#2026-11-04#croissant".to_owned(),
            ),
            (Key::Reservation(id), format!("order#{id}")),
        ] {
            assert_eq!(key.to_string(), text);
            assert_eq!(text.parse(), Ok(key));
        }
    }

    #[test]
    fn any_other_text_is_not_a_key() {
        for text in [
            "",
            "plan#",
            "plan#Paris",
            "order#7",
            "held#paris",
            "held#paris#2026-11-24",
            "held#paris#2026-11-31#croissant",
            "held#paris#2026-11-24#croissant#1",
            "shelf#paris",
        ] {
            assert_eq!(text.parse::<Key>(), Err(InvalidKey), "{text}");
        }
    }
}
