//! Declined cards, and a payment provider with faults.

use futures::future::join_all;
use local::sandbox::{Fault, FaultyAnswer, IntentStatus, Route};
use serde_json::json;
use shop::money::Currency;

use crate::harness::{System, croissants, eventually, new_shop, paid_with};

#[tokio::test]
async fn a_declined_order_is_rejected_with_the_reason_and_leaves_no_charge_and_no_held_stock() {
    let system = System::shared().await;
    let cards = [
        ("pm_card_chargeDeclined", "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "insufficient_funds"),
        ("pm_made_up", "payment_method_unusable"),
    ];
    join_all(cards.map(|(card, reason)| {
        let system = &system;
        async move {
            let camille = system.customer().await;
            let shop = system.shop().await;
            let id = camille.place(&paid_with(card, croissants(&shop, 2))).await;
            let rejected = camille.outcome(&id).await;
            let rejection = json!({"code": "payment_declined", "reason": reason});
            assert_eq!(
                (&rejected["status"], &rejected["rejection"]),
                (&json!("rejected"), &rejection),
                "{card}"
            );
            assert_eq!(rejected["payment"], "none", "{card}");

            let released = async || (system.held(&shop, "croissant").await == 0).then_some(());
            eventually("the stock to be released", released).await;
            assert_eq!(system.net_paid(&id).await, 0, "{card}");
            let closed = async || {
                let ledger = system.ledger(&id).await;
                ledger.iter().all(|intent| intent.status == IntentStatus::Canceled).then_some(())
            };
            eventually("the intent to be cancelled", closed).await;
            assert_eq!(camille.mails(1).await.len(), 1, "{card}");
        }
    }))
    .await;
}

#[tokio::test]
async fn a_payment_with_a_transient_fault_is_charged_once() {
    use FaultyAnswer::{Fail, FailAfterWork, Lose, Normal};
    let system = System::shared().await;
    let once =
        |route, answer| Fault { route: Some(route), times: Some(1), answer, ..Fault::default() };
    let slow = |route| Fault { delay_ms: 6_000, ..once(route, Normal) };
    let faults = [
        once(Route::Create, Fail(500)),
        once(Route::Create, Fail(429)),
        once(Route::Create, FailAfterWork(500)),
        once(Route::Create, Lose),
        slow(Route::Create),
        once(Route::Confirm, Fail(500)),
        once(Route::Confirm, Fail(429)),
        once(Route::Confirm, FailAfterWork(500)),
        once(Route::Confirm, Lose),
        slow(Route::Confirm),
        // The fault outlasts the attempts of one invocation.
        Fault { times: Some(4), ..once(Route::Confirm, Fail(503)) },
    ];
    join_all(faults.map(|fault| {
        let system = &system;
        async move {
            let camille = system.customer().await;
            let id = camille.order_id("k");
            system.set_fault(&id, fault.clone()).await;
            let placed = camille.post("k", &croissants(&system.shop().await, 2)).await;
            assert_eq!((placed.status, placed.body["order_id"].as_str()), (202, Some(&*id)));

            camille.confirmed(&id).await;
            let charges: Vec<_> =
                system.ledger(&id).await.into_iter().filter(|intent| intent.captured > 0).collect();
            assert_eq!(charges.len(), 1, "{fault:?}: {charges:?}");
            assert_eq!(charges[0].net(), 380, "{fault:?}");
        }
    }))
    .await;
}

#[tokio::test]
async fn a_customer_never_learns_that_a_card_was_reported_stolen_and_operators_do() {
    let system = System::shared().await;
    let cards = [
        ("pm_card_visa_chargeDeclinedStolenCard", "stolen_card"),
        ("pm_card_visa_chargeDeclinedLostCard", "lost_card"),
        ("pm_card_visa_chargeDeclinedFraudulent", "fraudulent"),
    ];
    join_all(cards.map(|(card, code)| {
        let system = &system;
        async move {
            let camille = system.customer().await;
            let id = camille.place(&paid_with(card, croissants(&system.shop().await, 2))).await;
            let rejected = camille.outcome(&id).await;
            assert_eq!(rejected["rejection"]["reason"], "generic_decline", "{card}");
            let list = eventually("the end of the order in the list", async || {
                let list = camille.get("/orders").await.body;
                (list["orders"][0]["status"] == "rejected").then_some(list)
            })
            .await;
            let [mail] = &camille.mails(1).await[..] else { panic!("not one mail: {card}") };
            for seen in [rejected.to_string(), list.to_string(), mail.text.clone()] {
                assert!(!seen.contains(code), "{card}: {seen}");
            }
            let shown = system.ops(&["order", &id]).await;
            assert!(shown.text.contains(&format!("declined ({code})")), "{card}: {shown:?}");
        }
    }))
    .await;
}

#[tokio::test]
async fn an_order_that_the_provider_refuses_for_good_is_rejected_at_once_and_holds_nothing() {
    let system = System::shared().await;
    let camille = system.customer().await;
    // Half a dollar is what an account that settles in dollars takes at least, and the least that
    // can be ordered. The sandbox settles in euros, and it is too little.
    let mut shop = new_shop();
    shop.menu.currency = Currency::Usd;
    shop.menu.items[0].price = 50;
    system.open(&shop).await;

    let id = camille.place(&croissants(&shop, 1)).await;
    let rejected = camille.outcome(&id).await;
    let rejection = json!({"code": "payment_declined", "reason": "amount_too_small"});
    assert_eq!((&rejected["status"], &rejected["rejection"]), (&json!("rejected"), &rejection));
    assert_eq!(rejected["payment"], "none");

    let released = async || (system.held(&shop, "croissant").await == 0).then_some(());
    eventually("the stock to be released", released).await;
    assert_eq!(system.ledger(&id).await, [], "there is no intent");
    let [mail] = &camille.mails(1).await[..] else { panic!("not one mail") };
    assert!(mail.text.contains("We cannot take payments of so small an amount."), "{}", mail.text);
    let shown = system.ops(&["order", &id]).await;
    assert!(shown.text.contains("refused (amount_too_small), 0.50 USD"), "{shown:?}");
    assert!(shown.text.contains("The customer can order more at once"), "{shown:?}");

    // Two of them are enough.
    let id = camille.place(&croissants(&shop, 2)).await;
    camille.confirmed(&id).await;
    assert_eq!(system.net_paid(&id).await, 100);
}

#[tokio::test]
async fn an_order_in_a_currency_that_the_providers_account_does_not_take_is_rejected() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let mut shop = new_shop();
    shop.menu.currency = Currency::Ron;
    system.open(&shop).await;
    let id = camille.place(&croissants(&shop, 2)).await;
    let rejected = camille.outcome(&id).await;
    assert_eq!(rejected["rejection"]["reason"], "currency_not_accepted", "{rejected}");
    assert_eq!(system.ledger(&id).await, []);
    let [mail] = &camille.mails(1).await[..] else { panic!("not one mail") };
    assert!(mail.text.contains("We cannot take payments in RON"), "{}", mail.text);
}

