//! The logs of a stack's functions.

use std::collections::HashSet;

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
}

/// The logs of one function or of all functions.
#[derive(Debug)]
pub struct Logs {
    client: CloudWatchLogs,
    groups: Vec<Group>,
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
        Self { client: CloudWatchLogs::new(config), groups, since: 0, seen: HashSet::new() }
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

    /// The lines that the functions have written since the last call, oldest first.
    ///
    /// # Errors
    /// CloudWatch Logs does not answer.
    pub async fn written(&mut self) -> Result<Vec<LogLine>, Error> {
        let mut lines = Vec::new();
        let mut newest = self.since;
        let mut streams = HashSet::new();
        for group in &self.groups {
            for event in self.read(group, self.since, None).await? {
                newest = newest.max(event.timestamp.unwrap_or_default());
                let Some(stream) = event.log_stream_name.clone() else { continue };
                if self.seen.contains(&stream) {
                    continue;
                }
                streams.insert(stream);
                let by_function =
                    |line: &LogLine| !PLATFORM.iter().any(|start| line.message.starts_with(start));
                lines.extend(line(group, event).filter(by_function));
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

    #[test]
    fn a_line_has_fields_unless_the_function_crashed() {
        let line = |message: &str| LogLine {
            at: Timestamp::UNIX_EPOCH,
            function: "payment".to_owned(),
            message: message.to_owned(),
        };
        assert_eq!(line(r#"{"level": "INFO"}"#).fields().unwrap()["level"], "INFO");
        assert_eq!(line("Segmentation fault\n").fields(), None);
    }
}
