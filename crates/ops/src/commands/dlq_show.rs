//! The records of a dead-letter queue, with the reasons why they are there.

use std::collections::HashMap;

use clap::Args;
use serde_json::{Map, Value};

use super::{Verdict, dlq_list::fed_by};
use crate::{
    dead_letters::{Content, DeadLetter, DeadLetterQueues},
    deployment::Deployment,
    error::Error,
    logs,
    output::{count, line, moment},
};

/// The line that the batch runner logs for every record that fails, and the fields of it that
/// matter here.
const FAILED: &str = "record failed";
const MESSAGE_ID: &str = "message_id";
const ERROR: &str = "error";

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Which, as `dlq list` calls it, such as charge
    queue: String,
}

pub(super) async fn run(deployment: &Deployment, arguments: &Arguments) -> Result<Verdict, Error> {
    let queues = DeadLetterQueues::of(deployment).await?;
    let queue = queues.named(&arguments.queue)?;
    let letters = queues.look(queue).await?;
    line(format!("{}: {}, fed by {}", queue.name, count(letters.len(), "record"), fed_by(queue)))?;
    let reasons = logged_reasons(deployment, &letters).await?;
    for letter in &letters {
        line("")?;
        line(format!("{}  {}", letter.id, what(letter)))?;
        let first = letter.first_received.map_or_else(|| "never".to_owned(), moment);
        line(format!(
            "  sent {}, first received {first}, received {} times",
            moment(letter.sent),
            letter.receives
        ))?;
        let reason = letter.reason().or_else(|| reasons.get(&letter.id).cloned());
        line(format!("  {}", reason.as_deref().unwrap_or("no error was logged for it")))?;
    }
    let missed = queue.depth.saturating_sub(letters.len() as u64);
    if missed > 0 {
        line(format!("\n{}", elsewhere(missed)))?;
    }
    Ok(Verdict::AllIsWell)
}

/// What a record is about. What cannot be read is not repeated: nobody knows what it holds.
pub(super) fn what(letter: &DeadLetter) -> String {
    let order = |order: &Option<String>| {
        order.as_ref().map_or_else(|| "no order".to_owned(), |order| format!("order {order}"))
    };
    match &letter.content {
        Content::Event { event_type, order: about } => format!("{event_type}  {}", order(about)),
        Content::StreamRecord { order: about } => {
            format!("a record of the stream  {}", order(about))
        }
        Content::StreamGap(gap) => {
            format!(
                "{} records of the stream, written from {} to {}",
                gap.records,
                moment(gap.from),
                moment(gap.to)
            )
        }
        Content::Unknown { bytes } => format!("{bytes} bytes that are no event"),
    }
}

/// What to do about records that others may be looking at.
pub(super) fn elsewhere(missed: u64) -> String {
    format!(
        "about {missed} more may be there, in sight of somebody else: see what `dlq list` says in two minutes"
    )
}

/// The last error logged for each of the letters, by the letter's id.
async fn logged_reasons(
    deployment: &Deployment,
    letters: &[DeadLetter],
) -> Result<HashMap<String, String>, Error> {
    let Some(oldest) = letters.first() else {
        return Ok(HashMap::new());
    };
    let lines = logs::lines(deployment, FAILED, oldest.sent).await?;
    let text = |fields: &Map<String, Value>, name| fields.get(name)?.as_str().map(str::to_owned);
    let failures = lines
        .iter()
        .filter_map(logs::fields)
        .filter_map(|fields| Some((text(&fields, MESSAGE_ID)?, text(&fields, ERROR)?)));
    // Oldest first, so that the last one stays.
    Ok(failures.collect())
}
