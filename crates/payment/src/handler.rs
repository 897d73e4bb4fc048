//! The use cases: charge, and undo. The row commits an order to one intent before that intent may
//! take anything; what it then did is asked of the provider, whose word is the truth about money.

use jiff::Timestamp;
use platform::{
    bus::{EventBus, PublishError},
    queue::Retryable,
    table::StoreError,
};
use shop::{
    event::{Metadata, OrderData, OrderEvent, PaymentEvent, PaymentFailed, PaymentMade},
    id::OrderId,
    money::Money,
    order::OrderEventType,
    payment::{IntentId, Payment, Progress, Trigger},
};
use stripe::{Intent, IntentStatus, NewIntent, Refund};

use crate::provider::{Provider, ProviderError};

/// Payments, as far as this function may touch them.
pub trait Payments {
    /// The payment of an order, read consistently.
    async fn find(&self, order: OrderId) -> Result<Option<Payment>, StoreError>;

    /// Writes `next` at `now` if the row is still in the state of `from`; otherwise returns what it
    /// is instead.
    async fn write(
        &self,
        order: OrderId,
        price: Money,
        from: Option<&Payment>,
        next: &Payment,
        now: Timestamp,
    ) -> Result<Written, StoreError>;
}

/// What came of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is written.
    Yes,
    /// Somebody was faster: the row is this, and decides.
    Instead(Payment),
}

/// Why a record has to come again.
#[derive(Debug, thiserror::Error)]
pub enum PaymentError {
    /// The table failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The provider failed.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The bus failed.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The provider has not made up its mind.
    #[error("the payment provider has not finished; it comes again")]
    Unfinished,
    /// An event that may charge came without a means to.
    #[error(
        "order.reserved came without a payment method; announce the order again while it is reserved"
    )]
    NoPaymentMethod,
}

impl Retryable for PaymentError {
    fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            Self::Provider(error) => error.is_transient(),
            Self::Publish(error) => error.is_transient(),
            Self::Unfinished => true,
            Self::NoPaymentMethod => false,
        }
    }
}

/// The function with its ports.
#[derive(Debug)]
pub struct Cashier<P, C, B> {
    /// Its table.
    pub payments: P,
    /// The payment provider.
    pub provider: C,
    /// Where it tells what came of a payment.
    pub bus: B,
}

impl<P: Payments, C: Provider, B: EventBus> Cashier<P, C, B> {
    /// Charges for an order whose stock is held, undoes the payment of one that ended early;
    /// whatever else happens to an order is no concern of payment.
    ///
    /// # Errors
    /// When table, provider or bus fail or are undecided; the record can safely come again.
    pub async fn handle(&self, event: OrderEvent, now: Timestamp) -> Result<(), PaymentError> {
        let order = &event.detail.data;
        let payment = match event.event_type {
            OrderEventType::Reserved => self.charge(order, now).await?,
            OrderEventType::Rejected | OrderEventType::Cancelled | OrderEventType::Expired => {
                self.undo(order, now).await?
            }
            _ => None,
        };
        if let Some(payment) = &payment {
            tracing::info!(order_id = %order.order_id, state = payment.name(), "payment");
        }
        match payment.and_then(|payment| announcement(payment, &event.detail.metadata, order, now))
        {
            Some(event) => Ok(self.bus.publish(&[event]).await?),
            None => Ok(()),
        }
    }

    /// The payment as it is afterwards; none when it came too late to begin.
    async fn charge(
        &self,
        order: &OrderData,
        now: Timestamp,
    ) -> Result<Option<Payment>, PaymentError> {
        let expired = now >= order.deadline;
        let (payment, known) = match self.payments.find(order.order_id).await? {
            Some(payment) => (payment, None),
            None if expired => {
                tracing::info!(order_id = %order.order_id, "not charged: its deadline has passed");
                return Ok(None);
            }
            None => self.begin(order, now).await?,
        };
        let Payment::Committed { intent, progress: Progress::Charging } = &payment else {
            return Ok(Some(payment));
        };
        // Whoever did not see the intent being created cannot know how far an earlier delivery got.
        let known = match known {
            Some(status) => status,
            None => self.provider.find(intent).await?.status,
        };
        let status = match known {
            IntentStatus::Unconfirmed if expired => {
                tracing::info!(order_id = %order.order_id, "not confirmed: its deadline has passed");
                return Ok(Some(payment));
            }
            IntentStatus::Unconfirmed => self.provider.confirm(intent).await?.status,
            known => known,
        };
        let trigger = match status {
            IntentStatus::Succeeded => Trigger::Captured,
            IntentStatus::Declined(reason) => Trigger::Declined(reason),
            // Not by this function, which would have written so first: somebody did it at the
            // provider.
            IntentStatus::Cancelled => Trigger::Declined("cancelled".into()),
            IntentStatus::Processing | IntentStatus::Unconfirmed => {
                return Err(PaymentError::Unfinished);
            }
        };
        Ok(Some(self.advance(order, payment, trigger, now).await?))
    }

