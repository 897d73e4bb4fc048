//! Metrics of the money that moves. They are recorded where a payment's row is committed, so that a
//! redelivery counts nothing twice.

use ::metrics::{counter, histogram};
use shop::{
    decline::DeclineReason,
    money::Money,
    payment::{Payment, PaymentRecord, Progress, RefundEntry},
    refund::RefundState,
};

/// Records what a payment has come to between two writes of its row. A refusal to create an intent
/// is not counted as a decline, which is about a card.
pub(crate) fn record(before: Option<&PaymentRecord>, after: &PaymentRecord, price: Money) {
    if before.is_none_or(|before| before.payment != after.payment) {
        record_progress(after, price);
    }
    for entry in &after.refunds {
        let mut earlier = before.into_iter().flat_map(|before| &before.refunds);
        let earlier = earlier.find(|earlier| earlier.id == entry.id);
        let is_new = |is: fn(&RefundEntry) -> bool| is(entry) && !earlier.is_some_and(is);
        if is_new(RefundEntry::is_given) {
            record_given_back(entry.amount, price);
        }
        if is_new(|entry| entry.state == RefundState::Failed) {
            counter!("RefundsFailed").increment(1);
        }
    }
}

fn record_progress(record: &PaymentRecord, price: Money) {
    let Payment::Committed { progress, .. } = &record.payment else { return };
    match progress {
        Progress::Captured => {
            let currency = price.currency.code();
            histogram!("MoneyTaken", "Currency" => currency).record(price.amount as f64);
        }
        Progress::Refunded => record_given_back(price.amount - record.given(), price),
        Progress::Declined { reason } => {
            let class = match DeclineReason::from_provider_code(reason) {
                // One for two that are alike, since each costs a metric.
                DeclineReason::AuthenticationFailed => DeclineReason::AuthenticationRequired,
                DeclineReason::ExpiredCard => DeclineReason::IncorrectCardDetails,
                DeclineReason::PaymentMethodUnusable => DeclineReason::CardNotSupported,
                reason => reason,
            };
            counter!("Declines", "Reason" => class.as_str()).increment(1);
        }
        Progress::RefundFailed { .. } => counter!("RefundsFailed").increment(1),
        Progress::Charging | Progress::Authenticating | Progress::Undoing | Progress::Voided => {}
    }
}

fn record_given_back(amount: u64, price: Money) {
    histogram!("MoneyGivenBack", "Currency" => price.currency.code()).record(amount as f64);
}
