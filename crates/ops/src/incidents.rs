//! Errors in the functions' logs, grouped by function and cause, each outage for itself.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};
use stack::LogLine;

use crate::retries::{Failure, LATENESS, last_failures};

/// Errors of one function with one cause, without a pause that would say that the cause had gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) function: String,
    pub(crate) cause: String,
    /// Whether they are of records that no retry helps.
    pub(crate) is_lasting: bool,
    pub(crate) count: usize,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    /// The order of the last one that names an order.
    pub(crate) order: Option<String>,
    /// The messages that failed with it, and have not failed in another way since.
    messages: BTreeSet<String>,
    /// Whether each error is the failure of a message.
    is_of_messages: bool,
    /// When the last of the messages, or what a crashed function worked on, is received again.
    next_try: Option<Timestamp>,
    /// When it is quiet if nothing else happens.
    quiet_at: Timestamp,
}

impl Group {
    /// Whether nothing says that the cause is still there: every message got further since, if
    /// those that did not are `open`; or there was no such error lately, and every message has been
    /// received again without it.
    pub(crate) fn is_over(&self, open: &BTreeSet<String>, now: Timestamp) -> bool {
        (self.is_of_messages && self.messages.is_disjoint(open))
            || (self.last + QUIET <= now && self.next_try.is_none_or(|next| next + LATENESS <= now))
    }

    /// Whether they say that the money of an order could not be given back.
    pub(crate) fn is_refund(&self) -> bool {
        self.cause.starts_with(REFUND_FAILED)
    }

    /// Takes note of when what the line is about is tried again.
    fn add(&mut self, line: &LogLine, last_failures: &BTreeMap<String, Failure>) {
        let is_own = line.fields().is_some_and(|fields| fields.contains_key("level"));
        let failure = Failure::of(line);
        self.is_of_messages &= failure.is_some();
        let next_try = if is_own {
            failure.as_ref().and_then(Failure::next_try)
        } else {
            // Lambda's report of a crash does not say what the function worked on.
            Some(line.at + HIDDEN_FOR)
        };
        self.quiet_at = self.quiet_at.max(next_try.unwrap_or(line.at) + QUIET);
        let failed_since = failure
            .as_ref()
            .is_some_and(|failure| last_failures.get(&failure.message_id) != Some(failure));
        if !failed_since {
            self.messages.extend(failure.map(|failure| failure.message_id));
            self.next_try = self.next_try.max(next_try);
        }
    }
}

/// What payment logs of a refund that the provider has refused.
const REFUND_FAILED: &str = "refund failed";

/// How long it has been quiet once an error is over.
const QUIET: SignedDuration = SignedDuration::from_mins(2);

/// How long SQS hides a message whose consumer crashed at the most.
const HIDDEN_FOR: SignedDuration = SignedDuration::from_mins(3);

/// Groups lines that are sorted by time; the most frequent group comes first.
pub(crate) fn groups(lines: &[LogLine]) -> Vec<Group> {
    let mut groups: BTreeMap<(String, String, bool), Vec<Group>> = BTreeMap::new();
    let last_failures = last_failures(lines);
    for line in lines {
        let (cause, order) = described(line);
        let is_lasting = is_lasting(line);
        let key = (line.function.clone(), cause.clone(), is_lasting);
        let outages = groups.entry(key).or_default();
        if outages.last().is_none_or(|last| last.quiet_at <= line.at) {
            outages.push(Group {
                function: line.function.clone(),
                cause,
                is_lasting,
                count: 0,
                first: line.at,
                last: line.at,
                order: None,
                messages: BTreeSet::new(),
                is_of_messages: true,
                next_try: None,
                quiet_at: line.at,
            });
        }
        let group = outages.last_mut().expect("one was pushed");
        group.count += 1;
        group.last = line.at;
        group.order = order.or_else(|| group.order.take());
        group.add(line, &last_failures);
    }
    let mut groups: Vec<_> = groups.into_values().flatten().collect();
    groups.sort_by_key(|group| std::cmp::Reverse((group.count, group.last)));
    groups
}

