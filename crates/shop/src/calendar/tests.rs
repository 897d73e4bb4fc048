//! Tests of opening hours.

use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::menu::{
    InvalidMenu, Menu,
    tests::{at, paris},
};

/// A shop with these opening and special hours.
fn shop(time_zone: &str, opening_hours: Value, special_hours: Value) -> Menu {
    Menu {
        time_zone: TimeZone::get(time_zone).unwrap(),
        opening_hours: serde_json::from_value(opening_hours).unwrap(),
        special_hours: serde_json::from_value(special_hours).unwrap(),
        ..paris()
    }
}

/// The same hours on each day of the week.
fn daily(hours: &[(&str, &str)]) -> Value {
    let hours: Vec<_> = hours.iter().map(|(from, to)| json!({"from": from, "to": to})).collect();
    let days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    days.into_iter().map(|day| (day.to_owned(), json!(hours))).collect()
}

/// A shop in Paris with the same hours on each day.
fn open_daily(hours: &[(&str, &str)]) -> Menu {
    shop("Europe/Paris", daily(hours), json!({}))
}

fn is_open(shop: &Menu, time: &str) -> bool {
    shop.calendar().pickup_at(at(time)).is_some()
}

/// The day of a pickup at that time; `None` if the shop is closed.
fn day(shop: &Menu, time: &str) -> Option<String> {
    shop.calendar().pickup_at(at(time)).map(|pickup| pickup.day.to_string())
}

/// The next pickup within two weeks.
fn next(shop: &Menu, time: &str) -> Option<Timestamp> {
    let (calendar, now) = (shop.calendar(), at(time));
    calendar.next_pickup(now, calendar.last_day(now)).map(|pickup| pickup.at)
}

/// The earliest pickup of today for an order that needs `minutes`.
fn today(shop: &Menu, now: &str, minutes: i64) -> Option<Timestamp> {
    let now = at(now);
    let earliest = now + SignedDuration::from_mins(minutes);
    shop.calendar().pickup_today(now, earliest).map(|pickup| pickup.at)
}

#[test]
fn a_shop_is_open_within_its_hours_in_its_own_time_zone() {
    let shop = paris();
    // 2026-11-24 is a Tuesday; Paris is an hour ahead of UTC in winter.
    assert!(!is_open(&shop, "2026-11-24T05:59:59Z"));
    assert!(is_open(&shop, "2026-11-24T06:00:00Z"));
    assert!(!is_open(&shop, "2026-11-24T11:00:00Z"));
    assert!(is_open(&shop, "2026-11-24T17:59:59Z"));
    assert!(!is_open(&shop, "2026-11-24T18:00:00Z"));
}

#[test]
fn the_next_pickup_is_at_once_in_an_open_shop_and_otherwise_at_its_next_opening() {
    let shop = paris();
    for (now, pickup) in [
        ("2026-11-24T06:00:00Z", "2026-11-24T06:00:00Z"),
        ("2026-11-24T10:59:59Z", "2026-11-24T10:59:59Z"),
        ("2026-11-24T11:00:00Z", "2026-11-24T13:00:00Z"),
        ("2026-11-24T18:00:00Z", "2026-11-25T06:00:00Z"),
        ("2026-11-28T20:00:00Z", "2026-12-01T06:00:00Z"),
    ] {
        assert_eq!(next(&shop, now), Some(at(pickup)), "{now}");
    }
    let calendar = shop.calendar();
    let by = |last| calendar.next_pickup(at("2026-11-28T20:00:00Z"), last).is_some();
    assert_eq!((by(civil::date(2026, 11, 30)), by(civil::date(2026, 12, 1))), (false, true));
}

#[test]
fn a_shop_that_never_opens_has_no_next_pickup() {
    let shop = shop("Europe/Paris", json!({}), json!({}));
    assert_eq!(next(&shop, "2026-11-24T08:00:00Z"), None);
    assert_eq!(today(&shop, "2026-11-24T08:00:00Z", 15), None);
}

