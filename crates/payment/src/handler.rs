//! The use cases: charge an order, undo its charge, and give a part of it back.
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
    authentication::AuthenticationUrl,
    event::{
        AuthenticationRequired, Metadata, OrderData, OrderEvent, PaymentChanged, PaymentEvent,
        PaymentFailed, PaymentMade,
    },
    id::OrderId,
    money::Money,
    order::OrderEventType,
    payment::{IntentId, Payment, PaymentRecord, Progress, RefundEntry, Trigger},
    refund::RefundReport,
};
use stripe::{Intent, IntentStatus, NewIntent, Refund};

use crate::{
    limit::{Claim, Limit, PlaceStore, Places, Use},
    metrics,
    provider::{Provider, ProviderError},
};

/// The payments of all orders, one row each.
pub trait Payments {
    /// Reads the payment of an order consistently.
    async fn find(&self, order: OrderId) -> Result<Option<PaymentRecord>, StoreError>;

    /// Writes `next` at `now`, on the condition that nobody has written the row since `from`.
    async fn write(
        &self,
        order: OrderId,
        price: Money,
        from: Option<&PaymentRecord>,
        next: &PaymentRecord,
        now: Timestamp,
    ) -> Result<Write<PaymentRecord>, StoreError>;
}

/// The reason of a refusal that is ours and not the provider's.
const TOO_MANY_DECLINES: &str = "too_many_declines";

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
    /// As many of the customer's payments are open as may be at a time.
    #[error("too many payments of the customer are open; the message is retried")]
    TooManyOpen,
    #[error(
        "order.reserved has no payment method; \
         publish the order's event again while the order is reserved"
    )]
    NoPaymentMethod,
    #[error("there is no payment to give money back from; find out who published the event")]
    NothingPaid,
}

impl Retryable for PaymentError {
    fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            Self::Provider(error) => error.is_transient(),
            Self::Publish(error) => error.is_transient(),
            Self::Unfinished | Self::TooManyOpen => true,
            Self::NoPaymentMethod | Self::NothingPaid => false,
        }
    }
}

/// Handles the events of orders.
#[derive(Debug)]
pub struct Cashier<S, P, B> {
    pub payments: S,
    pub provider: P,
    pub bus: B,
    /// How many payments of a customer may be open or declined.
    pub limit: Limit,
}

impl<S: Payments + PlaceStore, P: Provider, B: EventBus> Cashier<S, P, B> {
    /// Charges for an order whose stock is held, undoes the charge of one that ended early, gives a
    /// part of it back if the shop wants that, and publishes the outcome. Other events of an order
    /// change nothing.
    ///
    /// # Errors
    /// The table, the provider or the bus fails, or the provider has not finished. The event can be
    /// handled again.
    pub async fn handle(&self, event: OrderEvent, now: Timestamp) -> Result<(), PaymentError> {
        let order = Order { data: &event.detail.data, cause: &event.detail.metadata, now };
        let record = match event.event_type {
            OrderEventType::Reserved => self.charge(order).await?,
            OrderEventType::Rejected | OrderEventType::Cancelled | OrderEventType::Expired => {
                self.undo(order).await?
            }
            OrderEventType::RefundRequested => Some(self.give_back_parts(order).await?),
            OrderEventType::Placed
            | OrderEventType::AuthenticationRequired
            | OrderEventType::Confirmed
            | OrderEventType::Preparing
            | OrderEventType::Ready
            | OrderEventType::Collected
            | OrderEventType::PaymentChanged
            | OrderEventType::Erased => None,
        };
        let Some(record) = record else { return Ok(()) };
        self.give_back_place(order, &record).await?;
        log(&record);
        if let Some(outcome) = outcome(record, event.event_type, order) {
            self.bus.publish(&[outcome]).await?;
        }
        Ok(())
    }

