//! Tests of placing orders.

use jiff::ToSpan;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    calendar::OpeningHours,
    event::OrderEvent,
    menu::{
        Item,
        tests::{at, paris},
    },
    name::Name,
    order::Trigger,
    stock::Shortage,
};

/// A Tuesday morning, when the shop is open.
const TUESDAY: &str = "2026-11-24T08:00:00Z";

fn line(item: &str, quantity: i64) -> RequestedLine {
    RequestedLine { item: item.parse().unwrap(), quantity: quantity.try_into().unwrap() }
}

/// A request for two croissants and an éclair.
fn request() -> OrderRequest {
    OrderRequest {
        location: "paris".parse().unwrap(),
        lines: vec![line("croissant", 2), line("eclair", 1)],
        payment_method: "pm_card_visa".parse().unwrap(),
        pickup_at: None,
        expected_total: None,
        note: None,
    }
}

fn request_for(lines: Vec<RequestedLine>) -> OrderRequest {
    OrderRequest { lines, ..request() }
}

fn placed(request: &OrderRequest, now: &str) -> Result<Order, Refusal> {
    placed_from(request, &paris(), at(now))
}

fn placed_from(request: &OrderRequest, menu: &Menu, now: Timestamp) -> Result<Order, Refusal> {
    let (customer, key) = (CustomerId::new("camille"), "key".parse().unwrap());
    place(request, customer, &key, menu, now, CONFIRM_WITHIN)
}

const CONFIRM_WITHIN: SignedDuration = SignedDuration::from_mins(15);

/// The pickup of an order that is placed at `now` without naming one.
fn soonest(menu: &Menu, now: &str) -> Result<(Timestamp, civil::Date), Refusal> {
    let order = placed_from(&request(), menu, at(now))?;
    Ok((order.pickup_at, order.pickup_day))
}

/// The request with that pickup.
fn for_pickup(pickup_at: &str) -> OrderRequest {
    OrderRequest { pickup_at: Some(at(pickup_at)), ..request() }
}

/// A time in messages about [`paris`].
fn local(text: &str) -> LocalTime {
    LocalTime::not_before(at(text), &paris().time_zone)
}

#[test]
fn an_item_is_ordered_1_to_100_times() {
    for valid in [1, 100] {
        assert_eq!(Pieces::try_from(valid).map(Pieces::get), Ok(u32::try_from(valid).unwrap()));
    }
    for invalid in [i64::MIN, -1, 0, 101, i64::from(u32::MAX) + 2, i64::MAX] {
        assert_eq!(Pieces::try_from(invalid), Err(InvalidPieces), "{invalid}");
    }
}

/// The largest order that can be placed, with names and a note that consist of one character.
fn largest_order(character: &str) -> Order {
    let name: Name = character.repeat(Name::MAX_LENGTH).try_into().unwrap();
    let longest = |start: String| format!("{start:x<64}");
    let mut menu = paris();
    menu.location = longest("paris-".to_owned()).parse().unwrap();
    menu.name = name.clone();
    let item = |number| Item {
        sku: longest(format!("item-{number}-")).parse().unwrap(),
        name: name.clone(),
        price: 19_999,
        sold_on: None,
    };
    menu.items = (0..MAX_LINES).map(item).collect();
    let most = i64::from(Pieces::MAX);
    let request = OrderRequest {
        location: menu.location.clone(),
        lines: menu.items.iter().map(|item| line(item.sku.as_str(), most)).collect(),
        payment_method: "p".repeat(255).parse().unwrap(),
        note: Some(character.repeat(Note::MAX_LENGTH).try_into().unwrap()),
        ..request()
    };
    placed_from(&request, &menu, at(TUESDAY)).unwrap()
}

#[test]
fn the_largest_order_is_far_below_the_limits_of_row_event_and_message() {
    // JSON escapes a quotation mark with one byte more, and UTF-8 has at most four.
    for character in ["\"", "\u{1f370}"] {
        let order = largest_order(character);
        let short = |line: &Line| Shortage { item: line.item.clone(), requested: 100, left: 99 };
        let rejected = Trigger::StockRejected(order.lines.iter().map(short).collect());
        let transition = order.transition(rejected, at(TUESDAY), None).unwrap();
        for order in [order.clone(), order.after(transition)] {
            let row = serde_json::to_vec(&order).unwrap().len();
            assert!(row < 100_000, "a row of 400 KB holds it: {row} bytes");
            let event = OrderEvent::latest(order).unwrap();
            let event = serde_json::to_vec(&event).unwrap().len();
            assert!(event < 50_000, "an event and a message of 256 KB hold it: {event} bytes");
        }
    }
}

