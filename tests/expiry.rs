//! Orders that are not confirmed by their deadline.

use local::sandbox::{Fault, FaultyAnswer, IntentStatus, Route};
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::harness::{OnDemand, System, changed_template, croissants, eventually, stack};

/// A system whose deadlines are shorter than the template allows: long enough to reserve and to
/// begin to charge, and over before a charge that fails comes again.
async fn impatient() -> System {
    static IMPATIENT: OnDemand = OnceCell::const_new();
    System::on_demand(&IMPATIENT, || {
        let mut options = stack("impatient");
        options.template = changed_template(&options, |template| {
            template["Parameters"]["ConfirmWithinSeconds"]["MinValue"] = 1.into();
        });
        options.parameters.insert("ConfirmWithinSeconds".to_owned(), "20".to_owned());
        options
    })
    .await
}

#[tokio::test]
async fn an_order_that_cannot_be_charged_expires_at_its_deadline_costs_nothing_and_gives_its_stock_back()
 {
    let system = impatient().await;
    let camille = system.customer().await;
    let shop = system.shop().await;
    let id = camille.order_id("k");
    system
        .fail(
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
    eventually("stock to be given back", async || {
        (system.held(&shop, "croissant").await == 0).then_some(())
    })
    .await;
    let settled = async || (camille.order(&id).await["payment"] == "voided").then_some(());
    eventually("the charge to be called off", settled).await;
    let [intent] = &system.ledger(&id).await[..] else { panic!("more or less than one intent") };
    assert_eq!((intent.status, intent.captured), (IntentStatus::Canceled, 0));
    assert_eq!(camille.gets_mail(1).await[0].subject, "We could not confirm your order in time");
}

#[tokio::test]
async fn money_that_was_taken_without_anybody_knowing_is_given_back_when_the_order_expires() {
    let system = impatient().await;
    let camille = system.customer().await;
    let shop = system.shop().await;
    let id = camille.order_id("k");
    // As often as one invocation asks.
    let lost = Fault {
        route: Some(Route::Confirm),
        times: Some(3),
        answer: FaultyAnswer::Lose,
        ..Fault::default()
    };
    system.fail(&id, lost).await;
    camille.post("k", &croissants(&shop, 2)).await;

    let expired = camille.outcome(&id).await;
    assert_eq!(expired["status"], "expired", "{expired}");
    let settled = async || (camille.order(&id).await["payment"] == "refunded").then_some(());
    eventually("the money to be given back", settled).await;
    let [intent] = &system.ledger(&id).await[..] else { panic!("more or less than one intent") };
    assert_eq!((intent.captured, intent.net()), (380, 0));
    eventually("stock to be given back", async || {
        (system.held(&shop, "croissant").await == 0).then_some(())
    })
    .await;
    assert_eq!(camille.gets_mail(2).await[1].subject, "We have given your money back");
}

#[tokio::test]
async fn a_poison_record_in_the_deadline_queue_keeps_no_order_from_expiring() {
    let system = impatient().await;
    let camille = system.customer().await;
    let id = camille.order_id("k");
    system
        .fail(
            &id,
            Fault {
                route: Some(Route::Confirm),
                answer: FaultyAnswer::Fail(503),
                ..Fault::default()
            },
        )
        .await;
    camille.post("k", &croissants(&system.shop().await, 1)).await;
    let poison = format!("no JSON, {}", Uuid::new_v4());
    system.queue("DeadlineQueue").await.send(std::slice::from_ref(&poison)).await;

    let dead_letters = system.queue("DeadlineDeadLetters").await;
    eventually("the dead letter", async || {
        dead_letters.messages().await.contains(&poison).then_some(())
    })
    .await;
    assert_eq!(camille.outcome(&id).await["status"], "expired");
}
