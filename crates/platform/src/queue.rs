//! Batches from queues: every record is handled by itself, fails by itself, and waits longer after
//! each failure.

use std::{error::Error, panic::AssertUnwindSafe, time::Duration};

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use aws_sdk_sqs::Client;
use futures::{FutureExt, future::join_all};
use serde::{Deserialize, de::DeserializeOwned};
use tracing::Instrument;
use uuid::Uuid;

use crate::{
    cause::chain,
    decode::{self, DecodeError},
};

/// How often a message is received before it goes to the dead-letter queue: `maxReceiveCount` of
/// every queue in the template.
pub const MAX_RECEIVES: u32 = 5;

/// The longest visibility timeout that SQS takes.
const MAX_WAIT: Duration = Duration::from_secs(12 * 60 * 60);

/// Whether another try may help.
pub trait Retryable: Error {
    /// True for what time may mend (a time-out, throttling, a conflict, a missing permission),
    /// false for what will fail the same way again.
    fn is_transient(&self) -> bool;
}

/// How long a message waits after a transient failure.
///
/// The waits double, and together last at least as long as `budget`: a fault that is mended within
/// it costs no message its retries.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// No wait is shorter.
    pub floor: Duration,
    /// All waits together are no shorter, up to what SQS allows for each (12 hours).
    pub budget: Duration,
}

impl Backoff {
    /// The shortest wait of all queues: what is down for a moment is not asked again at once.
    pub const FLOOR: Duration = Duration::from_secs(1);

    /// Waits that together outlast `seconds`.
    #[must_use]
    pub fn outlasting(seconds: u32) -> Self {
        Self { floor: Self::FLOOR, budget: Duration::from_secs(seconds.into()) }
    }

    /// The wait after a message's `receives`th failure, from 1 on, in whole seconds as SQS takes
    /// it; `jitter` between 0 and 1 spreads messages that failed together over a quarter more.
    #[must_use]
    pub fn wait(&self, receives: u32, jitter: f64) -> Duration {
        let waits = MAX_RECEIVES - 1;
        let share = 2_u32.pow(receives.clamp(1, waits) - 1);
        let shortest = (self.budget * share / (2_u32.pow(waits) - 1)).max(self.floor);
        let wait = shortest.mul_f64(1.0 + jitter.clamp(0.0, 1.0) / 4.0).min(MAX_WAIT);
        // Rounded up: four waits cut short could end before the budget does.
        Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
    }
}

/// Decides when a message is seen again.
pub trait Visibility {
    /// Hides the message that was received under this handle for `wait` from now on; none at all
    /// offers it again at once.
    ///
    /// # Errors
    /// When it may still have the wait that it had.
    async fn hide(&self, receipt_handle: &str, wait: Duration) -> Result<(), HideError>;
}

/// Why a message may have kept its wait.
#[derive(Debug, thiserror::Error)]
#[error("the message keeps its visibility timeout: {0}")]
pub struct HideError(pub String);

/// A queue that feeds this function.
#[derive(Clone, Debug)]
pub struct Queue {
    client: Client,
    url: String,
    backoff: Backoff,
}

impl Queue {
    /// The queue of that URL.
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig, url: String, backoff: Backoff) -> Self {
        Self { client: Client::new(config), url, backoff }
    }

    /// Whether `event` came from this queue: its ARN ends in the same name as the URL.
    #[must_use]
    pub fn sent(&self, event: &SqsEvent) -> bool {
        let arn = event
            .records
            .first()
            .and_then(|record| record.event_source_arn.as_deref())
            .unwrap_or_default();
        arn.rsplit(':').next() == self.url.rsplit('/').next()
    }

    /// Handles a batch of this queue, as [`process`] has it.
    pub async fn process<T, E>(
        &self,
        event: SqsEvent,
        handle: impl AsyncFn(T) -> Result<(), E>,
    ) -> SqsBatchResponse
    where
        T: DeserializeOwned,
        E: Retryable,
    {
        process(self, self.backoff, event, handle).await
    }
}

