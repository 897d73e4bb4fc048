//! The logs of a stack's functions.

use std::{collections::HashSet, str::FromStr};

use aws_config::SdkConfig;
use aws_sdk_cloudwatchlogs::{Client as CloudWatchLogs, types::FilteredLogEvent};
use futures::future::try_join_all;
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::{Deployment, Error, error::aws};

/// The beginning of the name of a function's log group; the rest is the stack and the function.
const PREFIX: &str = "/aws/lambda/";

/// The beginnings of the lines that Lambda writes around each invocation.
const PLATFORM: [&str; 3] = ["START RequestId:", "END RequestId:", "REPORT RequestId:"];

/// A phrase of every line that reports an error: of those that functions write, and of those that
/// Lambda writes about an invocation that took too long or crashed.
const FAILURES: [&str; 3] = ["ERROR", "timeout", "Runtime exited"];

/// A line that a function has logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When it was written.
    pub at: Timestamp,
    /// The function that wrote it.
    pub function: String,
    /// The text: JSON, unless the function crashed.
    pub message: String,
}

impl LogLine {
    /// The fields of the message, if it is JSON.
    #[must_use]
    pub fn fields(&self) -> Option<Map<String, Value>> {
        serde_json::from_str(&self.message).ok()
    }

    /// How serious the line is. What is not JSON is the last word of a function that crashed.
    #[must_use]
    pub fn level(&self) -> Level {
        let Some(fields) = self.fields() else { return Level::Error };
        if let Some(level) = fields.get("level").and_then(Value::as_str) {
            return level.parse().unwrap_or(Level::Info);
        }
        // Lambda's own report of an invocation, for example of one that took too long.
        let status = fields.get("record").and_then(|record| record["status"].as_str());
        if status.is_none_or(|status| status == "success") { Level::Info } else { Level::Error }
    }
}

/// How serious a log line is; the most serious level is the smallest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// Why a text is not a level.
#[derive(Debug, thiserror::Error)]
#[error("must be error, warn, info, debug or trace")]
pub struct InvalidLevel;

impl FromStr for Level {
    type Err = InvalidLevel;

    fn from_str(text: &str) -> Result<Self, InvalidLevel> {
        Ok(match text.to_ascii_lowercase().as_str() {
            "error" => Self::Error,
            "warn" => Self::Warn,
            "info" => Self::Info,
            "debug" => Self::Debug,
            "trace" => Self::Trace,
            _ => return Err(InvalidLevel),
        })
    }
}

/// The wanted lines of a log; by default all.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// The oldest wanted time.
    pub since: Option<Timestamp>,
    /// The least serious wanted level.
    pub level: Option<Level>,
    /// A phrase of every wanted line, such as the id of an order.
    pub phrase: Option<String>,
}

impl Selection {
    fn takes(&self, line: &LogLine) -> bool {
        self.level.is_none_or(|level| line.level() <= level)
            && !PLATFORM.iter().any(|start| line.message.starts_with(start))
    }
}

/// The logs of one function or of all functions.
#[derive(Debug)]
pub struct Logs {
    client: CloudWatchLogs,
    groups: Vec<Group>,
    selection: Selection,
    /// Milliseconds since the epoch: everything older has been read.
    since: i64,
    /// The streams that have been read. The emulator gives each invocation a stream of its own and
    /// writes all of it at once.
    seen: HashSet<String>,
}

#[derive(Clone, Debug)]
struct Group {
    name: String,
    function: String,
}

impl Deployment {
    /// The logs of all functions.
    #[must_use]
    pub fn logs(&self) -> Logs {
        let groups = self.resources("AWS::Logs::LogGroup").filter_map(|(_, name)| Group::of(name));
        Logs::new(&self.config, groups.collect())
    }
}

impl Group {
    fn of(name: &str) -> Option<Self> {
        let (_stack, function) = name.strip_prefix(PREFIX)?.split_once('/')?;
        Some(Self { name: name.to_owned(), function: function.to_owned() })
    }
}

impl Logs {
    fn new(config: &SdkConfig, groups: Vec<Group>) -> Self {
        Self {
            client: CloudWatchLogs::new(config),
            groups,
            selection: Selection::default(),
            since: 0,
            seen: HashSet::new(),
        }
    }

    /// The selected lines alone.
    #[must_use]
    pub fn only(self, selection: Selection) -> Self {
        let since = selection.since.map_or(0, Timestamp::as_millisecond);
        Self { selection, since, ..self }
    }

    /// The log of one function alone.
    ///
    /// # Errors
    /// The stack has no such function.
    pub fn of(mut self, function: &str) -> Result<Self, Error> {
        if !self.groups.iter().any(|group| group.function == function) {
            let known: Vec<_> = self.groups.iter().map(|group| &*group.function).collect();
            return Err(Error::NoFunction {
                function: function.to_owned(),
                known: known.join(", "),
            });
        }
        self.groups.retain(|group| group.function == function);
        Ok(self)
    }