    /// Returns the payment after the charge, or `None` if the deadline passed before it began.
    async fn charge(&self, order: Order<'_>) -> Result<Option<PaymentRecord>, PaymentError> {
        let expired = order.now >= order.data.deadline;
        let (record, known) = match self.payments.find(order.data.order_id).await? {
            Some(record) => (record, None),
            None if expired => {
                tracing::info!("not charged: the deadline has passed");
                return Ok(None);
            }
            None => self.begin(order).await?,
        };
        let Payment::Committed { intent, progress: Progress::Charging | Progress::Authenticating } =
            &record.payment
        else {
            return Ok(Some(record));
        };
        // An earlier delivery may have got further with an intent that this one did not create.
        let known = match known {
            Some(status) => status,
            None => self.provider.find(intent).await?.status,
        };
        let status = match known {
            IntentStatus::Unconfirmed if expired => {
                tracing::info!("not confirmed: the deadline has passed");
                return Ok(Some(record));
            }
            IntentStatus::Unconfirmed => self.provider.confirm(intent).await?.status,
            known => known,
        };
        let trigger = match status {
            IntentStatus::Succeeded => Trigger::Captured,
            IntentStatus::Declined(reason) => Trigger::Declined(reason),
            // By hand at the provider: this function would have written that it undoes the charge.
            IntentStatus::Cancelled => Trigger::Declined("cancelled".into()),
            IntentStatus::AuthenticationRequired(page) => {
                if !expired {
                    self.request_authentication(order, record, page).await?;
                }
                return Err(PaymentError::Unfinished);
            }
            IntentStatus::Processing | IntentStatus::Unconfirmed | IntentStatus::Other(_) => {
                return Err(PaymentError::Unfinished);
            }
        };
        self.advance(order, Some(record), trigger).await
    }

    /// Tells the order where its customer authenticates the payment, once.
    async fn request_authentication(
        &self,
        order: Order<'_>,
        record: PaymentRecord,
        authentication_url: AuthenticationUrl,
    ) -> Result<(), PaymentError> {
        if matches!(record.payment, Payment::Committed { progress: Progress::Authenticating, .. }) {
            return Ok(());
        }
        let required = AuthenticationRequired { order_id: order.data.order_id, authentication_url };
        let event = PaymentEvent::authentication_required(required, order.now, order.cause);
        // Before the row says so: nothing publishes it afterwards.
        self.bus.publish(&[event]).await?;
        let asked = self.advance(order, Some(record), Trigger::AuthenticationRequired).await?;
        if let Some(record) = asked {
            self.give_back_place(order, &record).await?;
            log(&record);
        }
        Ok(())
    }

