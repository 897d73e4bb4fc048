//! The words that the tests are written in: a [`System`] with its shops, its [`Customer`]s and its
//! [`Queue`]s.

use std::{collections::BTreeMap, fs, path::PathBuf, process::Stdio, time::Duration};

use aws_sdk_cloudformation::Client as CloudFormation;
use aws_sdk_dynamodb::Client as DynamoDb;
use aws_sdk_eventbridge::{Client as EventBridge, types::PutEventsRequestEntry};
use aws_sdk_sqs::{
    Client as Sqs,
    types::{QueueAttributeName, SendMessageBatchRequestEntry},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use local::{
    Binaries, Mail, Options, Progress, Running, Stack,
    sandbox::{Control, Fault, LedgerEntry},
    shops::{self, Shop},
};
use reqwest::{Method, RequestBuilder, header::HeaderMap};
use serde_json::{Value, json};
use shop::id::{CustomerId, OrderId};
use tokio::{process::Command, sync::OnceCell, time::Instant};
use uuid::Uuid;

/// What anything may take on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often an outcome is looked for.
const POLL: Duration = Duration::from_millis(100);

/// Looks again and again until there is something to see.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(POLL).await;
    }
}

/// A stack of its own with that name, yet to be started.
pub(crate) fn stack(name: &str) -> Options {
    Options::new(&PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name))
}

/// The template with a change, in a file.
pub(crate) fn changed_template(
    options: &Options,
    change: impl FnOnce(&mut yaml_serde::Value),
) -> PathBuf {
    let mut template = yaml_serde::from_str(include_str!("../template.yaml")).unwrap();
    change(&mut template);
    fs::create_dir_all(&options.state_dir).unwrap();
    let path = options.state_dir.join("template.yaml");
    fs::write(&path, yaml_serde::to_string(&template).unwrap()).unwrap();
    path
}

/// A stack that is started when the first test wants it. Nobody has to stop it: it ends when this
/// process does.
pub(crate) type OnDemand = OnceCell<Result<Running, String>>;

/// A deployed stack, with all that a test does to it.
pub(crate) struct System {
    pub(crate) stack: Stack,
    /// The payment sandbox.
    pub(crate) provider: Control,
    pub(crate) dynamodb: DynamoDb,
    pub(crate) sqs: Sqs,
    http: reqwest::Client,
}

impl System {
    /// The stack of all tests that break nothing.
    pub(crate) async fn shared() -> Self {
        static SHARED: OnDemand = OnDemand::const_new();
        Self::on_demand(&SHARED, || {
            let mut options = stack("shared");
            // What fails for a moment comes again after four seconds instead of a minute.
            for budget in ["RetryBudgetSeconds", "ChargeRetryBudgetSeconds"] {
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
            Ok(running) => Self::of(&running.stack),
            Err(error) => panic!("{error}"),
        }
    }

    /// A stack with clients of the test's own, since connections end with the runtime that opened
    /// them.
    pub(crate) fn of(stack: &Stack) -> Self {
        let config = stack.aws();
        Self {
            stack: stack.clone(),
            provider: Control::new(&stack.sandbox_url),
            dynamodb: DynamoDb::new(&config),
            sqs: Sqs::new(&config),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
        }
    }

    /// A request to the API, without a token.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.stack.api_url))
    }

    /// Reads what everybody may read.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::GET, path)).await
    }

