//! Batches from queues: each record is handled and fails on its own, and is retried with
//! exponential backoff or asked for again with a copy.

use std::{error::Error, panic::AssertUnwindSafe, time::Duration};

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use aws_sdk_sqs::{
    Client,
    config::{Builder, retry::RetryConfig},
    types::MessageAttributeValue,
};
use futures::{FutureExt, future::join_all};
use lambda_runtime::Context;
use serde::{Deserialize, de::DeserializeOwned};
use tracing::Instrument;
use uuid::Uuid;

use crate::{
    cause::chain,
    connections,
    decode::{self, DecodeError},
    time_limit::{self, OutOfTime},
};

/// How often a message is received before SQS moves it to the dead-letter queue: the
/// `maxReceiveCount` of every queue in the template.
///
/// The more waits share a budget, the less each one exceeds the one before: with the default budget
/// by less than half, so that a message is handled within one and a half times the length of a
/// fault. And a receive counts even if Lambda is throttled and hands the message to no function.
pub const MAX_RECEIVES: u32 = 16;

/// The longest wait. SQS hides a message for at most 12 hours counted from its receive, and an
/// invocation lasts at most 15 minutes until it sets the wait.
pub const MAX_WAIT: Duration = Duration::from_secs(12 * 60 * 60 - 15 * 60);

/// An error that says whether a retry may succeed.
pub trait Retryable: Error {
    /// True if the cause may go away (a time-out, throttling, a conflict, a missing permission),
    /// false if a retry fails the same way.
    fn is_transient(&self) -> bool;

    /// Whether nothing has failed, and the outcome is only not known yet. This is not counted as a
    /// failure.
    fn is_undecided(&self) -> bool {
        false
    }

    /// When to ask for the message again after `asks` copies of it, instead of leaving it to the
    /// backoff. A `jitter` of up to 1 spreads messages that failed together.
    fn next_ask(&self, asks: u32, jitter: f64) -> Option<NextAsk> {
        let _ = (asks, jitter);
        None
    }
}

/// When a message is asked for again. Other than with a [`Backoff`], the number of tries has no
/// limit, so that waits can stay short for as long as the error says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextAsk {
    /// A copy is received after this time, which SQS counts in whole seconds up to 15 minutes.
    After(Duration),
    /// Another try would come too late. The message is acknowledged.
    TooLate,
}

/// The number of waits between the receives of a message.
const WAITS: usize = MAX_RECEIVES as usize - 1;

/// The schedule of the waits after transient failures.
///
/// Each wait exceeds the one before by the same factor, as far as [`MAX_WAIT`] allows. After a
/// fault of seconds a message therefore waits for seconds, and yet a fault that is repaired within
/// the budget sends no message to the dead-letter queue.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// In seconds, the unit of SQS.
    waits: [u32; WAITS],
}

impl Backoff {
    /// The shortest first wait of a budget that is long enough, in seconds: a service that is down
    /// for a moment is not called again at once.
    const FLOOR: f64 = 2.0;

    /// The longest budget, in seconds: five days. SQS keeps a message and its dead letter for
    /// fourteen together, and operators need the rest.
    pub const MAX_BUDGET: u32 = 5 * 24 * 60 * 60;

    /// A schedule whose waits together last for a budget of `seconds`, and a few seconds longer,
    /// because each wait is rounded up. A budget above [`Self::MAX_BUDGET`] counts as that.
    #[must_use]
    pub fn outlasting(seconds: u32) -> Self {
        let budget = f64::from(seconds.min(Self::MAX_BUDGET));
        let floor = Self::FLOOR.min(budget / WAITS as f64);
        let (mut low, mut high) = (1.0, budget.max(1.0));
        // Halved 64 times, the interval is as small as numbers are exact.
        for _ in 0..64 {
            let factor = f64::midpoint(low, high);
            if geometric(floor, factor).sum::<f64>() < budget {
                low = factor
            } else {
                high = factor
            }
        }
        let mut waits = [0; WAITS];
        for (wait, exact) in waits.iter_mut().zip(geometric(floor, high)) {
            // A little less, so that an exact number is not rounded up by an error in its last bit.
            *wait = (exact - 1e-6).ceil().max(1.0) as u32;
        }
        Self { waits }
    }

    /// The waits of the schedule, without jitter.
    pub fn waits(&self) -> impl Iterator<Item = Duration> {
        self.waits.into_iter().map(|seconds| Duration::from_secs(seconds.into()))
    }

    /// The wait after failure number `receives`, counted from 1. A `jitter` of up to 1 adds up to a
    /// quarter, so that messages that failed together spread out.
    #[must_use]
    pub fn wait(&self, receives: u32, jitter: f64) -> Duration {
        let index = usize::try_from(receives.max(1) - 1).unwrap_or(WAITS).min(WAITS - 1);
        let wait = f64::from(self.waits[index]) * (1.0 + jitter.clamp(0.0, 1.0) / 4.0);
        Duration::from_secs(wait.round() as u64).min(MAX_WAIT)
    }
}