#[test]
fn special_hours_replace_those_of_the_day_of_the_week() {
    let special = json!({
        "2026-12-24": [{"from": "07:00", "to": "13:00"}],
        "2026-12-25": [],
        // A Sunday, on which the shop is closed in other weeks.
        "2026-12-27": [{"from": "10:00", "to": "12:00"}],
    });
    let shop = Menu { special_hours: serde_json::from_value(special).unwrap(), ..paris() };
    assert_eq!(shop.validate(), Ok(()));
    assert!(is_open(&shop, "2026-12-23T14:00:00+01:00"));
    assert!(is_open(&shop, "2026-12-24T12:59:59+01:00"));
    assert!(!is_open(&shop, "2026-12-24T13:00:00+01:00"));
    assert!(!is_open(&shop, "2026-12-25T10:00:00+01:00"));
    assert!(is_open(&shop, "2026-12-27T10:00:00+01:00"));
    assert!(!is_open(&shop, "2027-01-03T10:00:00+01:00"));
    assert_eq!(next(&shop, "2026-12-24T13:00:00+01:00"), Some(at("2026-12-26T07:00:00+01:00")));
    assert_eq!(today(&shop, "2026-12-25T08:00:00+01:00", 15), None);
}

#[test]
fn hours_may_end_at_midnight_or_after_it_and_belong_to_the_day_on_which_they_begin() {
    let shop = open_daily(&[("12:00", "15:00"), ("18:00", "02:00")]);
    assert_eq!(shop.validate(), Ok(()));
    for (time, belongs_to) in [
        ("2026-11-24T23:59:59+01:00", Some("2026-11-24")),
        ("2026-11-25T00:00:00+01:00", Some("2026-11-24")),
        ("2026-11-25T01:59:59+01:00", Some("2026-11-24")),
        ("2026-11-25T02:00:00+01:00", None),
        ("2026-11-25T12:00:00+01:00", Some("2026-11-25")),
    ] {
        assert_eq!(day(&shop, time).as_deref(), belongs_to, "{time}");
    }
    for midnight in ["24:00", "24:00:00", "00:00"] {
        let shop = open_daily(&[("18:00", midnight)]);
        assert_eq!(shop.validate(), Ok(()));
        assert!(is_open(&shop, "2026-11-24T23:59:59.999+01:00"), "{midnight}");
        assert!(!is_open(&shop, "2026-11-25T00:00:00+01:00"), "{midnight}");
    }
}

#[test]
fn the_hours_of_the_day_before_go_on_into_a_closed_date_and_its_own_do_not_begin() {
    let closed = json!({"2026-12-25": []});
    let shop = shop("Europe/Paris", daily(&[("18:00", "02:00")]), closed);
    assert_eq!(day(&shop, "2026-12-25T01:00:00+01:00").as_deref(), Some("2026-12-24"));
    assert_eq!(day(&shop, "2026-12-25T19:00:00+01:00"), None);
    assert_eq!(day(&shop, "2026-12-26T01:00:00+01:00"), None);
}

#[test]
fn a_pickup_of_today_is_after_the_lead_time_within_the_hours_of_today() {
    let shop = open_daily(&[("07:00", "12:00"), ("14:00", "19:00")]);
    for (now, pickup) in [
        ("2026-11-24T00:00:00+01:00", Some("2026-11-24T07:00:00+01:00")),
        ("2026-11-24T06:45:00+01:00", Some("2026-11-24T07:00:00+01:00")),
        ("2026-11-24T06:50:00+01:00", Some("2026-11-24T07:05:00+01:00")),
        ("2026-11-24T11:44:59+01:00", Some("2026-11-24T11:59:59+01:00")),
        ("2026-11-24T11:45:00+01:00", Some("2026-11-24T14:00:00+01:00")),
        ("2026-11-24T18:44:59+01:00", Some("2026-11-24T18:59:59+01:00")),
        ("2026-11-24T18:45:00+01:00", None),
        ("2026-11-24T23:50:00+01:00", None),
    ] {
        assert_eq!(today(&shop, now, 15), pickup.map(at), "{now}");
    }
    // Tomorrow's hours are not today's, even if the lead time ends within them.
    assert_eq!(today(&shop, "2026-11-24T10:00:00+01:00", 24 * 60), None);
}

