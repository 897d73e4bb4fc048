//! Showing the events, logs and mail of a stack.

use std::time::Duration;

use local::{Error, Stack};
use stack::Selection;

use crate::output;

/// How often the logs are read.
const POLL: Duration = Duration::from_millis(500);

pub(super) async fn events(stack: &Stack, follow: bool) -> Result<(), Error> {
    let mut events = stack.events()?;
    let mut batch = events.recorded()?;
    loop {
        for envelope in &batch {
            output::line(output::event(envelope))?;
        }
        if !follow {
            return Ok(());
        }
        batch = events.next().await?;
    }
}

pub(super) async fn logs(
    stack: &Stack,
    function: Option<&str>,
    selection: Selection,
    follow: bool,
) -> Result<(), Error> {
    let all = stack.logs().await?.only(selection);
    let mut logs = match function {
        Some(function) => all.of(function)?,
        None => all,
    };
    loop {
        for line in logs.written().await? {
            output::line(output::log(&line))?;
        }
        if !follow {
            return Ok(());
        }
        tokio::time::sleep(POLL).await;
    }
}

pub(super) async fn mail(stack: &Stack) -> Result<(), Error> {
    for mail in stack.mail().await? {
        output::line(output::mail(&mail))?;
    }
    Ok(())
}
