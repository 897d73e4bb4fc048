//! Customers whose bank asks them to authenticate their payment.

use local::sandbox::{IntentStatus, PUBLISHABLE_KEY, RETURNED};
use reqwest::{Client, StatusCode, redirect::Policy};
use serde_json::{Value, json};

use crate::harness::{Customer, System, croissants, eventually, paid_with};

const CARD: &str = "pm_card_authenticationRequired";

/// Places an order that waits for its customer. Returns its id and the page.
async fn asked(customer: &Customer<'_>, card: &str) -> (String, String) {
    let shop = customer.system.shop().await;
    let id = customer.place(&paid_with(card, croissants(&shop, 2))).await;
    let order = eventually("the order to ask for authentication", async || {
        let order = customer.order(&id).await;
        (order["payment"] == "authentication_required").then_some(order)
    })
    .await;
    assert_eq!(order["status"], "reserved");
    let page = order["authentication_url"].as_str().unwrap().to_owned();
    (id, page)
}

/// Sends the form of the page, as the customer's browser. Returns where it is sent.
async fn on_page(page: &str, outcome: &str) -> String {
    let browser = Client::builder().redirect(Policy::none()).build().unwrap();
    let shown = browser.get(page).send().await.unwrap().text().await.unwrap();
    assert!(shown.contains("Complete authentication"), "{shown}");
    let sent = browser.post(page).form(&[("outcome", outcome)]).send().await.unwrap();
    assert_eq!(sent.status(), StatusCode::SEE_OTHER);
    sent.headers()["location"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_customer_who_authenticates_returns_to_the_shop_and_the_order_is_confirmed() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let (id, page) = asked(&camille, CARD).await;
    assert_eq!(system.net_paid(&id).await, 0);
    // Nobody else sees it, and those who run the system do not see the page either.
    let other = system.customer().await;
    assert_eq!(other.get(&format!("/orders/{id}")).await.status, 404);
    let ops = system.ops(&["order", &id]).await;
    assert!(ops.text.contains("the bank asks the customer to authenticate"), "{ops:?}");
    assert!(!ops.text.contains(&page), "{ops:?}");
    let export = system.ops(&["customer", &camille.id, "export"]).await;
    assert!(!export.text.contains(&page), "{export:?}");

    let back = on_page(&page, "complete").await;
    let returned = format!("{}{RETURNED}?payment_intent=", system.stack.sandbox_url);
    assert!(back.starts_with(&returned) && back.ends_with("redirect_status=succeeded"), "{back}");
    let order = camille.confirmed(&id).await;
    assert_eq!(
        (&order["payment"], &order["authentication_url"]),
        (&json!("captured"), &Value::Null)
    );
    assert_eq!(system.net_paid(&id).await, 380);
    let events = system.events(&id);
    let kinds: Vec<_> = events.iter().map(|event| event["detail-type"].as_str().unwrap()).collect();
    let asked = |kind: &str| kinds.iter().filter(|it| **it == kind).count();
    assert_eq!(asked("payment.authentication_required"), 1, "{kinds:?}");
    assert_eq!(asked("order.authentication_required"), 1, "{kinds:?}");

    // The page has left the order, its logs and its mails.
    assert!(!system.log("payment").await.contains(&page));
    assert!(!system.log("order-status").await.contains(&page));
    for mail in camille.mails(1).await {
        assert!(!mail.text.contains(&page));
    }
    let rows = system.rows("OrdersTableName").await;
    assert!(!rows.iter().any(|row| row.to_string().contains(&page)));
}

#[tokio::test]
async fn an_authentication_that_fails_or_does_not_help_rejects_the_order_and_takes_nothing() {
    let system = System::shared().await;
    for (card, outcome, reason) in [
        (CARD, "fail", "authentication_failed"),
        ("pm_card_threeDSecureRequiredChargeDeclined", "complete", "generic_decline"),
        (
            "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds",
            "complete",
            "insufficient_funds",
        ),
    ] {
        let camille = system.customer().await;
        let (id, page) = asked(&camille, card).await;
        on_page(&page, outcome).await;
        let rejected = camille.outcome(&id).await;
        let rejection = json!({"code": "payment_declined", "reason": reason});
        assert_eq!(rejected["rejection"], rejection, "{card}");
        assert_eq!(system.net_paid(&id).await, 0, "{card}");
    }
}

#[tokio::test]
async fn a_cancelled_order_can_no_longer_be_paid_on_its_page_nor_with_its_secret() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let (id, page) = asked(&camille, CARD).await;
    assert_eq!(camille.cancel(&id).await.status, 200);
    let voided = async || (camille.order(&id).await["payment"] == "voided").then_some(());
    eventually("the charge to be voided", voided).await;
    let late = Client::new().post(&page).form(&[("outcome", "complete")]).send().await.unwrap();
    assert_eq!(late.status(), StatusCode::GONE);

    let intent = &system.ledger(&id).await[0].intent;
    let url = format!("{}/v1/payment_intents/{intent}/confirm", system.stack.sandbox_url);
    let form = [("client_secret", format!("{intent}_secret_sandbox"))];
    let by_browser = Client::new().post(url).bearer_auth(PUBLISHABLE_KEY).form(&form);
    assert_eq!(by_browser.send().await.unwrap().status(), StatusCode::BAD_REQUEST);
    assert_eq!(system.net_paid(&id).await, 0);
    assert_eq!(system.ledger(&id).await[0].status, IntentStatus::Canceled);
}