/// Whether a line reports that a record failed, and would fail the same way again. It is then a
/// dead letter as soon as it was received often enough.
fn is_lasting(line: &LogLine) -> bool {
    line.fields().is_some_and(|fields| fields.get("transient") == Some(&Value::Bool(false)))
}

/// What a line reports, without the ids that differ from case to case; and its order.
fn described(line: &LogLine) -> (String, Option<String>) {
    let Some(fields) = line.fields() else {
        return (without_ids(line.message.trim_end()), None);
    };
    let text = |fields: &Map<String, Value>, name: &str| {
        fields.get(name).and_then(Value::as_str).map(str::to_owned)
    };
    let reported = ["message", "error", "reason", "words"].map(|name| text(&fields, name));
    let reported = reported.into_iter().flatten().collect::<Vec<_>>().join(": ");
    let cause = if reported.is_empty() {
        // Lambda's own report.
        let status = fields.get("record").and_then(|record| record["status"].as_str());
        status.map_or_else(
            || line.message.trim_end().to_owned(),
            |status| format!("the invocation ended with {status}"),
        )
    } else {
        reported
    };
    (without_ids(&cause), text(&fields, "order_id"))
}

/// The text with `…` in place of each id: a word with eight or more hexadecimal digits, or one that
/// ends in a number of the provider.
fn without_ids(text: &str) -> String {
    let is_id = |word: &str| {
        word.len() >= 8
            && word.bytes().any(|byte| byte.is_ascii_digit())
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let words = text.split_inclusive(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '_')));
    let masked = words.map(|part| {
        let word =
            part.trim_end_matches(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '_')));
        if is_id(word) { format!("…{}", &part[word.len()..]) } else { part.to_owned() }
    });
    masked.collect()
}

#[cfg(test)]
mod tests {
    use fixtures::{ORDER, at};
    use resources::Template;
    use serde_json::json;

    use super::*;

    fn error(second: i64, function: &str, message: &Value) -> LogLine {
        let at = at("2026-11-24T08:00:00Z") + SignedDuration::from_secs(second);
        LogLine { at, function: function.to_owned(), message: message.to_string() }
    }

    #[test]
    fn errors_are_grouped_by_function_and_cause_and_the_most_frequent_come_first() {
        let failed = |order: &str, error: &str| {
            let message = "record failed";
            json!({"level": "ERROR", "message": message, "order_id": order, "error": error})
        };
        let unknown = |intent: &str| failed(ORDER, &format!("no intent `{intent}`, try again"));
        let lines = [
            error(0, "payment", &failed(ORDER, "timed out")),
            error(1, "payment", &unknown("pi_0000000000000001")),
            error(2, "payment", &unknown("pi_0000000000000002")),
            error(3, "inventory", &failed(ORDER, "timed out")),
            error(4, "payment", &unknown("pi_0000000000000003")),
        ];
        let groups = groups(&lines);
        let shown: Vec<_> =
            groups.iter().map(|group| (group.count, &*group.function, &*group.cause)).collect();
        assert_eq!(
            shown,
            [
                (3, "payment", "record failed: no intent `…`, try again"),
                (1, "inventory", "record failed: timed out"),
                (1, "payment", "record failed: timed out"),
            ]
        );
        assert_eq!((groups[0].first, groups[0].last), (lines[1].at, lines[4].at));
        assert_eq!(groups[0].order.as_deref(), Some(ORDER));
    }

    #[test]
    fn failures_that_no_retry_helps_are_a_group_of_their_own() {
        let message = "record failed";
        let failed =
            |transient: bool| json!({"level": "ERROR", "message": message, "transient": transient});
        let lines = [true, false, true].map(|transient| error(0, "payment", &failed(transient)));
        let groups = groups(&lines);
        let shown: Vec<_> = groups.iter().map(|group| (group.is_lasting, group.count)).collect();
        assert_eq!(shown, [(false, 2), (true, 1)]);
    }