/// Waits that start with `floor` seconds and grow by `factor` up to [`MAX_WAIT`].
fn geometric(floor: f64, factor: f64) -> impl Iterator<Item = f64> {
    let waits = std::iter::successors(Some(floor), move |wait| Some(wait * factor));
    waits.map(|wait| wait.min(MAX_WAIT.as_secs_f64())).take(WAITS)
}

/// What is left of an invocation for setting the waits of failed records and answering.
pub const RESERVE: Duration = Duration::from_secs(2);

/// Why a record was not handled within the invocation's time.
#[derive(Debug, thiserror::Error)]
enum InTime<E> {
    #[error(transparent)]
    Failed(E),
    #[error(transparent)]
    OutOfTime(OutOfTime),
}

impl<E: Retryable> Retryable for InTime<E> {
    fn is_transient(&self) -> bool {
        match self {
            Self::Failed(error) => error.is_transient(),
            Self::OutOfTime(_) => true,
        }
    }

    fn is_undecided(&self) -> bool {
        matches!(self, Self::Failed(error) if error.is_undecided())
    }

    fn next_ask(&self, asks: u32, jitter: f64) -> Option<NextAsk> {
        match self {
            Self::Failed(error) => error.next_ask(asks, jitter),
            // What the time was spent on is unknown.
            Self::OutOfTime(_) => None,
        }
    }
}

/// What a queue does so that a message is received again.
pub trait Redelivery {
    /// Hides the message for `wait` from now on. A wait of zero makes it visible at once.
    ///
    /// # Errors
    /// The message may still have its previous visibility timeout.
    async fn hide(&self, receipt_handle: &str, wait: Duration) -> Result<(), HideError>;

    /// Sends a copy of a record to the queue that it came from, as ask number `ask`, to be received
    /// after `wait`. Returns the id of the new message.
    ///
    /// # Errors
    /// The copy may have been sent all the same.
    async fn copy(
        &self,
        record: &SqsMessage,
        ask: u32,
        wait: Duration,
    ) -> Result<String, CopyError>;
}

/// Why a message's visibility timeout may not have been changed.
#[derive(Debug, thiserror::Error)]
#[error("SQS ChangeMessageVisibility failed: {0}")]
pub struct HideError(pub String);

/// Why a copy of a message may not have been sent.
#[derive(Debug, thiserror::Error)]
#[error("SQS SendMessage failed: {0}")]
pub struct CopyError(pub String);

/// A queue that invokes this function.
#[derive(Clone, Debug)]
pub struct Queue {
    client: Client,
    /// Sends once, on a connection of its own: after a failure, sending again could leave two
    /// copies.
    sender: Client,
    url: String,
    backoff: Backoff,
}

impl Queue {
    /// The queue at `url`, whose failed messages wait according to `backoff`.
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig, url: String, backoff: Backoff) -> Self {
        let once = Builder::from(config)
            .retry_config(RetryConfig::disabled())
            .http_client(connections::unshared());
        Self { client: Client::new(config), sender: Client::from_conf(once.build()), url, backoff }
    }

    /// Whether the batch `event` comes from this queue: the source's ARN and the URL end in the
    /// same name.
    #[must_use]
    pub fn is_source_of(&self, event: &SqsEvent) -> bool {
        let arn = event
            .records
            .first()
            .and_then(|record| record.event_source_arn.as_deref())
            .unwrap_or_default();
        arn.rsplit(':').next() == self.url.rsplit('/').next()
    }

    /// Handles a batch of this queue with [`process`]. A record that is not handled in time fails
    /// as if a call had timed out, and the others do not fail with it.
    pub async fn process<T, E>(
        &self,
        context: &Context,
        event: SqsEvent,
        handle: impl AsyncFn(T) -> Result<(), E>,
    ) -> SqsBatchResponse
    where
        T: DeserializeOwned,
        E: Retryable,
    {
        let handle = async |message| {
            let handled = time_limit::within(context, RESERVE, handle(message)).await;
            handled.map_err(InTime::OutOfTime)?.map_err(InTime::Failed)
        };
        process(self, self.backoff, event, handle).await
    }
}

/// The longest time for one call of SQS at the end of an invocation, when only the [`RESERVE`] is
/// left: for a copy, for hiding the message if that fails, and for hiding it once more.
const CALL_TIMEOUT: Duration = Duration::from_millis(500);

const NO_ANSWER: &str = "no answer in time";

/// The message attribute that counts how often a message was asked for again.
pub const ASK: &str = "ask";

