//! When a charge or a refund is looked at again whose provider is down or undecided.
//!
//! A customer waits for the outcome of a charge, so that the waits must stay short for as long as
//! an outage lasts. The order's deadline ends them: whatever became of the charge, the expiry of
//! the order undoes it. A refund may be pending for days, for example until our account at the
//! provider has the money, and has no deadline.

use std::{error::Error, fmt, time::Duration};

use jiff::Timestamp;
use platform::{
    bus::EventBus,
    queue::{NextAsk, Retryable},
};
use shop::{event::OrderEvent, intent_changed::IntentChanged, order::OrderEventType};

use crate::{
    handler::{Cashier, PaymentError, Payments},
    limit::PlaceStore,
    provider::Provider,
};

/// The seconds from one try of a charge to the next while the provider fails.
const AFTER_FAILURES: [u32; 4] = [1, 2, 4, 8];

/// The seconds from one try to the next after those, which jitter makes up to 15.
const LONGEST: u32 = 12;

/// The seconds from one look at a charge to the next that the provider has not decided.
const WHILE_UNDECIDED: u32 = 5;

/// The number of looks in the first two minutes.
const EARLY_LOOKS: u32 = 120 / WHILE_UNDECIDED;

/// The seconds from one look at a pending refund to the next: twice as long each time, from this to
/// [`LONGEST_REFUND`], the longest delay of SQS.
const FIRST_REFUND: u64 = 5;

/// See [`FIRST_REFUND`].
const LONGEST_REFUND: u64 = 900;

/// The number of looks at a pending refund: about 30 days, after which it takes the way of a
/// message that fails.
const REFUND_LOOKS: u32 = 2_880;

/// Handles an event from the charge queue as [`Cashier::handle`] does.
///
/// # Errors
/// Those of [`Cashier::handle`], with the next time to ask.
pub async fn charge<S: Payments + PlaceStore, P: Provider, B: EventBus>(
    cashier: &Cashier<S, P, B>,
    event: OrderEvent,
    clock: impl Fn() -> Timestamp,
) -> Result<(), ChargeError> {
    let (started, deadline) = (clock(), event.detail.data.deadline);
    // An undo has no deadline, wherever it was sent.
    let deadline = (event.event_type == OrderEventType::Reserved).then_some(deadline);
    let handled = cashier.handle(event, started).await;
    handled.map_err(|error| ChargeError { error, started, failed: clock(), deadline })
}

/// Handles an event from the refund queue as [`Cashier::handle`] does.
///
/// # Errors
/// Those of [`Cashier::handle`], with the next time to look if the refund is pending.
pub async fn refund<S: Payments + PlaceStore, P: Provider, B: EventBus>(
    cashier: &Cashier<S, P, B>,
    event: OrderEvent,
    now: Timestamp,
) -> Result<(), RefundError> {
    cashier.handle(event, now).await.map_err(RefundError)
}

/// Handles a message from the queue of the provider's events as [`Cashier::follow`] does.
///
/// # Errors
/// Those of [`Cashier::follow`], with the next time to look if a refund is pending.
pub async fn follow<S: Payments + PlaceStore, P: Provider, B: EventBus>(
    cashier: &Cashier<S, P, B>,
    changed: IntentChanged,
    now: Timestamp,
) -> Result<(), RefundError> {
    cashier.follow(changed, now).await.map_err(RefundError)
}

/// Why a refund failed.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct RefundError(PaymentError);

impl Retryable for RefundError {
    fn is_transient(&self) -> bool {
        self.0.is_transient()
    }

    fn is_undecided(&self) -> bool {
        matches!(self.0, PaymentError::Unfinished | PaymentError::NoBalance)
    }

    fn next_ask(&self, asks: u32, jitter: f64) -> Option<NextAsk> {
        if !self.is_undecided() || asks >= REFUND_LOOKS {
            return None;
        }
        let wait = FIRST_REFUND.saturating_mul(1 << asks.min(16)).min(LONGEST_REFUND);
        // Less by up to a quarter, since SQS delays by no more.
        let wait = wait as f64 * (1.0 - jitter.clamp(0.0, 1.0) / 4.0);
        Some(NextAsk::After(Duration::from_secs(wait.round() as u64)))
    }
}

/// Why a charge failed.
#[derive(Debug)]
pub struct ChargeError {
    error: PaymentError,
    /// When the charge was tried.
    started: Timestamp,
    failed: Timestamp,
    /// From when on nothing is charged. `None` if the event is not about a charge.
    deadline: Option<Timestamp>,
}

impl fmt::Display for ChargeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl Error for ChargeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

impl Retryable for ChargeError {
    fn is_transient(&self) -> bool {
        self.error.is_transient()
    }

    fn is_undecided(&self) -> bool {
        self.deadline.is_some()
            && matches!(self.error, PaymentError::Unfinished | PaymentError::TooManyOpen)
    }

