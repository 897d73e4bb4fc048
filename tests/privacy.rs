//! A customer's data: exported, erased, and erased again after a restore.
//!
//! It has a stack of its own, whose tables, queues and logs are searched.

use aws_sdk_cognitoidentityprovider::{
    Client as Cognito,
    types::{ExplicitAuthFlowsType, TimeUnitsType, TokenValidityUnitsType},
};
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use resources::Template;
use serde_json::{Value, json};
use shop::{
    id::OrderId,
    order::{Order, Trigger},
};
use tables::orders::{Orders, OrdersTable, Outcome, apply_trigger};
use uuid::Uuid;

use crate::harness::{Customer, System, croissants, eventually, new_shop, paid_with, stack};
use local::Running;

/// What a customer writes, which nobody else does.
const NOTE: &str = "Ring at Pomegranate";

/// A payment method that nobody else uses.
const CARD: &str = "pm_card_mastercard";

async fn private() -> Running {
    let mut options = stack("privacy");
    // Messages about deadlines are then gone after a minute, and failed ones tried again.
    options.parameters.insert("ConfirmWithinSeconds".to_owned(), "60".to_owned());
    for budget in ["", "Charge", "Refund", "Notice"] {
        options.parameters.insert(format!("{budget}RetryBudgetSeconds"), "60".to_owned());
    }
    Running::start(&options).await.unwrap()
}

impl System {
    fn orders_table(&self) -> OrdersTable {
        let name = self.stack.outputs.get("OrdersTableName").unwrap().to_owned();
        OrdersTable::new(self.dynamodb.clone(), name)
    }

    async fn row(&self, id: &str) -> Order {
        let id: OrderId = id.parse().unwrap();
        self.orders_table().get(id).await.unwrap().unwrap()
    }

    /// Moves an order on as its shop does.
    async fn hand_over(&self, id: &str) {
        use Trigger::{PickedUp, PreparationFinished, PreparationStarted};
        for trigger in [PreparationStarted, PreparationFinished, PickedUp] {
            let (order, now) = (self.row(id).await, Timestamp::now());
            let moved = apply_trigger(&self.orders_table(), order, &trigger, None, now).await;
            assert!(matches!(moved, Ok(Outcome::Changed(_))), "{moved:?}");
        }
    }

    /// Lets access tokens live for a few seconds, as far as `cargo ops` knows.
    async fn shorten_tokens(&self) {
        let units = TokenValidityUnitsType::builder().access_token(TimeUnitsType::Seconds).build();
        let update = Cognito::new(&self.stack.aws())
            .update_user_pool_client()
            .user_pool_id(self.stack.outputs.get("UserPoolId").unwrap())
            .client_id(self.stack.outputs.get("UserPoolClientId").unwrap())
            .explicit_auth_flows(ExplicitAuthFlowsType::AllowAdminUserPasswordAuth)
            .access_token_validity(10)
            .token_validity_units(units);
        update.send().await.unwrap();
    }

    /// Everything in tables, queues and logs, in one text.
    async fn everything(&self) -> String {
        let mut all = String::new();
        for table in ["Orders", "Payments", "Stock", "Notices", "Menu"] {
            all += &json!(self.rows(&format!("{table}TableName")).await).to_string();
        }
        all += &json!(self.messages().await).to_string();
        let template = Template::local();
        for function in template.functions().iter().map(|function| template.crate_of(function)) {
            all += &self.log(function).await;
        }
        all
    }
}

/// An order with everything that a customer can say about themselves.
fn personal(camille: &Customer<'_>, shop: &local::shops::Shop, card: &str) -> Value {
    let mut order = paid_with(card, croissants(shop, 1));
    order["note"] = json!(format!("{NOTE}, {}", camille.address));
    order
}

