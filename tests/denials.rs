//! Permissions that are missing.

use local::{Binaries, Options, Progress, Running, Stack};
use yaml_serde::Value;

use crate::harness::{System, changed_template, croissants, eventually, stack};

/// Takes an action from a role of the template.
fn forbid(template: &mut Value, role: &str, action: &str) {
    let statements = &mut template["Resources"][role]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"];
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
async fn a_missing_permission_is_denied_and_logged_and_what_it_held_up_goes_on_once_it_is_granted() {
    let granted = Options {
        // What is denied comes again after four seconds instead of a minute.
        parameters: [("RetryBudgetSeconds".to_owned(), "60".to_owned())].into(),
        ..stack("denials")
    };
    let forbidding = |denied: &[(&str, &str)]| {
        let change = |template: &mut Value| denied.iter().for_each(|(role, action)| forbid(template, role, action));
        Options { template: changed_template(&granted, change), ..granted.clone() }
    };
    let intake = ("OrderIntakeRole", "dynamodb:PutItem");
    let inventory = ("InventoryRole", "dynamodb:UpdateItem");

    let running = Running::start(&forbidding(&[intake, inventory])).await.unwrap();
    let system = System::of(&running.stack);
    let binaries = Binaries::build(Progress::Silent).await.unwrap();
    let redeploy = async |options: &Options| {
        Stack::deploy(running.host.address(), &binaries, options).await.unwrap();
    };
    let camille = system.customer().await;
    let order = croissants(&system.shop().await, 2);

    let refused = camille.post("k", &order).await;
    assert_eq!((refused.status, &*refused.body["type"].to_string()), (503, "\"urn:amelie:problem:unavailable\""));
    assert!(system.log("order-intake").await.contains("AccessDenied"));
    assert!(!refused.body.to_string().contains("AccessDenied"), "{}", refused.body);

    redeploy(&forbidding(&[inventory])).await;
    let placed = camille.post("k", &order).await;
    assert_eq!(placed.status, 202, "{}", placed.body);
    let denied = async || system.log("inventory").await.contains("AccessDenied").then_some(());
    eventually("the denial in the log of inventory", denied).await;
    assert_eq!(camille.order(&camille.order_id("k")).await["status"], "placed");

    redeploy(&granted).await;
    camille.sees_confirmed(&camille.order_id("k")).await;
}
