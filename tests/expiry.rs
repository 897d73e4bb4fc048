//! Orders that are not confirmed by their deadline.

use local::sandbox::{Fault, FaultyAnswer, IntentStatus, Route};
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::harness::{OnDemand, System, changed_template, croissants, eventually, stack};

/// A system with shorter deadlines than the template allows. An order has time to be reserved and
/// to begin its charge.
async fn short_deadlines() -> System {
    static SHORT_DEADLINES: OnDemand = OnceCell::const_new();
    System::on_demand(&SHORT_DEADLINES, || {
        let mut options = stack("expiry");
        options.template = changed_template(&options, |template| {
            template["Parameters"]["ConfirmWithinSeconds"]["MinValue"] = 1.into();
        });
        options.parameters.insert("ConfirmWithinSeconds".to_owned(), "20".to_owned());
        options
    })
    .await
}

#[tokio::test]
async fn an_order_that_cannot_be_charged_expires_and_leaves_no_charge_and_no_held_stock() {
    let system = short_deadlines().await;
    let camille = system.customer().await;
    let shop = system.shop().await;
    let id = camille.order_id("k");
    system
        .set_fault(
            &id,
            Fault {
                route: Some(Route::Confirm),
                answer: FaultyAnswer::Fail(503),
                ..Fault::default()
            },
        )
        .await;
    camille.post("k", &croissants(&shop, 2)).await;

    let expired = camille.outcome(&id).await;
    assert_eq!(expired["status"], "expired", "{expired}");
    eventually("the stock to be released", async || {
        (system.held(&shop, "croissant").await == 0).then_some(())
    })
    .await;
    let settled = async || (camille.order(&id).await["payment"] == "voided").then_some(());
    eventually("the charge to be voided", settled).await;
    let [intent] = &system.ledger(&id).await[..] else {
        panic!("the order needs exactly one intent")
    };
    assert_eq!((intent.status, intent.captured), (IntentStatus::Canceled, 0));
    assert_eq!(camille.mails(1).await[0].subject, "We could not confirm your order in time");
}

#[tokio::test]
async fn a_charge_whose_answer_was_lost_is_refunded_when_the_order_expires() {
    let system = short_deadlines().await;
    let camille = system.customer().await;
    let shop = system.shop().await;
    let id = camille.order_id("k");
    // Until the deadline, no retry learns what became of the charge.
    for (route, answer) in
        [(Route::Confirm, FaultyAnswer::Lose), (Route::Retrieve, FaultyAnswer::Fail(503))]
    {
        system.set_fault(&id, Fault { route: Some(route), answer, ..Fault::default() }).await;
    }
    camille.post("k", &croissants(&shop, 2)).await;

    let expired = camille.outcome(&id).await;
    assert_eq!(expired["status"], "expired", "{expired}");
    system.provider.clear_faults_of(&id).await.unwrap();
    let settled = async || (camille.order(&id).await["payment"] == "refunded").then_some(());
    eventually("the refund", settled).await;
    let [intent] = &system.ledger(&id).await[..] else {
        panic!("the order needs exactly one intent")
    };
    assert_eq!((intent.captured, intent.net()), (380, 0));
    eventually("the stock to be released", async || {
        (system.held(&shop, "croissant").await == 0).then_some(())
    })
    .await;
    // The refund may overtake the notice of the expiry, which is then not sent.
    eventually("the notice of the refund", async || {
        let mails = camille.mails(1).await;
        (mails.last()?.subject == "We have given your money back").then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_unreadable_record_in_the_deadline_queue_prevents_no_order_from_expiring() {
    let system = short_deadlines().await;
    let camille = system.customer().await;
    let id = camille.order_id("k");
    system
        .set_fault(
            &id,
            Fault {
                route: Some(Route::Confirm),
                answer: FaultyAnswer::Fail(503),
                ..Fault::default()
            },
        )
        .await;
    camille.post("k", &croissants(&system.shop().await, 1)).await;
    let poison = format!("not JSON, {}", Uuid::new_v4());
    system.queue("DeadlineQueue").await.send(std::slice::from_ref(&poison)).await;

    let dead_letters = system.queue("DeadlineDeadLetters").await;
    eventually("the dead letter", async || {
        dead_letters.messages().await.contains(&poison).then_some(())
    })
    .await;
    assert_eq!(camille.outcome(&id).await["status"], "expired");
}