#[test]
fn prices_come_from_the_menu() {
    let order = placed(&request(), TUESDAY).unwrap();
    assert_eq!((order.total, order.currency), (2 * 190 + 450, Currency::Eur));
    assert_eq!(order.deadline, at("2026-11-24T08:15:00Z"));
}

#[test]
fn lines_of_the_same_item_are_merged() {
    let twice = request_for(vec![line("croissant", 2), line("croissant", 98)]);
    let order = placed(&twice, TUESDAY).unwrap();
    assert_eq!(order.lines.len(), 1);
    assert_eq!(order.lines[0].quantity, 100);
}

#[test]
fn merging_does_not_circumvent_the_limit_of_an_item() {
    let over = request_for(vec![line("croissant", 100), line("croissant", 1)]);
    let refusal = Refusal::TooMany { line: 1, item: "croissant".parse().unwrap() };
    assert_eq!(placed(&over, TUESDAY), Err(refusal));
}

#[test]
fn an_outdated_total_is_refused_with_the_current_one() {
    let stale = OrderRequest { expected_total: Some(1), ..request() };
    assert_eq!(
        placed(&stale, TUESDAY),
        Err(Refusal::PriceChanged { total: Money { amount: 830, currency: Currency::Eur } })
    );
    let right = OrderRequest { expected_total: Some(830), ..request() };
    assert!(placed(&right, TUESDAY).is_ok());
}

#[test]
fn as_soon_as_possible_is_after_the_lead_time_or_at_the_opening_of_the_same_day() {
    let tuesday = civil::date(2026, 11, 24);
    for (now, pickup) in [
        (TUESDAY, "2026-11-24T08:15:00Z"),
        ("2026-11-23T23:30:00Z", "2026-11-24T06:00:00Z"),
        ("2026-11-24T05:50:00Z", "2026-11-24T06:05:00Z"),
        ("2026-11-24T11:30:00Z", "2026-11-24T13:00:00Z"),
    ] {
        assert_eq!(soonest(&paris(), now), Ok((at(pickup), tuesday)), "{now}");
    }
    let slow = Menu { lead_time: 90.try_into().unwrap(), ..paris() };
    assert_eq!(soonest(&slow, TUESDAY), Ok((at("2026-11-24T09:30:00Z"), tuesday)));
}

#[test]
fn a_shop_that_is_closed_for_the_day_refuses_as_soon_as_possible_and_names_its_next_opening() {
    for (now, next) in [
        // The lead time ends at closing time.
        ("2026-11-24T17:45:00Z", "2026-11-25T06:00:00Z"),
        ("2026-11-24T22:50:00Z", "2026-11-25T06:00:00Z"),
        // A Sunday and a Monday without opening hours.
        ("2026-11-28T23:00:00Z", "2026-12-01T06:00:00Z"),
    ] {
        assert_eq!(
            soonest(&paris(), now),
            Err(Refusal::ClosedToday { next: Some(local(next)) }),
            "{now}"
        );
    }
    let mut holiday = paris();
    holiday.special_hours.insert(civil::date(2026, 11, 24), vec![]);
    assert_eq!(
        soonest(&holiday, TUESDAY),
        Err(Refusal::ClosedToday { next: Some(local("2026-11-25T06:00:00Z")) })
    );
}

