//! The scheduled comparison of the books: it reports what is different and nobody has settled, and
//! writes to no table.

use aws_sdk_dynamodb::{
    Client as DynamoDb, config::Credentials, error::ProvideErrorMetadata, types::AttributeValue,
};
use aws_sdk_lambda::Client as Lambda;
use aws_sdk_sts::Client as Sts;
use futures::future::join_all;
use resources::Template;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::harness::{OnDemand, System, croissants, eventually, stack};

/// A stack of its own, whose books one test changes.
async fn system() -> System {
    static COMPARED: OnDemand = OnceCell::const_new();
    System::on_demand(&COMPARED, || stack("books")).await
}

/// All numbers of differences that were reported so far.
async fn reported(system: &System) -> Vec<u64> {
    let log = system.log("books").await;
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter_map(|line| line["BookDifferences"][0].as_f64()).map(|it| it as u64).collect()
}

/// Invokes the function as its schedule does, and returns the number of differences.
async fn compare(system: &System) -> u64 {
    let before = reported(system).await.len();
    let lambda = Lambda::new(&system.stack.aws());
    let function = system.resource("Books").await;
    eventually("the number of differences", async || {
        // Again each time: on a busy machine, the embedded AWS takes the last lines that an
        // invocation writes for those of the next one.
        let answer = lambda.invoke().function_name(&function).send().await.unwrap();
        assert_eq!(answer.function_error, None);
        let reported = reported(system).await;
        (reported.len() > before).then(|| *reported.last().unwrap())
    })
    .await
}

#[tokio::test]
async fn a_difference_is_reported_until_it_is_settled() {
    let system = system().await;
    let customer = system.customer().await;
    let order = customer.place(&croissants(&system.shop().await, 2)).await;
    customer.confirmed(&order).await;
    assert_eq!(compare(&system).await, 0);

    let payments = system.resource("PaymentsTable").await;
    let loss = system.dynamodb.delete_item().table_name(payments);
    loss.key("order_id", AttributeValue::S(order.clone())).send().await.unwrap();
    // An order that changed a moment ago is not judged yet.
    eventually("a difference", async || (compare(&system).await >= 1).then_some(())).await;
    let log = system.log("books").await;
    let lines: Vec<Value> = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|line: &Value| line["message"] == "the books differ")
        .collect();
    assert!(lines.iter().any(|line| line["difference"].as_str().unwrap().contains(&order)));

    for line in &lines {
        let key = line["key"].as_str().unwrap();
        let settled =
            system.ops(&["reconcile", "settle", key, "--reason", "the test lost the row"]).await;
        assert_eq!(settled.status, 0, "{settled:?}");
    }
    eventually("the settlements", async || (compare(&system).await == 0).then_some(())).await;
}

#[tokio::test]
async fn the_books_are_compared_whatever_else_the_providers_account_holds() {
    let system = System::shared().await;
    let customer = system.customer().await;
    let shop = system.shop().await;
    let [known, unknown, unreadable] = &join_all((0..3).map(async |_| {
        let order = customer.place(&croissants(&shop, 2)).await;
        customer.confirmed(&order).await;
        order
    }))
    .await[..] else {
        panic!("not three orders");
    };
    let others = charge(&system, &[("metadata[order_id]", "6735")]).await;
    let nobodys = charge(&system, &[]).await;
    let missing = charge(&system, &[("metadata[order_id]", &Uuid::new_v4().to_string())]).await;
    for (order, disguise) in [
        (unknown, json!({"status": "requires_capture"})),
        (unreadable, json!({"amount": "three euros eighty"})),
    ] {
        let intent = &system.ledger(order).await[0].intent;
        system.provider.disguise(intent, &disguise).await.unwrap();
    }
    let unread = &system.ledger(unreadable).await[0].intent;

    // An order that changed a moment ago is not judged yet, and said to be pending.
    let found = eventually("the books", async || {
        let found = system.ops(&["reconcile"]).await;
        let judged = [unknown, unreadable, known].iter().all(|order| {
            found.lines(&format!("order {order} changed while the books were read")).is_empty()
        });
        let is_found = !found.lines(&format!("order {unknown}")).is_empty();
        (judged && is_found).then_some(found)
    })
    .await;
    assert!(found.lines(known).is_empty(), "{found:?}");
    assert!(found.lines(&others).is_empty() && found.lines(&nobodys).is_empty(), "{found:?}");
    let summary = found.text.lines().last().unwrap();
    let counted: u64 =
        summary.rsplit("; ").next().unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(counted >= 2, "{summary}");
    assert_eq!(found.lines(&format!("the intent {missing} for order ")).len(), 1, "{found:?}");
    assert_eq!(found.lines("stands at requires_capture").len(), 1, "{found:?}");
    let reason = format!("the provider's intent {unread} cannot be read: `amount` is missing");
    assert_eq!(found.lines(&reason).len(), 1, "{found:?}");
    let pending = found.lines(&format!("pending: order {unreadable} cannot be judged"));
    assert_eq!((pending.len(), found.lines(unreadable).len()), (1, 1), "{found:?}");
}

/// Charges a card at the provider, and returns the intent.
async fn charge(system: &System, metadata: &[(&str, &str)]) -> String {
    let charge = [
        ("amount", "1099"),
        ("currency", "eur"),
        ("payment_method_types[]", "card"),
        ("payment_method", "pm_card_visa"),
        ("confirm", "true"),
    ];
    let intent = system.at_provider("payment_intents", &[&charge, metadata].concat()).await;
    intent["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_comparison_reads_every_table_and_writes_to_none() {
    let system = System::shared().await;
    let config = system.stack.aws();
    let role = system.resource("BooksRole").await;
    let assumed = Sts::new(&config)
        .assume_role()
        .role_arn(format!("arn:aws:iam::000000000000:role/{role}"))
        .role_session_name("books");
    let keys = assumed.send().await.unwrap().credentials.unwrap();
    let (id, secret, token) = (keys.access_key_id, keys.secret_access_key, keys.session_token);
    let credentials = Credentials::new(id, secret, Some(token), None, "role");
    let builder = aws_sdk_dynamodb::config::Builder::from(&config);
    let client = DynamoDb::from_conf(builder.credentials_provider(credentials).build());
    for table in Template::local().ids("AWS::DynamoDB::Table") {
        let name = system.resource(table).await;
        client.scan().table_name(&name).limit(1).send().await.unwrap();
        let nothing = || AttributeValue::S("nothing".to_owned());
        let put = client.put_item().table_name(&name).item("order_id", nothing()).send().await;
        let update = client.update_item().table_name(&name).key("order_id", nothing()).send().await;
        let delete = client.delete_item().table_name(&name).key("order_id", nothing()).send().await;
        let codes = [
            put.unwrap_err().code().map(str::to_owned),
            update.unwrap_err().code().map(str::to_owned),
            delete.unwrap_err().code().map(str::to_owned),
        ];
        assert!(
            codes.iter().all(|code| code.as_deref() == Some("AccessDeniedException")),
            "{table}: {codes:?}"
        );
    }
}
