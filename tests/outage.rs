//! An outage of the payment provider, which customers notice as a delay and nothing else. How soon
//! after it orders are confirmed is a rule of the simulation, whose clock no other load disturbs.

use std::{collections::BTreeSet, time::Duration};

use futures::future::join_all;
use local::sandbox::{Fault, FaultyAnswer};
use serde_json::Value;
use tokio::time::Instant;

use crate::harness::{System, croissants, eventually, new_shop};

/// How long the provider is down.
const OUTAGE: Duration = Duration::from_secs(20);

const ORDERS: u32 = 6;

/// A price that no other test of the shared system asks for.
const PRICE: u64 = 313;

/// What payment has logged about failed tries of an order.
async fn failures(system: &System, order: &str) -> Vec<Value> {
    let log = system.log("payment").await;
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["message"] == "record failed" && line["order_id"] == order).collect()
}

#[tokio::test]
async fn orders_placed_while_the_provider_is_down_are_confirmed_after_its_end() {
    let system = System::shared().await;
    let mut shop = new_shop();
    shop.menu.items[0].price = PRICE;
    system.open(&shop).await;
    let camille = system.customer().await;
    let down = Fault { answer: FaultyAnswer::Fail(503), amount: Some(PRICE), ..Fault::default() };
    let fault = system.provider.set_fault(&down).await.unwrap();

    let end = Instant::now() + OUTAGE;
    let mut orders = Vec::new();
    for _ in 0..ORDERS {
        orders.push(camille.place(&croissants(&shop, 1)).await);
        tokio::time::sleep(OUTAGE / 2 / ORDERS).await;
    }
    let first = &orders[0];
    let asked = async || (failures(&system, first).await.len() >= 2).then_some(());
    eventually("the charge to be asked for again", asked).await;
    let shown = system.ops(&["order", first]).await;
    assert!(!shown.lines("the next try of payment is due").is_empty(), "{shown:?}");

    tokio::time::sleep_until(end).await;
    system.provider.remove_fault(fault).await.unwrap();
    join_all(orders.iter().map(|order| camille.confirmed(order))).await;

    let dead_letters = system.queue("ChargeDeadLetters").await.messages().await;
    for order in &orders {
        assert!(dead_letters.iter().all(|letter| !letter.contains(order)));
        let charges = system.ledger(order).await;
        let taken: Vec<_> =
            charges.iter().map(|charge| charge.net()).filter(|it| *it > 0).collect();
        assert_eq!(taken, [PRICE], "{charges:?}");

        // Each try is that of a new message, which the one before has sent.
        let failures = failures(&system, order).await;
        let asks: Vec<_> = failures.iter().map(|line| line["ask"].as_u64().unwrap()).collect();
        let expected: Vec<_> = (1..=failures.len() as u64).collect();
        assert_eq!(asks, expected, "{failures:#?}");
        let messages: BTreeSet<_> =
            failures.iter().map(|line| line["message_id"].as_str()).collect();
        assert_eq!(messages.len(), failures.len(), "{failures:#?}");
    }
    let longest = join_all(orders.iter().map(|order| failures(&system, order))).await;
    assert!(longest.iter().any(|failures| failures.len() >= 4), "{longest:#?}");
    let shown = system.ops(&["order", first]).await;
    assert!(shown.lines("the next try").is_empty(), "{shown:?}");
}