#[test]
fn a_pickup_is_after_the_lead_time_within_opening_hours_and_at_most_14_days_ahead() {
    let pickup = |time: &str| placed(&for_pickup(time), TUESDAY);
    assert!(pickup("2026-11-25T10:00:00+01:00").is_ok());
    assert!(pickup("2026-11-24T08:15:00Z").is_ok());
    let too_soon = Err(Refusal::PickupTooSoon {
        lead_time: LeadTime::default(),
        earliest: local("2026-11-24T08:15:00Z"),
    });
    assert_eq!(pickup("2026-11-24T08:14:59Z"), too_soon);
    assert_eq!(pickup("2020-01-01T00:00:00Z"), too_soon);
    // Until the end of the last day, and not only for 336 hours.
    assert!(pickup("2026-12-08T17:59:59.999Z").is_ok());
    let too_far = Err(Refusal::PickupTooFar { last: civil::date(2026, 12, 8) });
    assert_eq!(pickup("2026-12-09T08:00:00Z"), too_far);
    assert_eq!(pickup("2026-12-13T08:00:00Z"), too_far);
    assert_eq!(
        pickup("2026-11-24T20:00:00Z"),
        Err(Refusal::Closed { next: Some(local("2026-11-25T06:00:00Z")) })
    );
    assert_eq!(pickup("2026-12-08T20:00:00Z"), Err(Refusal::Closed { next: None }));
}

#[test]
fn fourteen_days_ahead_are_calendar_days_across_a_clock_change() {
    // Summer time begins on Sunday, 2027-03-28: the days between are 335 hours.
    let shop = |from: &str, to: &str| Menu {
        opening_hours: serde_json::from_value(json!({"friday": [{"from": from, "to": to}]}))
            .unwrap(),
        ..paris()
    };
    let pickup = |menu: &Menu, now: &str, time: &str| {
        placed_from(&for_pickup(time), menu, at(now)).map(|order| order.pickup_day)
    };
    let last = civil::date(2027, 4, 2);
    let day = shop("07:00", "19:00");
    let morning = "2027-03-19T07:00:00+01:00";
    assert_eq!(pickup(&day, morning, "2027-04-02T18:59:59+02:00"), Ok(last));
    let refused = Err(Refusal::PickupTooFar { last });
    assert_eq!(pickup(&day, morning, "2027-04-09T07:00:00+02:00"), refused);
    // Hours past midnight belong to the day on which they begin.
    let night = shop("18:00", "02:00");
    assert_eq!(pickup(&night, morning, "2027-04-03T01:59:59+02:00"), Ok(last));
    // In winter, the hour that is repeated is part of the 14 days.
    assert_eq!(
        pickup(&day, "2026-10-16T07:00:00+02:00", "2026-10-30T18:59:59+01:00"),
        Ok(civil::date(2026, 10, 30))
    );
}

#[test]
fn a_pickup_past_midnight_uses_the_stock_of_the_day_on_which_the_hours_began() {
    let night = json!({"saturday": [{"from": "18:00", "to": "02:00"}]});
    let menu = Menu { opening_hours: serde_json::from_value(night).unwrap(), ..paris() };
    let brioche =
        OrderRequest { lines: vec![line("brioche", 1)], ..for_pickup("2026-11-29T01:30:00+01:00") };
    // Brioche is sold on Saturdays.
    let order = placed_from(&brioche, &menu, at(TUESDAY)).unwrap();
    assert_eq!(order.pickup_day, civil::date(2026, 11, 28));
}

#[test]
fn an_order_expires_at_its_pickup_time_at_the_latest() {
    let deadline = |minutes: i64| {
        let menu = Menu { lead_time: minutes.try_into().unwrap(), ..paris() };
        placed_from(&request(), &menu, at(TUESDAY)).unwrap().deadline
    };
    assert_eq!(deadline(5), at("2026-11-24T08:05:00Z"));
    assert_eq!(deadline(15), at("2026-11-24T08:15:00Z"));
    assert_eq!(deadline(60), at("2026-11-24T08:15:00Z"));
}

#[test]
fn a_shop_that_does_not_open_in_time_takes_no_order() {
    let menu = Menu { opening_hours: OpeningHours::new(), ..paris() };
    let refusal = placed_from(&request(), &menu, at(TUESDAY));
    assert_eq!(refusal, Err(Refusal::ClosedToday { next: None }));
}

