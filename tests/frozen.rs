//! Functions whose connections died while they were frozen. Lambda freezes a function between its
//! invocations; meanwhile a peer may close or reset its connections, or something on the way may
//! forget them without telling anybody.
//!
//! Each test runs the real binary of a function, whose connections go through proxies, and has
//! tables and a bus of its own.

mod proxy;
mod runtime;

use std::{collections::HashMap, fs::File, process::Stdio, time::Duration};

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use aws_sdk_eventbridge::Client as EventBridge;
use aws_sdk_lambda::Client as Lambda;
use aws_sdk_sqs::{Client as Sqs, types::QueueAttributeName};
use fixtures::{event_of, queue_batch, stream_batch, stream_record};
use jiff::{Timestamp, ToSpan};
use local::{Binaries, Progress};
use resources::Template;
use serde_json::{Value, json};
use shop::{
    id::CustomerId,
    order::{Order, OrderEventType},
};
use tokio::{
    process::{Child, Command},
    time::Instant,
};
use uuid::Uuid;

use self::{
    proxy::{Cut, Proxy},
    runtime::Runtime,
};
use crate::{
    harness::{System, eventually},
    process::kill,
};

/// How connections can die.
const CUTS: [Cut; 2] = [Cut::Reset, Cut::Silence];

/// A function in its own process.
struct Function {
    runtime: Runtime,
    process: Child,
    /// The connections to AWS and to the provider.
    proxies: [Proxy; 2],
    timeout: Duration,
    variables: HashMap<String, String>,
}

impl Function {
    /// Starts the function with a logical id, with new tables and a new bus where it would change
    /// those of the system.
    async fn start(system: &System, logical_id: &str) -> Self {
        Self::start_with(system, logical_id, &[]).await
    }

