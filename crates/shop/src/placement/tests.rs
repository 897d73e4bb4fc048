//! Tests of placing orders.

use std::collections::BTreeMap;

use jiff::ToSpan;
use proptest::prelude::*;

use super::*;
use crate::menu::tests::{at, paris};

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
    place(request, customer, &key, menu, now, SignedDuration::from_mins(15))
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
fn without_a_pickup_time_an_open_shop_serves_now_and_a_closed_one_at_its_next_opening() {
    assert_eq!(placed(&request(), TUESDAY).unwrap().pickup_at, at(TUESDAY));
    let night = placed(&request(), "2026-11-23T23:30:00Z").unwrap();
    assert_eq!(night.pickup_at, at("2026-11-24T06:00:00Z"));
    assert_eq!(night.pickup_day, civil::date(2026, 11, 24));
}

#[test]
fn a_pickup_lies_in_the_future_within_opening_hours_and_at_most_14_days_ahead() {
    let pickup =
        |time: &str| placed(&OrderRequest { pickup_at: Some(at(time)), ..request() }, TUESDAY);
    assert!(pickup("2026-11-25T10:00:00+01:00").is_ok());
    assert!(pickup(TUESDAY).is_ok());
    assert!(matches!(pickup("2026-11-24T07:59:59Z"), Err(Refusal::PickupInPast { .. })));
    assert!(matches!(pickup("2026-12-08T08:00:00.001Z"), Err(Refusal::PickupTooFar { .. })));
    assert!(pickup("2026-12-08T08:00:00Z").is_ok());
    assert_eq!(
        pickup("2026-11-24T20:00:00Z"),
        Err(Refusal::Closed { next: Some(at("2026-11-25T06:00:00Z")) })
    );
}

#[test]
fn a_shop_that_does_not_open_in_time_takes_no_order() {
    let menu = Menu { opening_hours: BTreeMap::new(), ..paris() };
    let refusal = placed_from(&request(), &menu, at(TUESDAY));
    assert_eq!(refusal, Err(Refusal::Closed { next: None }));
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
    let (currency, noon) = (Currency::Eur, at("2026-11-24T12:00:00Z"));
    for (refusal, message) in [
        (
            Refusal::TooMany { line: 0, item },
            "all lines of `croissant` together must be at most 100",
        ),
        (Refusal::TooCheap { currency }, "the total must be at least 0.50 EUR"),
        (Refusal::TooExpensive { currency }, "the total must be at most 999999.99 EUR"),
        (
            Refusal::PickupTooFar { latest: noon },
            "must be at most 14 days ahead, no later than 2026-11-24T12:00:00Z",
        ),
        (
            Refusal::Closed { next: Some(noon) },
            "the shop is closed then; it next opens at 2026-11-24T12:00:00Z",
        ),
        (Refusal::Closed { next: None }, "the shop is closed then"),
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
    fn every_accepted_pickup_is_within_opening_hours(minutes in 0_i64..30_000) {
        let now = at(TUESDAY);
        let request = OrderRequest { pickup_at: Some(now + minutes.minutes()), ..request() };
        match placed(&request, TUESDAY) {
            Ok(order) => {
                prop_assert!(paris().is_open(order.pickup_at));
                prop_assert!(order.pickup_at <= latest_pickup(now));
            }
            Err(refusal) => prop_assert!(
                matches!(refusal, Refusal::Closed { .. } | Refusal::PickupTooFar { .. }),
                "{}", refusal
            ),
        }
    }
}
