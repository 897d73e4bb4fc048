//! A shop's calendar: its opening hours as customers read them, and the moments that they mean.
//!
//! Hours are local times. Two clock changes a year make some of them ambiguous, and the answer is
//! always the same: a time that a change skips is the moment of the change, and a time that a
//! change repeats is its first occurrence. Hours that do not overlap on paper therefore never
//! overlap in fact, and hours that lie within a skipped hour do not take place.

use std::{collections::BTreeMap, fmt};

use jiff::{
    RoundMode, Timestamp, TimestampRound, ToSpan, Unit, Zoned, civil,
    tz::{AmbiguousOffset, TimeZone},
};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

/// How many days ahead an order may be picked up, in the shop's calendar.
pub const MAX_DAYS_AHEAD: i64 = 14;

/// The most opening hours of one day.
pub const MAX_SPANS: usize = 10;

/// The most dates with special hours: the holidays of some years. With the most items, they fit
/// into a row of 400 KB.
pub const MAX_SPECIAL_DATES: usize = 100;

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
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

impl Weekday {
    const ALL: [(&str, Self); 7] = [
        ("monday", Self::Monday),
        ("tuesday", Self::Tuesday),
        ("wednesday", Self::Wednesday),
        ("thursday", Self::Thursday),
        ("friday", Self::Friday),
        ("saturday", Self::Saturday),
        ("sunday", Self::Sunday),
    ];
}

// Derived, it would be read as an enum, whose name is missing from the path of an error.
impl<'de> Deserialize<'de> for Weekday {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let day = Self::ALL.into_iter().find(|(name, _)| *name == text);
        day.map(|(_, day)| day).ok_or_else(|| {
            de::Error::custom(format!("`{text}` is not a day; write monday to sunday"))
        })
    }
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

/// Opening hours that begin on one day, in the shop's time zone: open from `from` until `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hours {
    /// The earliest time when an order can be picked up.
    pub from: civil::Time,
    /// The time from which no order can be picked up; on the next day if it is not after `from`.
    /// Midnight is `24:00:00`.
    pub to: Closing,
}

impl Hours {
    /// Both ends as local times, for hours that begin on `day`.
    fn on(self, day: civil::Date) -> (civil::DateTime, civil::DateTime) {
        let Closing(to) = self.to;
        let last = if to > self.from { day } else { day.saturating_add(1.day()) };
        (day.to_datetime(self.from), last.to_datetime(to))
    }
}

/// The time of day at which opening hours end. Midnight is written as `24:00`, and `00:00` means
/// the same: hours end after they begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Closing(civil::Time);

/// Why a text is not a time of day.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("must be a time of day from 00:00 to 24:00, such as 19:30")]
pub struct InvalidClosing;

impl From<civil::Time> for Closing {
    fn from(time: civil::Time) -> Self {
        Self(time)
    }
}

impl TryFrom<String> for Closing {
    type Error = InvalidClosing;

    fn try_from(text: String) -> Result<Self, InvalidClosing> {
        match &*text {
            "24:00" | "24:00:00" => Ok(Self(civil::Time::midnight())),
            time => time.parse().map(Self).map_err(|_| InvalidClosing),
        }
    }
}

impl From<Closing> for String {
    fn from(Closing(time): Closing) -> Self {
        if time == civil::Time::midnight() { "24:00:00".to_owned() } else { time.to_string() }
    }
}

/// Opening hours by day of the week. On a day that is missing, the shop is closed.
pub type OpeningHours = BTreeMap<Weekday, Vec<Hours>>;

/// The opening hours of single dates, which replace those of the day of the week. On a date with
/// an empty list, the shop is closed.
pub type SpecialHours = BTreeMap<civil::Date, Vec<Hours>>;