    /// The lines since `since` that contain `phrase`, oldest first.
    ///
    /// # Errors
    /// CloudWatch Logs does not answer.
    pub async fn containing(&self, phrase: &str, since: Timestamp) -> Result<Vec<LogLine>, Error> {
        let of_groups = self.groups.iter().map(async |group| {
            let events = self.read(group, since.as_millisecond(), Some(phrase)).await?;
            let lines = events.into_iter().filter_map(|event| line(group, event));
            Ok::<_, Error>(lines.collect::<Vec<_>>())
        });
        let mut lines = try_join_all(of_groups).await?.concat();
        lines.sort_by_key(|line| line.at);
        Ok(lines)
    }

    /// The lines since `since` that report an error, oldest first.
    ///
    /// # Errors
    /// CloudWatch Logs does not answer.
    pub async fn errors(&self, since: Timestamp) -> Result<Vec<LogLine>, Error> {
        let found = FAILURES.map(|phrase| self.containing(phrase, since));
        let mut lines = try_join_all(found).await?.concat();
        lines.retain(|line| line.level() == Level::Error);
        lines.sort_by(|a, b| (a.at, &a.function, &a.message).cmp(&(b.at, &b.function, &b.message)));
        // One line may contain several of the phrases.
        lines.dedup();
        Ok(lines)
    }

    /// The selected lines that the functions have written since the last call, oldest first.
    ///
    /// # Errors
    /// CloudWatch Logs does not answer.
    pub async fn written(&mut self) -> Result<Vec<LogLine>, Error> {
        let mut lines = Vec::new();
        let mut newest = self.since;
        let mut streams = HashSet::new();
        for group in &self.groups {
            let phrase = self.selection.phrase.as_deref();
            for event in self.read(group, self.since, phrase).await? {
                newest = newest.max(event.timestamp.unwrap_or_default());
                let Some(stream) = event.log_stream_name.clone() else { continue };
                if self.seen.contains(&stream) {
                    continue;
                }
                streams.insert(stream);
                lines.extend(line(group, event).filter(|line| self.selection.takes(line)));
            }
        }
        self.since = newest;
        self.seen.extend(streams);
        lines.sort_by_key(|line| line.at);
        Ok(lines)
    }

    async fn read(
        &self,
        group: &Group,
        since: i64,
        phrase: Option<&str>,
    ) -> Result<Vec<FilteredLogEvent>, Error> {
        let events = self.client.filter_log_events().log_group_name(&group.name).start_time(since);
        let events = events.set_filter_pattern(phrase.map(|phrase| format!("\"{phrase}\"")));
        let pages: Vec<_> = events
            .into_paginator()
            .send()
            .try_collect()
            .await
            .map_err(aws("logs:FilterLogEvents"))?;
        Ok(pages.into_iter().flat_map(|page| page.events.unwrap_or_default()).collect())
    }
}

fn line(group: &Group, event: FilteredLogEvent) -> Option<LogLine> {
    Some(LogLine {
        at: Timestamp::from_millisecond(event.timestamp?).ok()?,
        function: group.function.clone(),
        message: event.message?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logs() -> Logs {
        let names =
            ["/aws/lambda/amelie/inventory", "/aws/lambda/amelie/payment", "/aws/vendedlogs/api"];
        let groups = names.into_iter().filter_map(Group::of).collect();
        Logs::new(&crate::embedded::config("http://127.0.0.1:1"), groups)
    }

    #[test]
    fn functions_are_known_by_their_log_groups() {
        let one = logs().of("payment").unwrap();
        assert_eq!(one.groups.len(), 1);
        assert_eq!(one.groups[0].name, "/aws/lambda/amelie/payment");
        let error = logs().of("paiment").unwrap_err().to_string();
        assert_eq!(error, "there is no function paiment; choose one of inventory, payment");
    }

    fn line(message: &str) -> LogLine {
        LogLine {
            at: Timestamp::UNIX_EPOCH,
            function: "payment".to_owned(),
            message: message.to_owned(),
        }
    }

    #[test]
    fn a_crash_and_a_time_out_are_errors_like_those_that_a_function_logs() {
        for (message, level) in [
            (r#"{"level": "ERROR", "message": "record failed"}"#, Level::Error),
            (r#"{"level": "WARN"}"#, Level::Warn),
            (r#"{"type": "platform.report", "record": {"status": "success"}}"#, Level::Info),
            (r#"{"type": "platform.report", "record": {"status": "timeout"}}"#, Level::Error),
            ("Segmentation fault", Level::Error),
        ] {
            assert_eq!(line(message).level(), level, "{message}");
        }
    }

    #[test]
    fn a_selection_takes_its_level_and_everything_more_serious() {
        let selection = Selection { level: Some(Level::Warn), ..Selection::default() };
        assert!(selection.takes(&line(r#"{"level": "ERROR"}"#)));
        assert!(selection.takes(&line(r#"{"level": "WARN"}"#)));
        assert!(!selection.takes(&line(r#"{"level": "INFO"}"#)));
        assert!(!Selection::default().takes(&line("START RequestId: 1")));
    }

    #[test]
    fn a_line_has_fields_unless_the_function_crashed() {
        assert_eq!(line(r#"{"level": "INFO"}"#).fields().unwrap()["level"], "INFO");
        assert_eq!(line("Segmentation fault\n").fields(), None);
    }
}
