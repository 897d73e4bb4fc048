//! What the functions of a stack have logged.

use std::collections::HashSet;

use aws_sdk_cloudwatchlogs::Client as CloudWatchLogs;
use jiff::Timestamp;

use crate::{Error, Stack, error::aws};

/// How the lines begin that Lambda writes around each invocation.
const PLATFORM: [&str; 3] = ["START RequestId:", "END RequestId:", "REPORT RequestId:"];

/// A line that a function has logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When it was written.
    pub at: Timestamp,
    /// Which function wrote it.
    pub function: String,
    /// What it says: JSON, unless the function crashed.
    pub message: String,
}

/// Reads the log of all functions or of one, and goes on reading while there is more.
#[derive(Debug)]
pub struct Logs {
    client: CloudWatchLogs,
    /// Log groups are called this and the function.
    prefix: String,
    groups: Vec<String>,
    /// Milliseconds since the epoch: everything older has been read.
    since: i64,
    /// The streams that have been read. The emulator gives each invocation a stream, and writes it
    /// all at once.
    seen: HashSet<String>,
}

impl Stack {
    /// The log of one function, or of all, from the start on.
    ///
    /// # Errors
    /// There is no such function.
    pub async fn logs(&self, function: Option<&str>) -> Result<Logs, Error> {
        let client = CloudWatchLogs::new(&self.aws());
        let prefix = format!("/aws/lambda/{}/", self.stack_name);
        let found = client
            .describe_log_groups()
            .log_group_name_prefix(&prefix)
            .into_paginator()
            .items()
            .send();
        let found: Vec<_> = found.try_collect().await.map_err(aws("logs:DescribeLogGroups"))?;
        let mut groups: Vec<String> =
            found.into_iter().filter_map(|group| group.log_group_name).collect();
        if let Some(function) = function {
            let wanted = format!("{prefix}{function}");
            if !groups.contains(&wanted) {
                let known = groups
                    .iter()
                    .filter_map(|group| group.strip_prefix(&prefix))
                    .collect::<Vec<_>>()
                    .join(", ");
                return Err(Error::NoSuchFunction { function: function.to_owned(), known });
            }
            groups = vec![wanted];
        }
        Ok(Logs { client, prefix, groups, since: 0, seen: HashSet::new() })
    }
}

impl Logs {
    /// The lines that were written since the last call, in the order of time.
    ///
    /// # Errors
    /// The logs could not be read.
    pub async fn written(&mut self) -> Result<Vec<LogLine>, Error> {
        let mut lines = Vec::new();
        let mut newest = self.since;
        let mut streams = HashSet::new();
        for group in &self.groups {
            let pages = self
                .client
                .filter_log_events()
                .log_group_name(group)
                .start_time(self.since)
                .into_paginator()
                .send();
            let pages: Result<Vec<_>, _> = pages.try_collect().await;
            let pages = pages.map_err(aws("logs:FilterLogEvents"))?;
            for event in pages.into_iter().flat_map(|page| page.events.unwrap_or_default()) {
                let (Some(at), Some(message), Some(stream)) =
                    (event.timestamp, event.message, event.log_stream_name)
                else {
                    continue;
                };
                newest = newest.max(at);
                if !self.seen.contains(&stream) {
                    streams.insert(stream);
                    if PLATFORM.iter().any(|start| message.starts_with(start)) {
                        continue;
                    }
                    let at = Timestamp::from_millisecond(at).unwrap_or_default();
                    let function = group.strip_prefix(&self.prefix).unwrap_or(group).to_owned();
                    lines.push(LogLine { at, function, message });
                }
            }
        }
        self.since = newest;
        self.seen.extend(streams);
        lines.sort_by_key(|line| line.at);
        Ok(lines)
    }
}
