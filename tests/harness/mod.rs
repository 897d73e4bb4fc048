//! The vocabulary of the end-to-end tests: a [`System`] with its shops, its [`Customer`]s and its
//! [`Queue`]s.

mod answer;
mod customer;
mod ops;
mod queue;
mod shops;

pub(crate) use answer::Answer;
pub(crate) use customer::Customer;
pub(crate) use ops::Output;
pub(crate) use queue::Queue;
pub(crate) use shops::{croissants, new_shop, order, paid_with};

use std::{collections::BTreeMap, fs, path::PathBuf, time::Duration};

use aws_sdk_cloudformation::Client as CloudFormation;
use aws_sdk_dynamodb::Client as DynamoDb;
use aws_sdk_eventbridge::{Client as EventBridge, types::PutEventsRequestEntry};
use aws_sdk_lambda::Client as Lambda;
use aws_sdk_secretsmanager::Client as SecretsManager;
use aws_sdk_sqs::Client as Sqs;
use local::{
    Options, PROVIDER_SECRET_NAME, Running, Stack,
    sandbox::{Control, Fault, LedgerEntry},
    shops::{Shop, load},
};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use tokio::{sync::OnceCell, time::Instant};

/// How long to wait for an outcome, also on a machine that is busy with other things.
const TIMEOUT: Duration = Duration::from_secs(120);

/// The pause between two looks for an outcome.
const POLL: Duration = Duration::from_millis(100);

/// Calls `look` until it returns a value. `what` names the value in the message of a time-out.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(Instant::now() < deadline, "timed out waiting for {what}");
        tokio::time::sleep(POLL).await;
    }
}

/// Options of a stack with a state directory of its own.
pub(crate) fn stack(name: &str) -> Options {
    Options::new(&PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name))
}

/// Writes a changed template into the state directory and returns its path.
pub(crate) fn changed_template(
    options: &Options,
    change: impl FnOnce(&mut yaml_serde::Value),
) -> PathBuf {
    let mut template = yaml_serde::from_str(include_str!("../../template.yaml")).unwrap();
    change(&mut template);
    fs::create_dir_all(&options.state_dir).unwrap();
    let path = options.state_dir.join("template.yaml");
    fs::write(&path, yaml_serde::to_string(&template).unwrap()).unwrap();
    path
}

/// A stack that the first test to need it starts. It ends with this process.
pub(crate) type OnDemand = OnceCell<Result<Running, String>>;

/// A deployed stack and the clients with which a test drives it.
pub(crate) struct System {
    pub(crate) stack: Stack,
    /// The payment sandbox.
    pub(crate) provider: Control,
    pub(crate) dynamodb: DynamoDb,
    pub(crate) sqs: Sqs,
    http: reqwest::Client,
}

impl System {
    /// The stack that all tests share that break nothing.
    pub(crate) async fn shared() -> Self {
        static SHARED: OnDemand = OnDemand::const_new();
        Self::on_demand(&SHARED, || {
            let mut options = stack("shared");
            // All retries then come after seconds.
            for budget in
                ["RetryBudgetSeconds", "ChargeRetryBudgetSeconds", "NoticeRetryBudgetSeconds"]
            {
                options.parameters.insert(budget.to_owned(), "60".to_owned());
            }
            options
        })
        .await
    }

    pub(crate) async fn on_demand(
        stack: &'static OnDemand,
        options: impl FnOnce() -> Options,
    ) -> Self {
        let start = async || Running::start(&options()).await.map_err(|error| error.to_string());
        match stack.get_or_init(start).await {
            Ok(running) => Self::connect(&running.stack),
            Err(error) => panic!("{error}"),
        }
    }

    /// A stack with new clients, since connections end with the test's runtime that opened them.
    pub(crate) fn connect(stack: &Stack) -> Self {
        let config = stack.aws();
        Self {
            stack: stack.clone(),
            provider: Control::new(&stack.sandbox_url),
            dynamodb: DynamoDb::new(&config),
            sqs: Sqs::new(&config),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
        }
    }