impl Visibility for Queue {
    async fn hide(&self, receipt_handle: &str, wait: Duration) -> Result<(), HideError> {
        let seconds = i32::try_from(wait.as_secs()).unwrap_or(i32::MAX);
        let change = self
            .client
            .change_message_visibility()
            .queue_url(&self.url)
            .receipt_handle(receipt_handle);
        match change.visibility_timeout(seconds).send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(HideError(chain(&error))),
        }
    }
}

/// Why a record failed.
#[derive(Debug, thiserror::Error)]
enum RecordError<E> {
    #[error("the record is not what this queue carries: {0}")]
    Unreadable(DecodeError),
    #[error("the handler panicked")]
    Panicked,
    #[error(transparent)]
    Failed(E),
}

/// What a record of any queue tells about itself, if it is an event at all.
#[derive(Deserialize)]
struct Correlated {
    detail: CorrelatedDetail,
}

#[derive(Deserialize)]
struct CorrelatedDetail {
    metadata: CorrelatedMetadata,
}

#[derive(Deserialize)]
struct CorrelatedMetadata {
    correlation_id: Uuid,
}

/// Handles all records of a batch at once and answers which have failed. A record that cannot be
/// read or that panics fails alone, and is offered again at once until it ends in the dead-letter
/// queue; a transient failure waits as `backoff` has it.
pub async fn process<T, E>(
    visibility: &impl Visibility,
    backoff: Backoff,
    event: SqsEvent,
    handle: impl AsyncFn(T) -> Result<(), E>,
) -> SqsBatchResponse
where
    T: DeserializeOwned,
    E: Retryable,
{
    let records = event.records.iter().map(async |record| {
        let error = handle_record(record, &handle).await.err()?;
        let receives = receives(record);
        let transient = matches!(&error, RecordError::Failed(error) if error.is_transient());
        let wait = if transient { backoff.wait(receives, fastrand::f64()) } else { Duration::ZERO };
        tracing::error!(
            message_id = record.message_id,
            order_id = correlation_id(record).map(tracing::field::display),
            receives,
            transient,
            wait_seconds = wait.as_secs(),
            error = chain(&error),
            "record failed"
        );
        // The last failure's message goes to the dead-letter queue as soon as it is visible again.
        let wait = if receives < MAX_RECEIVES { wait } else { Duration::ZERO };
        if let Err(error) =
            visibility.hide(record.receipt_handle.as_deref().unwrap_or_default(), wait).await
        {
            tracing::warn!(
                message_id = record.message_id,
                error = chain(&error),
                "could not set the wait"
            );
        }
        Some(record.message_id.clone().unwrap_or_default())
    });
    let failed = join_all(records).await;
    let mut response = SqsBatchResponse::default();
    response.set_failures(failed.into_iter().flatten());
    response
}

async fn handle_record<T, E>(
    record: &SqsMessage,
    handle: &impl AsyncFn(T) -> Result<(), E>,
) -> Result<(), RecordError<E>>
where
    T: DeserializeOwned,
    E: Retryable,
{
    let body = record.body.as_deref().unwrap_or_default();
    let message: T = decode::json(body).map_err(RecordError::Unreadable)?;
    let span = tracing::info_span!("record", message_id = record.message_id);
    // A handler shares nothing with another record's that a panic could leave half-written: all
    // state is in tables.
    match AssertUnwindSafe(handle(message)).catch_unwind().instrument(span).await {
        Ok(result) => result.map_err(RecordError::Failed),
        Err(_panic) => Err(RecordError::Panicked),
    }
}

fn receives(record: &SqsMessage) -> u32 {
    record
        .attributes
        .get("ApproximateReceiveCount")
        .and_then(|count| count.parse().ok())
        .unwrap_or(1)
}

