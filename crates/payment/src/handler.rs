//! The use cases: charge an order, and undo its charge.
//!
//! The row commits the order to one intent before that intent is confirmed. What the intent has
//! done since is known by the provider alone, and looked up after any doubt.

use jiff::Timestamp;
use platform::{
    bus::{EventBus, PublishError},
    cause::chain,
    queue::Retryable,
    table::{StoreError, Write},
};
use shop::{
    event::{Metadata, OrderData, OrderEvent, PaymentEvent, PaymentFailed, PaymentMade},
    id::OrderId,
    money::Money,
    order::OrderEventType,
    payment::{IntentId, Payment, Progress, Trigger},
};
use stripe::{Intent, IntentStatus, NewIntent, Refund};

use crate::{
    metrics,
    provider::{Provider, ProviderError},
};

/// The payments of all orders, one row each.
pub trait Payments {
    /// Reads the payment of an order consistently.
    async fn find(&self, order: OrderId) -> Result<Option<Payment>, StoreError>;

    /// Writes `next` at `now`, on the condition that the row is still in the state of `from`.
    async fn write(
        &self,
        order: OrderId,
        price: Money,
        from: Option<&Payment>,
        next: &Payment,
        now: Timestamp,
    ) -> Result<Write<Payment>, StoreError>;
}

