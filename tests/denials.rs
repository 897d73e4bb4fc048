//! Permissions that no role should have, and permissions that a function needs and lacks.

use std::collections::BTreeSet;

use aws_config::SdkConfig;
use aws_sdk_cloudformation::Client as CloudFormation;
use aws_sdk_dynamodb::{
    Client as DynamoDb,
    config::Credentials,
    error::{ProvideErrorMetadata, SdkError},
    types::{
        AttributeValue, DeleteRequest, KeysAndAttributes, Put, TransactWriteItem, WriteRequest,
    },
};
use aws_sdk_sqs::{Client as Sqs, config::SharedCredentialsProvider};
use aws_sdk_sts::Client as Sts;
use local::{Binaries, Options, Progress, Running, Stack};
use resources::Template;
use yaml_serde::Value;

use crate::harness::{System, changed_template, croissants, eventually, stack};

/// Removes an action from a role of the template, which must allow it exactly once.
fn forbid(template: &mut Value, role: &str, action: &str) {
    let statements = &mut template["Resources"][role]["Properties"]["Policies"][0]["PolicyDocument"]
        ["Statement"];
    let statements = statements.as_sequence_mut().unwrap();
    let mut forbidden = 0;
    for statement in statements.iter_mut() {
        if let Value::Sequence(actions) = &mut statement["Action"] {
            let before = actions.len();
            actions.retain(|allowed| allowed != action);
            forbidden += before - actions.len();
        }
    }
    let before = statements.len();
    statements.retain(|statement| statement["Action"] != action);
    assert_eq!(forbidden + before - statements.len(), 1, "{role} should have had {action} once");
}

#[tokio::test]
async fn a_missing_permission_is_logged_and_work_continues_once_it_is_granted() {
    let granted = Options {
        // A denied message is then received again after seconds, however often it was denied.
        parameters: ["RetryBudgetSeconds", "NoticeRetryBudgetSeconds"]
            .map(|budget| (budget.to_owned(), "60".to_owned()))
            .into(),
        ..stack("denials")
    };
    let forbidding = |denied: &[(&str, &str)]| {
        let change = |template: &mut Value| {
            denied.iter().for_each(|(role, action)| forbid(template, role, action))
        };
        Options { template: changed_template(&granted, change), ..granted.clone() }
    };
    let intake = ("OrderIntakeRole", "dynamodb:PutItem");
    let inventory = ("InventoryRole", "dynamodb:UpdateItem");

    let running = Running::start(&forbidding(&[intake, inventory])).await.unwrap();
    let system = System::connect(&running.stack);
    let binaries = Binaries::build(&[], Progress::Silent).await.unwrap();
    let redeploy = async |options: &Options| {
        Stack::deploy(running.host.address(), &binaries, options).await.unwrap();
    };
    let camille = system.customer().await;
    let order = croissants(&system.shop().await, 2);

    let refused = camille.post("k", &order).await;
    assert_eq!(
        (refused.status, &*refused.body["type"].to_string()),
        (503, "\"urn:amelie:problem:unavailable\"")
    );
    assert!(system.log("order-intake").await.contains("AccessDenied"));
    assert!(!refused.body.to_string().contains("AccessDenied"), "{}", refused.body);

    redeploy(&forbidding(&[inventory])).await;
    let placed = camille.post("k", &order).await;
    assert_eq!(placed.status, 202, "{}", placed.body);
    let denied = async || system.log("inventory").await.contains("AccessDenied").then_some(());
    eventually("the denial in the log of inventory", denied).await;
    assert_eq!(camille.order(&camille.order_id("k")).await["status"], "placed");

    redeploy(&granted).await;
    camille.confirmed(&camille.order_id("k")).await;
}

/// The tables of each role's own domain. A new role or table needs a decision here.
const OWN_TABLES: [(&str, &[&str]); 7] = [
    ("OrderIntakeRole", &["OrdersTable", "MenuTable"]),
    ("OrderRelayRole", &[]),
    ("OrderStatusRole", &["OrdersTable"]),
    ("InventoryRole", &["StockTable"]),
    ("PaymentRole", &["PaymentsTable"]),
    ("NotificationsRole", &["NoticesTable"]),
    // It reads them all, and tests/books.rs shows that it writes to none.
    ("BooksRole", &["OrdersTable", "MenuTable", "StockTable", "PaymentsTable", "NoticesTable"]),
];

/// The logical and physical ids of all deployed resources of a type.
async fn resources(system: &System, of_type: &str) -> Vec<(String, String)> {
    let client = CloudFormation::new(&system.stack.aws());
    let resources = client
        .list_stack_resources()
        .stack_name(&system.stack.embedded.stack_name)
        .into_paginator()
        .items()
        .send();
    let mut resources: Vec<_> = resources.try_collect().await.unwrap();
    resources.retain(|resource| resource.resource_type() == Some(of_type));
    resources
        .into_iter()
        .map(|resource| {
            (resource.logical_resource_id.unwrap(), resource.physical_resource_id.unwrap())
        })
        .collect()
}