#[test]
fn hours_past_midnight_are_still_those_of_today() {
    let shop = open_daily(&[("18:00", "02:00")]);
    for (now, pickup) in [
        ("2026-11-24T23:50:00+01:00", Some("2026-11-25T00:05:00+01:00")),
        ("2026-11-25T01:44:59+01:00", Some("2026-11-25T01:59:59+01:00")),
        ("2026-11-25T01:45:00+01:00", Some("2026-11-25T18:00:00+01:00")),
    ] {
        assert_eq!(today(&shop, now, 15), pickup.map(at), "{now}");
    }
}

#[test]
fn a_shop_that_never_closes_takes_orders_shortly_before_midnight() {
    let shop = open_daily(&[("00:00", "24:00")]);
    assert_eq!(shop.validate(), Ok(()));
    let pickup = at("2026-11-25T00:05:00+01:00");
    assert_eq!(today(&shop, "2026-11-24T23:50:00+01:00", 15), Some(pickup));
    let day = shop.calendar().pickup_at(pickup).unwrap().day;
    assert_eq!(day, civil::date(2026, 11, 25));
}

#[test]
fn overlapping_and_empty_hours_are_refused_with_their_field() {
    let error = |opening_hours: Value, special_hours: Value| {
        shop("Europe/Paris", opening_hours, special_hours).validate().unwrap_err().to_string()
    };
    let hours = |from: &str, to: &str| json!({"from": from, "to": to});
    let overlap = |field: &str, earlier: &str| {
        format!(
            "{field}.from: must not be before the end of {earlier}; \
             opening hours, also those past midnight, must not overlap"
        )
    };
    assert_eq!(
        error(json!({"friday": [hours("18:00", "18:00")]}), json!({})),
        "opening_hours.friday[0].to: must differ from `from`; write 00:00 to 24:00 for a whole day"
    );
    // In whichever order they are listed.
    assert_eq!(
        error(json!({"friday": [hours("11:59", "19:00"), hours("07:00", "12:00")]}), json!({})),
        overlap("opening_hours.friday[0]", "opening_hours.friday[1]")
    );
    let late = json!({"saturday": [hours("18:00", "02:00")], "sunday": [hours("01:00", "09:00")]});
    assert_eq!(
        error(late, json!({})),
        overlap("opening_hours.sunday[0]", "opening_hours.saturday[0]")
    );
    let late = json!({"sunday": [hours("18:00", "02:00")], "monday": [hours("01:59", "09:00")]});
    assert_eq!(
        error(late, json!({})),
        overlap("opening_hours.monday[0]", "opening_hours.sunday[0]")
    );
    let late = json!({"thursday": [hours("18:00", "02:00")]});
    // A Friday.
    assert_eq!(
        error(late, json!({"2026-12-25": [hours("01:00", "09:00")]})),
        overlap("special_hours.2026-12-25[0]", "opening_hours.thursday[0]")
    );
    let early = json!({"saturday": [hours("05:00", "09:00")]});
    assert_eq!(
        error(early, json!({"2026-12-25": [hours("22:00", "06:00")]})),
        overlap("opening_hours.saturday[0]", "special_hours.2026-12-25[0]")
    );
    assert_eq!(
        error(json!({}), json!({"2026-12-25": [hours("09:00", "09:00")]})),
        "special_hours.2026-12-25[0].to: must differ from `from`; \
         write 00:00 to 24:00 for a whole day"
    );
    assert_eq!(
        error(
            json!({}),
            json!({"2026-12-25": [hours("09:00", "24:00")], "2026-12-26": [hours("00:00", "24:00")],
                   "2026-12-27": [hours("00:00", "03:00"), hours("02:00", "04:00")]})
        ),
        overlap("special_hours.2026-12-27[1]", "special_hours.2026-12-27[0]")
    );
}