    /// A request to the API without a token.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.stack.api_url))
    }

    /// Reads a public path.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::GET, path)).await
    }

    /// Creates or changes a shop.
    pub(crate) async fn open(&self, shop: &Shop) {
        load(&self.stack.aws(), &self.stack.outputs, std::slice::from_ref(shop)).await.unwrap();
    }

    /// Opens a [`new_shop`].
    pub(crate) async fn shop(&self) -> Shop {
        let shop = new_shop();
        self.open(&shop).await;
        shop
    }

    /// How many pieces a shop holds for orders, over all days.
    pub(crate) async fn held(&self, shop: &Shop, item: &str) -> u64 {
        let (prefix, suffix) = (format!("held#{}#", shop.menu.location), format!("#{item}"));
        let mut rows = self.rows("StockTableName").await;
        rows.retain(|row| {
            row["key"]
                .as_str()
                .is_some_and(|key| key.starts_with(&prefix) && key.ends_with(&suffix))
        });
        rows.iter().map(|row| row["held"].as_u64().unwrap()).sum()
    }

    /// All rows of the table that an output of the stack names.
    pub(crate) async fn rows(&self, output: &str) -> Vec<Value> {
        let table = self.stack.outputs.get(output).unwrap();
        let rows = self
            .dynamodb
            .scan()
            .table_name(table)
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        serde_dynamo::from_items(rows.try_collect().await.unwrap()).unwrap()
    }

    /// The provider's ledger entries about an order.
    pub(crate) async fn ledger(&self, order: &str) -> Vec<LedgerEntry> {
        let mut ledger = self.provider.ledger().await.unwrap();
        ledger.retain(|entry| entry.order_id.as_deref() == Some(order));
        ledger
    }

    /// What the provider has taken for an order, less refunds.
    pub(crate) async fn net_paid(&self, order: &str) -> u64 {
        self.ledger(order).await.iter().map(LedgerEntry::net).sum()
    }

    /// The stack's key of the provider.
    pub(crate) async fn provider_key(&self) -> String {
        let client = SecretsManager::new(&self.stack.aws());
        let get = client.get_secret_value().secret_id(PROVIDER_SECRET_NAME);
        get.send().await.unwrap().secret_string.unwrap()
    }

    /// Asks the provider with the stack's key, as its dashboard does.
    pub(crate) async fn at_provider(&self, what: &str, form: &[(&str, &str)]) -> Value {
        let post = self.http.post(format!("{}/v1/{what}", self.stack.sandbox_url));
        let answer = Answer::to(post.bearer_auth(self.provider_key().await).form(form)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    /// Gives the provider a fault that affects one order.
    pub(crate) async fn set_fault(&self, order: &str, fault: Fault) {
        self.provider
            .set_fault(&Fault { order_id: Some(order.to_owned()), ..fault })
            .await
            .unwrap();
    }

    /// The events about an order that have passed the bus, as EventBridge envelopes.
    pub(crate) fn events(&self, order: &str) -> Vec<Value> {
        let mut events = self.stack.events().unwrap().recorded().unwrap();
        events.retain(|event| event["detail"]["metadata"]["correlation_id"] == order);
        events
    }

    /// Publishes events again that have passed the bus before.
    pub(crate) async fn publish_again(&self, envelopes: &[Value]) {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let entry = |envelope: &Value| {
            PutEventsRequestEntry::builder()
                .event_bus_name(self.stack.outputs.get("EventBusName").unwrap())
                .source(text(&envelope["source"]))
                .detail_type(text(&envelope["detail-type"]))
                .detail(envelope["detail"].to_string())
                .build()
        };
        let bus = EventBridge::new(&self.stack.aws());
        bus.put_events()
            .set_entries(Some(envelopes.iter().map(entry).collect()))
            .send()
            .await
            .unwrap();
    }

    /// The bodies of the messages in all queues by the queue's URL, including those that are
    /// delayed or in flight. Receives none of them.
    pub(crate) async fn messages(&self) -> BTreeMap<String, Vec<String>> {
        let Stack { embedded, region, .. } = &self.stack;
        let endpoint = &embedded.endpoint;
        let answer = Answer::to(self.http.get(format!("{endpoint}/_ministack/sqs/messages"))).await;
        let queues = answer.body["messages"]["000000000000"][region].as_object().unwrap();
        let bodies = |messages: &Value| {
            let messages = messages.as_array().unwrap().iter();
            messages.map(|message| message["Body"].as_str().unwrap().to_owned()).collect()
        };
        queues.iter().map(|(url, messages)| (url.clone(), bodies(messages))).collect()
    }

    /// A function's whole log.
    pub(crate) async fn log(&self, function: &str) -> String {
        let mut log = self.stack.logs().await.unwrap().of(function).unwrap();
        log.written().await.unwrap().into_iter().map(|line| line.message + "\n").collect()
    }

    /// The physical id of a resource of the template: its name or URL.
    pub(crate) async fn resource(&self, logical_id: &str) -> String {
        let client = CloudFormation::new(&self.stack.aws());
        let resource = client
            .describe_stack_resource()
            .stack_name(&self.stack.embedded.stack_name)
            .logical_resource_id(logical_id);
        resource.send().await.unwrap().stack_resource_detail.unwrap().physical_resource_id.unwrap()
    }

    /// Lets Lambda take messages through the mapping with a logical id, or not.
    pub(crate) async fn set_mapping(&self, logical_id: &str, is_enabled: bool) {
        let uuid = self.resource(logical_id).await;
        let update = Lambda::new(&self.stack.aws()).update_event_source_mapping().uuid(uuid);
        update.enabled(is_enabled).send().await.unwrap();
    }

    /// The queue with a logical id.
    pub(crate) async fn queue(&self, logical_id: &str) -> Queue<'_> {
        Queue::new(self, self.resource(logical_id).await)
    }
}