#[tokio::test]
async fn a_customers_data_is_erased_once_their_orders_have_ended_and_again_after_a_restore() {
    let running = private().await;
    let system = System::connect(&running.stack);
    let (camille, noor) = (system.customer().await, system.customer().await);
    let shop = new_shop();
    system.open(&shop).await;
    let order = personal(&camille, &shop, CARD);

    let key = Uuid::new_v4().to_string();
    let collected = camille.post(&key, &order).await.body["order_id"].as_str().unwrap().to_owned();
    let cancelled = camille.place(&order).await;
    let rejected = camille.place(&personal(&camille, &shop, "pm_card_chargeDeclined")).await;
    let others = noor.place(&croissants(&shop, 1)).await;
    for id in [&collected, &cancelled] {
        camille.confirmed(id).await;
    }
    noor.confirmed(&others).await;
    assert_eq!(camille.outcome(&rejected).await["status"], "rejected");
    assert_eq!(camille.cancel(&cancelled).await.status, 200);
    let refunded =
        async || (camille.order(&cancelled).await["payment"] == "refunded").then_some(());
    eventually("the refund", refunded).await;

    // Under way: named, and nothing changes.
    let before = system.row(&rejected).await;
    let refused = system.ops(&["customer", &camille.id, "erase"]).await;
    assert_eq!(refused.status, 1, "{refused:?}");
    assert_eq!(refused.lines(&format!("order {collected} is under way")).len(), 1, "{refused:?}");
    assert_eq!(system.row(&rejected).await, before);
    assert_eq!(camille.get("/orders").await.status, 200);
    let restorable = system.row(&cancelled).await;

    // Everything that is stored, by id and by address.
    let by_address = system.ops(&["customer", &camille.address, "export"]).await;
    let export = system.ops(&["customer", &camille.id, "export", "--json"]).await;
    assert_eq!((by_address.status, export.status), (0, 0), "{by_address:?}");
    for fact in [&camille.address, NOTE, &collected, &cancelled, &rejected, "refunded, 1.90 EUR"] {
        assert!(by_address.text.contains(fact), "no {fact}: {by_address:?}");
    }
    let json: Value = serde_json::from_str(&export.text).unwrap();
    assert_eq!(json["orders"].as_array().unwrap().len(), 3);
    assert_eq!(json["account"]["id"], camille.id.as_str());
    assert_eq!(json["orders"][0]["order"]["order_id"], collected.as_str());
    assert_eq!(json["orders"][0]["payment"]["state"], "captured");
    assert_eq!(json["orders"][0]["notice"]["outcome"], "sent");

    let all = system.everything().await;
    assert!([&*camille.id, &camille.address, NOTE].iter().all(|secret| all.contains(secret)));
    system.hand_over(&collected).await;
    system.shorten_tokens().await;
    refused_for_a_dead_letter(&system, &camille).await;
    erased_while_messages_are_under_way(&system, &camille, &shop).await;
    assert_nothing_is_left(&system, &camille).await;

    // What was placed under the key is neither ordered nor charged again, nor shown.
    let again = camille.post(&key, &order).await;
    assert_eq!(again.status, 422, "{again:?}");
    assert_eq!(system.ledger(&collected).await.len(), 1);
    assert_eq!(system.net_paid(&collected).await, 190);
    assert_eq!(system.row(&collected).await.status, shop::order::Status::Collected);
    let repeated = system.ops(&["customer", &camille.id, "erase"]).await;
    assert!(repeated.status == 0 && repeated.text.contains("nothing is stored"), "{repeated:?}");
    let export = system.ops(&["customer", &camille.id, "export"]).await;
    assert!(export.status == 0 && export.text.contains("nothing is stored"), "{export:?}");
    assert_eq!(noor.order(&others).await["status"], "confirmed");
    let journal = system.ops(&["journal"]).await;
    assert_eq!(journal.lines("erased the customer").len(), 1, "{journal:?}");
    assert!(!journal.text.contains(&camille.id), "{journal:?}");

    // A backup brings a row back.
    restore(&system, &restorable).await;
    let dry = system.ops(&["reapply-erasures", "--dry-run"]).await;
    assert!(dry.status == 0 && dry.text.contains("1 order would be erased again"), "{dry:?}");
    assert_eq!(system.row(&cancelled).await, restorable);
    let reapplied = system.ops(&["reapply-erasures"]).await;
    assert!(reapplied.text.contains("1 order erased again, 0 left"), "{reapplied:?}");
    assert_eq!(reapplied.status, 0, "{reapplied:?}");
    assert_nothing_is_left(&system, &camille).await;
}