#[test]
fn a_day_has_at_most_10_opening_hours_and_a_calendar_at_most_100_special_dates() {
    let hours = |count: usize| -> Vec<_> {
        (0..count)
            .map(|hour| json!({"from": format!("{hour:02}:00"), "to": format!("{hour:02}:30")}))
            .collect()
    };
    let with = |opening_hours: Value, special_hours: Value| {
        shop("Europe/Paris", opening_hours, special_hours).validate().map_err(|it| it.to_string())
    };
    assert_eq!(with(json!({"friday": hours(10)}), json!({})), Ok(()));
    assert_eq!(
        with(json!({"friday": hours(11)}), json!({})),
        Err("opening_hours.friday: must be at most 10 opening hours".to_owned())
    );
    let dates = |count: usize| -> Value {
        let first = civil::date(2026, 1, 1);
        first.series(1.day()).take(count).map(|day| (day.to_string(), json!([]))).collect()
    };
    assert_eq!(with(json!({}), dates(100)), Ok(()));
    let error = with(json!({}), dates(101)).unwrap_err();
    assert!(error.starts_with("special_hours: must be at most 100 dates"), "{error}");
}

#[test]
fn hours_that_touch_do_not_overlap() {
    let touching = open_daily(&[("02:00", "12:00"), ("12:00", "18:00"), ("18:00", "02:00")]);
    assert_eq!(touching.validate(), Ok(()));
    let closed_before = shop(
        "Europe/Paris",
        json!({"thursday": [{"from": "18:00", "to": "02:00"}]}),
        json!({"2026-12-24": [], "2026-12-25": [{"from": "01:00", "to": "09:00"}]}),
    );
    assert_eq!(closed_before.validate(), Ok(()));
}

#[test]
fn a_closing_time_is_a_time_of_day_up_to_midnight() {
    let written = |text: &str| {
        let closing: Result<Closing, _> = serde_json::from_value(json!(text));
        closing.map(|closing| serde_json::to_value(closing).unwrap())
    };
    for (text, expected) in [
        ("19:30", "19:30:00"),
        ("19:30:00", "19:30:00"),
        ("23:59:59.999999999", "23:59:59.999999999"),
        ("24:00", "24:00:00"),
        ("00:00:00", "24:00:00"),
    ] {
        assert_eq!(written(text).unwrap(), json!(expected));
    }
    for text in ["", "24:01", "25:00", "7 pm", "24:00:00.1"] {
        let error = written(text).unwrap_err().to_string();
        assert_eq!(error, "must be a time of day from 00:00 to 24:00, such as 19:30", "{text}");
    }
}

#[test]
fn hours_keep_their_local_time_across_a_clock_change() {
    // Summer time ends on Sunday 2026-10-25.
    let shop = paris();
    assert!(is_open(&shop, "2026-10-24T05:00:00Z"));
    assert!(!is_open(&shop, "2026-10-27T05:00:00Z"));
    assert!(is_open(&shop, "2026-10-27T06:00:00Z"));
}

