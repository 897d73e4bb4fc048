//! What a stack has to show: events, logs and mail.

use std::time::Duration;

use local::{Error, Stack};

use crate::output;

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

pub(super) async fn logs(stack: &Stack, function: Option<&str>, follow: bool) -> Result<(), Error> {
    let mut logs = stack.logs(function).await?;
    loop {
        for line in logs.written().await? {
            output::line(output::log(&line))?;
        }
        if !follow {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

pub(super) async fn mail(stack: &Stack) -> Result<(), Error> {
    for mail in stack.mail().await? {
        output::line(output::mail(&mail))?;
    }
    Ok(())
}
