//! What must never be written down.

use futures::future::join_all;
use local::sandbox::{Fault, FaultyAnswer};
use reqwest::Method;
use serde_json::json;

use crate::harness::{Answer, System, croissants, paid_with};

#[tokio::test]
async fn no_log_holds_an_address_a_means_of_payment_a_token_or_the_providers_key() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let shop = system.shop().await;

    // Everything that a log line could be tempted to tell of: success, declines, tokens unknown to the provider, a provider
    // that fails, refused bodies, notes.
    let mut noted = croissants(&shop, 1);
    noted["note"] = json!(format!("Please write to {}", camille.address));
    let failing = camille.order_id("failing");
    system.fail(&failing, Fault { times: Some(3), answer: FaultyAnswer::Fail(500), ..Fault::default() }).await;
    let orders = ["pm_card_visa", "pm_card_chargeDeclined", "pm_made_up"].map(|card| paid_with(card, noted.clone()));
    let mut ids = join_all(orders.iter().map(|order| camille.places(order))).await;
    camille.post("failing", &noted).await;
    ids.push(failing);
    for bad in [paid_with("pm_card with a space", noted.clone()), json!({"payment_method": "pm_card_visa"})] {
        assert_eq!(camille.post("bad", &bad).await.status, 400);
    }
    let tampered = Answer::to(system.request(Method::GET, "/orders").bearer_auth(format!("{}x", camille.token))).await;
    assert_eq!(tampered.status, 401);
    join_all(ids.iter().map(|id| camille.outcome(id))).await;
    camille.gets_mail(ids.len()).await;

    let mut log = String::new();
    for function in ["order-intake", "order-relay", "order-status", "inventory", "payment", "notifications"] {
        log += &system.log(function).await;
    }
    for id in ids {
        assert!(log.contains(&id), "the log does not tell of the orders");
    }
    for secret in ["@example.com", "pm_card", "pm_made_up", "sk_test", &*camille.token, "eyJ"] {
        let leak = log.lines().find(|line| line.contains(secret));
        assert!(leak.is_none(), "the log holds {secret}: {leak:?}");
    }
}
