//! When orders can be picked up, and until when they can be cancelled.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp, ToSpan, civil, tz::TimeZone};
use local::shops::Shop;
use serde_json::{Value, json};
use shop::calendar::{Hours, SpecialHours};

use crate::harness::{System, croissants, new_shop};

/// Today, in the calendar of [`new_shop`].
fn today() -> civil::Date {
    new_shop().menu.calendar().date(Timestamp::now())
}

/// A time in the shop's time zone, as messages show it.
fn local(shop: &Shop, day: civil::Date, hour: i8) -> String {
    let at = day.at(hour, 0, 0, 0).to_zoned(shop.menu.time_zone.clone()).unwrap();
    at.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

fn hours(from: i8, to: i8) -> Vec<Hours> {
    vec![Hours { from: civil::time(from, 0, 0, 0), to: civil::time(to, 0, 0, 0).into() }]
}

fn time(order: &Value, field: &str) -> Timestamp {
    order[field].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn an_order_is_not_cancelled_once_its_pickup_time_has_come() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let mut shop = new_shop();
    shop.menu.lead_time = 1.try_into().unwrap();
    system.open(&shop).await;
    // Long enough to be confirmed, which has to happen before the pickup.
    let pickup_at = Timestamp::now() + SignedDuration::from_secs(100);
    let mut order = croissants(&shop, 2);
    order["pickup_at"] = json!(pickup_at);
    let id = camille.place(&order).await;
    let confirmed = camille.confirmed(&id).await;

    let left = pickup_at.duration_since(Timestamp::now()) + SignedDuration::from_secs(1);
    tokio::time::sleep(Duration::try_from(left).unwrap_or_default()).await;
    let refused = camille.cancel(&id).await;
    assert_eq!(
        (refused.status, &refused.body["type"], &refused.body["order_status"]),
        (409, &json!("urn:amelie:problem:not-cancellable"), &json!("confirmed"))
    );
    let minute = pickup_at.to_zoned(shop.menu.time_zone.clone());
    let until = minute.strftime("until its pickup time, %Y-%m-%dT%H:%M:00%:z").to_string();
    assert!(refused.body["detail"].as_str().unwrap().contains(&until), "{}", refused.body);
    assert_eq!(camille.order(&id).await, confirmed);
    assert_eq!((system.net_paid(&id).await, system.held(&shop, "croissant").await), (380, 2));
}

#[tokio::test]
async fn an_order_for_as_soon_as_possible_is_for_after_the_lead_time_and_expires_by_then() {
    let system = System::shared().await;
    let camille = system.customer().await;
    for (minutes, seconds_to_confirm) in [(5, 300), (45, 900)] {
        let mut shop = new_shop();
        shop.menu.lead_time = minutes.try_into().unwrap();
        system.open(&shop).await;
        let id = camille.place(&croissants(&shop, 1)).await;
        let order = camille.order(&id).await;
        let placed_at = time(&order, "placed_at");
        assert_eq!(time(&order, "pickup_at"), placed_at + minutes.minutes());
        assert_eq!(time(&order, "deadline"), placed_at + seconds_to_confirm.seconds());
    }
}

#[tokio::test]
async fn closed_dates_are_on_the_menu_and_no_order_is_taken_for_them() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let mut shop = new_shop();
    let closed = today() + 3.days();
    shop.menu.special_hours =
        SpecialHours::from([(closed, vec![]), (closed + 1.day(), hours(10, 12))]);
    system.open(&shop).await;

    let menu = system.get(&format!("/menu/{}", shop.menu.location)).await.body;
    let special = json!({
        closed.to_string(): [],
        (closed + 1.day()).to_string(): [{"from": "10:00:00", "to": "12:00:00"}]
    });
    assert_eq!(menu["special_hours"], special);

    let mut order = croissants(&shop, 1);
    order["pickup_at"] = json!(local(&shop, closed, 12));
    let refused = camille.post("closed", &order).await;
    let next = format!("closed then; it next opens at {}", local(&shop, closed + 1.day(), 10));
    assert!(refused.status == 422 && refused.has_error("pickup_at", &next), "{refused:?}");

    order["pickup_at"] = json!(local(&shop, closed + 1.day(), 11));
    camille.place(&order).await;
}

#[tokio::test]
async fn a_shop_that_is_closed_for_the_day_names_its_next_opening() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let mut shop = new_shop();
    // Two days, since the test may run at midnight.
    let (first, second) = (today(), today() + 1.day());
    let opens = today() + 2.days();
    shop.menu.special_hours =
        SpecialHours::from([(first, vec![]), (second, vec![]), (opens, hours(8, 18))]);
    system.open(&shop).await;
    let refused = camille.post("closed", &croissants(&shop, 1)).await;
    let next = format!("next opening allows a pickup from {}", local(&shop, opens, 8));
    assert!(refused.status == 422 && refused.has_error("pickup_at", &next), "{refused:?}");

    // The time that was named can be sent as it is.
    let mut order = croissants(&shop, 1);
    order["pickup_at"] = json!(local(&shop, opens, 8));
    camille.place(&order).await;
}

#[tokio::test]
async fn a_pickup_past_midnight_holds_stock_of_the_day_on_which_the_hours_began() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let mut shop = new_shop();
    // A time zone whose clocks never change.
    shop.menu.time_zone = TimeZone::get("Asia/Tokyo").unwrap();
    let day = shop.menu.calendar().date(Timestamp::now()) + 3.days();
    shop.menu.special_hours = SpecialHours::from([(day, hours(18, 2)), (day + 1.day(), vec![])]);
    system.open(&shop).await;
    let mut order = croissants(&shop, 2);
    order["pickup_at"] = json!(local(&shop, day + 1.day(), 1));
    let id = camille.place(&order).await;
    camille.confirmed(&id).await;

    let prefix = format!("held#{}#", shop.menu.location);
    let rows = system.rows("StockTableName").await;
    let keys = rows.iter().filter_map(|row| row["key"].as_str());
    let held: Vec<_> = keys.filter(|key| key.starts_with(&prefix)).collect();
    assert_eq!(held, [format!("{prefix}{day}#croissant")]);
    let [mail] = &camille.mails(1).await[..] else { panic!("the customer needs exactly one mail") };
    let pickup = (day + 1.day()).strftime("Pick-up: %A, %-d %B %Y at 01:00").to_string();
    assert!(mail.text.contains(&pickup), "{}", mail.text);
}