    /// Creates an intent and commits the order to it. With the payment comes the intent's status if
    /// it is known.
    async fn begin(
        &self,
        order: &OrderData,
        now: Timestamp,
    ) -> Result<(Payment, Option<IntentStatus>), PaymentError> {
        let payment_method = order.payment_method.clone().ok_or(PaymentError::NoPaymentMethod)?;
        let new = NewIntent { order_id: order.order_id, price: order.price(), payment_method };
        let Intent { id, status } = self.provider.create(&new).await?;
        let charging = Payment::Committed { intent: id.clone(), progress: Progress::Charging };
        match self.payments.write(order.order_id, order.price(), None, &charging, now).await? {
            Written::Yes => Ok((charging, Some(status))),
            Written::Instead(first) => {
                // The order has another intent, or may have none: this one must never be confirmed.
                if first.intent() != Some(&id) {
                    self.provider.cancel(&id).await?;
                }
                Ok((first, None))
            }
        }
    }

    async fn undo(
        &self,
        order: &OrderData,
        now: Timestamp,
    ) -> Result<Option<Payment>, PaymentError> {
        let mut current = self.payments.find(order.order_id).await?;
        while let Some(next) = Payment::next(current.as_ref(), Trigger::UndoRequested) {
            match self
                .payments
                .write(order.order_id, order.price(), current.as_ref(), &next, now)
                .await?
            {
                Written::Yes => {
                    current = Some(next);
                    break;
                }
                Written::Instead(first) => current = Some(first),
            }
        }
        let Some(payment) = current else { return Ok(None) };
        match &payment {
            Payment::Committed {
                intent,
                progress: Progress::Undoing | Progress::RefundFailed { .. },
            } => {
                let trigger = self.give_back(intent).await?;
                Ok(Some(self.advance(order, payment, trigger, now).await?))
            }
            Payment::Committed { intent, progress: Progress::Declined { .. } } => {
                // It has taken nothing, and now never will.
                self.provider.cancel(intent).await?;
                Ok(None)
            }
            _ => Ok(Some(payment)),
        }
    }

    /// Makes sure that an intent has taken nothing in the end.
    async fn give_back(&self, intent: &IntentId) -> Result<Trigger, PaymentError> {
        match self.provider.cancel(intent).await?.status {
            IntentStatus::Cancelled => Ok(Trigger::Voided),
            IntentStatus::Succeeded => match self.provider.refund(intent).await? {
                Refund::Succeeded => Ok(Trigger::Refunded),
                Refund::Failed { reason } => Ok(Trigger::RefundFailed(reason)),
                Refund::Pending => Err(PaymentError::Unfinished),
            },
            IntentStatus::Unconfirmed | IntentStatus::Declined(_) | IntentStatus::Processing => {
                Err(PaymentError::Unfinished)
            }
        }
    }

    /// The payment after `trigger`, or what somebody faster has made of it.
    async fn advance(
        &self,
        order: &OrderData,
        payment: Payment,
        trigger: Trigger,
        now: Timestamp,
    ) -> Result<Payment, PaymentError> {
        let Some(next) = Payment::next(Some(&payment), trigger) else {
            return Ok(payment);
        };
        match self.payments.write(order.order_id, order.price(), Some(&payment), &next, now).await?
        {
            Written::Yes => Ok(next),
            Written::Instead(first) => Ok(first),
        }
    }
}

