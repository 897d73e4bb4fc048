//! The sample events of `events/`, each through the function that it is for.

use std::{collections::BTreeSet, fs, path::Path};

use aws_sdk_lambda::{Client as Lambda, primitives::Blob};
use serde_json::{Value, json};

use crate::harness::{System, eventually};

const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../events");

/// The order that one of the samples places.
const PLACED: &str = "f4d1576a-0a38-56ac-b9f2-64349ee83e7a";

/// The order that others charge for and cancel; nobody has placed it.
const CHARGED: &str = "23d97ef5-ee1e-5cf8-a487-7ce9f61b8f00";

fn read(sample: &str) -> Vec<u8> {
    fs::read(Path::new(SAMPLES).join(sample)).unwrap()
}

/// Lets the deployed function answer a sample.
async fn invoke(system: &System, function: &str, sample: &str) -> Value {
    let lambda = Lambda::new(&system.stack.aws());
    let invocation = lambda.invoke().function_name(system.resource(function).await).payload(Blob::new(read(sample)));
    let answer = invocation.send().await.unwrap();
    let payload: Value = serde_json::from_slice(answer.payload.unwrap().as_ref()).unwrap();
    assert_eq!(answer.function_error, None, "{sample}: {payload}");
    payload
}

/// Status and body of an answer to the API.
fn response(answer: &Value) -> (u64, Value) {
    (answer["statusCode"].as_u64().unwrap(), serde_json::from_str(answer["body"].as_str().unwrap()).unwrap())
}

/// No record of a batch.
const NONE: [usize; 0] = [];

/// Which records of a batch have failed, by their places.
fn failed(sample: &str, answer: &Value) -> Vec<usize> {
    let event: Value = serde_json::from_slice(&read(sample)).unwrap();
    let records = event["Records"].as_array().unwrap();
    let failures = answer["batchItemFailures"].as_array().unwrap().iter();
    let place = |failure: &Value| records.iter().position(|record| record["messageId"] == failure["itemIdentifier"]).unwrap();
    failures.map(place).collect()
}

#[tokio::test]
async fn every_sample_event_is_answered_as_it_should() {
    let system = System::shared().await;
    let files = fs::read_dir(SAMPLES).unwrap();
    let mut left: BTreeSet<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    let mut run = async |function, sample| {
        left.remove(sample);
        invoke(&system, function, sample).await
    };

    let (status, menu) = response(&run("OrderIntake", "order-intake-get-menu.json").await);
    assert_eq!((status, &menu["location"]), (200, &json!("paris-marais")));
    let (status, list) = response(&run("OrderIntake", "order-intake-list-locations.json").await);
    assert!(status == 200 && list["locations"].as_array().is_some_and(|locations| locations.len() >= 3), "{list}");

    let (status, placed) = response(&run("OrderIntake", "order-intake-post-order.json").await);
    assert_eq!((status, &placed["order_id"], &placed["total"]), (202, &json!(PLACED), &json!(600)));
    let confirmed = async || {
        let (_, order) = response(&run("OrderIntake", "order-intake-get-order.json").await);
        (order["status"] == "confirmed").then_some(())
    };
    eventually("the sample order to be confirmed", confirmed).await;
    let (status, list) = response(&run("OrderIntake", "order-intake-list-orders.json").await);
    assert_eq!((status, &list["orders"][0]["order_id"]), (200, &json!(PLACED)));

    let mut failures = async |function, sample| failed(sample, &run(function, sample).await);
    assert_eq!(failures("Inventory", "inventory-stock-queue.json").await, NONE);
    assert_eq!(failures("Payment", "payment-charge-queue.json").await, NONE);
    assert_eq!(system.paid(CHARGED).await, 600);
    assert_eq!(failures("Payment", "payment-refund-queue.json").await, NONE);
    assert_eq!(system.paid(CHARGED).await, 0);
    assert_eq!(failures("Notifications", "notifications-notice-queue.json").await, NONE);
    // The first report is about the order that was placed, the others are about orders that nobody has placed.
    assert_eq!(failures("OrderStatus", "order-status-results-queue.json").await, [1]);
    assert_eq!(failures("OrderStatus", "order-status-deadline-queue.json").await, [0]);
    assert_eq!(run("OrderRelay", "order-relay-orders-stream.json").await, Value::Null);

    assert_eq!(left, BTreeSet::new(), "samples that nobody has run");
}
