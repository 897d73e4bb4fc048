//! The use case: find out what others have done with a payment.
//!
//! A customer disputes it, a bank decides or sends money back, or somebody works in the provider's
//! dashboard. The provider's events say only that something has happened to an intent: nothing but
//! its id is believed, and all else is looked up.

use jiff::Timestamp;
use platform::bus::EventBus;
use shop::{
    intent_changed::IntentChanged,
    payment::{Payment, PaymentRecord, Progress, Trigger},
};
use stripe::{BookedRefund, BookedRefundStatus};

use crate::{
    handler::{Cashier, Order, PaymentError, Payments},
    limit::PlaceStore,
    provider::Provider,
};

impl<S: Payments + PlaceStore, P: Provider, B: EventBus> Cashier<S, P, B> {
    /// Looks up what has become of an intent, goes on with what that allows, and publishes it. An
    /// intent that is not the one of an order of ours is ignored.
    ///
    /// A charge is not looked at: its own message asks for it every few seconds.
    ///
    /// # Errors
    /// The table, the provider or the bus fails, or the provider has not finished. The message can
    /// be handled again.
    pub async fn follow(&self, changed: IntentChanged, now: Timestamp) -> Result<(), PaymentError> {
        let intent = changed.intent();
        let Some(id) = self.provider.order_of(intent).await? else {
            tracing::info!("the intent is for no order");
            return Ok(());
        };
        let Some((record, price)) = self.payments.find_with_price(id).await? else {
            tracing::info!(order_id = %id, "the order has no payment yet");
            return Ok(());
        };
        if record.payment.intent() != Some(intent) {
            tracing::warn!(order_id = %id, "the order has another intent");
            return Ok(());
        }
        let order = Order { id, price, cause: None, now };
        let record = self.look_at_disputes(order, intent, record).await?;
        let Payment::Committed { progress, .. } = &record.payment else { return Ok(()) };
        let record = match progress {
            Progress::Charging
            | Progress::Authenticating
            | Progress::Declined { .. }
            | Progress::Voided => return Ok(()),
            Progress::Captured => self.give_back_parts(order, record, &[]).await?,
            Progress::Undoing => self.give_back(order, record).await?,
            Progress::Refunded | Progress::RefundFailed { .. } => {
                let refunds = self.provider.refunds(intent).await?;
                let trigger = given_back(&record, price.amount, &refunds);
                self.advance_record(order, record, trigger).await?
            }
        };
        self.report(order, record, true).await
    }
}

/// What the refunds of a payment that was to be given back have come to.
fn given_back(record: &PaymentRecord, total: u64, refunds: &[BookedRefund]) -> Trigger {
    let is_live = |refund: &&BookedRefund| refund.status != BookedRefundStatus::Failed;
    let given: u64 = refunds.iter().filter(is_live).map(|refund| refund.amount).sum();
    let lost = record.dispute().map_or(0, |dispute| dispute.lost());
    if given + lost >= total {
        return Trigger::Refunded;
    }
    // Newest first.
    let reason = refunds.iter().find_map(|refund| refund.failure.clone());
    Trigger::RefundFailed(reason.unwrap_or_else(|| "unknown".to_owned()))
}

#[cfg(test)]
mod tests;