/// A configuration of clients with the permissions of a role.
async fn as_role(system: &System, role: &str) -> SdkConfig {
    let config = system.stack.aws();
    let arn = format!("arn:aws:iam::000000000000:role/{role}");
    let assumed = Sts::new(&config)
        .assume_role()
        .role_arn(arn)
        .role_session_name("denials")
        .send()
        .await
        .unwrap();
    let keys = assumed.credentials.unwrap();
    let credentials = Credentials::new(
        keys.access_key_id,
        keys.secret_access_key,
        Some(keys.session_token),
        None,
        "role",
    );
    config.to_builder().credentials_provider(SharedCredentialsProvider::new(credentials)).build()
}

/// Tries every operation on the rows of a table. Returns the code of each error.
async fn attempts(
    client: &DynamoDb,
    table: &str,
    key: &str,
) -> Vec<(&'static str, Option<String>)> {
    fn code<T, E: ProvideErrorMetadata>(outcome: Result<T, SdkError<E>>) -> Option<String> {
        outcome.err().and_then(|error| error.code().map(str::to_owned))
    }
    let nothing = || AttributeValue::S("nothing".to_owned());
    let put = Put::builder().table_name(table).item(key, nothing()).build().unwrap();
    let read =
        KeysAndAttributes::builder().keys([(key.to_owned(), nothing())].into()).build().unwrap();
    let delete = DeleteRequest::builder().key(key, nothing()).build().unwrap();
    let query = client.query().table_name(table).key_condition_expression("#key = :key");
    vec![
        ("GetItem", code(client.get_item().table_name(table).key(key, nothing()).send().await)),
        ("PutItem", code(client.put_item().table_name(table).item(key, nothing()).send().await)),
        (
            "UpdateItem",
            code(client.update_item().table_name(table).key(key, nothing()).send().await),
        ),
        (
            "DeleteItem",
            code(client.delete_item().table_name(table).key(key, nothing()).send().await),
        ),
        ("Scan", code(client.scan().table_name(table).send().await)),
        (
            "Query",
            code(
                query
                    .expression_attribute_names("#key", key)
                    .expression_attribute_values(":key", nothing())
                    .send()
                    .await,
            ),
        ),
        (
            "TransactWriteItems",
            code(
                client
                    .transact_write_items()
                    .transact_items(TransactWriteItem::builder().put(put).build())
                    .send()
                    .await,
            ),
        ),
        ("BatchGetItem", code(client.batch_get_item().request_items(table, read).send().await)),
        (
            "BatchWriteItem",
            code(
                client
                    .batch_write_item()
                    .request_items(
                        table,
                        vec![WriteRequest::builder().delete_request(delete).build()],
                    )
                    .send()
                    .await,
            ),
        ),
    ]
}

#[tokio::test]
async fn every_role_is_denied_everything_in_the_tables_of_other_domains() {
    let system = System::shared().await;
    let (roles, tables) = (
        resources(&system, "AWS::IAM::Role").await,
        resources(&system, "AWS::DynamoDB::Table").await,
    );
    let template = Template::local();
    let own: BTreeSet<_> = OWN_TABLES.iter().flat_map(|(_, own)| own.iter().copied()).collect();
    assert_eq!(own, template.ids("AWS::DynamoDB::Table"), "on the left: OWN_TABLES");
    let owners: BTreeSet<_> = OWN_TABLES.iter().map(|(role, _)| *role).collect();
    assert_eq!(owners, template.ids("AWS::IAM::Role"), "on the left: OWN_TABLES");

    for (role, own) in OWN_TABLES {
        let role_name = &roles.iter().find(|(id, _)| id == role).unwrap().1;
        let client = DynamoDb::new(&as_role(&system, role_name).await);
        for (table, name) in &tables {
            if own.contains(&table.as_str()) {
                continue;
            }
            let described = system
                .dynamodb
                .describe_table()
                .table_name(name)
                .send()
                .await
                .unwrap()
                .table
                .unwrap();
            let attempts =
                attempts(&client, name, described.key_schema()[0].attribute_name()).await;
            let allowed: Vec<_> = attempts
                .iter()
                .filter(|(_, code)| code.as_deref() != Some("AccessDeniedException"))
                .collect();
            assert!(allowed.is_empty(), "{role} in {table}: {allowed:?}");
        }
    }
}

/// What each role may send to. What else is in a queue comes from a rule.
const SENDS_TO: [(&str, &str); 4] = [
    ("OrderRelayRole", "RelayDeadLetters"),
    ("PaymentRole", "ChargeQueue"),
    ("PaymentRole", "RefundQueue"),
    ("PaymentRole", "IntentQueue"),
];

#[tokio::test]
async fn every_role_is_denied_sending_to_queues_other_than_its_own() {
    let system = System::shared().await;
    let queues = resources(&system, "AWS::SQS::Queue").await;
    for (role, name) in resources(&system, "AWS::IAM::Role").await {
        let client = Sqs::new(&as_role(&system, &name).await);
        for (queue, url) in &queues {
            if SENDS_TO.contains(&(&*role, &**queue)) {
                continue;
            }
            let send = client.send_message().queue_url(url).message_body("{}");
            let refused = send.send().await.expect_err(&format!("{role} may send to {queue}"));
            let code = refused.code().unwrap_or_default();
            assert!(code.starts_with("AccessDenied"), "{role} to {queue}: {refused:?}");
        }
    }
}