    /// Somebody new.
    pub(crate) async fn customer(&self) -> Customer<'_> {
        let name = Uuid::new_v4().simple().to_string();
        let token = self.stack.token(&name, false).await.unwrap();
        let claims = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        let id = claims["sub"].as_str().unwrap().to_owned();
        Customer { system: self, id, address: format!("{name}@example.com"), token }
    }

    /// Opens a shop, or changes one.
    pub(crate) async fn open(&self, shop: &Shop) {
        shops::load(&self.stack.aws(), &self.stack.outputs, std::slice::from_ref(shop))
            .await
            .unwrap();
    }

    /// [`a_shop`] that is open.
    pub(crate) async fn shop(&self) -> Shop {
        let shop = a_shop();
        self.open(&shop).await;
        shop
    }

    /// How many pieces a shop holds for orders, on all days together.
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

    /// What the provider has in its books about an order.
    pub(crate) async fn ledger(&self, order: &str) -> Vec<LedgerEntry> {
        let mut ledger = self.provider.ledger().await.unwrap();
        ledger.retain(|entry| entry.order_id.as_deref() == Some(order));
        ledger
    }

    /// What an order has cost in the end.
    pub(crate) async fn paid(&self, order: &str) -> u64 {
        self.ledger(order).await.iter().map(LedgerEntry::net).sum()
    }

    /// Makes the provider fail with an order.
    pub(crate) async fn fail(&self, order: &str, fault: Fault) {
        self.provider
            .set_fault(&Fault { order_id: Some(order.to_owned()), ..fault })
            .await
            .unwrap();
    }

    /// The envelopes about an order that have passed the bus.
    pub(crate) fn events(&self, order: &str) -> Vec<Value> {
        let mut events = self.stack.events().unwrap().recorded().unwrap();
        events.retain(|event| event["detail"]["metadata"]["correlation_id"] == order);
        events
    }

    /// Puts envelopes that have passed the bus before onto it once more.
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

    /// The bodies of the messages in all queues at one moment, those included that are delayed or
    /// being handled, by the queue's URL. Nothing is received by that.
    pub(crate) async fn messages(&self) -> BTreeMap<String, Vec<String>> {
        let Stack { endpoint, region, .. } = &self.stack;
        let answer = Answer::to(self.http.get(format!("{endpoint}/_ministack/sqs/messages"))).await;
        let queues = answer.body["messages"]["000000000000"][region].as_object().unwrap();
        let bodies = |messages: &Value| {
            let messages = messages.as_array().unwrap().iter();
            messages.map(|message| message["Body"].as_str().unwrap().to_owned()).collect()
        };
        queues.iter().map(|(url, messages)| (url.clone(), bodies(messages))).collect()
    }

    /// All that a function has logged.
    pub(crate) async fn log(&self, function: &str) -> String {
        let mut log = self.stack.logs(Some(function)).await.unwrap();
        log.written().await.unwrap().into_iter().map(|line| line.message + "\n").collect()
    }

    /// The name or URL of a resource of the template.
    pub(crate) async fn resource(&self, logical_id: &str) -> String {
        let client = CloudFormation::new(&self.stack.aws());
        let resource = client
            .describe_stack_resource()
            .stack_name(&self.stack.stack_name)
            .logical_resource_id(logical_id);
        resource.send().await.unwrap().stack_resource_detail.unwrap().physical_resource_id.unwrap()
    }

    /// What `cargo ops` says about this stack.
    pub(crate) async fn ops(&self, arguments: &[&str]) -> Said {
        self.say(|ops| {
            ops.args(["--local", "--state-dir"]).arg(self.stack.state_dir()).args(arguments)
        })
        .await
    }

    /// What `cargo ops` says about this stack when it takes it for one in an AWS account.
    pub(crate) async fn ops_by_name(&self, arguments: &[&str]) -> Said {
        let account = [
            ("AWS_ENDPOINT_URL", &*self.stack.endpoint),
            ("AWS_REGION", &*self.stack.region),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
        ];
        self.say(|ops| ops.envs(account).args(["--stack", &*self.stack.stack_name]).args(arguments))
            .await
    }

    async fn say(&self, with: impl FnOnce(&mut Command) -> &mut Command) -> Said {
        static BINARIES: OnceCell<Binaries> = OnceCell::const_new();
        let binaries = BINARIES
            .get_or_init(async || Binaries::build(&["ops"], Progress::Silent).await.unwrap())
            .await;
        let mut command = Command::new(binaries.path("ops").unwrap());
        let output =
            with(&mut command).stdin(Stdio::null()).kill_on_drop(true).output().await.unwrap();
        Said {
            status: output.status.code().unwrap(),
            text: String::from_utf8(output.stdout).unwrap(),
            errors: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The queue with that logical id.
    pub(crate) async fn queue(&self, logical_id: &str) -> Queue<'_> {
        Queue { system: self, url: self.resource(logical_id).await }
    }
}

/// A shop that is open around the clock and has plenty of croissants at 1.90 EUR and éclairs at
/// 4.50 EUR. Each is another.
pub(crate) fn a_shop() -> Shop {
    let always = json!([{"from": "00:00", "to": "23:59:59.999999999"}]);
    serde_json::from_value(json!({
        "menu": {
            "location": Uuid::new_v4(), "name": "Amélie", "time_zone": "Europe/Paris", "currency": "EUR",
            "opening_hours": {
                "monday": always, "tuesday": always, "wednesday": always, "thursday": always, "friday": always,
                "saturday": always, "sunday": always
            },
            "items": [
                {"sku": "croissant", "name": "Butter croissant", "price": 190},
                {"sku": "eclair", "name": "Coffee éclair", "price": 450}
            ]
        },
        "bake_plan": {"croissant": 10_000, "eclair": 10_000}
    }))
    .unwrap()
}

/// An order of that many croissants.
pub(crate) fn croissants(shop: &Shop, quantity: u32) -> Value {
    order(shop, &[("croissant", quantity)])
}

/// An order, to be paid with a card that works.
pub(crate) fn order(shop: &Shop, lines: &[(&str, u32)]) -> Value {
    let lines: Vec<_> =
        lines.iter().map(|(item, quantity)| json!({"item": item, "quantity": quantity})).collect();
    json!({"location": shop.menu.location, "lines": lines, "payment_method": "pm_card_visa"})
}

/// The same order, to be paid otherwise.
pub(crate) fn paid_with(payment_method: &str, mut order: Value) -> Value {
    order["payment_method"] = json!(payment_method);
    order
}

/// Somebody who orders.
pub(crate) struct Customer<'a> {
    pub(crate) system: &'a System,
    /// The subject of the token.
    pub(crate) id: String,
    pub(crate) address: String,
    pub(crate) token: String,
}

