//! The permissions that functions use and the logs that they write, after a run in which everything
//! happens.
//!
//! It has a stack of its own, so that other tests add nothing to either.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_iam::Client as Iam;
use aws_sdk_lambda::{Client as Lambda, types::FunctionConfiguration};
use futures::future::{join, join_all, join3, join5};
use local::{
    sandbox::{DisputeStatus, Fault, FaultyAnswer, Route},
    shops::Shop,
};
use reqwest::Method;
use resources::Template;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::harness::{
    Answer, Customer, OnDemand, System, changed_template, croissants, eventually, new_shop, order,
    paid_with, stack,
};

/// The beginning of the provider's API key.
const PROVIDER_KEY: &str = "sk_test";

/// A system in which orders have reached every state, and everything that can be refused or fail
/// has been refused or failed, with addresses, payment methods, keys and tokens in every place
/// where one could be.
async fn after_everything() -> System {
    static AUDITED: OnDemand = OnceCell::const_new();
    static EVERYTHING: OnceCell<()> = OnceCell::const_new();
    let system = System::on_demand(&AUDITED, || {
        let mut options = stack("audited");
        options.template = changed_template(&options, |template| {
            template["Parameters"]["ConfirmWithinSeconds"]["MinValue"] = 1.into();
        });
        // Long enough for all orders that are to be confirmed; one waits for it.
        options.parameters.insert("ConfirmWithinSeconds".to_owned(), "45".to_owned());
        for budget in ["", "Charge", "Refund", "Notice"] {
            options.parameters.insert(format!("{budget}RetryBudgetSeconds"), "60".to_owned());
        }
        options
    })
    .await;
    EVERYTHING.get_or_init(|| everything(&system)).await;
    system
}

async fn everything(system: &System) {
    let camille = system.customer().await;
    let mut shop = new_shop();
    shop.bake_plan.insert("eclair".parse().unwrap(), 1);
    system.open(&shop).await;

    let expiring =
        place_with_fault(&camille, &shop, Fault { route: Some(Route::Confirm), ..failing(503) })
            .await;
    let confirmed = confirmed(&camille, &shop).await;
    join5(
        early_ends(&camille, &shop),
        slowly_refunded(&camille, &shop),
        refunded_after_a_dispute(&camille, &shop),
        bad_requests(&camille, &shop),
        poison(&camille, &confirmed),
    )
    .await;
    // It is cancelled last, since the poison was made from its events.
    cancelled(&camille, &confirmed).await;
    assert_eq!(camille.outcome(&expiring).await["status"], "expired");
    let compare = Lambda::new(&system.stack.aws()).invoke();
    compare.function_name(system.resource("Books").await).send().await.unwrap();
    eventually("the notice of the expired order", async || {
        let mail = camille.mail().await;
        mail.iter().any(|mail| mail.text.contains(&expiring)).then_some(())
    })
    .await;
}

/// A fault that stays.
fn failing(status: u16) -> Fault {
    Fault { answer: FaultyAnswer::Fail(status), ..Fault::default() }
}

impl Customer<'_> {
    /// An order of a croissant with the customer's address in its note.
    fn order_with_address(&self, shop: &Shop, card: &str) -> Value {
        let mut order = paid_with(card, croissants(shop, 1));
        order["note"] = json!(format!("Please write to {}.", self.address));
        order
    }
}

/// Places an order whose payment has a fault.
async fn place_with_fault(customer: &Customer<'_>, shop: &Shop, fault: Fault) -> String {
    let key = Uuid::new_v4().to_string();
    let id = customer.order_id(&key);
    customer.system.set_fault(&id, fault).await;
    let placed = customer.post(&key, &customer.order_with_address(shop, "pm_card_visa")).await;
    assert_eq!(placed.status, 202, "{}", placed.body);
    id
}

/// Places an order that is confirmed, repeats its request and reads everything that can be read.
async fn confirmed(customer: &Customer<'_>, shop: &Shop) -> String {
    let wanted = customer.order_with_address(shop, "pm_card_visa");
    let placed = customer.post("k", &wanted).await;
    let id = placed.body["order_id"].as_str().unwrap().to_owned();
    customer.confirmed(&id).await;
    assert_eq!(customer.post("k", &wanted).await.body["order_id"], id.as_str());
    for path in ["/orders", "/locations", &format!("/menu/{}", shop.menu.location)] {
        assert_eq!(customer.get(path).await.status, 200, "{path}");
    }
    id
}