/// What there is to tell of a payment; nothing while it is undecided, and nothing of one that never
/// began.
fn announcement(
    payment: Payment,
    cause: &Metadata,
    order: &OrderData,
    now: Timestamp,
) -> Option<PaymentEvent> {
    let (order_id, cause) = (order.order_id, cause.event_id);
    let made = PaymentMade { order_id, amount: order.total, currency: order.currency };
    let failed = |reason| PaymentFailed { order_id, reason };
    let Payment::Committed { progress, .. } = payment else { return None };
    Some(match progress {
        Progress::Charging | Progress::Undoing => return None,
        Progress::Captured => PaymentEvent::captured(made, now, cause),
        Progress::Declined { reason } => PaymentEvent::declined(failed(reason), now, cause),
        Progress::Voided => PaymentEvent::voided(made, now, cause),
        Progress::Refunded => PaymentEvent::refunded(made, now, cause),
        Progress::RefundFailed { reason } => {
            PaymentEvent::refund_failed(failed(reason), now, cause)
        }
    })
}

#[cfg(test)]
mod tests {
    use platform::bus::MemoryBus;
    use serde_json::json;

    use super::*;
    use crate::memory::{MemoryPayments, MemoryProvider};

    type TestCashier = Cashier<MemoryPayments, MemoryProvider, MemoryBus>;

    const NOW: &str = "2026-11-24T08:00:05Z";
    const LATE: &str = "2026-11-24T08:15:00Z";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn event(event_type: &str) -> OrderEvent {
        let order_id = "0b7c55f2-9d4e-4c6b-8a1f-3e2d7c9014aa";
        let mut event = json!({
            "detail-type": event_type,
            "detail": {
                "metadata": {"event_id": order_id, "version": 1, "occurred_at": NOW, "correlation_id": order_id},
                "data": {
                    "order_id": order_id, "customer_id": "camille", "revision": 2, "status": "reserved", "payment": "none",
                    "location": "paris", "location_name": "Amélie Paris", "time_zone": "Europe/Paris", "pickup_at": NOW, "pickup_day": "2026-11-24", "deadline": LATE,
                    "lines": [{"item": "croissant", "name": "Butter croissant", "quantity": 2, "unit_price": 190}],
                    "total": 380, "currency": "EUR"
                }
            }
        });
        if event_type == "order.reserved" {
            event["detail"]["data"]["payment_method"] = json!("pm_card_visa");
        }
        serde_json::from_value(event).unwrap()
    }

    fn cashier() -> TestCashier {
        Cashier {
            payments: MemoryPayments::default(),
            provider: MemoryProvider::default(),
            bus: MemoryBus::default(),
        }
    }

    fn told(cashier: &TestCashier) -> Vec<String> {
        cashier
            .bus
            .published()
            .iter()
            .map(|event| event["detail-type"].as_str().unwrap().to_owned())
            .collect()
    }

    async fn reserved(cashier: &TestCashier) -> Result<(), PaymentError> {
        cashier.handle(event("order.reserved"), at(NOW)).await
    }

    async fn cancelled(cashier: &TestCashier) -> Result<(), PaymentError> {
        cashier.handle(event("order.cancelled"), at(NOW)).await
    }

    #[tokio::test]
    async fn a_reserved_order_is_charged_once_however_often_it_is_delivered() {
        let cashier = cashier();
        reserved(&cashier).await.unwrap();
        reserved(&cashier).await.unwrap();
        assert_eq!(cashier.provider.taken(), 380);
        assert_eq!(told(&cashier), ["payment.captured", "payment.captured"]);
        let published = cashier.bus.published();
        assert_eq!(
            published[0]["detail"]["metadata"]["event_id"],
            published[1]["detail"]["metadata"]["event_id"]
        );
    }

    #[tokio::test]
    async fn an_answer_that_is_lost_at_any_point_charges_nobody_twice() {
        for lost in 1..=3 {
            let cashier = cashier();
            cashier.provider.lose_answers(lost);
            let mut deliveries = 0;
            while reserved(&cashier).await.is_err() {
                deliveries += 1;
                assert!(deliveries < 10);
            }
            assert_eq!(cashier.provider.taken(), 380, "after {lost} lost answers");
            assert_eq!(told(&cashier), ["payment.captured"]);
        }
    }