#[tokio::test]
async fn kronur_are_paid_and_refunded_with_the_two_decimals_that_the_provider_wants() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let mut shop = new_shop();
    shop.menu.currency = Currency::Isk;
    system.open(&shop).await;
    let id = camille.place(&croissants(&shop, 2)).await;
    let confirmed = camille.confirmed(&id).await;
    assert_eq!((&confirmed["total"], &confirmed["currency"]), (&json!(380), &json!("ISK")));
    assert_eq!(system.net_paid(&id).await, 38_000);
    let mail = &camille.mails(1).await[0];
    assert!(mail.text.contains("380 ISK"), "{}", mail.text);
    // The books count as the shop does.
    let shown = system.ops(&["order", &id]).await;
    assert!(shown.text.contains("380 ISK taken"), "{shown:?}");
    assert!(shown.text.contains("nothing needs to be done"), "{shown:?}");

    assert_eq!(camille.cancel(&id).await.status, 200);
    let refunded = async || (camille.order(&id).await["payment"] == "refunded").then_some(());
    eventually("the refund", refunded).await;
    assert_eq!(system.net_paid(&id).await, 0);
    let shown = system.ops(&["order", &id]).await;
    assert!(shown.text.contains("380 ISK given back"), "{shown:?}");
    assert!(shown.text.contains("nothing needs to be done"), "{shown:?}");
}

#[tokio::test]
async fn after_five_declines_no_further_card_of_a_customer_is_tried() {
    let system = System::shared().await;
    let (camille, shop) = (system.customer().await, system.shop().await);
    let decline = paid_with("pm_card_chargeDeclined", croissants(&shop, 1));
    for _ in 0..5 {
        let id = camille.place(&decline).await;
        assert_eq!(camille.outcome(&id).await["rejection"]["reason"], "generic_decline");
    }
    let id = camille.place(&croissants(&shop, 1)).await;
    let refused = camille.outcome(&id).await;
    assert_eq!(refused["rejection"]["reason"], "too_many_declines");
    assert!(system.ledger(&id).await.is_empty(), "the provider was asked");
    let told = eventually("the mail", async || {
        let mails = camille.mail().await;
        mails.into_iter().find(|mail| mail.text.contains(&id))
    })
    .await;
    assert!(told.text.contains("Too many of your payments were declined"), "{}", told.text);
    let verdict = system.ops(&["order", &id]).await;
    assert!(
        verdict.text.contains("too many payments of the customer were declined"),
        "{verdict:?}"
    );

    // Somebody else can order.
    let other = system.customer().await;
    let id = other.place(&croissants(&shop, 1)).await;
    other.confirmed(&id).await;
}
