//! What the bus or the queues have lost comes back: `cargo ops replay` and `cargo ops announce`.

use aws_sdk_eventbridge::Client as EventBridge;
use jiff::Timestamp;
use local::shops::Shop;
use serde_json::Value;
use tokio::sync::{Mutex, OnceCell};

use crate::harness::{
    Customer, OnDemand, Output, System, croissants, eventually, paid_with, stack,
};

/// A system of its own, since rules that deliver nothing concern everybody.
async fn lossy() -> System {
    static LOSSY: OnDemand = OnceCell::const_new();
    System::on_demand(&LOSSY, || stack("lossy")).await
}

/// Held by the test that disables rules.
static RULES_IN_USE: Mutex<()> = Mutex::const_new(());

/// The rules that lead to the queues of the functions.
const RULES: [&str; 6] =
    ["StockRule", "ChargeRule", "RefundRule", "NoticeRule", "ResultsRule", "DeadlineRule"];

impl System {
    /// Lets rules deliver what they match, or lose it.
    async fn set_rules(&self, rules: &[&str], are_enabled: bool) {
        let client = EventBridge::new(&self.stack.aws());
        let bus = self.stack.outputs.get("EventBusName").unwrap();
        for rule in rules {
            let id = self.resource(rule).await;
            let name = id.rsplit('|').next().unwrap();
            if are_enabled {
                client.enable_rule().event_bus_name(bus).name(name).send().await.unwrap();
            } else {
                client.disable_rule().event_bus_name(bus).name(name).send().await.unwrap();
            }
        }
    }

    /// Waits until an event of an order has passed the bus.
    async fn passed(&self, order: &str, event: &str) {
        let passed = async || {
            self.events(order).iter().any(|passed| passed["detail-type"] == event).then_some(())
        };
        eventually(&format!("{event} of {order}"), passed).await;
    }
}

/// Places an order while these rules lose what they match, up to an event that is lost.
async fn place_and_lose(camille: &Customer<'_>, shop: &Shop, rules: &[&str], lost: &str) -> String {
    camille.system.set_rules(rules, false).await;
    let id = camille.place(&croissants(shop, 1)).await;
    camille.system.passed(&id, lost).await;
    camille.system.set_rules(rules, true).await;
    id
}

/// The order is confirmed, its customer has paid once and got one mail.
async fn is_complete(camille: &Customer<'_>, id: &str) {
    camille.confirmed(id).await;
    let told = async || {
        let mail = camille.mail().await;
        let about = mail.iter().filter(|mail| mail.text.contains(id)).count();
        (about > 0).then_some(about)
    };
    assert_eq!(eventually("the mail about the order", told).await, 1);
    let ledger = camille.system.ledger(id).await;
    assert_eq!((ledger.len(), camille.system.net_paid(id).await), (1, 190), "{ledger:?}");
}

fn status(order: &Value) -> &str {
    order["status"].as_str().unwrap()
}

fn succeeded(output: &Output) {
    assert_eq!(output.status, 0, "{output:?}");
}

#[tokio::test]
async fn what_queues_have_lost_is_replayed_and_every_order_is_charged_and_confirmed_once() {
    let _in_use = RULES_IN_USE.lock().await;
    let system = lossy().await;
    let (camille, shop) = (system.customer().await, system.shop().await);
    // Times of events are whole seconds.
    let from = Timestamp::from_second(Timestamp::now().as_second() - 1).unwrap().to_string();
    let placed = place_and_lose(&camille, &shop, &RULES, "order.placed").await;
    let reserved = place_and_lose(&camille, &shop, &["ChargeRule"], "order.reserved").await;
    let paid = place_and_lose(&camille, &shop, &["ResultsRule"], "inventory.reserved").await;
    let untold = place_and_lose(&camille, &shop, &["NoticeRule"], "order.confirmed").await;
    let undisturbed = camille.place(&croissants(&shop, 1)).await;
    is_complete(&camille, &undisturbed).await;

    let dry = system.ops(&["replay", "--from", &from, "--dry-run"]).await;
    succeeded(&dry);
    assert_eq!(dry.lines("order.placed").len(), 1, "{dry:?}");
    let cells: Vec<_> = dry.lines("order.placed")[0].split_whitespace().collect();
    let queues: Vec<_> = cells[2..].iter().map(|queue| queue.trim_end_matches(',')).collect();
    assert_eq!(cells[1], "5", "{dry:?}");
    assert!(queues.len() == 2 && queues.contains(&"stock") && queues.contains(&"deadline"));
    assert!(dry.text.contains("1 event would be published again from the rows"), "{dry:?}");
    assert_eq!(status(&camille.order(&placed).await), "placed");
    assert_eq!(status(&camille.order(&reserved).await), "reserved");

    // The queue of another rule gets nothing.
    succeeded(&system.ops(&["replay", "--from", &from, "--rule", "notice"]).await);
    is_complete(&camille, &untold).await;
    for id in [&placed, &paid] {
        assert_eq!(status(&camille.order(id).await), "placed");
    }

    let replay = system.ops(&["replay", "--from", &from]).await;
    succeeded(&replay);
    assert!(replay.text.contains("was delivered again"), "{replay:?}");
    for id in [&placed, &reserved, &paid, &untold, &undisturbed] {
        is_complete(&camille, id).await;
    }
    // Everything once more: nothing changes.
    succeeded(&system.ops(&["replay", "--from", &from]).await);
    let settled = async || system.messages().await.iter().all(is_empty).then_some(());
    eventually("the queues to be empty", settled).await;
    for id in [&placed, &reserved, &paid, &untold, &undisturbed] {
        is_complete(&camille, id).await;
    }
}