#[test]
fn a_total_that_the_provider_does_not_charge_is_refused() {
    let total = |pieces, price| {
        let mut menu = paris();
        menu.items[0].price = price;
        let request = request_for(vec![line("croissant", pieces)]);
        placed_from(&request, &menu, at(TUESDAY)).map(|order| order.total)
    };
    let (too_cheap, too_expensive) = (
        Refusal::TooCheap { currency: Currency::Eur },
        Refusal::TooExpensive { currency: Currency::Eur },
    );
    assert_eq!(total(1, 49), Err(too_cheap));
    assert_eq!(total(1, 50), Ok(50));
    assert_eq!(total(1, MAX_TOTAL), Ok(MAX_TOTAL));
    assert_eq!(total(1, MAX_TOTAL + 1), Err(too_expensive));
    assert_eq!(total(100, MAX_TOTAL / 100), Ok(99_999_900));
}

#[test]
fn an_item_is_only_sold_on_its_days() {
    let brioche = |pickup: &str| {
        let request = request_for(vec![line("brioche", 1)]);
        placed(&OrderRequest { pickup_at: Some(at(pickup)), ..request }, TUESDAY)
    };
    assert!(matches!(brioche("2026-11-25T10:00:00Z"), Err(Refusal::NotSold { line: 0, .. })));
    assert!(brioche("2026-11-28T10:00:00Z").is_ok());
}

#[test]
fn an_unknown_item_is_refused_with_its_line() {
    let request = request_for(vec![line("croissant", 1), line("bagel", 1)]);
    let refusal = Refusal::UnknownItem { line: 1, item: "bagel".parse().unwrap() };
    assert_eq!(placed(&request, TUESDAY), Err(refusal));
}

#[test]
fn a_refusal_names_the_limit() {
    let item: ItemId = "croissant".parse().unwrap();
    let (currency, noon) = (Currency::Eur, local("2026-11-24T12:00:00Z"));
    for (refusal, message) in [
        (
            Refusal::TooMany { line: 0, item },
            "all lines of `croissant` together must be at most 100",
        ),
        (Refusal::TooCheap { currency }, "the total must be at least 0.50 EUR"),
        (Refusal::TooExpensive { currency }, "the total must be at most 999999.99 EUR"),
        (
            Refusal::PickupTooSoon { lead_time: LeadTime::default(), earliest: noon.clone() },
            "must be at least 15 minutes from now: 2026-11-24T13:00:00+01:00 or later",
        ),
        (
            Refusal::PickupTooFar { last: civil::date(2026, 12, 8) },
            "must be at most 14 days ahead: on 2026-12-08 or before",
        ),
        (
            Refusal::Closed { next: Some(noon.clone()) },
            "the shop is closed then; it next opens at 2026-11-24T13:00:00+01:00",
        ),
        (
            Refusal::Closed { next: None },
            "the shop is closed then; it does not open within 14 days",
        ),
        (
            Refusal::ClosedToday { next: Some(noon) },
            "is required, because no pickup is possible any more today; \
             the next opening allows a pickup from 2026-11-24T13:00:00+01:00",
        ),
    ] {
        assert_eq!(refusal.to_string(), message);
    }
}

#[test]
fn fingerprints_never_change() {
    let base = || request_for(vec![line("croissant", 2)]);
    let note = "Für \"Zoë\", 2 × <b>é</b> \\ 🥐";
    for (request, fingerprint) in [
        (base(), "11322c155cde6a3908c37e514c37171895b95aba9ccb4392ab9fb4f2e41b4205"),
        (
            OrderRequest { pickup_at: Some(at("2026-11-25T09:00:00Z")), ..base() },
            "505527d9b513c0773545cf780001ab1407b77b51e0103709a0149d2a79ff239c",
        ),
        (
            OrderRequest { pickup_at: Some(at("2026-11-25T09:00:00.12Z")), ..base() },
            "06a4010b7ab48e550531fcd0d08bcd04c5b8128e9ec85f2d9f56c860613e05d5",
        ),
        (
            OrderRequest { expected_total: Some(380), ..base() },
            "60975b83906968bd07f62d014c493e2f45b626460eda3750d855cf1599950c99",
        ),
        (
            OrderRequest { note: Some(note.to_owned().try_into().unwrap()), ..base() },
            "36677b75518bcafd14cde9343cfa79c8fdf2e43d51fa100595ee5339358c16ac",
        ),
        (
            OrderRequest { note: Some(String::new().try_into().unwrap()), ..base() },
            "4b06318a4f0a9f79ba730121fd6325f7e05188f8e89522956c72a71d61a5fddd",
        ),
        (
            request_for(vec![line("croissant", 1), line("eclair", 100), line("croissant", 1)]),
            "a348355671432ad032b19266bbd84c0257092493ca327e4bc6d9ee0abf09beda",
        ),
        (
            OrderRequest {
                location: "paris-marais".parse().unwrap(),
                payment_method: "pm_card_visa_chargeDeclined".parse().unwrap(),
                pickup_at: Some(at("2026-11-25T09:00:00Z")),
                expected_total: Some(830),
                note: Some("for two".to_owned().try_into().unwrap()),
                ..request()
            },
            "e6393096754dda2e6db20dfda2d1ff4b98de27ed1a4185161fbbb1f8148c7211",
        ),
    ] {
        assert_eq!(request.fingerprint(), fingerprint, "{request:?}");
    }
}