/// Why opening hours are not valid.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidHours {
    /// A day has more than [`MAX_SPANS`] opening hours.
    #[error("{field}: must be at most {MAX_SPANS} opening hours")]
    Spans {
        /// The path of the day, such as `opening_hours.friday`.
        field: String,
    },
    /// There are special hours for more than [`MAX_SPECIAL_DATES`] dates.
    #[error("special_hours: must be at most {MAX_SPECIAL_DATES} dates; remove those that are over")]
    SpecialDates,
    /// Hours end when they begin.
    #[error("{field}.to: must differ from `from`; write 00:00 to 24:00 for a whole day")]
    Empty {
        /// The path of the hours, such as `opening_hours.friday[0]`.
        field: String,
    },
    /// Hours begin before earlier ones have ended.
    #[error(
        "{field}.from: must not be before the end of {earlier}; \
         opening hours, also those past midnight, must not overlap"
    )]
    Overlap {
        /// The path of the later hours.
        field: String,
        /// The path of the earlier hours.
        earlier: String,
    },
}

/// An uninterrupted time when a shop is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Opening {
    /// The date on which it begins.
    day: civil::Date,
    from: Timestamp,
    /// The first moment when the shop is closed again.
    to: Timestamp,
}

/// A time when an order can be picked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pickup {
    /// The time.
    pub at: Timestamp,
    /// The day whose opening hours it is in, and whose stock the order uses: the date on which
    /// these hours began.
    pub day: civil::Date,
}

impl Opening {
    /// The earliest pickup of this opening that is not before `at`, which must not be after it.
    fn pickup(self, at: Timestamp) -> Pickup {
        Pickup { at: at.max(self.from), day: self.day }
    }
}

/// The opening hours of a shop in its time zone.
#[derive(Clone, Copy, Debug)]
pub struct Calendar<'a> {
    pub(crate) time_zone: &'a TimeZone,
    pub(crate) opening_hours: &'a OpeningHours,
    pub(crate) special_hours: &'a SpecialHours,
}

