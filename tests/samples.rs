//! The sample events of `events/`, each through the function that it is for.

use std::{fs, path::Path};

use aws_sdk_lambda::{Client as Lambda, primitives::Blob};
use serde_json::{Value, json};

use crate::harness::{System, eventually};

const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../events");

/// The order that most of the samples are about.
const ORDER: &str = "f4d1576a-0a38-56ac-b9f2-64349ee83e7a";

/// Lets the deployed function answer a sample.
async fn invoke(system: &System, function: &str, sample: &str) -> Value {
    let event = fs::read(Path::new(SAMPLES).join(sample)).unwrap();
    let lambda = Lambda::new(&system.stack.aws());
    let invocation = lambda.invoke().function_name(system.resource(function).await).payload(Blob::new(event));
    let answer = invocation.send().await.unwrap();
    let payload: Value = serde_json::from_slice(answer.payload.unwrap().as_ref()).unwrap();
    assert_eq!(answer.function_error, None, "{sample}: {payload}");
    payload
}

/// An answer to the API's gateway: status and body.
fn response(answer: &Value) -> (u64, Value) {
    (answer["statusCode"].as_u64().unwrap(), serde_json::from_str(answer["body"].as_str().unwrap()).unwrap())
}

#[tokio::test]
async fn every_sample_event_is_answered_as_it_should() {
    let system = System::shared().await;
    let all_done = json!({"batchItemFailures": []});
    let mut samples: Vec<_> =
        fs::read_dir(SAMPLES).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    let mut run = async |function, sample| {
        samples.retain(|file| file != sample);
        invoke(&system, function, sample).await
    };

    let (status, menu) = response(&run("OrderIntake", "order-intake-get-menu.json").await);
    assert_eq!((status, &menu["location"]), (200, &json!("paris-marais")));
    let (status, list) = response(&run("OrderIntake", "order-intake-list-locations.json").await);
    assert!(status == 200 && list["locations"].as_array().is_some_and(|locations| locations.len() >= 3), "{list}");

    // Before the order is placed, so that nobody else is telling of it.
    assert_eq!(run("Notifications", "notifications-notice-queue.json").await, all_done);

    let (status, placed) = response(&run("OrderIntake", "order-intake-post-order.json").await);
    assert_eq!((status, &placed["order_id"], &placed["total"]), (202, &json!(ORDER), &json!(600)));
    let confirmed = async || {
        let (_, order) = response(&run("OrderIntake", "order-intake-get-order.json").await);
        (order["status"] == "confirmed").then_some(())
    };
    eventually("the sample order to be confirmed", confirmed).await;
    let (status, list) = response(&run("OrderIntake", "order-intake-list-orders.json").await);
    assert_eq!((status, &list["orders"][0]["order_id"]), (200, &json!(ORDER)));

    assert_eq!(run("OrderRelay", "order-relay-orders-stream.json").await, Value::Null);
    assert_eq!(run("Inventory", "inventory-stock-queue.json").await, all_done);
    assert_eq!(run("OrderStatus", "order-status-results-queue.json").await, all_done);
    assert_eq!(run("Payment", "payment-charge-queue.json").await, all_done);
    // Its deadline is in the far future: it has to come again.
    let early = run("OrderStatus", "order-status-deadline-queue.json").await;
    assert_eq!(early["batchItemFailures"].as_array().map(Vec::len), Some(1), "{early}");
    assert_eq!(run("Payment", "payment-refund-queue.json").await, all_done);
    assert_eq!(system.paid(ORDER).await, 0);

    assert_eq!(samples, Vec::<String>::new(), "samples that nobody has run");
}
