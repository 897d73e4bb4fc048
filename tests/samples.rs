//! Every sample event of `events/`, invoked on its function.

use std::{collections::BTreeSet, fs, path::Path};

use aws_sdk_lambda::{Client as Lambda, primitives::Blob};
use aws_sdk_sqs::{Client as Sqs, types::QueueAttributeName};
use local::sandbox::{Fault, FaultyAnswer, Route};
use serde_json::{Value, json};

use crate::harness::{System, eventually};

const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../events");

/// The order that a sample places.
const PLACED: &str = "f4d1576a-0a38-56ac-b9f2-64349ee83e7a";

/// The order that other samples charge and refund. It was never placed.
const CHARGED: &str = "23d97ef5-ee1e-5cf8-a487-7ce9f61b8f00";

fn read(sample: &str) -> Vec<u8> {
    fs::read(Path::new(SAMPLES).join(sample)).unwrap()
}

/// Invokes the deployed function with a sample.
async fn invoke(system: &System, function: &str, sample: &str) -> Value {
    invoke_with(system, function, sample, read(sample)).await
}

/// Invokes the deployed function with an event that was made from a sample.
async fn invoke_with(system: &System, function: &str, sample: &str, event: Vec<u8>) -> Value {
    let lambda = Lambda::new(&system.stack.aws());
    let invocation =
        lambda.invoke().function_name(system.resource(function).await).payload(Blob::new(event));
    let answer = invocation.send().await.unwrap();
    let payload: Value = serde_json::from_slice(answer.payload.unwrap().as_ref()).unwrap();
    assert_eq!(answer.function_error, None, "{sample}: {payload}");
    payload
}

/// Status and body of a response to the API.
fn response(answer: &Value) -> (u64, Value) {
    (
        answer["statusCode"].as_u64().unwrap(),
        serde_json::from_str(answer["body"].as_str().unwrap()).unwrap(),
    )
}

/// No record of a batch.
const NONE: [usize; 0] = [];

fn records(sample: &str) -> Vec<Value> {
    let event: Value = serde_json::from_slice(&read(sample)).unwrap();
    event["Records"].as_array().unwrap().clone()
}

/// The places of the records of a batch that have failed.
fn failed(sample: &str, answer: &Value) -> Vec<usize> {
    let records = records(sample);
    let failures = answer["batchItemFailures"].as_array().unwrap().iter();
    let place = |failure: &Value| {
        records.iter().position(|record| record["messageId"] == failure["itemIdentifier"]).unwrap()
    };
    failures.map(place).collect()
}

/// The log line about a record that failed.
async fn failure(system: &System, function: &str, sample: &str, record: usize) -> Value {
    let id = &records(sample)[record]["messageId"];
    eventually(&format!("the failure of record {record} of {sample} to be logged"), async || {
        let log = system.log(function).await;
        let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.find(|line| line["message"] == "record failed" && line["message_id"] == *id)
    })
    .await
}

