//! Metrics of notices. They are recorded when the outcome is stored; a notice whose outcome could
//! not be stored is sent again, and counts when it is.

use ::metrics::counter;
use tables::notices::Outcome;

/// Records what became of a notice.
pub(crate) fn record(outcome: Outcome) {
    match outcome {
        Outcome::Sent => counter!("NoticesSent").increment(1),
        Outcome::TooLate | Outcome::Unverified | Outcome::NoAddress => {
            counter!("NoticesDropped").increment(1);
        }
    }
}
