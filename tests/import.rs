//! Deleting the stack and coming back: the customers and their orders are still there.

use aws_sdk_cloudformation::{Client as CloudFormation, types::StackStatus};
use local::{Binaries, Change, Host, Progress, Stack};
use stack::describe;

use crate::harness::{System, changed_template, croissants, eventually, stack};

/// The resources of the template that outlive the stack on AWS.
const KEPT: [&str; 7] = [
    "Journal",
    "MenuTable",
    "NoticesTable",
    "OrdersTable",
    "PaymentsTable",
    "StockTable",
    "UserPool",
];

#[tokio::test]
async fn a_new_stack_takes_the_orders_and_customers_of_a_deleted_one() {
    let mut options = stack("import");
    // As on AWS. The template of the embedded AWS deletes everything with the stack.
    options.template = changed_template(&options, |template| {
        for resource in KEPT {
            template["Resources"][resource]["DeletionPolicy"] = "Retain".into();
        }
    });
    let binaries = Binaries::build(&[], Progress::Silent).await.unwrap();
    let host = Host::start(&options).await.unwrap();
    let deploy = async || Stack::deploy(host.address(), &binaries, &options).await.unwrap();

    let (first, _) = deploy().await;
    let before = System::connect(&first);
    let shop = before.shop().await;
    let camille = before.signed_in("camille").await;
    let order = camille.place(&croissants(&shop, 2)).await;
    camille.confirmed(&order).await;
    let name = &*first.embedded.stack_name;
    let tables = tables(&before).await;
    delete(&before, name).await;
    assert_eq!(self::tables(&before).await, tables);

    let planned = before.ops_by_name(&["import", "--dry-run"]).await;
    assert_eq!(planned.status, 0, "{}", planned.errors);
    for resource in KEPT {
        assert_eq!(planned.lines(resource).len(), 1, "{}", planned.text);
    }
    let imported = before.ops_by_name(&["import"]).await;
    assert_eq!(imported.status, 0, "{}", imported.errors);
    let again = before.ops_by_name(&["import"]).await;
    assert_eq!(again.status, 2);
    assert!(again.errors.contains("there is a stack amelie already"), "{}", again.errors);

    let (second, change) = deploy().await;
    assert!(matches!(change, Change::Updated(_)), "{change:?}");
    let after = System::connect(&second);
    assert_eq!(self::tables(&after).await, tables, "the deployment made tables of its own");
    let camille_again = after.signed_in("camille").await;
    assert_eq!(camille_again.id, camille.id);
    camille_again.confirmed(&order).await;
    let order = camille_again.place(&croissants(&shop, 1)).await;
    camille_again.confirmed(&order).await;
}

/// The names of all tables of the account.
async fn tables(system: &System) -> Vec<String> {
    system.dynamodb.list_tables().send().await.unwrap().table_names.unwrap()
}

async fn delete(system: &System, stack: &str) {
    let client = CloudFormation::new(&system.stack.aws());
    client.delete_stack().stack_name(stack).send().await.unwrap();
    let gone = async || match describe(&client, stack).await {
        Err(stack::Error::NoStack(_)) => Some(()),
        Ok(stack) => (stack.stack_status == Some(StackStatus::DeleteComplete)).then_some(()),
        Err(error) => panic!("{error}"),
    };
    eventually("the end of the stack", gone).await;
}
