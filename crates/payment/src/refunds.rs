//! The use case: make the refunds of a shop, each once.
//!
//! The row names a refund before the provider hears of it. Every delivery looks for that name in
//! the provider's list, and asks under it for what is not there.

use platform::bus::EventBus;
use shop::{
    money::Money,
    payment::{IntentId, PaymentRecord, RefundEntry, RefundOutcome},
    refund::{Refund, RefundState},
};
use stripe::{BookedRefund, BookedRefundStatus, NewRefund, RefundName};

use crate::{
    handler::{Cashier, Order, PaymentError, Payments},
    limit::PlaceStore,
    provider::Provider,
};

impl<S: Payments + PlaceStore, P: Provider, B: EventBus> Cashier<S, P, B> {
    /// Makes the refunds that the shop has asked for: those of the row, and these. None is made
    /// while the customer disputes the payment; the end of the dispute makes those that are left.
    /// Returns the payment after that.
    pub(crate) async fn give_back_parts(
        &self,
        order: Order<'_>,
        mut record: PaymentRecord,
        requests: &[Refund],
    ) -> Result<PaymentRecord, PaymentError> {
        record = self.change(order, record, |record| record.with_requests(requests)).await?;
        let intent = record.payment.intent().cloned().ok_or(PaymentError::NothingPaid)?;
        for entry in record.open().cloned().collect::<Vec<_>>() {
            let is_disputed = record.is_disputed();
            let (outcome, error) =
                match self.give_back_part(order, &intent, &entry, is_disputed).await {
                    Ok(None) => continue,
                    Ok(Some(outcome)) => (outcome, None),
                    Err(PaymentError::Provider(error)) if error.sticks_to_name() => {
                        (RefundOutcome::Stalled, Some(error))
                    }
                    Err(PaymentError::Provider(error)) if error.is_dispute() => {
                        record = self.look_at_disputes(order, &intent, record).await?;
                        if !record.is_disputed() {
                            return Err(error.into());
                        }
                        continue;
                    }
                    Err(error) => return Err(error),
                };
            let RefundEntry { id, name, .. } = entry;
            let after = |record: &PaymentRecord| record.with_outcome(id, name, &outcome);
            record = self.change(order, record, after).await?;
            if let Some(error) = error {
                return Err(error.into());
            }
        }
        // Another delivery may have failed meanwhile, and this message may be all that is left of
        // it.
        let is_unmade = record.open().any(|entry| entry.state == RefundState::Requested);
        if is_unmade && !record.is_disputed() {
            return Err(PaymentError::Unfinished);
        }
        Ok(record)
    }

    /// Makes a refund, unless an earlier delivery has made it. Returns what has become of it;
    /// `None` if it was made and the provider no longer says so, or may not be made because of a
    /// dispute.
    async fn give_back_part(
        &self,
        order: Order<'_>,
        intent: &IntentId,
        entry: &RefundEntry,
        is_disputed: bool,
    ) -> Result<Option<RefundOutcome>, PaymentError> {
        let known = made(entry, &self.provider.refunds(intent).await?);
        if known.is_some() || entry.state != RefundState::Requested || is_disputed {
            return Ok(known);
        }
        let new = NewRefund {
            intent: intent.clone(),
            order_id: order.id,
            name: RefundName { id: entry.id, attempt: entry.name },
            amount: Money { amount: entry.amount, ..order.price },
        };
        match self.provider.refund_part(&new).await {
            Ok(()) => {
                let refunds = self.provider.refunds(intent).await?;
                made(entry, &refunds).map(Some).ok_or(PaymentError::Unfinished)
            }
            Err(error) if error.awaits_balance() => Err(PaymentError::NoBalance),
            Err(error) => match error.unrefundable() {
                Some(reason) => Ok(Some(RefundOutcome::Failed(reason.to_owned()))),
                None => Err(error.into()),
            },
        }
    }
}

/// What has become of a refund according to the provider's list, or `None` if it was not made yet.
/// An attempt whose answer was a failure may have been made all the same.
fn made(entry: &RefundEntry, refunds: &[BookedRefund]) -> Option<RefundOutcome> {
    let named = |is_meant: &dyn Fn(u32, &BookedRefund) -> bool| {
        refunds.iter().find(|refund| {
            refund.name.is_some_and(|it| it.id == entry.id && is_meant(it.attempt, refund))
        })
    };
    let is_this = |attempt, _: &BookedRefund| attempt == entry.name;
    let is_live = |_, refund: &BookedRefund| refund.status != BookedRefundStatus::Failed;
    // One that was given may be that of an earlier name, which the bank has sent back.
    let is_any = |_, _: &BookedRefund| entry.is_given();
    let refund = named(&is_this).or_else(|| named(&is_live)).or_else(|| named(&is_any))?;
    Some(match refund.status {
        BookedRefundStatus::Pending => RefundOutcome::Taken(RefundState::Pending),
        BookedRefundStatus::Succeeded => RefundOutcome::Taken(RefundState::Succeeded),
        BookedRefundStatus::Failed => {
            RefundOutcome::Failed(refund.failure.clone().unwrap_or_else(|| "unknown".to_owned()))
        }
    })
}