#[test]
fn a_time_that_a_clock_change_skips_is_the_moment_of_the_change() {
    // On 2027-03-28, 02:00 is followed by 03:00, at 01:00 UTC.
    let change = "2027-03-28T01:00:00Z";
    let before = "2027-03-28T00:59:59Z";
    let opens = open_daily(&[("02:30", "05:00")]);
    assert!(!is_open(&opens, before));
    assert!(is_open(&opens, change));
    let closes = open_daily(&[("00:30", "02:30")]);
    assert!(is_open(&closes, before));
    assert!(!is_open(&closes, change));
    // Hours within the skipped hour do not take place, and do not collide with later ones.
    let skipped = open_daily(&[("02:15", "02:45"), ("03:00", "04:00")]);
    assert_eq!(next(&skipped, before), Some(at(change)));
    assert!(!is_open(&skipped, "2027-03-28T02:00:00Z"));
}

#[test]
fn a_time_that_a_clock_change_repeats_is_its_first_occurrence() {
    // On 2026-10-25, 02:00 to 03:00 comes twice, from 00:00 and from 01:00 UTC.
    let within = open_daily(&[("02:15", "02:45")]);
    assert!(is_open(&within, "2026-10-25T00:15:00Z"));
    assert!(!is_open(&within, "2026-10-25T00:45:00Z"));
    assert!(!is_open(&within, "2026-10-25T01:15:00Z"));
    let around = open_daily(&[("02:00", "03:00")]);
    assert!(is_open(&around, "2026-10-25T00:00:00Z"));
    assert!(is_open(&around, "2026-10-25T01:59:59Z"));
    assert!(!is_open(&around, "2026-10-25T02:00:00Z"));
}

#[test]
fn midnight_may_itself_be_skipped_or_repeated() {
    // In Beirut, 2027-03-28 begins at 01:00, and 2026-10-24 at 23:00 is repeated.
    let shop = shop("Asia/Beirut", daily(&[("00:00", "24:00")]), json!({}));
    for time in ["2027-03-27T21:59:59Z", "2027-03-27T22:00:00Z", "2026-10-24T20:30:00Z"] {
        assert!(is_open(&shop, time), "{time}");
    }
    assert_eq!(day(&shop, "2027-03-27T22:00:00Z").as_deref(), Some("2027-03-28"));
    assert_eq!(day(&shop, "2026-10-24T21:30:00Z").as_deref(), Some("2026-10-24"));
}

#[test]
fn the_last_pickup_day_is_14_days_ahead_in_the_shops_calendar() {
    let last = |time_zone, now| {
        let shop = shop(time_zone, json!({}), json!({}));
        shop.calendar().last_day(at(now)).to_string()
    };
    assert_eq!(last("Europe/Paris", "2026-11-24T22:59:59Z"), "2026-12-08");
    assert_eq!(last("Europe/Paris", "2026-11-24T23:00:00Z"), "2026-12-09");
    assert_eq!(last("Asia/Tokyo", "2026-11-24T15:00:00Z"), "2026-12-09");
}

#[test]
fn times_in_messages_are_the_shops_in_whole_minutes_with_their_offset() {
    let paris = TimeZone::get("Europe/Paris").unwrap();
    let moment = at("2026-11-24T08:00:00.120Z");
    assert_eq!(LocalTime::not_after(moment, &paris).to_string(), "2026-11-24T09:00:00+01:00");
    let later = LocalTime::not_before(moment, &paris).to_string();
    assert_eq!(later, "2026-11-24T09:01:00+01:00");
    assert_eq!(at(&later), at("2026-11-24T08:01:00Z"));
    let kathmandu = TimeZone::get("Asia/Kathmandu").unwrap();
    let exact = LocalTime::not_before(at("2026-11-24T08:00:00Z"), &kathmandu);
    assert_eq!(exact.to_string(), "2026-11-24T13:45:00+05:45");
}

#[test]
fn hours_at_the_end_of_time_are_read_without_a_panic() {
    let shop = open_daily(&[("18:00", "02:00")]);
    for time in [Timestamp::MIN, Timestamp::MAX] {
        let calendar = shop.calendar();
        let _ = calendar.pickup_at(time);
        let _ = calendar.pickup_today(time, time);
        let _ = calendar.next_pickup(time, calendar.last_day(time));
    }
    let special = json!({"9999-12-31": [{"from": "18:00", "to": "02:00"}], "-009999-01-01": []});
    let shop = Menu { special_hours: serde_json::from_value(special).unwrap(), ..shop };
    assert!(matches!(shop.validate(), Ok(()) | Err(InvalidMenu::Hours(_))));
}