    fn next_ask(&self, asks: u32, jitter: f64) -> Option<NextAsk> {
        let deadline = self.deadline?;
        let wait = match &self.error {
            PaymentError::Unfinished | PaymentError::TooManyOpen => {
                if asks < EARLY_LOOKS {
                    WHILE_UNDECIDED
                } else {
                    LONGEST
                }
            }
            PaymentError::Provider(error) if error.is_transient() => {
                let index = usize::try_from(asks).unwrap_or(usize::MAX);
                AFTER_FAILURES.get(index).copied().unwrap_or(LONGEST)
            }
            _ => return None,
        };
        let wait = f64::from(wait) * (1.0 + jitter.clamp(0.0, 1.0) / 4.0);
        // From one start to the next, since a call that hangs takes long itself.
        let wait = wait - self.failed.duration_since(self.started).as_secs_f64();
        let wait = Duration::from_secs(wait.round().max(1.0) as u64);
        Some(if self.failed + wait < deadline { NextAsk::After(wait) } else { NextAsk::TooLate })
    }
}

#[cfg(test)]
mod tests {
    use fixtures::at;
    use jiff::SignedDuration;
    use platform::{bus::PublishError, table::StoreError};
    use stripe::Unavailable;

    use super::*;

    const DOWN: Unavailable = Unavailable::Failed(503);

    /// A charge that failed at once, 15 minutes before its deadline.
    fn failed(error: PaymentError) -> ChargeError {
        let now = at("2026-11-24T08:00:00Z");
        let deadline = Some(now + SignedDuration::from_mins(15));
        ChargeError { error, started: now, failed: now, deadline }
    }

    fn down() -> ChargeError {
        failed(PaymentError::Provider(stripe::Error::from(DOWN).into()))
    }

    /// The seconds until the next ask, without jitter and with all of it.
    fn waits(error: &ChargeError, asks: u32) -> [u64; 2] {
        [0.0, 1.0].map(|jitter| match error.next_ask(asks, jitter) {
            Some(NextAsk::After(wait)) => wait.as_secs(),
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn waits_for_a_provider_that_is_down_double_up_to_fifteen_seconds() {
        let waits = [0, 1, 2, 3, 4, 5, 70, u32::MAX].map(|asks| waits(&down(), asks));
        let longest = [12, 15];
        let expected = [[1, 1], [2, 3], [4, 5], [8, 10], longest, longest, longest, longest];
        assert_eq!(waits, expected);
        assert!(!down().is_undecided());
    }

    #[test]
    fn an_undecided_charge_is_looked_at_every_five_seconds_for_two_minutes() {
        let undecided = failed(PaymentError::Unfinished);
        assert!(undecided.is_undecided());
        assert_eq!([0, 23].map(|asks| waits(&undecided, asks)), [[5, 6]; 2]);
        assert_eq!([24, u32::MAX].map(|asks| waits(&undecided, asks)), [[12, 15]; 2]);
    }

    #[test]
    fn the_time_that_a_call_took_is_a_part_of_the_wait() {
        let took = |seconds| {
            let mut error = down();
            error.failed += SignedDuration::from_secs(seconds);
            error
        };
        assert_eq!(waits(&took(10), 4), [2, 5]);
        assert_eq!(waits(&took(28), 4), [1, 1]);
        assert_eq!(waits(&took(10), 0), [1, 1]);
    }

    #[test]
    fn nothing_is_asked_for_at_or_after_the_deadline() {
        let left = |seconds| {
            let mut error = down();
            error.deadline = Some(error.failed + SignedDuration::from_secs(seconds));
            error.next_ask(4, 0.0)
        };
        assert_eq!(left(13), Some(NextAsk::After(Duration::from_secs(12))));
        assert_eq!([12, 1, 0, -1].map(left), [Some(NextAsk::TooLate); 4]);
    }

    #[test]
    fn other_failures_are_left_to_the_backoff() {
        let refused =
            || stripe::Error::Refused { status: 400, code: None, param: None, request_id: None };
        let others = [
            PaymentError::Store(StoreError::MissingRow),
            PaymentError::Publish(PublishError::Call("no answer".into())),
            PaymentError::Provider(refused().into()),
            PaymentError::NoPaymentMethod,
        ];
        for other in others.map(failed) {
            assert_eq!(other.next_ask(0, 0.0), None, "{other}");
        }
    }

    #[test]
    fn an_undo_in_the_charge_queue_is_never_given_up_for_a_deadline() {
        for mut error in [down(), failed(PaymentError::Unfinished)] {
            error.deadline = None;
            assert_eq!(error.next_ask(0, 0.0), None);
            assert!(!error.is_undecided());
        }
    }

    #[test]
    fn a_pending_refund_is_looked_at_every_quarter_of_an_hour_for_a_month() {
        let pending = RefundError(PaymentError::Unfinished);
        let wait = |asks| match pending.next_ask(asks, 0.0) {
            Some(NextAsk::After(wait)) => wait.as_secs(),
            other => panic!("{other:?}"),
        };
        let waits: Vec<_> = (0..9).map(wait).collect();
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 640, 900]);
        assert_eq!(wait(REFUND_LOOKS - 1), 900);
        assert_eq!(pending.next_ask(1_000, 1.0), Some(NextAsk::After(Duration::from_secs(675))));
        assert_eq!(pending.next_ask(REFUND_LOOKS, 0.0), None);
        assert!(pending.is_undecided());
    }

    #[test]
    fn a_refund_whose_provider_is_down_backs_off() {
        let error = RefundError(PaymentError::Provider(stripe::Error::from(DOWN).into()));
        assert_eq!(error.next_ask(0, 0.0), None);
        assert!(error.is_transient() && !error.is_undecided());
    }
}