    #[tokio::test]
    async fn a_confirmation_whose_answer_was_lost_is_asked_for_and_not_repeated() {
        let cashier = cashier();
        let order = event("order.reserved").detail.data;
        let (payment, _) = cashier.begin(&order, at(NOW)).await.unwrap();
        cashier.provider.confirm(payment.intent().unwrap()).await.unwrap();
        cashier.provider.decline("card_declined");
        reserved(&cashier).await.unwrap();
        assert_eq!(told(&cashier), ["payment.captured"]);
    }

    #[tokio::test]
    async fn a_declined_charge_is_told_with_its_reason_and_its_intent_is_closed_when_the_order_ends()
     {
        let cashier = cashier();
        cashier.provider.decline("insufficient_funds");
        reserved(&cashier).await.unwrap();
        assert_eq!(cashier.bus.published()[0]["detail"]["data"]["reason"], "insufficient_funds");
        cashier.handle(event("order.rejected"), at(NOW)).await.unwrap();
        assert_eq!((cashier.provider.taken(), cashier.provider.open()), (0, 0));
        assert_eq!(told(&cashier), ["payment.declined"]);
    }

    #[tokio::test]
    async fn a_charge_is_refunded_once_when_its_order_ends_early() {
        let cashier = cashier();
        reserved(&cashier).await.unwrap();
        cancelled(&cashier).await.unwrap();
        cancelled(&cashier).await.unwrap();
        assert_eq!(cashier.provider.taken(), 0);
        assert_eq!(told(&cashier), ["payment.captured", "payment.refunded", "payment.refunded"]);
    }

    #[tokio::test]
    async fn an_undo_that_overtakes_its_charge_forbids_it() {
        let cashier = cashier();
        cancelled(&cashier).await.unwrap();
        reserved(&cashier).await.unwrap();
        assert_eq!(cashier.provider.taken(), 0);
        assert!(told(&cashier).is_empty());
    }

    #[tokio::test]
    async fn a_charger_that_finds_a_tombstone_abandons_its_intent() {
        let cashier = cashier();
        let order = event("order.reserved").detail.data;
        cancelled(&cashier).await.unwrap();
        // It had looked before the tombstone was there.
        let (payment, _) = cashier.begin(&order, at(NOW)).await.unwrap();
        assert_eq!(payment, Payment::Forbidden);
        assert_eq!(cashier.provider.open(), 0);
    }

    #[tokio::test]
    async fn an_intent_that_was_never_confirmed_is_voided() {
        let cashier = cashier();
        let order = event("order.reserved").detail.data;
        cashier.begin(&order, at(NOW)).await.unwrap();
        cancelled(&cashier).await.unwrap();
        assert_eq!(told(&cashier), ["payment.voided"]);
        reserved(&cashier).await.unwrap();
        assert_eq!((cashier.provider.taken(), cashier.provider.open()), (0, 0));
    }

    #[tokio::test]
    async fn nothing_is_charged_after_the_deadline() {
        let cashier = cashier();
        cashier.handle(event("order.reserved"), at(LATE)).await.unwrap();
        assert_eq!((cashier.provider.taken(), cashier.provider.open()), (0, 0));

        let order = event("order.reserved").detail.data;
        cashier.begin(&order, at(NOW)).await.unwrap();
        cashier.handle(event("order.reserved"), at(LATE)).await.unwrap();
        assert_eq!(cashier.provider.taken(), 0);
    }

    #[tokio::test]
    async fn a_charge_that_succeeded_in_time_is_told_even_after_the_deadline() {
        let cashier = cashier();
        let order = event("order.reserved").detail.data;
        let (payment, _) = cashier.begin(&order, at(NOW)).await.unwrap();
        cashier.provider.confirm(payment.intent().unwrap()).await.unwrap();
        cashier.handle(event("order.reserved"), at(LATE)).await.unwrap();
        assert_eq!(told(&cashier), ["payment.captured"]);
    }

    #[tokio::test]
    async fn a_refund_that_failed_is_told_and_can_be_tried_again() {
        let cashier = cashier();
        reserved(&cashier).await.unwrap();
        cashier.provider.fail_refunds(Some("expired_or_canceled_card"));
        cancelled(&cashier).await.unwrap();
        cashier.provider.fail_refunds(None);
        cancelled(&cashier).await.unwrap();
        assert_eq!(
            told(&cashier),
            ["payment.captured", "payment.refund_failed", "payment.refunded"]
        );
        assert_eq!(cashier.provider.taken(), 0);
    }
}