/// A time of day, by the quarter of an hour.
fn time() -> impl Strategy<Value = civil::Time> {
    (0_i8..24, prop::sample::select(vec![0_i8, 15, 30, 45]))
        .prop_map(|(hour, minute)| civil::time(hour, minute, 0, 0))
}

fn some_hours() -> impl Strategy<Value = Vec<Hours>> {
    let hours = (time(), time()).prop_map(|(from, to)| Hours { from, to: to.into() });
    prop::collection::vec(hours, 0..3)
}

/// Valid menus of shops in time zones with clock changes at several hours, around one of them.
fn shops() -> impl Strategy<Value = Menu> {
    let zones = [
        "Europe/Paris",
        "America/New_York",
        "Asia/Tokyo",
        "Asia/Beirut",
        "America/Havana",
        "Australia/Lord_Howe",
    ];
    let days =
        prop::sample::select(civil::date(2026, 10, 1).series(1.day()).take(45).collect::<Vec<_>>());
    (
        prop::sample::select(zones.to_vec()),
        prop::collection::vec(some_hours(), 7),
        prop::collection::btree_map(days, some_hours(), 0..3),
    )
        .prop_map(|(time_zone, week, special_hours)| {
            let monday = civil::date(2024, 1, 1);
            let days = monday.series(1.day()).map(|day| Weekday::from(day.weekday()));
            Menu {
                time_zone: TimeZone::get(time_zone).unwrap(),
                opening_hours: days.zip(week).collect(),
                special_hours,
                ..paris()
            }
        })
        .prop_filter("overlapping hours", |shop| shop.validate().is_ok())
}

/// Times of October and November 2026, in which most of these zones change their clocks.
fn times() -> impl Strategy<Value = Timestamp> {
    (0_i64..45 * 24 * 60)
        .prop_map(|minutes| at("2026-10-01T00:00:00Z") + SignedDuration::from_mins(minutes))
}

proptest! {
    #[test]
    fn valid_openings_follow_each_other_and_never_overlap(shop in shops()) {
        let (first, last) = (civil::date(2026, 10, 1), civil::date(2026, 11, 14));
        let openings: Vec<_> = shop.calendar().openings(first, last).collect();
        for opening in &openings {
            prop_assert!(opening.from < opening.to);
        }
        for pair in openings.windows(2) {
            prop_assert!(pair[0].to <= pair[1].from, "{:?}", pair);
        }
    }

    #[test]
    fn no_pickup_is_possible_before_the_next_one(shop in shops(), now in times()) {
        let calendar = shop.calendar();
        let next = calendar.next_pickup(now, calendar.last_day(now));
        let mut time = now;
        for _ in 0..24 * 12 {
            if let Some(next) = next && time >= next.at {
                break;
            }
            prop_assert_eq!(calendar.pickup_at(time), None);
            time += SignedDuration::from_mins(5);
        }
        if let Some(next) = next {
            prop_assert_eq!(calendar.pickup_at(next.at), Some(next));
        }
    }

    #[test]
    fn a_pickup_of_today_is_the_next_one_unless_the_shop_closes_first(
        shop in shops(),
        now in times(),
        lead in 1_i64..1440,
    ) {
        let calendar = shop.calendar();
        let earliest = now + SignedDuration::from_mins(lead);
        let next = calendar.next_pickup(earliest, calendar.last_day(now));
        match calendar.pickup_today(now, earliest) {
            Some(today) => prop_assert_eq!(Some(today), next),
            None => prop_assert!(next.is_none_or(|next| next.day > calendar.date(now))),
        }
    }
}