impl Calendar<'_> {
    /// The shop's date at a moment.
    #[must_use]
    pub fn date(&self, at: Timestamp) -> civil::Date {
        at.to_zoned(self.time_zone.clone()).date()
    }

    /// The last pickup day of an order that is placed at `now`.
    #[must_use]
    pub fn last_day(&self, now: Timestamp) -> civil::Date {
        self.date(now).saturating_add(MAX_DAYS_AHEAD.days())
    }

    /// The pickup at exactly that time, or `None` if the shop is closed then.
    #[must_use]
    pub fn pickup_at(&self, at: Timestamp) -> Option<Pickup> {
        // Hours that began on the day before may go on past midnight.
        let date = self.date(at);
        self.openings(date.saturating_sub(1.day()), date)
            .find(|opening| opening.from <= at && at < opening.to)
            .map(|opening| opening.pickup(at))
    }

    /// The earliest pickup from `at` on whose day is not after `last`.
    #[must_use]
    pub fn next_pickup(&self, at: Timestamp, last: civil::Date) -> Option<Pickup> {
        self.openings(self.date(at).saturating_sub(1.day()), last)
            .find(|opening| at < opening.to)
            .map(|opening| opening.pickup(at))
    }

    /// The earliest pickup from `at` on in the opening hours of the date of `now`, or in hours that
    /// follow them without a break. A shop that never closes can therefore be ordered from shortly
    /// before midnight as well.
    #[must_use]
    pub fn pickup_today(&self, now: Timestamp, at: Timestamp) -> Option<Pickup> {
        let today = self.date(now);
        let mut closes = Timestamp::MIN;
        for opening in self.openings(today.saturating_sub(1.day()), self.last_day(now)) {
            if opening.day > today && opening.from > closes {
                return None;
            }
            if at < opening.to {
                return Some(opening.pickup(at));
            }
            closes = closes.max(opening.to);
        }
        None
    }

    /// Checks that hours neither are empty nor overlap.
    pub(crate) fn validate(&self) -> Result<(), InvalidHours> {
        if self.special_hours.len() > MAX_SPECIAL_DATES {
            return Err(InvalidHours::SpecialDates);
        }
        // A week and the Monday after it, since Sunday's hours may go on past midnight.
        let monday = civil::date(2024, 1, 1);
        let week = Calendar { special_hours: &SpecialHours::new(), ..*self };
        week.validate_days(monday, monday.saturating_add(7.days()))?;
        self.special_hours.keys().try_for_each(|day| {
            self.validate_days(day.saturating_sub(1.day()), day.saturating_add(1.day()))
        })
    }

    fn validate_days(&self, first: civil::Date, last: civil::Date) -> Result<(), InvalidHours> {
        let mut earlier: Option<(String, civil::DateTime)> = None;
        for day in first.series(1.day()).take_while(|day| *day <= last) {
            let mut sorted: Vec<_> = self.hours(day).iter().enumerate().collect();
            if sorted.len() > MAX_SPANS {
                return Err(InvalidHours::Spans { field: self.field(day) });
            }
            sorted.sort_by_key(|(_, hours)| hours.from);
            for (index, hours) in sorted {
                let field = format!("{}[{index}]", self.field(day));
                let (from, to) = hours.on(day);
                if hours.to.0 == hours.from && hours.from != civil::Time::midnight() {
                    return Err(InvalidHours::Empty { field });
                }
                match earlier {
                    Some((earlier, end)) if from < end => {
                        return Err(InvalidHours::Overlap { field, earlier });
                    }
                    _ => earlier = Some((field, to)),
                }
            }
        }
        Ok(())
    }

    /// The hours that begin on a day.
    fn hours(&self, day: civil::Date) -> &[Hours] {
        let of_week = || self.opening_hours.get(&day.weekday().into());
        self.special_hours.get(&day).or_else(of_week).map_or(&[], Vec::as_slice)
    }

    /// The path of the field that has the hours of a day.
    fn field(&self, day: civil::Date) -> String {
        if self.special_hours.contains_key(&day) {
            format!("special_hours.{day}")
        } else {
            format!("opening_hours.{:?}", Weekday::from(day.weekday())).to_lowercase()
        }
    }

    /// All openings of the days from `first` to `last`, both included, earliest first.
    fn openings(
        &self,
        first: civil::Date,
        last: civil::Date,
    ) -> impl Iterator<Item = Opening> + '_ {
        first.series(1.day()).take_while(move |day| *day <= last).flat_map(|day| {
            let mut openings: Vec<_> =
                self.hours(day).iter().filter_map(|hours| self.opening(day, *hours)).collect();
            openings.sort_by_key(|opening| opening.from);
            openings
        })
    }

    /// When the shop is really open by hours that begin on `day`; `None` if a clock change skips
    /// all of them.
    fn opening(&self, day: civil::Date, hours: Hours) -> Option<Opening> {
        let (from, to) = hours.on(day);
        let (from, to) = (self.moment(from)?, self.moment(to)?);
        (from < to).then_some(Opening { day, from, to })
    }

    /// The moment that a local time means; `None` beyond the times that can be represented.
    fn moment(&self, local: civil::DateTime) -> Option<Timestamp> {
        match self.time_zone.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset: before }
            | AmbiguousOffset::Fold { before, .. } => before.to_timestamp(local).ok(),
            // By the later offset, a time in the gap is before the change.
            AmbiguousOffset::Gap { after, .. } => {
                let change = self.time_zone.following(after.to_timestamp(local).ok()?).next()?;
                Some(change.timestamp())
            }
        }
    }
}

/// A time as messages to customers show it: in the shop's time zone with its offset, in whole
/// minutes, such as `2026-11-24T09:15:00+01:00`. It can be sent as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalTime(Zoned);

impl LocalTime {
    /// The last whole minute that is not after `at`.
    #[must_use]
    pub fn not_after(at: Timestamp, time_zone: &TimeZone) -> Self {
        Self::rounded(at, time_zone, RoundMode::Floor)
    }

    /// The first whole minute that is not before `at`.
    #[must_use]
    pub fn not_before(at: Timestamp, time_zone: &TimeZone) -> Self {
        Self::rounded(at, time_zone, RoundMode::Ceil)
    }

    fn rounded(at: Timestamp, time_zone: &TimeZone, mode: RoundMode) -> Self {
        let minute = TimestampRound::new().smallest(Unit::Minute).mode(mode);
        Self(at.round(minute).unwrap_or(at).to_zoned(time_zone.clone()))
    }
}

impl fmt::Display for LocalTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.strftime("%Y-%m-%dT%H:%M:%S%:z"))
    }
}

#[cfg(test)]
pub(crate) mod tests;