fn correlation_id(record: &SqsMessage) -> Option<Uuid> {
    let event: Correlated = serde_json::from_str(record.body.as_deref()?).ok()?;
    Some(event.detail.metadata.correlation_id)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("failed")]
    struct Failure {
        transient: bool,
    }

    impl Retryable for Failure {
        fn is_transient(&self) -> bool {
            self.transient
        }
    }

    #[derive(Default)]
    struct Waits(Mutex<Vec<(String, Duration)>>);

    impl Visibility for Waits {
        async fn hide(&self, receipt_handle: &str, wait: Duration) -> Result<(), HideError> {
            self.0.lock().unwrap().push((receipt_handle.to_owned(), wait));
            Ok(())
        }
    }

    fn message(id: &str, body: &str, receives: u32) -> SqsMessage {
        let mut message = SqsMessage::default();
        message.message_id = Some(id.to_owned());
        message.receipt_handle = Some(id.to_owned());
        message.body = Some(body.to_owned());
        message.attributes.insert("ApproximateReceiveCount".into(), receives.to_string());
        message
    }

    async fn run(records: Vec<SqsMessage>) -> (Vec<String>, Vec<(String, Duration)>) {
        let waits = Waits::default();
        let mut event = SqsEvent::default();
        event.records = records;
        let backoff = Backoff { floor: Duration::from_secs(2), budget: Duration::from_secs(150) };
        let answer = process(&waits, backoff, event, async |word: String| match word.as_str() {
            "fine" => Ok(()),
            "later" => Err(Failure { transient: true }),
            "never" => Err(Failure { transient: false }),
            _ => panic!("{word}"),
        })
        .await;
        (
            answer.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect(),
            waits.0.into_inner().unwrap(),
        )
    }

    #[test]
    fn what_is_wrong_with_a_record_is_told_once() {
        let wrong = RecordError::<Failure>::Unreadable(decode::json::<String>("1").unwrap_err());
        assert_eq!(
            chain(&wrong),
            "the record is not what this queue carries: `.` is missing or not what it should be"
        );
    }

    #[tokio::test]
    async fn a_record_that_cannot_be_read_fails_alone() {
        let (failed, _) = run(vec![
            message("a", "\"fine\"", 1),
            message("b", "{", 1),
            message("c", "\"fine\"", 1),
        ])
        .await;
        assert_eq!(failed, ["b"]);
    }

    #[tokio::test]
    async fn a_record_that_panics_fails_alone() {
        let (failed, _) =
            run(vec![message("a", "\"panic\"", 1), message("b", "\"fine\"", 1)]).await;
        assert_eq!(failed, ["a"]);
    }

    #[tokio::test]
    async fn a_record_that_succeeds_keeps_its_visibility() {
        let (failed, waits) = run(vec![message("a", "\"fine\"", 1)]).await;
        assert!(failed.is_empty() && waits.is_empty());
    }

    #[tokio::test]
    async fn a_transient_failure_waits_and_a_lasting_one_does_not() {
        let (failed, waits) =
            run(vec![message("a", "\"later\"", 1), message("b", "\"never\"", 1)]).await;
        assert_eq!(failed, ["a", "b"]);
        let wait = |id| waits.iter().find(|(handle, _)| handle == id).unwrap().1;
        assert!(wait("a") >= Duration::from_secs(10));
        assert_eq!(wait("b"), Duration::ZERO);
    }

    #[tokio::test]
    async fn the_last_failure_sends_the_message_to_its_dead_letters_at_once() {
        let (_, waits) = run(vec![message("a", "\"later\"", MAX_RECEIVES)]).await;
        assert_eq!(waits, [("a".to_owned(), Duration::ZERO)]);
    }

    proptest! {
        #[test]
        fn all_waits_together_outlast_the_budget(budget in 1_u32..40_000, jitter in prop_oneof![Just(0.0), 0.0..=1.0]) {
            let backoff = Backoff::outlasting(budget);
            // SQS is told whole seconds.
            let waits: u64 = (1..MAX_RECEIVES).map(|receives| backoff.wait(receives, jitter).as_secs()).sum();
            prop_assert!(waits >= u64::from(budget));
        }

        #[test]
        fn no_wait_is_shorter_than_the_one_before_or_the_floor_or_longer_than_sqs_allows(
            budget in 0_u32..200_000, receives in 1_u32..20, jitter in 0.0..=1.0,
        ) {
            let backoff = Backoff::outlasting(budget);
            let wait = backoff.wait(receives, jitter);
            prop_assert!(wait >= backoff.floor && wait <= MAX_WAIT);
            prop_assert!(backoff.wait(receives + 1, jitter) >= wait);
        }
    }
}
