//! [`Provider`]: who takes the money and gives it back.

use payment::{
    memory::MemoryProvider,
    provider::{Provider, ProviderError},
    stripe_provider::StripeProvider,
};
use shop::{
    money::{Currency, Money},
    order::PaymentMethod,
    payment::IntentId,
};
use stripe::{Error, Intent, IntentStatus, NewIntent, Refund};

use super::{an_order, conformance};
use crate::harness::System;

conformance!(
    [
        an_intent_takes_the_money_once_it_is_confirmed,
        an_order_that_asks_twice_gets_the_same_intent,
        a_declined_charge_stays_declined_and_can_be_called_off,
        an_intent_that_was_called_off_takes_nothing_any_more,
        what_has_been_taken_cannot_be_called_off,
        what_has_been_taken_is_given_back_once,
        a_refund_that_fails_says_why,
        nothing_is_given_back_that_was_not_taken,
        an_intent_that_there_is_not_is_refused,
    ];
    memory: memory,
    sandbox: sandbox,
);

/// How a customer pays.
#[derive(Clone, Copy)]
enum Card {
    Good,
    /// Declined for insufficient funds.
    Poor,
    /// Good, but closed before anything can be given back.
    Closed,
}

async fn memory(card: Card) -> (MemoryProvider, PaymentMethod) {
    let provider = MemoryProvider::default();
    match card {
        Card::Good => {}
        Card::Poor => provider.decline("insufficient_funds"),
        Card::Closed => provider.fail_refunds(Some("expired_or_canceled_card")),
    }
    (provider, PaymentMethod::new("pm_card_visa"))
}

/// The client that the function uses, with the key that it has, and the sandbox.
async fn sandbox(card: Card) -> (StripeProvider, PaymentMethod) {
    let system = System::shared().await;
    let secret = system.resource("ProviderKey").await;
    let payment_method = PaymentMethod::new(match card {
        Card::Good => "pm_card_visa",
        Card::Poor => "pm_card_visa_chargeDeclinedInsufficientFunds",
        Card::Closed => "pm_card_refundFail",
    });
    (
        StripeProvider::new(&system.stack.aws(), secret, system.stack.sandbox_url.clone()),
        payment_method,
    )
}

fn new(payment_method: PaymentMethod) -> NewIntent {
    NewIntent {
        order_id: an_order(),
        price: Money { amount: 1099, currency: Currency::Eur },
        payment_method,
    }
}

/// An intent for a new order that pays so, unconfirmed.
async fn created<P: Provider>(
    provider: &impl AsyncFn(Card) -> (P, PaymentMethod),
    card: Card,
) -> (P, IntentId) {
    let (provider, payment_method) = provider(card).await;
    let intent = provider.create(&new(payment_method)).await.unwrap();
    assert_eq!(intent.status, IntentStatus::Unconfirmed);
    (provider, intent.id)
}

async fn confirmed<P: Provider>(
    provider: &impl AsyncFn(Card) -> (P, PaymentMethod),
    card: Card,
) -> (P, IntentId) {
    let (provider, id) = created(provider, card).await;
    provider.confirm(&id).await.unwrap();
    (provider, id)
}

fn declined() -> IntentStatus {
    IntentStatus::Declined("insufficient_funds".to_owned())
}

async fn an_intent_takes_the_money_once_it_is_confirmed<P: Provider>(
    provider: impl AsyncFn(Card) -> (P, PaymentMethod),
) {
    let (provider, id) = created(&provider, Card::Good).await;
    assert_eq!(
        provider.find(&id).await.unwrap(),
        Intent { id: id.clone(), status: IntentStatus::Unconfirmed }
    );
    for _ in 0..2 {
        assert_eq!(
            provider.confirm(&id).await.unwrap(),
            Intent { id: id.clone(), status: IntentStatus::Succeeded }
        );
    }
    assert_eq!(provider.find(&id).await.unwrap().status, IntentStatus::Succeeded);
}