    /// Creates an intent and commits the order to it, or to the provider's refusal to create one.
    /// Returns the payment, and the intent's status if it is known.
    async fn begin(
        &self,
        order: Order<'_>,
    ) -> Result<(PaymentRecord, Option<IntentStatus>), PaymentError> {
        let OrderData { order_id, payment_method, .. } = order.data;
        let payment_method = payment_method.clone().ok_or(PaymentError::NoPaymentMethod)?;
        if !self.take_place(order).await? {
            let refused = Payment::Refused { reason: TOO_MANY_DECLINES.to_owned() };
            return Ok((self.commit_refusal(order, refused).await?, None));
        }
        let new = NewIntent { order_id: *order_id, price: order.data.price(), payment_method };
        let Intent { id, status } = match self.provider.create(&new).await {
            Ok(intent) => intent,
            Err(error) => return Ok((self.refuse(order, error).await?, None)),
        };
        let charging = Payment::Committed { intent: id.clone(), progress: Progress::Charging };
        let charging = PaymentRecord::new(charging);
        match self.write(order, None, &charging).await? {
            Write::Committed => Ok((charging, Some(status))),
            Write::Conflict(first) => {
                // If the order has another intent, or must have none, this one is abandoned.
                if first.payment.intent() != Some(&id) {
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
        order: Order<'_>,
        error: ProviderError,
    ) -> Result<PaymentRecord, PaymentError> {
        let Some(reason) = error.unchargeable() else { return Err(error.into()) };
        tracing::warn!(error = chain(&error), "the order's payment is refused for good");
        self.commit_refusal(order, Payment::Refused { reason: reason.to_owned() }).await
    }

    /// Commits the order to a refusal, and returns the row as it stands.
    async fn commit_refusal(
        &self,
        order: Order<'_>,
        refused: Payment,
    ) -> Result<PaymentRecord, PaymentError> {
        let refused = PaymentRecord::new(refused);
        match self.write(order, None, &refused).await? {
            Write::Committed => Ok(refused),
            Write::Conflict(first) => Ok(first),
        }
    }

    /// Takes a place among the payments of the order's customer. Returns whether there is one.
    async fn take_place(&self, order: Order<'_>) -> Result<bool, PaymentError> {
        let OrderData { order_id, customer_id, .. } = order.data;
        let mut taken = self.payments.places(customer_id).await?;
        loop {
            let next = match self.limit.claim(&taken, *order_id, order.now) {
                Claim::Free(next) => next,
                Claim::Wait => return Err(PaymentError::TooManyOpen),
                Claim::Refused => {
                    tracing::warn!("not charged: too many payments of the customer were declined");
                    return Ok(false);
                }
            };
            match self.write_places(order, &next).await? {
                Write::Committed => return Ok(true),
                Write::Conflict(first) => taken = first,
            }
        }
    }

    /// Gives the order's place back, or makes it count, as its payment has come to. After a failure
    /// in between, the place stays taken until the message is delivered again, or the window has
    /// passed.
    async fn give_back_place(
        &self,
        order: Order<'_>,
        record: &PaymentRecord,
    ) -> Result<(), PaymentError> {
        let used = match &record.payment {
            Payment::Forbidden | Payment::Refused { .. } => Use::Harmless,
            Payment::Committed { progress, .. } => match progress {
                Progress::Charging | Progress::Undoing => return Ok(()),
                Progress::Authenticating | Progress::Declined { .. } => Use::Counts,
                Progress::Voided => Use::Voided,
                Progress::Captured | Progress::Refunded | Progress::RefundFailed { .. } => {
                    Use::Harmless
                }
            },
        };
        let mut taken = self.payments.places(&order.data.customer_id).await?;
        while let Some(next) = taken.after(order.data.order_id, used) {
            match self.write_places(order, &next).await? {
                Write::Committed => return Ok(()),
                Write::Conflict(first) => taken = first,
            }
        }
        Ok(())
    }

    async fn write_places(
        &self,
        order: Order<'_>,
        places: &Places,
    ) -> Result<Write<Places>, StoreError> {
        let expires = order.now + self.limit.window;
        self.payments.write_places(&order.data.customer_id, places, expires).await
    }

    /// Returns the payment after the undo, or `None` if there is nothing to report.
    async fn undo(&self, order: Order<'_>) -> Result<Option<PaymentRecord>, PaymentError> {
        let current = self.payments.find(order.data.order_id).await?;
        let Some(record) = self.advance(order, current, Trigger::UndoRequested).await? else {
            return Ok(None);
        };
        match &record.payment {
            Payment::Committed {
                intent,
                progress: Progress::Undoing | Progress::RefundFailed { .. },
            } => {
                let trigger = self.give_back(intent).await?;
                self.advance(order, Some(record), trigger).await
            }
            Payment::Committed { intent, progress: Progress::Declined { .. } } => {
                // The intent has taken nothing. Cancelled, it never will.
                self.provider.cancel(intent).await?;
                Ok(None)
            }
            Payment::Refused { .. } => Ok(None),
            _ => Ok(Some(record)),
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
            | IntentStatus::AuthenticationRequired(_)
            | IntentStatus::Processing
            | IntentStatus::Other(_) => Err(PaymentError::Unfinished),
        }
    }

    /// Writes the payment after `trigger`, unless that does not apply. Returns the row as it
    /// stands.
    async fn advance(
        &self,
        order: Order<'_>,
        mut current: Option<PaymentRecord>,
        trigger: Trigger,
    ) -> Result<Option<PaymentRecord>, PaymentError> {
        while let Some(next) = PaymentRecord::next(current.as_ref(), trigger.clone()) {
            match self.write(order, current.as_ref(), &next).await? {
                Write::Committed => return Ok(Some(next)),
                // Another delivery was faster.
                Write::Conflict(first) => current = Some(first),
            }
        }
        Ok(current)
    }

    /// Writes what `next` makes of the row, unless that is nothing. Returns the row as it stands.
    pub(crate) async fn change(
        &self,
        order: Order<'_>,
        mut current: PaymentRecord,
        next: impl Fn(&PaymentRecord) -> Option<PaymentRecord>,
    ) -> Result<PaymentRecord, PaymentError> {
        while let Some(next) = next(&current) {
            match self.write(order, Some(&current), &next).await? {
                Write::Committed => return Ok(next),
                Write::Conflict(first) => current = first,
            }
        }
        Ok(current)
    }

    async fn write(
        &self,
        order: Order<'_>,
        from: Option<&PaymentRecord>,
        next: &PaymentRecord,
    ) -> Result<Write<PaymentRecord>, StoreError> {
        let (id, price) = (order.data.order_id, order.data.price());
        let written = self.payments.write(id, price, from, next, order.now).await?;
        if written == Write::Committed {
            metrics::record(from, next, price);
        }
        Ok(written)
    }
}

/// The order of an event, and the time at which the event is handled.
#[derive(Clone, Copy)]
pub(crate) struct Order<'a> {
    pub(crate) data: &'a OrderData,
    pub(crate) cause: &'a Metadata,
    pub(crate) now: Timestamp,
}

fn log(record: &PaymentRecord) {
    if let Payment::Committed { progress: Progress::RefundFailed { reason }, .. } = &record.payment
    {
        tracing::error!(reason, "refund failed; somebody has to give the money back");
        return;
    }
    for RefundEntry { id, reason, .. } in record.failed() {
        tracing::error!(id, reason, "refund failed; somebody has to give the money back");
    }
    tracing::info!(state = record.payment.name(), version = record.version, "payment");
}

/// The event that reports a payment: none while its outcome is open, or if it never began.
fn outcome(
    record: PaymentRecord,
    event_type: OrderEventType,
    order: Order<'_>,
) -> Option<PaymentEvent> {
    let is_captured =
        matches!(record.payment, Payment::Committed { progress: Progress::Captured, .. });
    // An order that has ended gets all back, whatever was given back before.
    if event_type != OrderEventType::RefundRequested || !is_captured {
        return committed(record.payment, order);
    }
    let report = |entry: &RefundEntry| RefundReport {
        id: entry.id,
        attempt: entry.attempt,
        state: entry.state,
    };
    let changed = PaymentChanged {
        order_id: order.data.order_id,
        version: record.version,
        refunds: record.refunds.iter().map(report).collect(),
    };
    Some(PaymentEvent::changed(changed, order.now, order.cause))
}

/// The event that reports what the order is committed to, if that is decided.
fn committed(payment: Payment, order: Order<'_>) -> Option<PaymentEvent> {
    let Order { data, cause, now } = order;
    let OrderData { order_id, total: amount, currency, .. } = *data;
    let made = PaymentMade { order_id, amount, currency };
    let failed = |reason| PaymentFailed { order_id, reason };
    let progress = match payment {
        Payment::Forbidden => return None,
        Payment::Refused { reason } => {
            return Some(PaymentEvent::declined(failed(reason), now, cause));
        }
        Payment::Committed { progress, .. } => progress,
    };
    Some(match progress {
        Progress::Charging | Progress::Authenticating | Progress::Undoing => return None,
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