impl Customer<'_> {
    /// A request to the API as this customer.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.system.request(method, path).bearer_auth(&self.token)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, key: &str, order: &Value) -> Answer {
        Answer::to(self.request(Method::POST, "/orders").header("idempotency-key", key).json(order))
            .await
    }

    /// The id that an order of this customer gets by its key.
    pub(crate) fn order_id(&self, key: &str) -> String {
        OrderId::derive(&CustomerId::new(&self.id), &key.parse().unwrap()).to_string()
    }

    /// Calls an order off.
    pub(crate) async fn cancel(&self, id: &str) -> Answer {
        Answer::to(self.request(Method::POST, &format!("/orders/{id}/cancel"))).await
    }

    /// Places an order and returns its id.
    pub(crate) async fn places(&self, order: &Value) -> String {
        let answer = self.post(&Uuid::new_v4().to_string(), order).await;
        assert_eq!(answer.status, 202, "{}", answer.body);
        answer.body["order_id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn order(&self, id: &str) -> Value {
        let answer = self.get(&format!("/orders/{id}")).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    /// The order as soon as it is confirmed or has ended.
    pub(crate) async fn outcome(&self, id: &str) -> Value {
        let decided = async || {
            Some(self.order(id).await)
                .filter(|order| order["status"] != "placed" && order["status"] != "reserved")
        };
        eventually(&format!("the outcome of order {id}"), decided).await
    }

    /// Waits until the order is confirmed.
    pub(crate) async fn sees_confirmed(&self, id: &str) -> Value {
        let order = self.outcome(id).await;
        assert_eq!(order["status"], "confirmed", "{order}");
        order
    }

    /// All mail to this customer so far.
    pub(crate) async fn mail(&self) -> Vec<Mail> {
        let mut mail = self.system.stack.mail().await.unwrap();
        mail.retain(|mail| mail.to == [&*self.address]);
        mail
    }

    /// All mail to this customer, as soon as there is so much of it.
    pub(crate) async fn gets_mail(&self, count: usize) -> Vec<Mail> {
        let arrived = async || Some(self.mail().await).filter(|mail| mail.len() >= count);
        eventually(&format!("{count} mails to a customer"), arrived).await
    }
}

/// What a command says.
#[derive(Debug)]
pub(crate) struct Said {
    /// Its exit status.
    pub(crate) status: i32,
    /// What it prints to standard output.
    pub(crate) text: String,
    pub(crate) errors: String,
}

impl Said {
    /// Its lines that hold a text.
    pub(crate) fn lines(&self, holding: &str) -> Vec<&str> {
        self.text.lines().filter(|line| line.contains(holding)).collect()
    }
}

/// What the API answers.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) async fn to(request: RequestBuilder) -> Self {
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.text().await.unwrap();
        let body = serde_json::from_str(&text)
            .unwrap_or_else(|_| panic!("{status} with what is not JSON: {text}"));
        Self { status, headers, body }
    }

    /// Whether it is a problem with that field, which it tells with these words.
    pub(crate) fn blames(&self, field: &str, words: &str) -> bool {
        let problem = &self.body["errors"][0];
        self.headers["content-type"] == "application/problem+json"
            && self.body["status"] == self.status
            && problem["field"] == field
            && problem["detail"].as_str().is_some_and(|detail| detail.contains(words))
    }
}

/// A queue of a system.
pub(crate) struct Queue<'a> {
    system: &'a System,
    pub(crate) url: String,
}

impl Queue<'_> {
    /// Sends messages that are received at once, and most likely together.
    pub(crate) async fn send(&self, bodies: &[String]) {
        self.send_later(bodies, 0).await;
    }

    /// Sends messages that are received after so many seconds.
    pub(crate) async fn send_later(&self, bodies: &[String], seconds: u16) {
        let entry = |(id, body): (usize, &String)| {
            let entry =
                SendMessageBatchRequestEntry::builder().id(id.to_string()).message_body(body);
            entry.delay_seconds(seconds.into()).build().unwrap()
        };
        let entries = bodies.iter().enumerate().map(entry).collect();
        let sent = self
            .system
            .sqs
            .send_message_batch()
            .queue_url(&self.url)
            .set_entries(Some(entries))
            .send()
            .await
            .unwrap();
        assert!(sent.failed.is_empty(), "{:?}", sent.failed);
    }

    /// How many messages could be received now.
    pub(crate) async fn waiting(&self) -> usize {
        let waiting = QueueAttributeName::ApproximateNumberOfMessages;
        let attributes = self
            .system
            .sqs
            .get_queue_attributes()
            .queue_url(&self.url)
            .attribute_names(waiting.clone());
        attributes.send().await.unwrap().attributes.unwrap()[&waiting].parse().unwrap()
    }

    /// The bodies of all messages in it. Nothing is received by that.
    pub(crate) async fn messages(&self) -> Vec<String> {
        self.system.messages().await.remove(&self.url).unwrap()
    }
}