    /// The same with other values of some variables.
    async fn start_with(system: &System, logical_id: &str, others: &[(&str, String)]) -> Self {
        let template = Template::local();
        let seconds = template.properties(logical_id)["Timeout"].as_u64().unwrap();
        let timeout = Duration::from_secs(seconds);
        let runtime = Runtime::start(timeout).await;
        let aws = Proxy::start(&system.stack.embedded.endpoint).await;
        let provider = Proxy::start(&system.stack.sandbox_url).await;

        let mut variables = variables(system, logical_id).await;
        for (name, value) in [
            ("AWS_ENDPOINT_URL", aws.url()),
            ("PROVIDER_URL", provider.url()),
            ("EVENT_BUS", new_bus(system).await),
            ("PAYMENTS_TABLE", new_table(system).await),
            ("NOTICES_TABLE", new_table(system).await),
            ("AWS_LAMBDA_RUNTIME_API", runtime.address()),
            ("AWS_LAMBDA_FUNCTION_NAME", logical_id.to_owned()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128".to_owned()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/frozen".to_owned()),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "frozen".to_owned()),
            ("AWS_LAMBDA_LOG_FORMAT", "JSON".to_owned()),
            ("AWS_REGION", system.stack.region.clone()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
        ] {
            variables.insert(name.to_owned(), value);
        }
        variables.extend(others.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let binaries = Binaries::build(&[], Progress::Silent).await.unwrap();
        let log = format!("{}/frozen-{logical_id}.log", env!("CARGO_TARGET_TMPDIR"));
        let process = Command::new(binaries.path(template.crate_of(logical_id)).unwrap())
            .env_clear()
            .envs(&variables)
            .stdin(Stdio::null())
            .stdout(File::create(log).unwrap())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self { runtime, process, proxies: [aws, provider], timeout, variables }
    }

    /// Invokes the function, which must answer before its timeout.
    async fn invoke(&mut self, event: &Value) -> Value {
        let started = Instant::now();
        let answer = self.runtime.invoke(event).await;
        let took = started.elapsed();
        assert!(took < self.timeout, "the answer took {took:?}: {answer}");
        answer
    }

    /// Freezes the function, cuts its connections, and thaws it.
    async fn freeze(&self, cut: Cut) {
        let id = self.process.id().unwrap();
        assert!(kill("-STOP", id).await);
        let cut: usize = self.proxies.iter().map(|proxy| proxy.cut(cut)).sum();
        assert!(cut > 0, "the function keeps no connections, so nothing can die");
        // Whatever the peers have sent arrives while the function is frozen.
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(kill("-CONT", id).await);
    }

    /// A batch of the queue whose URL is in a variable.
    fn batch(&self, queue: &str, event_type: OrderEventType, orders: &[Order]) -> Value {
        let events: Vec<_> =
            orders.iter().map(|order| event_of(order.clone(), event_type)).collect();
        let mut batch = queue_batch(&events);
        for record in &mut batch.records {
            record.event_source_arn = Some(arn(&self.variables[queue]));
        }
        serde_json::to_value(batch).unwrap()
    }
}

/// The variables with which a function is deployed.
async fn variables(system: &System, logical_id: &str) -> HashMap<String, String> {
    let name = system.resource(logical_id).await;
    let configuration = Lambda::new(&system.stack.aws()).get_function_configuration();
    let configuration = configuration.function_name(name).send().await.unwrap();
    configuration.environment.unwrap().variables.unwrap()
}

async fn new_bus(system: &System) -> String {
    let name = format!("frozen-{}", Uuid::new_v4());
    let bus = EventBridge::new(&system.stack.aws());
    bus.create_event_bus().name(&name).send().await.unwrap();
    name
}

/// A table whose key is an order.
async fn new_table(system: &System) -> String {
    let name = format!("frozen-{}", Uuid::new_v4());
    let (attribute, key) = ("order_id", KeyType::Hash);
    let attribute_definition = AttributeDefinition::builder()
        .attribute_name(attribute)
        .attribute_type(ScalarAttributeType::S)
        .build();
    let key = KeySchemaElement::builder().attribute_name(attribute).key_type(key).build();
    let create = system.dynamodb.create_table().table_name(&name);
    let create = create.billing_mode(BillingMode::PayPerRequest);
    let create = create.attribute_definitions(attribute_definition.unwrap());
    create.key_schema(key.unwrap()).send().await.unwrap();
    name
}

/// New orders of a customer, each with time to be charged and to be picked up.
fn orders<const N: usize>(customer: &str) -> [Order; N] {
    std::array::from_fn(|_| Order {
        order_id: Uuid::new_v4().to_string().parse().unwrap(),
        customer_id: CustomerId::new(customer),
        deadline: Timestamp::now() + 15.minutes(),
        pickup_at: Timestamp::now() + 1.hour(),
        ..fixtures::order()
    })
}

/// Nothing in a batch has failed.
fn assert_all_handled(answer: &Value) {
    assert_eq!(answer["batchItemFailures"], json!([]), "{answer}");
}

#[tokio::test]
async fn order_intake_reads_an_order_after_its_connection_has_died() {
    let system = System::shared().await;
    let mut intake = Function::start(&system, "OrderIntake").await;
    let mut request: Value =
        serde_json::from_str(include_str!("../events/order-intake-get-order.json")).unwrap();
    request["pathParameters"]["id"] = json!(Uuid::new_v4());
    for cut in CUTS {
        assert_eq!(intake.invoke(&request).await["statusCode"], 404, "{cut:?}");
        intake.freeze(cut).await;
        assert_eq!(intake.invoke(&request).await["statusCode"], 404, "{cut:?}");
    }
}

#[tokio::test]
async fn order_relay_publishes_after_its_connection_has_died() {
    let system = System::shared().await;
    let mut relay = Function::start(&system, "OrderRelay").await;
    let batch = stream_batch(&[stream_record("INSERT", &fixtures::order())]);
    for cut in CUTS {
        // It answers `null`, and fails otherwise.
        assert_eq!(relay.invoke(&batch).await, Value::Null, "{cut:?}");
        relay.freeze(cut).await;
        assert_eq!(relay.invoke(&batch).await, Value::Null, "{cut:?}");
    }
}

#[tokio::test]
async fn payment_charges_once_after_its_connections_have_died() {
    let system = System::shared().await;
    let mut payment = Function::start(&system, "Payment").await;
    let charge = |payment: &Function, orders: &[Order]| {
        payment.batch("CHARGE_QUEUE_URL", OrderEventType::Reserved, orders)
    };
    for cut in CUTS {
        // Several at once, so that several connections are kept.
        let warm = charge(&payment, &orders::<5>("camille"));
        assert_all_handled(&payment.invoke(&warm).await);
        payment.freeze(cut).await;
        let orders = orders::<1>("camille");
        let batch = charge(&payment, &orders);
        assert_all_handled(&payment.invoke(&batch).await);
        let order = orders[0].order_id.to_string();
        assert_eq!(system.net_paid(&order).await, orders[0].total, "{cut:?}");
        assert_eq!(system.ledger(&order).await.len(), 1, "{cut:?}");
    }
}

#[tokio::test]
async fn notifications_mails_once_after_its_connections_have_died() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let mut notifications = Function::start(&system, "Notifications").await;
    let confirmed = |function: &Function, orders: &[Order]| {
        function.batch("NOTICE_QUEUE_URL", OrderEventType::Confirmed, orders)
    };
    for (round, cut) in CUTS.into_iter().enumerate() {
        let warm = confirmed(&notifications, &orders::<5>(&camille.id));
        assert_all_handled(&notifications.invoke(&warm).await);
        notifications.freeze(cut).await;
        let batch = confirmed(&notifications, &orders::<1>(&camille.id));
        assert_all_handled(&notifications.invoke(&batch).await);
        assert_eq!(camille.mail().await.len(), 6 * (round + 1), "{cut:?}");
    }
}

