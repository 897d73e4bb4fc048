//! Metrics of the money that moves. They are recorded where a payment's row is committed, so that a
//! redelivery counts nothing twice.

use ::metrics::{counter, histogram};
use shop::{
    decline::DeclineReason,
    money::Money,
    payment::{Payment, Progress},
};

/// Records what `payment` has come to. A refusal to create an intent is not counted as a decline,
/// which is about a card.
pub(crate) fn record(payment: &Payment, price: Money) {
    let Payment::Committed { progress, .. } = payment else { return };
    let (amount, currency) = (price.amount as f64, price.currency.code());
    match progress {
        Progress::Captured => histogram!("MoneyTaken", "Currency" => currency).record(amount),
        Progress::Refunded => histogram!("MoneyGivenBack", "Currency" => currency).record(amount),
        Progress::Declined { reason } => {
            let reason = DeclineReason::from_provider_code(reason).as_str();
            counter!("Declines", "Reason" => reason).increment(1);
        }
        Progress::RefundFailed { .. } => counter!("RefundsFailed").increment(1),
        Progress::Charging | Progress::Undoing | Progress::Voided => {}
    }
}
