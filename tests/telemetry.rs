//! What the functions report: log lines that are joined by order and trace, and metrics that count
//! what was committed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Map, Value, json};
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::harness::{Answer, OnDemand, System, croissants, eventually, paid_with, stack};

const FUNCTIONS: [&str; 6] =
    ["inventory", "notifications", "order-intake", "order-relay", "order-status", "payment"];

const TRACE: &str = "f454ae800a1b2c3d4e5f60718293a4b5";

/// A stack of its own, whose metrics count the orders of one test.
async fn system() -> System {
    static REPORTING: OnDemand = OnceCell::const_new();
    System::on_demand(&REPORTING, || stack("telemetry")).await
}

/// All lines that the functions have written, each with its function.
async fn lines(system: &System) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    for function in FUNCTIONS {
        let log = system.log(function).await;
        lines.extend(log.lines().map(|line| (function, line.to_owned())));
    }
    lines
}

/// The names of an object's members, each as often as it occurs.
struct Names(Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Names;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Names, A::Error> {
                let mut names = Vec::new();
                while let Some((name, IgnoredAny)) = map.next_entry()? {
                    names.push(name);
                }
                Ok(Names(names))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

fn parsed(line: &str) -> Map<String, Value> {
    let Names(mut names) =
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "a name occurs twice: {line}");
    serde_json::from_str(line).unwrap()
}

#[tokio::test]
async fn all_log_lines_of_an_order_carry_the_trace_of_the_request_that_placed_it() {
    let system = System::shared().await;
    let customer = system.customer().await;
    let order = croissants(&system.shop().await, 1);
    let key = Uuid::new_v4().to_string();
    let request = customer.request(reqwest::Method::POST, "/orders");
    let request = request
        .header("idempotency-key", &key)
        .header("traceparent", format!("00-{TRACE}-4e5f60718293a4b5-00"));
    let answer = Answer::to(request.json(&order)).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    let id = customer.order_id(&key);
    customer.confirmed(&id).await;
    customer.mails(1).await;

    let heard = eventually("log lines of all functions about an order", async || {
        let mut heard = BTreeSet::new();
        for (function, line) in lines(&system).await {
            if line.contains(&id) {
                let line = parsed(&line);
                assert_eq!(line["function"], function);
                assert_eq!(line["order_id"], *id, "{line:?}");
                assert_eq!(line["trace_id"], TRACE, "{line:?}");
                assert!(line["request_id"].is_string(), "{line:?}");
                heard.insert(function);
            }
        }
        (heard.len() == FUNCTIONS.len()).then_some(heard)
    })
    .await;
    assert_eq!(heard, FUNCTIONS.into());
    for event in system.events(&id) {
        let traceparent = event["detail"]["metadata"]["traceparent"].as_str().unwrap();
        assert!(traceparent.contains(TRACE), "{event}");
    }
}

#[tokio::test]
async fn a_request_that_brings_no_trace_gets_one_from_the_api() {
    let system = System::shared().await;
    let customer = system.customer().await;
    let id = customer.place(&croissants(&system.shop().await, 1)).await;
    let rows = system.rows("OrdersTableName").await;
    let row = rows.iter().find(|row| row["order_id"] == *id).unwrap();
    let trace: shop::trace::TraceParent = row["traceparent"].as_str().unwrap().parse().unwrap();
    assert_ne!(trace.trace_id(), TRACE);
}

#[tokio::test]
async fn a_log_line_is_one_flat_object_with_time_level_and_function() {
    let system = System::shared().await;
    let customer = system.customer().await;
    let id = customer.place(&croissants(&system.shop().await, 1)).await;
    customer.confirmed(&id).await;
    for (function, line) in lines(&system).await {
        let line = parsed(&line);
        if line.contains_key("_aws") {
            continue;
        }
        for name in ["timestamp", "level", "message"] {
            assert!(line[name].is_string(), "{name} of {line:?}");
        }
        assert_eq!(line["function"], function);
        assert!(line.values().all(|value| !value.is_object() && !value.is_array()), "{line:?}");
    }
}

/// The sum of each metric, by its name and dimension.
async fn metrics(system: &System) -> BTreeMap<String, f64> {
    let mut sums = BTreeMap::new();
    for (_, line) in lines(system).await {
        let line = parsed(&line);
        let Some(document) = line.get("_aws") else { continue };
        let directive = &document["CloudWatchMetrics"][0];
        assert_eq!(directive["Namespace"], system.stack.embedded.stack_name);
        let dimensions: Vec<_> = directive["Dimensions"][0]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| line[name.as_str().unwrap()].as_str().unwrap())
            .collect();
        for metric in directive["Metrics"].as_array().unwrap() {
            let name = metric["Name"].as_str().unwrap();
            let sum = match &line[name] {
                Value::Array(values) => values.iter().map(|value| value.as_f64().unwrap()).sum(),
                value => value.as_f64().unwrap(),
            };
            let name = [&[name], &*dimensions].concat().join(" ");
            *sums.entry(name).or_default() += sum;
        }
    }
    sums
}

#[tokio::test]
async fn metrics_count_what_was_committed_and_a_redelivery_nothing() {
    let system = system().await;
    let customer = system.customer().await;
    let shop = system.shop().await;
    let two = croissants(&shop, 2);

    let confirmed = customer.place(&two).await;
    customer.confirmed(&confirmed).await;
    let given_back = customer.place(&two).await;
    customer.confirmed(&given_back).await;
    customer.cancel(&given_back).await;
    let declined =
        customer.place(&paid_with("pm_card_visa_chargeDeclinedInsufficientFunds", two)).await;
    customer.outcome(&declined).await;
    eventually("a refund", async || {
        let order = customer.order(&given_back).await;
        (order["payment"] == "refunded").then_some(())
    })
    .await;

    let expected = json!({
        "OrdersPlaced": 3,
        "OrdersConfirmed": 2,
        "OrdersCancelled": 1,
        "OrdersRejected payment_declined": 1,
        "Declines insufficient_funds": 1,
        "MoneyTaken EUR": 760,
        "MoneyGivenBack EUR": 380,
        // Two confirmations, a decline, a cancellation and a refund.
        "NoticesSent": 5,
    });
    let counted = async || {
        let mut metrics = metrics(&system).await;
        let waited = metrics.remove("TimeToConfirm").unwrap_or_default();
        let metrics: BTreeMap<_, _> = metrics.into_iter().map(|(k, v)| (k, v as u64)).collect();
        (waited > 0.0 && json!(metrics) == expected).then_some(())
    };
    eventually("all metrics", counted).await;

    let mut events = system.events(&given_back);
    events.extend(system.events(&declined));
    for events in events.chunks(10) {
        system.publish_again(events).await;
    }
    eventually("the second delivery", async || {
        let log = system.log("notifications").await;
        log.contains("no notice: sent before, or overtaken").then_some(())
    })
    .await;
    assert!(counted().await.is_some(), "{:?}", metrics(&system).await);
}