async fn an_order_that_asks_twice_gets_the_same_intent<P: Provider>(
    provider: impl AsyncFn(Card) -> (P, PaymentMethod),
) {
    let (provider, payment_method) = provider(Card::Good).await;
    let new = new(payment_method);
    let first = provider.create(&new).await.unwrap();
    assert_eq!(provider.create(&new).await.unwrap(), first);
    // The first answer is repeated; where the intent stands is for `find` to say.
    provider.confirm(&first.id).await.unwrap();
    assert_eq!(provider.create(&new).await.unwrap(), first);
    let another = NewIntent { order_id: an_order(), ..new };
    assert_ne!(provider.create(&another).await.unwrap().id, first.id);
}

async fn a_declined_charge_stays_declined_and_can_be_called_off<P: Provider>(
    provider: impl AsyncFn(Card) -> (P, PaymentMethod),
) {
    let (provider, id) = created(&provider, Card::Poor).await;
    for _ in 0..2 {
        assert_eq!(provider.confirm(&id).await.unwrap().status, declined());
        assert_eq!(provider.find(&id).await.unwrap().status, declined());
    }
    assert_eq!(provider.cancel(&id).await.unwrap().status, IntentStatus::Cancelled);
}

async fn an_intent_that_was_called_off_takes_nothing_any_more<P: Provider>(
    provider: impl AsyncFn(Card) -> (P, PaymentMethod),
) {
    let (provider, id) = created(&provider, Card::Good).await;
    for _ in 0..2 {
        assert_eq!(
            provider.cancel(&id).await.unwrap(),
            Intent { id: id.clone(), status: IntentStatus::Cancelled }
        );
    }
    assert_eq!(provider.confirm(&id).await.unwrap().status, IntentStatus::Cancelled);
    assert_eq!(provider.find(&id).await.unwrap().status, IntentStatus::Cancelled);
}

async fn what_has_been_taken_cannot_be_called_off<P: Provider>(
    provider: impl AsyncFn(Card) -> (P, PaymentMethod),
) {
    let (provider, id) = confirmed(&provider, Card::Good).await;
    assert_eq!(provider.cancel(&id).await.unwrap().status, IntentStatus::Succeeded);
    assert_eq!(provider.find(&id).await.unwrap().status, IntentStatus::Succeeded);
}

async fn what_has_been_taken_is_given_back_once<P: Provider>(
    provider: impl AsyncFn(Card) -> (P, PaymentMethod),
) {
    let (provider, id) = confirmed(&provider, Card::Good).await;
    for _ in 0..2 {
        assert_eq!(provider.refund(&id).await.unwrap(), Refund::Succeeded);
    }
    // It has taken the money all the same.
    assert_eq!(provider.find(&id).await.unwrap().status, IntentStatus::Succeeded);
}

async fn a_refund_that_fails_says_why<P: Provider>(
    provider: impl AsyncFn(Card) -> (P, PaymentMethod),
) {
    let (provider, id) = confirmed(&provider, Card::Closed).await;
    let failed = Refund::Failed { reason: "expired_or_canceled_card".to_owned() };
    for _ in 0..2 {
        assert_eq!(provider.refund(&id).await.unwrap(), failed);
    }
}

async fn nothing_is_given_back_that_was_not_taken<P: Provider>(
    provider: impl AsyncFn(Card) -> (P, PaymentMethod),
) {
    let refused =
        |refund| matches!(refund, Err(ProviderError::Call(Error::Refused { status: 400, .. })));
    let (unconfirmed, id) = created(&provider, Card::Good).await;
    assert!(refused(unconfirmed.refund(&id).await));
    unconfirmed.cancel(&id).await.unwrap();
    assert!(refused(unconfirmed.refund(&id).await));
    let (declined, id) = confirmed(&provider, Card::Poor).await;
    assert!(refused(declined.refund(&id).await));
}

async fn an_intent_that_there_is_not_is_refused<P: Provider>(
    provider: impl AsyncFn(Card) -> (P, PaymentMethod),
) {
    let (provider, _) = provider(Card::Good).await;
    let nobodys = IntentId::new(format!("pi_{}", an_order()));
    let answers = [
        provider.find(&nobodys).await,
        provider.confirm(&nobodys).await,
        provider.cancel(&nobodys).await,
    ];
    for answer in answers {
        assert!(
            matches!(answer, Err(ProviderError::Call(Error::Refused { status: 404, .. }))),
            "{answer:?}"
        );
    }
    let refund = provider.refund(&nobodys).await;
    assert!(matches!(refund, Err(ProviderError::Call(Error::Refused { .. }))), "{refund:?}");
}