#[tokio::test]
async fn every_sample_event_is_processed() {
    let system = System::shared().await;
    let files = fs::read_dir(SAMPLES).unwrap();
    let mut left: BTreeSet<_> =
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    let mut run = async |function, sample| {
        left.remove(sample);
        invoke(&system, function, sample).await
    };

    let (status, menu) = response(&run("OrderIntake", "order-intake-get-menu.json").await);
    assert_eq!((status, &menu["location"]), (200, &json!("paris-marais")));
    let (status, list) = response(&run("OrderIntake", "order-intake-list-locations.json").await);
    assert!(
        status == 200 && list["locations"].as_array().is_some_and(|locations| locations.len() >= 3),
        "{list}"
    );

    let (status, placed) = response(&run("OrderIntake", "order-intake-post-order.json").await);
    assert_eq!((status, &placed["order_id"], &placed["total"]), (202, &json!(PLACED), &json!(600)));
    let confirmed = async || {
        let (_, order) = response(&run("OrderIntake", "order-intake-get-order.json").await);
        (order["status"] == "confirmed").then_some(())
    };
    eventually("the sample order to be confirmed", confirmed).await;
    let (status, list) = response(&run("OrderIntake", "order-intake-list-orders.json").await);
    assert_eq!((status, &list["orders"][0]["order_id"]), (200, &json!(PLACED)));

    let (status, cancelled) = response(&run("OrderIntake", "order-intake-cancel-order.json").await);
    assert_eq!(
        (status, &cancelled["order_id"], &cancelled["status"]),
        (200, &json!(PLACED), &json!("cancelled"))
    );

    assert_eq!(run("Books", "books-schedule.json").await, Value::Null);

    let mut failures = async |function, sample| failed(sample, &run(function, sample).await);
    assert_eq!(failures("Inventory", "inventory-stock-queue.json").await, NONE);
    assert_eq!(failures("Payment", "payment-charge-queue.json").await, NONE);
    assert_eq!(system.net_paid(CHARGED).await, 600);
    // The shop's refund, and after it the undo of the order.
    let sample = "payment-refund-queue.json";
    let record = |index: usize| -> Value {
        let batch: Value = serde_json::from_slice(&read(sample)).unwrap();
        json!({"Records": [batch["Records"][index]]})
    };
    let event = record(0).to_string().into_bytes();
    assert_eq!(failed(sample, &invoke_with(&system, "Payment", sample, event).await), NONE);
    assert_eq!(system.net_paid(CHARGED).await, 400);

    // The event of the refund before may have the function look at the payment at the same time.
    let out_of_order =
        Fault { route: Some(Route::Refund), answer: FaultyAnswer::Fail(503), ..Fault::default() };
    system.set_fault(CHARGED, out_of_order).await;
    // Received for the tenth time.
    let mut tenth = record(1);
    tenth["Records"][0]["attributes"]["ApproximateReceiveCount"] = json!("10");
    let tenth = tenth.to_string().into_bytes();
    assert_eq!(failed(sample, &invoke_with(&system, "Payment", sample, tenth).await), [1]);
    // A charge waits for a few seconds only, since its retry budget is shorter.
    let waits = failure(&system, "payment", sample, 1).await;
    assert!(waits["wait_seconds"].as_u64().is_some_and(|seconds| seconds >= 600), "{waits}");
    system.provider.clear_faults_of(CHARGED).await.unwrap();
    assert_eq!(failures("Payment", sample).await, NONE);
    assert_eq!(system.net_paid(CHARGED).await, 0);

    // Its intent is not one of ours.
    assert_eq!(failures("Payment", "payment-intent-queue.json").await, NONE);
    assert_eq!(failures("Notifications", "notifications-notice-queue.json").await, NONE);
    // The first record is about the order that was placed, the others are about orders that do not
    // exist.
    for (sample, unknown) in [
        ("order-status-results-queue.json", &[1, 2][..]),
        ("order-status-deadline-queue.json", &[0]),
    ] {
        assert_eq!(failures("OrderStatus", sample).await, unknown);
        for record in unknown {
            let failure = failure(&system, "order-status", sample, *record).await;
            assert_eq!(
                failure["error"], "there is no such order; find out who published the event",
                "{sample}"
            );
        }
    }
    assert_eq!(run("OrderRelay", "order-relay-orders-stream.json").await, Value::Null);

    assert_eq!(left, BTreeSet::new(), "samples that this test does not run");
}

#[tokio::test]
async fn every_sample_batch_comes_from_the_queue_that_its_file_is_named_after() {
    let system = System::shared().await;
    let sqs = Sqs::new(&system.stack.aws());
    let mut batches = 0;
    for file in fs::read_dir(SAMPLES).unwrap() {
        let sample = file.unwrap().file_name().into_string().unwrap();
        let Some((_, queue)) =
            sample.strip_suffix("-queue.json").and_then(|name| name.rsplit_once('-'))
        else {
            continue;
        };
        let name = format!("{}-{queue}", system.stack.embedded.stack_name);
        let url = sqs.get_queue_url().queue_name(&name).send().await.unwrap().queue_url.unwrap();
        let attributes =
            sqs.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::QueueArn);
        let arn =
            &attributes.send().await.unwrap().attributes.unwrap()[&QueueAttributeName::QueueArn];
        for record in records(&sample) {
            assert_eq!(record["eventSourceARN"], **arn, "{sample}");
        }
        batches += 1;
    }
    assert_eq!(batches, 7);
}
