//! What the functions have logged.

use aws_sdk_cloudwatchlogs::Client as CloudWatchLogs;
use futures::future::try_join_all;
use jiff::Timestamp;
use local::{LogLine, error::aws};
use serde_json::{Map, Value};

use crate::{deployment::Deployment, error::Error};

/// Log groups of functions are called this, the stack and the function.
const FUNCTIONS: &str = "/aws/lambda/";

/// The lines of all functions since a moment that hold a phrase, oldest first.
pub(crate) async fn lines(
    deployment: &Deployment,
    phrase: &str,
    since: Timestamp,
) -> Result<Vec<LogLine>, Error> {
    let client = CloudWatchLogs::new(&deployment.config);
    let groups = deployment
        .resources("AWS::Logs::LogGroup")
        .map(|(_, name)| name)
        .filter(|name| name.starts_with(FUNCTIONS));
    let found = groups.map(async |group| {
        let found =
            client.filter_log_events().log_group_name(group).start_time(since.as_millisecond());
        let pages = found.filter_pattern(format!("\"{phrase}\"")).into_paginator().send();
        let pages: Vec<_> = pages.try_collect().await.map_err(aws("logs:FilterLogEvents"))?;
        let function = group.rsplit('/').next().unwrap_or(group);
        let lines = pages.into_iter().flat_map(|page| page.events.unwrap_or_default()).filter_map(
            |event| {
                let at = Timestamp::from_millisecond(event.timestamp?).ok()?;
                Some(LogLine { at, function: function.to_owned(), message: event.message? })
            },
        );
        Ok::<_, Error>(lines.collect::<Vec<_>>())
    });
    let mut lines = try_join_all(found).await?.concat();
    lines.sort_by_key(|line| line.at);
    Ok(lines)
}

/// What a line says, field by field, unless a function crashed while it wrote it.
pub(crate) fn fields(line: &LogLine) -> Option<Map<String, Value>> {
    serde_json::from_str(&line.message).ok()
}
