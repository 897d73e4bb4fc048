//! Failures of messages, and when each message is tried again, from the functions' logs.

use std::{collections::BTreeMap, fmt};

use jiff::{SignedDuration, Timestamp};
use platform::queue::MAX_RECEIVES;
use serde::Deserialize;
use serde_json::{Map, Value};
use stack::{Level, LogLine};

/// How long after its time a message may be received again and not be late.
pub(crate) const LATENESS: SignedDuration = SignedDuration::from_mins(1);

/// What [`platform::queue`] logs for every record that fails.
pub(crate) const FAILED: &str = "record failed";

/// What it logs for a record that is only not decided yet.
const UNDECIDED: &str = "record undecided";

/// A record that failed, or is not decided yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) at: Timestamp,
    pub(crate) function: String,
    /// The message that is tried next: the one that was received, or its copy.
    pub(crate) message_id: String,
    received: String,
    pub(crate) tries: Tries,
    pub(crate) error: String,
    /// `None` if there is no next try.
    wait: Option<SignedDuration>,
}

/// How often a record was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tries {
    /// Its message was received so often.
    Received(u32),
    /// It was asked for again so often, each time by a new message.
    Asked(u32),
}

impl fmt::Display for Tries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Received(receives) => write!(f, "{receives} of {MAX_RECEIVES} receives"),
            Self::Asked(1) => f.write_str("one try"),
            Self::Asked(tries) => write!(f, "{tries} tries"),
        }
    }
}

impl Failure {
    pub(crate) fn of(line: &LogLine) -> Option<Self> {
        #[derive(Deserialize)]
        struct Fields {
            message: String,
            message_id: String,
            receives: u32,
            wait_seconds: Option<u32>,
            ask: Option<u32>,
            copy: Option<String>,
            error: String,
        }

        let Fields { message, message_id, receives, wait_seconds, ask, copy, error } =
            serde_json::from_str(&line.message).ok()?;
        let tries = ask.filter(|_| copy.is_some()).map_or(Tries::Received(receives), Tries::Asked);
        [FAILED, UNDECIDED].contains(&&*message).then(|| Self {
            at: line.at,
            function: line.function.clone(),
            message_id: copy.unwrap_or_else(|| message_id.clone()),
            received: message_id,
            tries,
            error,
            wait: wait_seconds.map(|seconds| SignedDuration::from_secs(seconds.into())),
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
        match self.tries {
            Tries::Received(receives) if receives >= MAX_RECEIVES => None,
            Tries::Received(_) | Tries::Asked(_) => self.wait.map(|wait| self.at + wait),
        }
    }
}

/// The last failure of each message that no later try has superseded, in log lines that are sorted
/// by time.
pub(crate) fn open_failures(lines: &[LogLine]) -> Vec<Failure> {
    let mut failures = Vec::from_iter(last_failures(lines).into_values());
    failures.retain(|failure| !lines.iter().any(|line| failure.is_superseded_by(line)));
    failures
}

/// The last failure of each message in log lines that are sorted by time, by the id of the message
/// that is tried next. A copy takes the place of its original.
pub(crate) fn last_failures(lines: &[LogLine]) -> BTreeMap<String, Failure> {
    let mut failures = BTreeMap::new();
    for failure in lines.iter().filter_map(Failure::of) {
        failures.remove(&failure.received);
        failures.insert(failure.message_id.clone(), failure);
    }
    failures
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

    fn asked(second: i64, message: &str, id: &str, ask: u32, copy: &str) -> LogLine {
        let message = json!({
            "message": message, "level": "INFO", "message_id": id, "receives": 1,
            "wait_seconds": 12, "error": "it is down", "ask": ask, "copy": copy
        });
        line(second, &message.to_string())
    }

    #[test]
    fn of_a_record_that_is_asked_for_again_and_again_only_the_next_try_is_shown() {
        let lines = [
            asked(0, FAILED, "1", 1, "2"),
            asked(1, FAILED, "2", 2, "3"),
            asked(3, UNDECIDED, "3", 3, "4"),
        ];
        let failures = last_failures(&lines);
        let [(id, failure)] = &failures.iter().collect::<Vec<_>>()[..] else {
            panic!("{failures:?}")
        };
        assert_eq!((&***id, failure.tries.to_string()), ("4", "3 tries".to_owned()));
        assert_eq!(failure.next_try(), Some(at("2026-11-24T08:00:15Z")));
        // The copy is tried by its own receives if an ask fails.
        let lines = [&lines[..], &[failed(15, "4", 1, "it is down")]].concat();
        assert_eq!(last_failures(&lines)["4"].tries, Tries::Received(1));
        assert_eq!(last_failures(&lines).len(), 1);
    }

    #[test]
    fn a_record_that_came_too_late_is_not_tried_again() {
        let message = json!({
            "message": FAILED, "message_id": "2", "receives": 1, "ask": 7, "too_late": true,
            "error": "it is down"
        });
        let lines = [asked(0, FAILED, "1", 7, "2"), line(12, &message.to_string())];
        assert_eq!(last_failures(&lines)["2"].next_try(), None);
    }
}
