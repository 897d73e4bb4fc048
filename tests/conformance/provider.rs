//! [`Provider`]: charging and refunding.

use local::PROVIDER_SECRET_NAME;
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

use super::{conformance, new_order};
use crate::harness::System;

conformance!(
    [
        a_confirmed_intent_has_succeeded,
        creating_an_intent_twice_for_an_order_returns_the_same,
        an_amount_below_the_minimum_is_refused_for_good,
        a_declined_intent_stays_declined_and_can_be_cancelled,
        a_cancelled_intent_can_no_longer_be_confirmed,
        an_intent_that_succeeded_cannot_be_cancelled,
        an_intent_is_refunded_once,
        a_failed_refund_has_a_reason,
        an_intent_that_was_not_captured_cannot_be_refunded,
        an_unknown_intent_is_refused,
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
    /// Charged, but closed before a refund.
    Closed,
}

async fn memory(card: Card) -> (MemoryProvider, PaymentMethod) {
    let provider = MemoryProvider::default();
    match card {
        Card::Good => {}
        Card::Poor => provider.decline("insufficient_funds"),
        Card::Closed => provider.fail_refunds(Some("expired_or_canceled_card")),
    }
    (provider, "pm_card_visa".parse().unwrap())
}

/// The function's own client and API key, against the sandbox.
async fn sandbox(card: Card) -> (StripeProvider, PaymentMethod) {
    let system = System::shared().await;
    let payment_method = match card {
        Card::Good => "pm_card_visa",
        Card::Poor => "pm_card_visa_chargeDeclinedInsufficientFunds",
        Card::Closed => "pm_card_refundFail",
    };
    let sandbox_url = system.stack.sandbox_url.clone();
    let provider = StripeProvider::new(
        &system.stack.aws(),
        PROVIDER_SECRET_NAME.to_owned(),
        sandbox_url,
        None,
    );
    (provider, payment_method.parse().unwrap())
}

fn new(payment_method: PaymentMethod) -> NewIntent {
    NewIntent {
        order_id: new_order(),
        price: Money { amount: 1099, currency: Currency::Eur },
        payment_method,
    }
}

/// Creates an unconfirmed intent for a new order.
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

async fn a_confirmed_intent_has_succeeded<P: Provider>(
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

async fn creating_an_intent_twice_for_an_order_returns_the_same<P: Provider>(
    provider: impl AsyncFn(Card) -> (P, PaymentMethod),
) {
    let (provider, payment_method) = provider(Card::Good).await;
    let new = new(payment_method);
    let first = provider.create(&new).await.unwrap();
    assert_eq!(provider.create(&new).await.unwrap(), first);
    // The first answer is repeated; only `find` returns the current status.
    provider.confirm(&first.id).await.unwrap();
    assert_eq!(provider.create(&new).await.unwrap(), first);
    let another = NewIntent { order_id: new_order(), ..new };
    assert_ne!(provider.create(&another).await.unwrap().id, first.id);
}

async fn an_amount_below_the_minimum_is_refused_for_good<P: Provider>(
    provider: impl AsyncFn(Card) -> (P, PaymentMethod),
) {
    let (provider, payment_method) = provider(Card::Good).await;
    let price = Money { amount: 49, currency: Currency::Eur };
    let new = NewIntent { price, ..new(payment_method) };
    for _ in 0..2 {
        let Err(ProviderError::Call(error)) = provider.create(&new).await else {
            panic!("49 cents are taken")
        };
        assert_eq!(error.unchargeable(), Some("amount_too_small"));
    }
}

async fn a_declined_intent_stays_declined_and_can_be_cancelled<P: Provider>(
    provider: impl AsyncFn(Card) -> (P, PaymentMethod),
) {
    let (provider, id) = created(&provider, Card::Poor).await;
    for _ in 0..2 {
        assert_eq!(provider.confirm(&id).await.unwrap().status, declined());
        assert_eq!(provider.find(&id).await.unwrap().status, declined());
    }
    assert_eq!(provider.cancel(&id).await.unwrap().status, IntentStatus::Cancelled);
}

async fn a_cancelled_intent_can_no_longer_be_confirmed<P: Provider>(
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

async fn an_intent_that_succeeded_cannot_be_cancelled<P: Provider>(
    provider: impl AsyncFn(Card) -> (P, PaymentMethod),
) {
    let (provider, id) = confirmed(&provider, Card::Good).await;
    assert_eq!(provider.cancel(&id).await.unwrap().status, IntentStatus::Succeeded);
    assert_eq!(provider.find(&id).await.unwrap().status, IntentStatus::Succeeded);
}

async fn an_intent_is_refunded_once<P: Provider>(
    provider: impl AsyncFn(Card) -> (P, PaymentMethod),
) {
    let (provider, id) = confirmed(&provider, Card::Good).await;
    for _ in 0..2 {
        assert_eq!(provider.refund(&id).await.unwrap(), Refund::Succeeded);
    }
    // A refund does not change the status of the intent.
    assert_eq!(provider.find(&id).await.unwrap().status, IntentStatus::Succeeded);
}

async fn a_failed_refund_has_a_reason<P: Provider>(
    provider: impl AsyncFn(Card) -> (P, PaymentMethod),
) {
    let (provider, id) = confirmed(&provider, Card::Closed).await;
    let failed = Refund::Failed { reason: "expired_or_canceled_card".to_owned() };
    for _ in 0..2 {
        assert_eq!(provider.refund(&id).await.unwrap(), failed);
    }
}

async fn an_intent_that_was_not_captured_cannot_be_refunded<P: Provider>(
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

async fn an_unknown_intent_is_refused<P: Provider>(
    provider: impl AsyncFn(Card) -> (P, PaymentMethod),
) {
    let (provider, _) = provider(Card::Good).await;
    let unknown = IntentId::new(format!("pi_{}", new_order()));
    let answers = [
        provider.find(&unknown).await,
        provider.confirm(&unknown).await,
        provider.cancel(&unknown).await,
    ];
    for answer in answers {
        assert!(
            matches!(answer, Err(ProviderError::Call(Error::Refused { status: 404, .. }))),
            "{answer:?}"
        );
    }
    let refund = provider.refund(&unknown).await;
    assert!(matches!(refund, Err(ProviderError::Call(Error::Refused { .. }))), "{refund:?}");
}