/// Why an event could not be handled.
#[derive(Debug, thiserror::Error)]
pub enum PaymentError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Provider(#[from] ProviderError),
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The provider is still at work on the charge or the refund.
    #[error("the payment provider has not finished yet; the message is retried")]
    Unfinished,
    #[error(
        "order.reserved has no payment method; \
         publish the order's event again while the order is reserved"
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

/// Handles the events of orders.
#[derive(Debug)]
pub struct Cashier<S, P, B> {
    pub payments: S,
    pub provider: P,
    pub bus: B,
}

impl<S: Payments, P: Provider, B: EventBus> Cashier<S, P, B> {
    /// Charges for an order whose stock is held, undoes the charge of one that ended early, and
    /// publishes the outcome. Other events of an order change nothing.
    ///
    /// # Errors
    /// The table, the provider or the bus fails, or the provider has not finished. The event can be
    /// handled again.
    pub async fn handle(&self, event: OrderEvent, now: Timestamp) -> Result<(), PaymentError> {
        let order = &event.detail.data;
        let payment = match event.event_type {
            OrderEventType::Reserved => self.charge(order, now).await?,
            OrderEventType::Rejected | OrderEventType::Cancelled | OrderEventType::Expired => {
                self.undo(order, now).await?
            }
            OrderEventType::Placed
            | OrderEventType::Confirmed
            | OrderEventType::Preparing
            | OrderEventType::Ready
            | OrderEventType::Collected
            | OrderEventType::PaymentChanged
            | OrderEventType::Erased => None,
        };
        match &payment {
            Some(Payment::Committed { progress: Progress::RefundFailed { reason }, .. }) => {
                tracing::error!(reason, "refund failed; somebody has to give the money back");
            }
            Some(payment) => tracing::info!(state = payment.name(), "payment"),
            None => {}
        }
        let cause = &event.detail.metadata;
        if let Some(outcome) = payment.and_then(|payment| outcome(payment, cause, order, now)) {
            self.bus.publish(&[outcome]).await?;
        }
        Ok(())
    }

    /// Returns the payment after the charge, or `None` if the deadline passed before it began.
    async fn charge(
        &self,
        order: &OrderData,
        now: Timestamp,
    ) -> Result<Option<Payment>, PaymentError> {
        let expired = now >= order.deadline;
        let (payment, known) = match self.payments.find(order.order_id).await? {
            Some(payment) => (payment, None),
            None if expired => {
                tracing::info!("not charged: the deadline has passed");
                return Ok(None);
            }
            None => self.begin(order, now).await?,
        };
        let Payment::Committed { intent, progress: Progress::Charging } = &payment else {
            return Ok(Some(payment));
        };
        // An earlier delivery may have got further with an intent that this one did not create.
        let known = match known {
            Some(status) => status,
            None => self.provider.find(intent).await?.status,
        };
        let status = match known {
            IntentStatus::Unconfirmed if expired => {
                tracing::info!("not confirmed: the deadline has passed");
                return Ok(Some(payment));
            }
            IntentStatus::Unconfirmed => self.provider.confirm(intent).await?.status,
            known => known,
        };
        let trigger = match status {
            IntentStatus::Succeeded => Trigger::Captured,
            IntentStatus::Declined(reason) => Trigger::Declined(reason),
            // By hand at the provider: this function would have written that it undoes the charge.
            IntentStatus::Cancelled => Trigger::Declined("cancelled".into()),
            IntentStatus::Processing | IntentStatus::Unconfirmed | IntentStatus::Other(_) => {
                return Err(PaymentError::Unfinished);
            }
        };
        Ok(Some(self.advance(order, payment, trigger, now).await?))
    }

    /// Creates an intent and commits the order to it, or to the provider's refusal to create one.
    /// Returns the payment, and the intent's status if it is known.
    async fn begin(
        &self,
        order: &OrderData,
        now: Timestamp,
    ) -> Result<(Payment, Option<IntentStatus>), PaymentError> {
        let payment_method = order.payment_method.clone().ok_or(PaymentError::NoPaymentMethod)?;
        let new = NewIntent { order_id: order.order_id, price: order.price(), payment_method };
        let Intent { id, status } = match self.provider.create(&new).await {
            Ok(intent) => intent,
            Err(error) => return Ok((self.refuse(order, error, now).await?, None)),
        };
        let charging = Payment::Committed { intent: id.clone(), progress: Progress::Charging };
        match self.payments.write(order.order_id, order.price(), None, &charging, now).await? {
            Write::Committed => Ok((charging, Some(status))),
            Write::Conflict(first) => {
                // If the order has another intent, or must have none, this one is abandoned.
                if first.intent() != Some(&id) {
                    self.provider.cancel(&id).await?;
                }
                Ok((first, None))
            }
        }
    }

    /// Commits the order to a refusal for good; any other error is returned. Returns the row as it
    /// stands: the order may have ended meanwhile, or another delivery may have created an intent.
    async fn refuse(
        &self,
        order: &OrderData,
        error: ProviderError,
        now: Timestamp,
    ) -> Result<Payment, PaymentError> {
        let Some(reason) = error.unchargeable() else { return Err(error.into()) };
        tracing::warn!(error = chain(&error), "the order's payment is refused for good");
        let refused = Payment::Refused { reason: reason.to_owned() };
        match self.payments.write(order.order_id, order.price(), None, &refused, now).await? {
            Write::Committed => Ok(refused),
            Write::Conflict(first) => Ok(first),
        }
    }

    /// Returns the payment after the undo, or `None` if there is nothing to report.
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
                Write::Committed => {
                    current = Some(next);
                    break;
                }
                Write::Conflict(first) => current = Some(first),
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
                // The intent has taken nothing. Cancelled, it never will.
                self.provider.cancel(intent).await?;
                Ok(None)
            }
            Payment::Refused { .. } => Ok(None),
            _ => Ok(Some(payment)),
        }
    }

    /// Voids or refunds an intent, so that it keeps no money.
    async fn give_back(&self, intent: &IntentId) -> Result<Trigger, PaymentError> {
        match self.provider.cancel(intent).await?.status {
            IntentStatus::Cancelled => Ok(Trigger::Voided),
            IntentStatus::Succeeded => match self.provider.refund(intent).await? {
                Refund::Succeeded => Ok(Trigger::Refunded),
                Refund::Failed { reason } => Ok(Trigger::RefundFailed(reason)),
                Refund::Pending => Err(PaymentError::Unfinished),
            },
            IntentStatus::Unconfirmed
            | IntentStatus::Declined(_)
            | IntentStatus::Processing
            | IntentStatus::Other(_) => Err(PaymentError::Unfinished),
        }
    }

    /// Writes the payment after `trigger`. Returns the row as it stands: another delivery may have
    /// been faster.
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
            Write::Committed => {
                metrics::record(&next, order.price());
                Ok(next)
            }
            Write::Conflict(first) => Ok(first),
        }
    }
}

/// The event that reports a payment, or `None` while its outcome is open or if it never began.
fn outcome(
    payment: Payment,
    cause: &Metadata,
    order: &OrderData,
    now: Timestamp,
) -> Option<PaymentEvent> {
    let order_id = order.order_id;
    let made = PaymentMade { order_id, amount: order.total, currency: order.currency };
    let failed = |reason| PaymentFailed { order_id, reason };
    let progress = match payment {
        Payment::Forbidden => return None,
        Payment::Refused { reason } => {
            return Some(PaymentEvent::declined(failed(reason), now, cause));
        }
        Payment::Committed { progress, .. } => progress,
    };
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
mod tests;
