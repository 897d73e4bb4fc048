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
    dispute::{Dispute, DisputeState},
    event::{
        AuthenticationRequired, Detail, Metadata, OrderData, OrderEvent, PaymentChanged,
        PaymentEvent, PaymentFailed, PaymentMade, PaymentRefunded, RefundFailed,
    },
    id::{CustomerId, OrderId},
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

    /// As [`Self::find`], with what the order costs.
    async fn find_with_price(
        &self,
        order: OrderId,
    ) -> Result<Option<(PaymentRecord, Money)>, StoreError>;

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
    #[error(
        "our account at the payment provider has too little money for the refund; pay in, or wait \
         for further charges: the message is retried"
    )]
    NoBalance,
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
            Self::Unfinished | Self::NoBalance | Self::TooManyOpen => true,
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
        let Detail { metadata, data } = &event.detail;
        let (id, price) = (data.order_id, data.price());
        let order = Order { id, price, cause: Some(metadata), now };
        let record = match event.event_type {
            OrderEventType::Reserved => self.charge(order, data).await?,
            OrderEventType::Rejected | OrderEventType::Cancelled | OrderEventType::Expired => {
                self.undo(order).await?
            }
            OrderEventType::RefundRequested => {
                let record = self.payments.find(id).await?.ok_or(PaymentError::NothingPaid)?;
                let record = self.with_end_of_dispute(order, record).await?;
                Some(self.give_back_parts(order, record, &data.refunds).await?)
            }
            OrderEventType::Placed
            | OrderEventType::AuthenticationRequired
            | OrderEventType::Confirmed
            | OrderEventType::Preparing
            | OrderEventType::Ready
            | OrderEventType::Collected
            | OrderEventType::PaymentChanged
            | OrderEventType::DisputeChanged
            | OrderEventType::Erased => None,
        };
        let Some(record) = record else { return Ok(()) };
        self.give_back_place(order, data, &record).await?;
        let is_refund = event.event_type == OrderEventType::RefundRequested;
        self.report(order, record, is_refund).await
    }

    /// Logs a payment, and publishes what has become of it: with `shows_refunds`, also the refunds
    /// of one that goes on.
    pub(crate) async fn report(
        &self,
        order: Order<'_>,
        record: PaymentRecord,
        shows_refunds: bool,
    ) -> Result<(), PaymentError> {
        log(&record);
        let is_captured =
            matches!(record.payment, Payment::Committed { progress: Progress::Captured, .. });
        // The refunds of an order that has ended are of no interest: it gets all back.
        let shows_refunds = is_captured && shows_refunds;
        let changed =
            (shows_refunds || record.dispute().is_some()).then(|| changed(&record, order));
        let outcome = if shows_refunds { None } else { committed(record, order) };
        let events: Vec<_> = changed.into_iter().chain(outcome).collect();
        if !events.is_empty() {
            self.bus.publish(&events).await?;
        }
        Ok(())
    }

    /// Returns the payment after the charge, or `None` if the deadline passed before it began.
    async fn charge(
        &self,
        order: Order<'_>,
        data: &OrderData,
    ) -> Result<Option<PaymentRecord>, PaymentError> {
        let expired = order.now >= data.deadline;
        let (record, known) = match self.payments.find(order.id).await? {
            Some(record) => (record, None),
            None if expired => {
                tracing::info!("not charged: the deadline has passed");
                return Ok(None);
            }
            None => self.begin(order, data).await?,
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
                    self.request_authentication(order, data, record, page).await?;
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
        data: &OrderData,
        record: PaymentRecord,
        authentication_url: AuthenticationUrl,
    ) -> Result<(), PaymentError> {
        if matches!(record.payment, Payment::Committed { progress: Progress::Authenticating, .. }) {
            return Ok(());
        }
        let required = AuthenticationRequired { order_id: order.id, authentication_url };
        let event = PaymentEvent::authentication_required(required, order.now, order.cause);
        // Before the row says so: nothing publishes it afterwards.
        self.bus.publish(&[event]).await?;
        let asked = self.advance(order, Some(record), Trigger::AuthenticationRequired).await?;
        if let Some(record) = asked {
            self.give_back_place(order, data, &record).await?;
            log(&record);
        }
        Ok(())
    }

    /// Creates an intent and commits the order to it, or to the provider's refusal to create one.
    /// Returns the payment, and the intent's status if it is known.
    async fn begin(
        &self,
        order: Order<'_>,
        data: &OrderData,
    ) -> Result<(PaymentRecord, Option<IntentStatus>), PaymentError> {
        let payment_method = data.payment_method.clone().ok_or(PaymentError::NoPaymentMethod)?;
        if !self.take_place(order, &data.customer_id).await? {
            let refused = Payment::Refused { reason: TOO_MANY_DECLINES.to_owned() };
            return Ok((self.commit_refusal(order, refused).await?, None));
        }
        let new = NewIntent { order_id: order.id, price: order.price, payment_method };
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
    async fn take_place(
        &self,
        order: Order<'_>,
        customer: &CustomerId,
    ) -> Result<bool, PaymentError> {
        let mut taken = self.payments.places(customer).await?;
        loop {
            let next = match self.limit.claim(&taken, order.id, order.now) {
                Claim::Free(next) => next,
                Claim::Wait => return Err(PaymentError::TooManyOpen),
                Claim::Refused => {
                    tracing::warn!("not charged: too many payments of the customer were declined");
                    return Ok(false);
                }
            };
            match self.write_places(order, customer, &next).await? {
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
        data: &OrderData,
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
        let customer = &data.customer_id;
        let mut taken = self.payments.places(customer).await?;
        while let Some(next) = taken.after(order.id, used) {
            match self.write_places(order, customer, &next).await? {
                Write::Committed => return Ok(()),
                Write::Conflict(first) => taken = first,
            }
        }
        Ok(())
    }

    async fn write_places(
        &self,
        order: Order<'_>,
        customer: &CustomerId,
        places: &Places,
    ) -> Result<Write<Places>, StoreError> {
        let expires = order.now + self.limit.window;
        self.payments.write_places(customer, places, expires).await
    }

    /// Returns the payment after the undo, or `None` if there is nothing to report.
    async fn undo(&self, order: Order<'_>) -> Result<Option<PaymentRecord>, PaymentError> {
        let current = self.payments.find(order.id).await?;
        let Some(record) = self.advance(order, current, Trigger::UndoRequested).await? else {
            return Ok(None);
        };
        match &record.payment {
            Payment::Committed {
                progress: Progress::Undoing | Progress::RefundFailed { .. },
                ..
            } => {
                let record = self.with_end_of_dispute(order, record).await?;
                self.give_back(order, record).await.map(Some)
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

    /// Voids or refunds the charge of an order that ended early, so that it keeps no money. While
    /// the customer disputes it, nothing is given back, and what the bank has given back counts.
    /// Returns the payment after that.
    pub(crate) async fn give_back(
        &self,
        order: Order<'_>,
        mut record: PaymentRecord,
    ) -> Result<PaymentRecord, PaymentError> {
        let Some(intent) = record.payment.intent().cloned() else { return Ok(record) };
        if !record.is_disputed() {
            match self.void_or_refund(&intent).await {
                Ok(trigger) => return self.advance_record(order, record, trigger).await,
                Err(PaymentError::Provider(error)) if error.is_dispute() => {
                    record = self.look_at_disputes(order, &intent, record).await?;
                    if !record.is_disputed() {
                        return Err(error.into());
                    }
                }
                Err(error) => return Err(error),
            }
        }
        match record.dispute() {
            Some(Dispute { state: DisputeState::Lost, .. }) => {
                self.advance_record(order, record, Trigger::Refunded).await
            }
            _ => Ok(record),
        }
    }

    /// Looks whether a dispute has ended that forbids to give anything back: the event that says so
    /// may be lost. Returns the payment after that.
    async fn with_end_of_dispute(
        &self,
        order: Order<'_>,
        record: PaymentRecord,
    ) -> Result<PaymentRecord, PaymentError> {
        match record.payment.intent().cloned() {
            Some(intent) if record.is_disputed() => {
                self.look_at_disputes(order, &intent, record).await
            }
            _ => Ok(record),
        }
    }

    /// Takes note of how far the disputes of a charge got. Returns the payment after that.
    pub(crate) async fn look_at_disputes(
        &self,
        order: Order<'_>,
        intent: &IntentId,
        record: PaymentRecord,
    ) -> Result<PaymentRecord, PaymentError> {
        let disputes = self.provider.disputes(intent).await?;
        let known = record.dispute();
        let record = self.change(order, record, |record| record.with_disputes(&disputes)).await?;
        if let Some(Dispute { state, amount }) = record.dispute().filter(|it| known != Some(*it)) {
            tracing::warn!(?state, amount, "the payment is disputed; see the provider's dashboard");
        }
        Ok(record)
    }

    async fn void_or_refund(&self, intent: &IntentId) -> Result<Trigger, PaymentError> {
        match self.provider.cancel(intent).await?.status {
            IntentStatus::Cancelled => Ok(Trigger::Voided),
            IntentStatus::Succeeded => match self.provider.refund(intent).await {
                Ok(Refund::Succeeded) => Ok(Trigger::Refunded),
                Ok(Refund::Failed { reason }) => Ok(Trigger::RefundFailed(reason)),
                Ok(Refund::Pending) => Err(PaymentError::Unfinished),
                Err(error) if error.awaits_balance() => Err(PaymentError::NoBalance),
                Err(error) => Err(error.into()),
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

    /// As [`Self::advance`], for a payment that has a row.
    pub(crate) async fn advance_record(
        &self,
        order: Order<'_>,
        current: PaymentRecord,
        trigger: Trigger,
    ) -> Result<PaymentRecord, PaymentError> {
        self.change(order, current, |record| PaymentRecord::next(Some(record), trigger.clone()))
            .await
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
        let written = self.payments.write(order.id, order.price, from, next, order.now).await?;
        if written == Write::Committed {
            metrics::record(from, next, order.price);
        }
        Ok(written)
    }
}

/// What is known of an order, whatever brought the message about it.
#[derive(Clone, Copy)]
pub(crate) struct Order<'a> {
    pub(crate) id: OrderId,
    pub(crate) price: Money,
    /// The event that brought it; `None` if it was no event of ours.
    pub(crate) cause: Option<&'a Metadata>,
    /// When the message is handled.
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

/// The event that shows the refunds and the dispute of a payment.
fn changed(record: &PaymentRecord, order: Order<'_>) -> PaymentEvent {
    let report = |entry: &RefundEntry| RefundReport {
        id: entry.id,
        attempt: entry.attempt,
        state: entry.state,
    };
    let changed = PaymentChanged {
        order_id: order.id,
        version: record.version,
        refunds: record.refunds.iter().map(report).collect(),
        dispute: record.dispute(),
    };
    PaymentEvent::changed(changed, order.now, order.cause)
}

/// The event that reports what the order is committed to, if that is decided: none while the
/// outcome is open, or if the payment never began.
fn committed(record: PaymentRecord, order: Order<'_>) -> Option<PaymentEvent> {
    let Order { id: order_id, price: Money { amount, currency }, cause, now } = order;
    let version = record.version;
    let made = PaymentMade { order_id, amount, currency };
    let failed = |reason| PaymentFailed { order_id, reason };
    let progress = match record.payment {
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
        Progress::Refunded => {
            let refunded = PaymentRefunded { order_id, amount, currency, version };
            PaymentEvent::refunded(refunded, now, cause)
        }
        Progress::RefundFailed { reason } => {
            PaymentEvent::refund_failed(RefundFailed { order_id, reason, version }, now, cause)
        }
    })
}

#[cfg(test)]
pub(crate) mod tests;