/// Places orders that are out of stock, declined, refused, or charged after several attempts.
async fn early_ends(customer: &Customer<'_>, shop: &Shop) {
    let declined = ["pm_card_chargeDeclined", "pm_made_up"]
        .map(|card| customer.order_with_address(shop, card));
    let rejected = declined.into_iter().chain([order(shop, &[("eclair", 2)])]);
    let rejected = join_all(rejected.map(async |order| {
        let id = customer.place(&order).await;
        assert_eq!(customer.outcome(&id).await["status"], "rejected");
    }));
    // The first fault outlasts the attempts of one invocation. The second is the answer to an
    // outdated API key.
    let delayed =
        [Fault { times: Some(4), ..failing(500) }, Fault { times: Some(1), ..failing(401) }];
    let delayed = join_all(delayed.map(async |fault| {
        let id = place_with_fault(customer, shop, fault).await;
        customer.confirmed(&id).await;
    }));
    let refused = async {
        let id = place_with_fault(customer, shop, failing(400)).await;
        let dead_letters = customer.system.queue("ChargeDeadLetters").await;
        let found = async || {
            dead_letters.messages().await.iter().any(|dead| dead.contains(&id)).then_some(())
        };
        eventually("the charge that the provider refuses among the dead letters", found).await;
    };
    join3(rejected, delayed, refused).await;
}

/// Cancels an order whose refund is pending when it is looked at first.
async fn slowly_refunded(customer: &Customer<'_>, shop: &Shop) {
    let order = customer.order_with_address(shop, "pm_card_pendingRefund");
    let id = customer.place(&order).await;
    customer.confirmed(&id).await;
    cancelled(customer, &id).await;
}

/// Places an order whose refund waits for the end of a dispute, and then for the bank.
async fn refunded_after_a_dispute(customer: &Customer<'_>, shop: &Shop) {
    let system = customer.system;
    let order = customer.order_with_address(shop, "pm_card_pendingRefund");
    let id = customer.place(&order).await;
    customer.confirmed(&id).await;
    let shows = async |payment: &str| {
        eventually(&format!("the payment to be {payment}"), async || {
            (customer.order(&id).await["payment"] == payment).then_some(())
        })
        .await;
    };
    let intent = system.ledger(&id).await[0].intent.clone();
    let dispute = system.provider.open_dispute(&intent, DisputeStatus::NeedsResponse).await;
    shows("disputed").await;
    assert_eq!(customer.cancel(&id).await.status, 200);
    eventually("the undo to wait", async || {
        system.ops(&["order", &id]).await.text.contains("undoing").then_some(())
    })
    .await;
    system.provider.decide_dispute(&dispute.unwrap(), DisputeStatus::Won).await.unwrap();
    shows("refunded").await;
}

/// Sends requests that are refused.
async fn bad_requests(customer: &Customer<'_>, shop: &Shop) {
    let system = customer.system;
    let secrets = secrets(customer);
    let order = customer.order_with_address(shop, "pm_card_visa");
    let bodies = [
        secrets.clone(),
        json!(secrets).to_string(),
        format!("{{\"{secrets}\": "),
        json!({secrets.as_str(): 1}).to_string(),
        paid_with(&secrets, order.clone()).to_string(),
        json!({"location": secrets, "lines": secrets, "payment_method": "pm_card_visa"})
            .to_string(),
    ];
    for body in bodies {
        let post = customer
            .request(Method::POST, "/orders")
            .header("content-type", "application/json")
            .body(body);
        assert_eq!(Answer::to(post.header("idempotency-key", &customer.address)).await.status, 400);
    }
    let plain = customer
        .request(Method::POST, "/orders")
        .header("idempotency-key", "plain")
        .body(order.to_string());
    assert_eq!(Answer::to(plain).await.status, 415);
    for path in ["/orders/pm_card_visa", "/orders?cursor=pm_card_visa", "/menu/pm_card_visa"] {
        assert_eq!(customer.get(path).await.status, 400, "{path}");
    }
    let tampered =
        system.request(Method::GET, "/orders").bearer_auth(format!("{}x", customer.token));
    assert_eq!(Answer::to(tampered).await.status, 401);

    // A server error: a menu that cannot be read.
    let location = Uuid::new_v4().to_string();
    let row = [("location", location.as_str()), ("name", &secrets), ("currency", &secrets)];
    put(system, "MenuTableName", &row).await;
    assert_eq!(system.get(&format!("/menu/{location}")).await.status, 503);
}

/// Everything that no log may contain, in one text.
fn secrets(customer: &Customer<'_>) -> String {
    format!("{} pm_card_visa {PROVIDER_KEY}_secret {}", customer.address, customer.token)
}

/// Puts a row of text attributes into a table.
async fn put(system: &System, output: &str, row: &[(&str, &str)]) {
    let text =
        |(name, value): &(&str, &str)| ((*name).to_owned(), AttributeValue::S((*value).to_owned()));
    let put = system.dynamodb.put_item().table_name(system.stack.outputs.get(output).unwrap());
    put.set_item(Some(row.iter().map(text).collect())).send().await.unwrap();
}