/// Whether a queue is empty. Those for dead letters and deadlines hold their messages for long.
fn is_empty((url, messages): (&String, &Vec<String>)) -> bool {
    url.ends_with("-deadline") || messages.is_empty()
}

#[tokio::test]
async fn refunds_that_were_lost_are_replayed_without_an_order_that_was_settled_by_hand() {
    let _in_use = RULES_IN_USE.lock().await;
    let system = lossy().await;
    let (camille, shop) = (system.customer().await, system.shop().await);
    let from = Timestamp::from_second(Timestamp::now().as_second() - 1).unwrap().to_string();
    let order = paid_with("pm_card_refundFail", croissants(&shop, 1));
    let (settled, lost) = (camille.place(&order).await, camille.place(&croissants(&shop, 1)).await);
    for id in [&settled, &lost] {
        camille.confirmed(id).await;
    }
    let has_payment = async |id: &str, payment: &str| {
        let has = async || (camille.order(id).await["payment"] == payment).then_some(());
        eventually(payment, has).await;
    };
    assert_eq!(camille.cancel(&settled).await.status, 200);
    has_payment(&settled, "refund_failed").await;
    eventually("the failed refund to be settled", async || {
        let settle = ["reconcile", "settle", &settled, "--reason", "paid back by bank transfer"];
        (system.ops(&settle).await.status == 0).then_some(())
    })
    .await;
    system.set_rules(&["RefundRule"], false).await;
    assert_eq!(camille.cancel(&lost).await.status, 200);
    system.passed(&lost, "order.cancelled").await;
    system.set_rules(&["RefundRule"], true).await;
    let tries = system.ledger(&settled).await[0].refunds.len();

    let replay = system.ops(&["replay", "--from", &from, "--rule", "refund"]).await;
    succeeded(&replay);
    assert!(replay.lines("1 order left out")[0].contains(&settled), "{replay:?}");
    assert_eq!(replay.lines("1 event published again from the rows").len(), 1, "{replay:?}");
    has_payment(&lost, "refunded").await;
    let everything = system.ops(&["replay", "--from", &from]).await;
    succeeded(&everything);
    assert_eq!(everything.lines("was delivered again").len(), 1, "{everything:?}");
    let settled_down = async || system.messages().await.iter().all(is_empty).then_some(());
    eventually("the queues to be empty", settled_down).await;
    assert_eq!(system.ledger(&settled).await[0].refunds.len(), tries);
}

#[tokio::test]
async fn what_the_bus_did_not_take_is_announced_from_the_rows() {
    let _in_use = RULES_IN_USE.lock().await;
    let system = lossy().await;
    let (camille, shop) = (system.customer().await, system.shop().await);
    let location = shop.menu.location.to_string();
    let placed = place_and_lose(&camille, &shop, &RULES, "order.placed").await;
    let cancelled = place_and_lose(&camille, &shop, &RULES, "order.placed").await;
    assert_eq!(camille.cancel(&cancelled).await.status, 200);

    let dry =
        system.ops(&["announce", "--since", "10m", "--location", &location, "--dry-run"]).await;
    succeeded(&dry);
    assert!(dry.text.contains("2 events would be published again from the rows"), "{dry:?}");
    let elsewhere = system.ops(&["announce", "--since", "10m", "--location", "elsewhere"]).await;
    assert!(elsewhere.text.contains("0 events published again"), "{elsewhere:?}");
    assert_eq!(status(&camille.order(&placed).await), "placed");

    let announce = system.ops(&["announce", "--since", "10m", "--location", &location]).await;
    succeeded(&announce);
    assert!(announce.text.contains("2 events published again from the rows"), "{announce:?}");
    is_complete(&camille, &placed).await;
    assert_eq!(status(&camille.order(&cancelled).await), "cancelled");
    assert_eq!(system.net_paid(&cancelled).await, 0);
    succeeded(&system.ops(&["announce", "--since", "10m", "--location", &location]).await);
    is_complete(&camille, &placed).await;
}

#[tokio::test]
async fn a_replay_of_no_time_or_to_no_queue_is_refused() {
    let system = lossy().await;
    let backwards = system.ops(&["replay", "--from", "1h", "--to", "2h"]).await;
    assert_eq!((backwards.status, &*backwards.errors), (2, "error: --from must be before --to\n"));
    let unknown = system.ops(&["replay", "--from", "1h", "--rule", "mail"]).await;
    assert!(unknown.errors.contains("no rule for the queue mail; choose one of"), "{unknown:?}");
    assert_eq!(unknown.status, 2);
}