impl Redelivery for Queue {
    async fn hide(&self, receipt_handle: &str, wait: Duration) -> Result<(), HideError> {
        let seconds = i32::try_from(wait.as_secs()).unwrap_or(i32::MAX);
        let change = || {
            let change = self.client.change_message_visibility().queue_url(&self.url);
            let change = change.receipt_handle(receipt_handle).visibility_timeout(seconds);
            tokio::time::timeout(CALL_TIMEOUT, change.send())
        };
        let mut changed = change().await;
        if changed.is_err() {
            // The connection may have died while the function was frozen; the next is a new one.
            changed = change().await;
        }
        match changed {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(HideError(chain(&error))),
            Err(_) => Err(HideError(NO_ANSWER.to_owned())),
        }
    }

    async fn copy(
        &self,
        record: &SqsMessage,
        ask: u32,
        wait: Duration,
    ) -> Result<String, CopyError> {
        let ask =
            MessageAttributeValue::builder().data_type("Number").string_value(ask.to_string());
        let ask = ask.build().map_err(|error| CopyError(chain(&error)))?;
        let send = self.sender.send_message().queue_url(&self.url).message_attributes(ASK, ask);
        let send = send
            .message_body(record.body.as_deref().unwrap_or_default())
            .delay_seconds(i32::try_from(wait.as_secs()).unwrap_or(i32::MAX));
        match tokio::time::timeout(CALL_TIMEOUT, send.send()).await {
            Ok(Ok(sent)) => Ok(sent.message_id.unwrap_or_default()),
            Ok(Err(error)) => Err(CopyError(chain(&error))),
            Err(_) => Err(CopyError(NO_ANSWER.to_owned())),
        }
    }
}

/// Handles all records of a batch concurrently and answers which of them failed.
///
/// A record that cannot be read or whose handler panics fails alone. It is visible again at once,
/// since a retry fails the same way, until SQS moves it to the dead-letter queue. A transient
/// failure waits according to `backoff`, unless its error wants the message to be asked for again:
/// then a copy is sent, and the record counts as handled.
///
/// All log lines of a record carry its message's id, and the order and the trace that the event
/// in it belongs to. A failure is counted in the metric [`RECORDS_FAILED`] by its cause, and the
/// last one of a record in [`RECORDS_DEAD_LETTERED`] as well.
pub async fn process<T, E>(
    queue: &impl Redelivery,
    backoff: Backoff,
    event: SqsEvent,
    handle: impl AsyncFn(T) -> Result<(), E>,
) -> SqsBatchResponse
where
    T: DeserializeOwned,
    E: Retryable,
{
    let records = event.records.iter().map(|record| {
        let handle = &handle;
        async move {
            let error = handle_record(record, handle).await.err()?;
            if !error.is_undecided() {
                metrics::counter!(RECORDS_FAILED, "Cause" => error.cause()).increment(1);
            }
            if ask_again(queue, record, &error).await == Asked::No {
                back_off(queue, backoff, record, &error).await;
                return Some(record.message_id.clone().unwrap_or_default());
            }
            None
        }
        .instrument(span(record))
    });
    let failed = join_all(records).await;
    let mut response = SqsBatchResponse::default();
    response.set_failures(failed.into_iter().flatten());
    response
}

/// The metric that counts each failure of a record, with the label `Cause`.
pub const RECORDS_FAILED: &str = "RecordsFailed";

/// The metric that counts records on their way to a dead-letter queue. It is known at once, while
/// the metrics of a queue that was empty come minutes later.
pub const RECORDS_DEAD_LETTERED: &str = "RecordsDeadLettered";

/// Why a record failed.
#[derive(Debug, thiserror::Error)]
enum RecordError<E> {
    #[error("the record is not a message of this queue: {0}")]
    Unreadable(DecodeError),
    #[error("the handler panicked")]
    Panicked,
    #[error(transparent)]
    Failed(E),
}

impl<E: Retryable> RecordError<E> {
    fn is_transient(&self) -> bool {
        matches!(self, Self::Failed(error) if error.is_transient())
    }

    /// The kind of failure, as a metric's label.
    fn cause(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable",
            Self::Panicked => "panicked",
            Self::Failed(_) if self.is_transient() => "transient",
            Self::Failed(_) => "permanent",
        }
    }

    fn is_undecided(&self) -> bool {
        matches!(self, Self::Failed(error) if error.is_undecided())
    }

    fn next_ask(&self, asks: u32) -> Option<NextAsk> {
        match self {
            Self::Failed(error) => error.next_ask(asks, fastrand::f64()),
            Self::Unreadable(_) | Self::Panicked => None,
        }
    }
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
    let message = decode::json(body).map_err(RecordError::Unreadable)?;
    // A panic cannot leave anything half-written that another record's handler reads: all state
    // is in tables.
    match AssertUnwindSafe(handle(message)).catch_unwind().await {
        Ok(handled) => handled.map_err(RecordError::Failed),
        Err(_panic) => Err(RecordError::Panicked),
    }
}