/// One of the events that a queue takes; without one, the last event of the same domain stands
/// in for it.
fn event_for(template: &Template, queue: &str, events: &[Value]) -> Value {
    let taken = template.events_of(queue);
    let domain = |event_type: &str| event_type.split('.').next().unwrap().to_owned();
    let named = |event: &&Value| event["detail-type"].as_str().unwrap().to_owned();
    let fitting = events.iter().find(|event| taken.contains(&*named(event))).cloned();
    fitting.unwrap_or_else(|| {
        let wanted = *taken.first().unwrap();
        let similar = events.iter().rfind(|event| domain(&named(event)) == domain(wanted));
        let mut event = similar.unwrap().clone();
        event["detail-type"] = json!(wanted);
        event
    })
}

/// Sends unreadable messages to every queue, and events about an order whose rows cannot be read.
/// Waits until all of them are dead letters.
async fn poison(customer: &Customer<'_>, confirmed: &str) {
    let system = customer.system;
    let (secrets, unreadable) = (secrets(customer), Uuid::new_v4().to_string());
    put(
        system,
        "OrdersTableName",
        &[("order_id", &unreadable), ("status", &secrets), ("total", &secrets)],
    )
    .await;
    put(system, "PaymentsTableName", &[("order_id", &unreadable), ("state", &secrets)]).await;
    put(system, "NoticesTableName", &[("order_id", &unreadable), ("revision", &secrets)]).await;
    put(system, "StockTableName", &[("key", &format!("order#{unreadable}")), ("state", &secrets)])
        .await;

    let events = eventually("all events of the order", async || {
        Some(system.events(confirmed))
            .filter(|events| events.iter().any(|event| event["detail-type"] == "order.confirmed"))
    })
    .await;
    let template = Template::local();
    let all = join_all(template.queues().into_iter().map(async |queue| {
        if queue == "Intent" {
            let about = json!({ "intent": secrets }).to_string();
            let bodies = [about, secrets.clone(), json!(secrets).to_string()];
            return dead(system, queue, &bodies).await;
        }
        let mut event = event_for(&template, queue, &events);
        event = serde_json::from_str(&event.to_string().replace(confirmed, &unreadable)).unwrap();
        if queue == "Deadline" {
            event["detail"]["data"]["deadline"] =
                event["detail"]["metadata"]["occurred_at"].clone();
        }
        let mut bodies = vec![
            event.to_string(),
            secrets.clone(),
            json!(secrets).to_string(),
            format!("{{\"{secrets}\": "),
        ];
        for place in
            ["/detail-type", "/detail/metadata/event_id", "/detail/data/order_id", "/detail/data"]
        {
            let mut unreadable = event.clone();
            *unreadable.pointer_mut(place).unwrap() = json!(secrets);
            bodies.push(unreadable.to_string());
        }
        dead(system, queue, &bodies).await;
    }));
    let relayed = async {
        let dead_letters = system.queue("RelayDeadLetters").await;
        let found = async || {
            dead_letters
                .messages()
                .await
                .iter()
                .any(|dead| dead.contains(&unreadable))
                .then_some(())
        };
        eventually("the unreadable row in RelayDeadLetters", found).await;
    };
    join(all, relayed).await;
}

/// Sends messages to a queue, and waits until all of them are dead letters.
async fn dead(system: &System, queue: &str, bodies: &[String]) {
    system.queue(&format!("{queue}Queue")).await.send(bodies).await;
    let dead_letters = system.queue(&format!("{queue}DeadLetters")).await;
    eventually(&format!("poison in {queue}DeadLetters"), async || {
        let dead = dead_letters.messages().await;
        bodies.iter().all(|body| dead.contains(body)).then_some(())
    })
    .await;
}

/// Cancels a confirmed order and waits for its refund.
async fn cancelled(customer: &Customer<'_>, confirmed: &str) {
    assert_eq!(customer.cancel(confirmed).await.status, 200);
    let refunded =
        async || (customer.order(confirmed).await["payment"] == "refunded").then_some(());
    eventually("the refund", refunded).await;
    assert_eq!(customer.system.net_paid(confirmed).await, 0);
}

/// An action and the resource that it may be done to.
type Permission = (String, String);

