use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use proptest::prelude::*;

use super::*;

#[derive(Debug, Default, thiserror::Error)]
#[error("failed")]
struct TestError {
    transient: bool,
    undecided: bool,
    /// The next ask after that many.
    asks: Option<fn(u32) -> NextAsk>,
}

impl Retryable for TestError {
    fn is_transient(&self) -> bool {
        self.transient
    }

    fn is_undecided(&self) -> bool {
        self.undecided
    }

    fn next_ask(&self, asks: u32, jitter: f64) -> Option<NextAsk> {
        assert!((0.0..1.0).contains(&jitter));
        self.asks.map(|next| next(asks))
    }
}

/// A copy of a message: its body, the number of the ask, and the wait in seconds.
type Copied = (String, u32, u64);

#[derive(Default)]
struct Redelivered {
    waits: Mutex<Vec<(String, Duration)>>,
    copies: Mutex<Vec<Copied>>,
    takes_no_copies: bool,
}

impl Redelivery for Redelivered {
    async fn hide(&self, receipt_handle: &str, wait: Duration) -> Result<(), HideError> {
        self.waits.lock().unwrap().push((receipt_handle.to_owned(), wait));
        Ok(())
    }

    async fn copy(
        &self,
        record: &SqsMessage,
        ask: u32,
        wait: Duration,
    ) -> Result<String, CopyError> {
        if self.takes_no_copies {
            return Err(CopyError("denied".to_owned()));
        }
        let copy = (record.body.clone().unwrap(), ask, wait.as_secs());
        self.copies.lock().unwrap().push(copy);
        Ok("copy".to_owned())
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

/// Succeeds or fails as the message says.
async fn obey(word: String) -> Result<(), TestError> {
    match word.as_str() {
        "succeed" => Ok(()),
        "fail for now" => Err(TestError { transient: true, ..TestError::default() }),
        "fail for good" => Err(TestError::default()),
        "ask again" => {
            Err(asking(|asks| NextAsk::After(Duration::from_secs(10 + u64::from(asks)))))
        }
        "look again" => Err(TestError { undecided: true, ..asking(|_| NextAsk::After(SECOND)) }),
        "too late" => Err(asking(|_| NextAsk::TooLate)),
        _ => panic!("{word}"),
    }
}

const SECOND: Duration = Duration::from_secs(1);

fn asking(next: fn(u32) -> NextAsk) -> TestError {
    TestError { transient: true, asks: Some(next), ..TestError::default() }
}

/// The failed messages of a batch, and the waits that were set.
async fn run(records: Vec<SqsMessage>) -> (Vec<String>, Vec<(String, Duration)>) {
    let redelivered = Redelivered::default();
    let failed = run_on(&redelivered, records).await;
    assert!(redelivered.copies.into_inner().unwrap().is_empty());
    (failed, redelivered.waits.into_inner().unwrap())
}

/// The failed messages of a batch.
async fn run_on(queue: &Redelivered, records: Vec<SqsMessage>) -> Vec<String> {
    let mut event = SqsEvent::default();
    event.records = records;
    let answer = process(queue, Backoff::outlasting(960), event, obey).await;
    answer.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect()
}

#[tokio::test]
async fn a_record_that_cannot_be_read_fails_alone() {
    let (failed, waits) = run(vec![
        message("a", "\"succeed\"", 1),
        message("b", "{", 1),
        message("c", "\"succeed\"", 1),
    ])
    .await;
    assert_eq!(failed, ["b"]);
    assert_eq!(waits, [("b".to_owned(), Duration::ZERO)]);
}

#[tokio::test]
async fn a_record_whose_handler_panics_fails_alone() {
    let (failed, waits) =
        run(vec![message("a", "\"panic\"", 1), message("b", "\"succeed\"", 1)]).await;
    assert_eq!(failed, ["a"]);
    assert_eq!(waits, [("a".to_owned(), Duration::ZERO)]);
}

#[tokio::test]
async fn a_record_that_succeeds_keeps_its_visibility_timeout() {
    let (failed, waits) = run(vec![message("a", "\"succeed\"", 1)]).await;
    assert!(failed.is_empty() && waits.is_empty());
}

#[tokio::test]
async fn a_transient_failure_waits_and_a_permanent_one_does_not() {
    let (failed, waits) =
        run(vec![message("a", "\"fail for now\"", 1), message("b", "\"fail for good\"", 1)]).await;
    assert_eq!(failed, ["a", "b"]);
    let wait = |id| waits.iter().find(|(handle, _)| handle == id).unwrap().1;
    assert!((2..=3).contains(&wait("a").as_secs()), "{:?}", wait("a"));
    assert_eq!(wait("b"), Duration::ZERO);
}

#[tokio::test]
async fn a_wait_depends_on_how_often_the_message_was_received() {
    let (_, waits) = run(vec![message("a", "\"fail for now\"", MAX_RECEIVES - 1)]).await;
    assert!((289..=362).contains(&waits[0].1.as_secs()), "{waits:?}");
}

#[tokio::test]
async fn the_last_failure_does_not_delay_the_dead_letter() {
    let (_, waits) = run(vec![message("a", "\"fail for now\"", MAX_RECEIVES)]).await;
    assert_eq!(waits, [("a".to_owned(), Duration::ZERO)]);
}

/// Counts the failures of records.
#[derive(Default)]
struct Failures(Arc<AtomicU64>);

impl Recorder for Failures {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let is_counted = key.name() == RECORDS_FAILED;
        if is_counted { Counter::from_arc(self.0.clone()) } else { Counter::noop() }
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[tokio::test]
async fn every_failure_is_counted_and_a_record_that_is_only_undecided_is_none() {
    for (word, receives, counted) in [
        ("fail for now", 1, 1),
        ("fail for good", 1, 1),
        ("ask again", 1, 1),
        ("ask again", 2, 1),
        ("too late", 1, 1),
        ("look again", 1, 0),
        ("look again", 2, 0),
        ("succeed", 1, 0),
    ] {
        let failures = Failures::default();
        let recording = metrics::set_default_local_recorder(&failures);
        let queue = Redelivered::default();
        run_on(&queue, vec![message("a", &format!("\"{word}\""), receives)]).await;
        drop(recording);
        assert_eq!(failures.0.load(Ordering::Relaxed), counted, "{word}, {receives} receives");
    }
}

/// The message as it is after `asks` copies of it.
fn asked(asks: &str, mut message: SqsMessage) -> SqsMessage {
    let mut attribute = aws_lambda_events::sqs::SqsMessageAttribute::default();
    attribute.string_value = Some(asks.to_owned());
    message.message_attributes.insert(ASK.to_owned(), attribute);
    message
}

#[tokio::test]
async fn a_record_whose_error_asks_again_is_acknowledged_once_a_copy_is_sent() {
    let queue = Redelivered::default();
    let records = vec![
        message("a", "\"ask again\"", 1),
        asked("7", message("b", "\"ask again\"", 1)),
        asked("seven", message("c", "\"ask again\"", 1)),
        message("d", "\"fail for now\"", 1),
    ];
    assert_eq!(run_on(&queue, records).await, ["d"]);
    let copies = queue.copies.into_inner().unwrap();
    let copy = |ask: u32, wait| ("\"ask again\"".to_owned(), ask, wait);
    assert_eq!(copies, [copy(1, 10), copy(8, 17), copy(1, 10)]);
    let waits = queue.waits.into_inner().unwrap();
    assert!(matches!(&waits[..], [(handle, _)] if handle == "d"), "{waits:?}");
}

#[tokio::test]
async fn a_record_that_was_received_before_is_not_copied_again_and_waits() {
    let queue = Redelivered::default();
    let failed = run_on(&queue, vec![message("a", "\"ask again\"", 2)]).await;
    assert_eq!(failed, ["a"]);
    assert!(queue.copies.into_inner().unwrap().is_empty());
    let waits = queue.waits.into_inner().unwrap();
    assert!((3..=4).contains(&waits[0].1.as_secs()), "{waits:?}");
}

#[tokio::test]
async fn a_record_whose_copy_cannot_be_sent_waits() {
    let queue = Redelivered { takes_no_copies: true, ..Redelivered::default() };
    assert_eq!(run_on(&queue, vec![message("a", "\"ask again\"", 1)]).await, ["a"]);
    let waits = queue.waits.into_inner().unwrap();
    assert!((2..=3).contains(&waits[0].1.as_secs()), "{waits:?}");
}

#[tokio::test]
async fn a_record_for_which_another_try_would_be_too_late_is_acknowledged() {
    for receives in [1, 2, MAX_RECEIVES] {
        let (failed, waits) = run(vec![message("a", "\"too late\"", receives)]).await;
        assert!(failed.is_empty() && waits.is_empty(), "{receives} receives");
    }
}

#[test]
fn a_record_belongs_to_the_order_and_the_trace_that_its_envelope_names() {
    let order = Uuid::from_u128(1);
    let envelope = |metadata: serde_json::Value| {
        serde_json::json!({"detail": {"metadata": metadata, "data": "what?"}}).to_string()
    };
    for (body, expected) in [
        (
            envelope(serde_json::json!({"correlation_id": order, "traceparent": "00-a1-b2-00"})),
            (Some(order), Some("a1")),
        ),
        (envelope(serde_json::json!({"correlation_id": order})), (Some(order), None)),
        (envelope(serde_json::json!({})), (None, None)),
        ("{".to_owned(), (None, None)),
    ] {
        let origin = Origin::of(&body);
        assert_eq!((origin.correlation_id, origin.trace_id()), expected, "{body}");
    }
}

#[test]
fn errors_say_once_what_is_wrong() {
    let unreadable = decode::json::<String>("1").unwrap_err();
    for (error, text) in [
        (
            RecordError::Unreadable(unreadable),
            "the record is not a message of this queue: `.` is missing or not what it should be",
        ),
        (RecordError::Panicked, "the handler panicked"),
        (RecordError::Failed(TestError::default()), "failed"),
    ] {
        assert_eq!(chain(&error), text);
    }
    let error = HideError("timed out".to_owned());
    assert_eq!(chain(&error), "SQS ChangeMessageVisibility failed: timed out");
    let error = CopyError("denied".to_owned());
    assert_eq!(chain(&error), "SQS SendMessage failed: denied");
}

#[test]
fn the_waits_grow_evenly_from_two_seconds_to_the_budget() {
    // The table of docs/operations.md.
    let doubling: [u64; WAITS] = std::array::from_fn(|index| 2 << index);
    for (budget, expected) in [
        (360, [2, 3, 4, 5, 6, 8, 11, 14, 18, 23, 30, 39, 51, 67, 87]),
        (960, [2, 3, 5, 6, 9, 12, 17, 25, 35, 49, 70, 100, 142, 203, 289]),
        (36_000, [2, 4, 8, 14, 27, 51, 97, 186, 354, 676, 1_290, 2_463, 4_703, 8_981, 17_149]),
        (
            172_800,
            [2, 5, 12, 27, 64, 150, 355, 841, 1_993, 4_724, 11_196, 26_537, 42_300, 42_300, 42_300],
        ),
        (65_534, doubling),
        (15, [1; WAITS]),
        (30, [2; WAITS]),
        (0, [1; WAITS]),
    ] {
        let waits: Vec<_> = Backoff::outlasting(budget).waits().map(|it| it.as_secs()).collect();
        assert_eq!(waits, expected, "{budget} seconds");
    }
}

#[test]
fn a_wait_follows_from_the_number_of_receives_and_jitter_adds_up_to_a_quarter() {
    let backoff = Backoff::outlasting(65_534);
    for (receives, jitter, seconds) in [
        (0, 0.0, 2),
        (1, 0.0, 2),
        (1, 1.0, 3),
        (3, 0.0, 8),
        (3, 0.5, 9),
        (3, 1.0, 10),
        (15, 0.0, 32_768),
        (16, 0.0, 32_768),
        (u32::MAX, 0.0, 32_768),
        (15, 1.0, 40_960),
        (15, 2.0, 40_960),
        (15, -1.0, 32_768),
    ] {
        let wait = backoff.wait(receives, jitter);
        assert_eq!(wait, Duration::from_secs(seconds), "{receives} receives, jitter {jitter}");
    }
}

#[test]
fn no_wait_exceeds_twelve_hours_from_the_receive() {
    let twelve_hours = Duration::from_secs(12 * 60 * 60);
    let longest_invocation = Duration::from_secs(15 * 60);
    for budget in [2 * 24 * 60 * 60, Backoff::MAX_BUDGET, u32::MAX] {
        let wait = Backoff::outlasting(budget).wait(MAX_RECEIVES - 1, 1.0);
        assert_eq!(wait + longest_invocation, twelve_hours, "{budget} seconds");
    }
}

#[test]
fn a_message_without_a_receive_count_counts_as_received_once() {
    assert_eq!(receives(&message("a", "", 3)), 3);
    assert_eq!(receives(&SqsMessage::default()), 1);
}

proptest! {
    #[test]
    fn the_waits_together_last_as_long_as_the_budget(budget in 0..=Backoff::MAX_BUDGET) {
        let total: Duration = Backoff::outlasting(budget).waits().sum();
        let budget = Duration::from_secs(budget.into());
        prop_assert!(total >= budget && total <= budget + Duration::from_secs(15), "{total:?}");
    }

    #[test]
    fn no_wait_is_shorter_than_the_one_before(
        budget: u32, receives in 1_u32..20, jitter in 0.0..=1.0,
    ) {
        let backoff = Backoff::outlasting(budget);
        let wait = backoff.wait(receives, jitter);
        prop_assert!(wait >= Duration::from_secs(1) && wait <= MAX_WAIT);
        prop_assert!(backoff.wait(receives + 1, jitter) >= wait);
    }

    #[test]
    fn jitter_never_shortens_a_wait(budget: u32, receives in 1_u32..20, jitter in 0.0..=1.0) {
        let backoff = Backoff::outlasting(budget);
        prop_assert!(backoff.wait(receives, jitter) >= backoff.wait(receives, 0.0));
    }
}