/// A dead letter about the customer is named, and nothing is erased before it is gone.
async fn refused_for_a_dead_letter(system: &System, camille: &Customer<'_>) {
    let letter = json!({"detail-type": "order.reserved", "customer": camille.id}).to_string();
    system.queue("ChargeDeadLetters").await.send(&[letter]).await;
    let refused = system.ops(&["customer", &camille.id, "erase"]).await;
    assert_eq!(refused.status, 1, "{refused:?}");
    let named = refused.lines("in the dead-letter queue charge is about the customer");
    let id = named[0].split(' ').nth(1).unwrap();
    let discard = ["dlq", "discard", "charge", "--message", id, "--reason", "sent by a test"];
    assert_eq!(system.ops(&discard).await.status, 0);
}

/// Erases the customer's data although a notice and a message about a deadline are under way, once
/// no token is valid. They do no harm afterwards.
async fn erased_while_messages_are_under_way(
    system: &System,
    camille: &Customer<'_>,
    shop: &local::shops::Shop,
) {
    system.set_mapping("NoticeMapping", false).await;
    let last = camille.place(&personal(camille, shop, "pm_card_chargeDeclined")).await;
    assert_eq!(camille.outcome(&last).await["status"], "rejected");
    let hindered = async || {
        let erase = system.ops(&["customer", &camille.address, "erase"]).await;
        assert_eq!(erase.status, 1, "{erase:?}");
        erase.text.contains("can no longer sign in").then_some(())
    };
    eventually("the customer to be signed out", hindered).await;
    assert!(system.everything().await.contains(NOTE), "it is erased too early");
    let erase = system.ops(&["customer", &camille.address, "erase", "--wait"]).await;
    assert_eq!(erase.status, 0, "{erase:?}");

    for queue in ["NoticeQueue", "DeadlineQueue"] {
        let waiting = system.queue(queue).await.messages().await;
        let is_about = |message: &String| message.contains(&last) && message.contains(&camille.id);
        assert!(waiting.iter().any(is_about), "{queue} was to hold a message: {waiting:?}");
    }
    system.set_mapping("NoticeMapping", true).await;
    eventually("the notice to be dropped", async || {
        let rows = system.rows("NoticesTableName").await;
        let mut about = rows.iter().filter(|row| row["order_id"] == *last);
        about.any(|row| row["outcome"] == "no_address").then_some(())
    })
    .await;
    assert!(camille.mail().await.iter().all(|mail| !mail.text.contains(&last)));
}

async fn assert_nothing_is_left(system: &System, camille: &Customer<'_>) {
    // Those for dead letters included.
    let handled = async || {
        let queues = system.messages().await;
        queues.values().all(Vec::is_empty).then_some(())
    };
    eventually("the queues to be empty", handled).await;
    let all = system.everything().await;
    for secret in [&*camille.id, &camille.address, NOTE, CARD] {
        let at = all.find(secret).map(|at| &all[at.saturating_sub(200)..(at + 50).min(all.len())]);
        assert_eq!(at, None, "{secret} is left");
    }
}

/// Puts an old row back in place of the present one.
async fn restore(system: &System, order: &Order) {
    let table = system.stack.outputs.get("OrdersTableName").unwrap();
    let item = serde_dynamo::to_item::<_, std::collections::HashMap<String, AttributeValue>>(order);
    let put = system.dynamodb.put_item().table_name(table).set_item(Some(item.unwrap()));
    put.send().await.unwrap();
}