    #[test]
    fn an_error_is_over_once_it_is_quiet_and_no_message_waits_for_its_next_try() {
        let failed = |receives: u32, wait: u32, error: &str| {
            json!({
                "level": "ERROR", "message": "record failed", "message_id": "m",
                "receives": receives, "transient": true, "wait_seconds": wait, "error": error
            })
        };
        let is_over = |lines: &[LogLine], seconds: i64| {
            let now = at("2026-11-24T08:00:00Z") + SignedDuration::from_secs(seconds);
            let groups = groups(lines);
            let open = ["m".to_owned()].into();
            groups.iter().find(|it| it.cause.ends_with("timed out")).unwrap().is_over(&open, now)
        };
        let short = [error(0, "payment", &failed(1, 2, "timed out"))];
        assert!(!is_over(&short, 119) && is_over(&short, 120));
        let long = [error(0, "payment", &failed(9, 300, "timed out"))];
        assert!(!is_over(&long, 359) && is_over(&long, 360));
        let given_up = [error(0, "payment", &failed(16, 300, "timed out"))];
        assert!(is_over(&given_up, 120));
        let otherwise = [&long[..], &[error(10, "payment", &failed(10, 300, "refused"))]].concat();
        assert!(is_over(&otherwise, 120), "the message fails in another way");
        let crash = [error(0, "payment", &json!({"record": {"status": "timeout"}}))];
        let crash = |seconds: i64| {
            groups(&crash)[0]
                .is_over(&BTreeSet::new(), crash[0].at + SignedDuration::from_secs(seconds))
        };
        assert!(!crash(239) && crash(240));
    }

    #[test]
    fn an_error_is_over_as_soon_as_its_message_gets_further() {
        let failed = |message: &str| {
            json!({
                "level": "ERROR", "message": "record failed", "message_id": message,
                "receives": 1, "transient": true, "wait_seconds": 300, "error": "timed out"
            })
        };
        let group =
            &groups(&[error(0, "payment", &failed("m")), error(0, "payment", &failed("n"))]);
        let is_over = |open: &[&str]| {
            let open = open.iter().map(|id| (*id).to_owned()).collect();
            group[0].is_over(&open, at("2026-11-24T08:00:02Z"))
        };
        assert!(!is_over(&["m", "n"]) && !is_over(&["n"]) && is_over(&["another"]));
    }

    #[test]
    fn outages_are_told_apart_by_the_pause_between_them() {
        let failed = |wait: u32| {
            let message = "record failed";
            json!({
                "level": "ERROR", "message": message, "message_id": "m", "receives": 1,
                "transient": true, "wait_seconds": wait, "error": "timed out"
            })
        };
        let counts = |seconds: &[i64], wait| {
            let line = |second: &i64| error(*second, "payment", &failed(wait));
            let lines: Vec<_> = seconds.iter().map(line).collect();
            groups(&lines).into_iter().map(|group| group.count).collect::<Vec<_>>()
        };
        assert_eq!(counts(&[0, 60, 180, 400, 401], 2), [3, 2]);
        assert_eq!(counts(&[0, 60, 180, 400, 401], 300), [5], "the message was waited for");
    }

    #[test]
    fn no_queue_hides_what_a_function_that_crashed_worked_on_for_longer() {
        let template = Template::on_aws();
        let queues = template.all("AWS::SQS::Queue").into_iter();
        let hidden = queues.filter_map(|(_, queue)| queue["VisibilityTimeout"].as_i64());
        assert_eq!(hidden.max(), Some(HIDDEN_FOR.as_secs()));
    }

    #[test]
    fn a_crash_is_grouped_by_its_words() {
        let line = |message: &str| LogLine {
            at: Timestamp::UNIX_EPOCH,
            function: "payment".to_owned(),
            message: message.to_owned(),
        };
        let [group] = &groups(&[line("Segfault\n"), line("Segfault\n")])[..] else {
            panic!("not one group")
        };
        assert_eq!((group.count, &*group.cause), (2, "Segfault"));
        let report = r#"{"type": "platform.report", "record": {"status": "timeout"}}"#;
        assert_eq!(groups(&[line(report)])[0].cause, "the invocation ended with timeout");
    }
}