/// Whether a record can be acknowledged, because a copy of it was sent or another try would come
/// too late.
#[derive(PartialEq, Eq)]
enum Asked {
    Yes,
    No,
}

/// Asks for a record again if its error wants that, and logs it.
///
/// Only the first receive of a message sends a copy. Of a later one it is unknown whether an
/// earlier one has sent a copy and died before it acknowledged the message. If each receive sent
/// one, such deaths would multiply the messages: so none has more than one copy, and one that is
/// received again backs off.
async fn ask_again<E: Retryable>(
    queue: &impl Redelivery,
    record: &SqsMessage,
    error: &RecordError<E>,
) -> Asked {
    let (receives, asks) = (receives(record), asks(record));
    let wait = match error.next_ask(asks) {
        Some(NextAsk::After(wait)) if receives == 1 => wait,
        Some(NextAsk::TooLate) => {
            let (transient, too_late) = (error.is_transient(), true);
            let error = chain(error);
            tracing::error!(ask = asks, receives, transient, too_late, error, "record failed");
            return Asked::Yes;
        }
        Some(NextAsk::After(_)) | None => return Asked::No,
    };
    let ask = asks.saturating_add(1);
    // Before the record is acknowledged, so that a death in between loses nothing.
    let copy = match queue.copy(record, ask, wait).await {
        Ok(copy) => copy,
        Err(error) => {
            tracing::warn!(error = chain(&error), "no copy was sent; the message waits instead");
            return Asked::No;
        }
    };
    let (wait_seconds, is_undecided, error) = (wait.as_secs(), error.is_undecided(), chain(error));
    if is_undecided {
        tracing::info!(ask, copy, receives, wait_seconds, error, "record undecided");
    } else {
        let transient = true;
        tracing::error!(ask, copy, receives, transient, wait_seconds, error, "record failed");
    }
    Asked::Yes
}

/// Logs a failure, and sets the wait before the record is received again.
async fn back_off<E: Retryable>(
    queue: &impl Redelivery,
    backoff: Backoff,
    record: &SqsMessage,
    error: &RecordError<E>,
) {
    let receives = receives(record);
    let transient = error.is_transient();
    let wait = if transient { backoff.wait(receives, fastrand::f64()) } else { Duration::ZERO };
    if receives >= MAX_RECEIVES {
        metrics::counter!(RECORDS_DEAD_LETTERED).increment(1);
    }
    tracing::error!(
        receives,
        transient,
        wait_seconds = wait.as_secs(),
        error = chain(error),
        "record failed"
    );
    // After the last failure SQS moves the message to the dead-letter queue, as soon as it is
    // visible again.
    let wait = if receives < MAX_RECEIVES { wait } else { Duration::ZERO };
    let handle = record.receipt_handle.as_deref().unwrap_or_default();
    if let Err(error) = queue.hide(handle, wait).await {
        tracing::warn!(error = chain(&error), "the message keeps its previous visibility timeout");
    }
}

/// How often the message of a record was asked for again before.
fn asks(record: &SqsMessage) -> u32 {
    let ask = record.message_attributes.get(ASK).and_then(|ask| ask.string_value.as_deref());
    ask.and_then(|ask| ask.parse().ok()).unwrap_or(0)
}

fn receives(record: &SqsMessage) -> u32 {
    record
        .attributes
        .get("ApproximateReceiveCount")
        .and_then(|count| count.parse().ok())
        .unwrap_or(1)
}

/// The span of a record. Its fields come from the envelope alone, so that the log lines of an
/// event that cannot be read still say what the event is about.
fn span(record: &SqsMessage) -> tracing::Span {
    let origin = Origin::of(record.body.as_deref().unwrap_or_default());
    tracing::info_span!(
        "record",
        message_id = record.message_id,
        order_id = origin.correlation_id.map(tracing::field::display),
        trace_id = origin.trace_id(),
    )
}

/// What the event in a message follows from.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
struct Origin {
    /// The order.
    correlation_id: Option<Uuid>,
    traceparent: Option<String>,
}

impl Origin {
    fn of(body: &str) -> Self {
        #[derive(Deserialize)]
        struct Envelope {
            detail: Detail,
        }
        #[derive(Deserialize)]
        struct Detail {
            metadata: Origin,
        }
        let envelope = serde_json::from_str(body);
        envelope.map(|envelope: Envelope| envelope.detail.metadata).unwrap_or_default()
    }

    /// The second of the four parts of a W3C `traceparent`.
    fn trace_id(&self) -> Option<&str> {
        self.traceparent.as_deref()?.split('-').nth(1)
    }
}

#[cfg(test)]
mod tests;