#[tokio::test]
async fn a_failed_message_waits_for_seconds_although_the_connection_to_sqs_has_died() {
    let system = System::shared().await;
    let sqs = Sqs::new(&system.stack.aws());
    let queue = sqs
        .create_queue()
        .queue_name(format!("frozen-{}", Uuid::new_v4()))
        // Unless the function changes it, no test waits for so long.
        .attributes(QueueAttributeName::VisibilityTimeout, "3600");
    let url = queue.send().await.unwrap().queue_url.unwrap();
    let own_queue = [("RESULTS_QUEUE_URL", url.clone())];
    let mut status = Function::start_with(&system, "OrderStatus", &own_queue).await;
    for cut in CUTS {
        for freeze in [false, true] {
            if freeze {
                status.freeze(cut).await;
            }
            // The outcome of an order that does not exist.
            let report = fixtures::stock_reserved(&orders::<1>("camille")[0]);
            let body = serde_json::to_string(&report).unwrap();
            sqs.send_message().queue_url(&url).message_body(&body).send().await.unwrap();
            let mut batch = queue_batch(&[report]);
            let receipt = receive(&sqs, &url).await.unwrap();
            batch.records[0].receipt_handle = Some(receipt);
            batch.records[0].event_source_arn = Some(arn(&url));
            let answer = status.invoke(&serde_json::to_value(batch).unwrap()).await;
            assert_eq!(answer["batchItemFailures"].as_array().unwrap().len(), 1, "{answer}");
            let again = eventually("the message again", async || receive(&sqs, &url).await).await;
            sqs.delete_message().queue_url(&url).receipt_handle(again).send().await.unwrap();
        }
    }
}

/// The receipt of the one message of a queue, if it is visible.
async fn receive(sqs: &Sqs, url: &str) -> Option<String> {
    let received = sqs.receive_message().queue_url(url).send().await.unwrap();
    received.messages?.pop()?.receipt_handle
}

/// The ARN of the queue at a URL.
fn arn(url: &str) -> String {
    let name = url.rsplit('/').next().unwrap();
    format!("arn:aws:sqs:eu-central-1:000000000000:{name}")
}
