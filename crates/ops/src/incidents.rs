//! Errors in the functions' logs, grouped by function and cause.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value};
use stack::LogLine;

/// Errors of one function with one cause.
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
}

/// Groups lines that are sorted by time; the most frequent group comes first.
pub(crate) fn groups(lines: &[LogLine]) -> Vec<Group> {
    let mut groups: BTreeMap<(String, String, bool), Group> = BTreeMap::new();
    for line in lines {
        let (cause, order) = described(line);
        let is_lasting = is_lasting(line);
        let key = (line.function.clone(), cause.clone(), is_lasting);
        let group = groups.entry(key).or_insert_with(|| Group {
            function: line.function.clone(),
            cause,
            is_lasting,
            count: 0,
            first: line.at,
            last: line.at,
            order: None,
        });
        group.count += 1;
        group.last = line.at;
        group.order = order.or_else(|| group.order.take());
    }
    let mut groups: Vec<_> = groups.into_values().collect();
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
    use jiff::SignedDuration;
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
