//! Failures of messages, and when each message is tried again, from the functions' logs.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use platform::queue::MAX_RECEIVES;
use serde::Deserialize;
use serde_json::{Map, Value};
use stack::{Level, LogLine};

/// How long after its time a message may be received again and not be late.
pub(crate) const LATENESS: SignedDuration = SignedDuration::from_mins(1);

/// What [`platform::queue`] logs for every record that fails.
pub(crate) const FAILED: &str = "record failed";

/// A record that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) at: Timestamp,
    pub(crate) function: String,
    pub(crate) message_id: String,
    /// How often the message had been received by then.
    pub(crate) receives: u32,
    pub(crate) error: String,
    wait: SignedDuration,
}

impl Failure {
    pub(crate) fn of(line: &LogLine) -> Option<Self> {
        #[derive(Deserialize)]
        struct Fields {
            message: String,
            message_id: String,
            receives: u32,
            wait_seconds: u32,
            error: String,
        }

        let Fields { message, message_id, receives, wait_seconds, error } =
            serde_json::from_str(&line.message).ok()?;
        (message == FAILED).then(|| Self {
            at: line.at,
            function: line.function.clone(),
            message_id,
            receives,
            error,
            wait: SignedDuration::from_secs(wait_seconds.into()),
        })
    }

    /// Whether a line reports that the message got further in a later try.
    fn is_superseded_by(&self, line: &LogLine) -> bool {
        let is_about = |fields: &Map<String, Value>| {
            fields.get("message_id").and_then(Value::as_str) == Some(&self.message_id)
        };
        line.at > self.at
            && line.function == self.function
            && line.level() == Level::Info
            && line.fields().as_ref().is_some_and(is_about)
    }

    /// When the message is received again; never after the last failure.
    pub(crate) fn next_try(&self) -> Option<Timestamp> {
        (self.receives < MAX_RECEIVES).then(|| self.at + self.wait)
    }
}

/// The last failure of each message that no later try has superseded, in log lines that are sorted
/// by time.
pub(crate) fn open_failures(lines: &[LogLine]) -> Vec<Failure> {
    let mut failures = Vec::from_iter(last_failures(lines).into_values());
    failures.retain(|failure| !lines.iter().any(|line| failure.is_superseded_by(line)));
    failures
}

/// The last failure of each message in log lines that are sorted by time, by the message's id.
pub(crate) fn last_failures(lines: &[LogLine]) -> BTreeMap<String, Failure> {
    let failures = lines.iter().filter_map(Failure::of);
    failures.map(|failure| (failure.message_id.clone(), failure)).collect()
}

#[cfg(test)]
mod tests {
    use fixtures::at;
    use serde_json::json;

    use super::*;

    fn line(second: i64, message: &str) -> LogLine {
        LogLine {
            at: at("2026-11-24T08:00:00Z") + SignedDuration::from_secs(second),
            function: "payment".to_owned(),
            message: message.to_owned(),
        }
    }

    fn failed(second: i64, id: &str, receives: u32, error: &str) -> LogLine {
        let message = json!({
            "level": "ERROR", "message": FAILED, "message_id": id, "receives": receives,
            "transient": true, "wait_seconds": 3, "error": error, "order_id": "any"
        });
        line(second, &message.to_string())
    }

    #[test]
    fn the_last_failure_of_a_message_counts() {
        let lines = [
            failed(0, "1", 1, "timed out"),
            failed(1, "2", 1, "timed out"),
            line(2, "Segmentation fault"),
            line(3, r#"{"message": "transition applied", "message_id": "1"}"#),
            failed(4, "1", 2, "refused"),
        ];
        let failures = last_failures(&lines);
        let errors: Vec<_> =
            failures.iter().map(|(id, failure)| (&**id, &*failure.error)).collect();
        assert_eq!(errors, [("1", "refused"), ("2", "timed out")]);
    }

    #[test]
    fn a_failure_is_open_until_a_later_try_gets_further() {
        let open = |lines: &[LogLine]| open_failures(lines).len();
        let info = |second, id: &str, level: &str| {
            let fields = json!({"message": "payment", "level": level, "message_id": id});
            line(second, &fields.to_string())
        };
        let timed_out = || failed(1, "1", 1, "timed out");
        assert_eq!(open(&[info(0, "1", "INFO"), timed_out()]), 1);
        assert_eq!(open(&[timed_out(), info(2, "2", "INFO"), info(3, "1", "WARN")]), 1);
        let elsewhere = LogLine { function: "inventory".to_owned(), ..info(2, "1", "INFO") };
        assert_eq!(open(&[timed_out(), elsewhere]), 1);
        assert_eq!(open(&[timed_out(), info(2, "1", "INFO")]), 0);
    }

    #[test]
    fn a_message_is_tried_again_after_its_wait_unless_it_was_given_up() {
        let next = |receives| last_failures(&[failed(0, "1", receives, "refused")])["1"].next_try();
        assert_eq!(next(15), Some(at("2026-11-24T08:00:03Z")));
        assert_eq!(next(16), None);
    }
}