/// The permissions of a deployed role.
async fn granted(iam: &Iam, role: &str) -> BTreeSet<Permission> {
    fn list(value: &Value) -> Vec<String> {
        let one_or_many = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        one_or_many.iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    }
    let attached =
        iam.list_attached_role_policies().role_name(role).send().await.unwrap().attached_policies;
    assert!(attached.unwrap_or_default().is_empty(), "{role} has managed policies");
    let mut granted = BTreeSet::new();
    for policy in iam.list_role_policies().role_name(role).send().await.unwrap().policy_names {
        let document = iam
            .get_role_policy()
            .role_name(role)
            .policy_name(policy)
            .send()
            .await
            .unwrap()
            .policy_document;
        // It is encoded like a query's value.
        let (document, _) = form_urlencoded::parse(document.as_bytes()).next().unwrap();
        let document: Value = serde_json::from_str(&document).unwrap();
        for statement in document["Statement"].as_array().unwrap() {
            for action in list(&statement["Action"]) {
                granted.extend(
                    list(&statement["Resource"])
                        .into_iter()
                        .map(|resource| (action.clone(), resource)),
                );
            }
        }
    }
    granted
}

/// What Lambda does with a function's role and the embedded AWS does without it: reads the
/// function's event sources and writes its log.
async fn done_by_lambda(
    lambda: &Lambda,
    function: &FunctionConfiguration,
    log: &str,
) -> BTreeSet<Permission> {
    let mut done = Vec::new();
    let sources =
        lambda.list_event_source_mappings().function_name(function.function_name().unwrap());
    for mapping in sources.send().await.unwrap().event_source_mappings.unwrap_or_default() {
        let source = mapping.event_source_arn.unwrap();
        let actions: &[&str] = if source.contains(":sqs:") {
            &["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
        } else {
            &[
                "dynamodb:DescribeStream",
                "dynamodb:GetRecords",
                "dynamodb:GetShardIterator",
                "dynamodb:ListStreams",
            ]
        };
        done.extend(actions.iter().map(|action| ((*action).to_owned(), source.clone())));
    }
    done.extend(
        ["logs:CreateLogStream", "logs:PutLogEvents"]
            .map(|action| (action.to_owned(), log.to_owned())),
    );
    done.into_iter().collect()
}

/// Whether a policy's pattern of a resource, in which `?` stands for any character, covers an ARN.
fn matches(pattern: &str, arn: &str) -> bool {
    pattern.len() == arn.len()
        && pattern.chars().zip(arn.chars()).all(|(expected, is)| expected == '?' || expected == is)
}

#[tokio::test]
async fn every_function_is_granted_exactly_the_permissions_that_it_uses() {
    let system = after_everything().await;
    let decisions = system.stack.authorizations().unwrap();
    let denied: Vec<_> = decisions.iter().filter(|decision| !decision.granted).collect();
    assert!(denied.is_empty(), "denied: {denied:?}");

    let config = system.stack.aws();
    let (iam, lambda) = (Iam::new(&config), Lambda::new(&config));
    let functions = lambda.list_functions().send().await.unwrap().functions.unwrap_or_default();
    assert_eq!(functions.len(), Template::local().functions().len());
    for function in functions {
        let name = function.function_name().unwrap();
        let role = function.role().unwrap().rsplit('/').next().unwrap();
        let log = function.logging_config().unwrap().log_group().unwrap();
        let log = format!("arn:aws:logs:{}:000000000000:log-group:{log}:*", system.stack.region);

        let granted = granted(&iam, role).await;
        let mut used = done_by_lambda(&lambda, &function, &log).await;
        let decisions = decisions.iter().filter(|decision| decision.role == role);
        used.extend(decisions.map(|decision| (decision.action.clone(), decision.resource.clone())));
        let is_used = |(action, resource): &&(String, String)| {
            used.iter().any(|(done, to)| done == action && matches(resource, to))
        };
        let unused: Vec<_> = granted.iter().filter(|grant| !is_used(grant)).collect();
        assert!(unused.is_empty(), "{name} never uses {unused:#?}");

        // The embedded AWS checks no resource for a mail. On AWS it is the sender's identity.
        let wide =
            granted.iter().filter(|(_, resource)| resource.contains('*') && *resource != log);
        let wide: Vec<_> = wide.filter(|(action, _)| action != "ses:SendEmail").collect();
        assert!(
            wide.is_empty(),
            "{name} may do these actions on more than one resource: {wide:#?}"
        );
    }
}

#[tokio::test]
async fn no_log_contains_an_address_a_payment_method_a_token_or_the_providers_key() {
    let system = after_everything().await;
    let template = Template::local();
    for function in template.functions().iter().map(|function| template.crate_of(function)) {
        let log = system.log(function).await;
        assert!(
            log.contains("\"level\":\"ERROR\""),
            "{function} has logged no error: make it fail in everything()"
        );
        for secret in ["@", "pm_", PROVIDER_KEY, "eyJ"] {
            let leaks: Vec<_> = log.lines().filter(|line| line.contains(secret)).collect();
            assert!(leaks.is_empty(), "the log of {function} contains {secret}: {leaks:#?}");
        }
    }
}