proptest! {
    #[test]
    fn an_accepted_order_costs_what_its_lines_cost_and_holds_every_piece(
        lines in prop::collection::vec(
            (prop::sample::select(vec!["croissant", "eclair"]), 1_i64..60),
            1..6,
        ),
    ) {
        let request =
            request_for(lines.iter().map(|(item, quantity)| line(item, *quantity)).collect());
        if let Ok(order) = placed(&request, TUESDAY) {
            let pieces: u32 = order.lines.iter().map(|line| line.quantity).sum();
            let requested: i64 = lines.iter().map(|(_, quantity)| quantity).sum();
            prop_assert_eq!(i64::from(pieces), requested);
            let cost: i64 = lines
                .iter()
                .map(|(item, quantity)| quantity * if *item == "eclair" { 450 } else { 190 })
                .sum();
            prop_assert_eq!(order.total, u64::try_from(cost).unwrap());
        }
    }

    #[test]
    fn every_accepted_pickup_is_possible_and_not_before_the_deadline(
        minutes in prop::option::of(-60_i64..30_000),
        placed_after in 0_i64..10_000,
        lead_time in 1_i64..=1440,
    ) {
        let now = at(TUESDAY) + placed_after.minutes();
        let pickup_at = minutes.map(|minutes| now + minutes.minutes());
        let menu = Menu { lead_time: lead_time.try_into().unwrap(), ..paris() };
        let calendar = menu.calendar();
        match placed_from(&OrderRequest { pickup_at, ..request() }, &menu, now) {
            Ok(order) => {
                let pickup = Pickup { at: order.pickup_at, day: order.pickup_day };
                prop_assert_eq!(calendar.pickup_at(pickup.at), Some(pickup));
                prop_assert!(pickup.at >= now + lead_time.minutes());
                prop_assert!(pickup.day <= calendar.last_day(now));
                prop_assert!(order.deadline <= pickup.at.min(now + CONFIRM_WITHIN));
                match pickup_at {
                    Some(asked) => prop_assert_eq!(pickup.at, asked),
                    None => prop_assert_eq!(pickup.day, calendar.date(now)),
                }
            }
            Err(refusal) => prop_assert!(
                match refusal {
                    Refusal::ClosedToday { .. } => pickup_at.is_none(),
                    Refusal::PickupTooSoon { .. }
                    | Refusal::PickupTooFar { .. }
                    | Refusal::Closed { .. } => pickup_at.is_some(),
                    _ => false,
                },
                "{}", refusal
            ),
        }
    }

    #[test]
    fn an_order_can_be_placed_for_every_time_that_a_refusal_names(
        minutes in prop::option::of(-60_i64..20_000),
        placed_after in 0_i64..10_000,
    ) {
        let now = at(TUESDAY) + placed_after.minutes();
        let pickup_at = minutes.map(|minutes| now + minutes.minutes());
        let next = match placed_from(&OrderRequest { pickup_at, ..request() }, &paris(), now) {
            Err(Refusal::ClosedToday { next } | Refusal::Closed { next }) => next,
            _ => None,
        };
        if let Some(next) = next {
            let order = placed_from(&for_pickup(&next.to_string()), &paris(), now);
            prop_assert!(order.is_ok(), "{:?}", order);
        }
    }
}
