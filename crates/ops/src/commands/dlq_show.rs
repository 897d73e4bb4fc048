//! `dlq show`: the letters of a dead-letter queue, each with the reason for its failure.

use std::collections::HashMap;

use clap::Args;
use serde_json::{Map, Value};
use stack::{Deployment, LogLine};

use super::letters::{missed, origin, summary};
use crate::{
    dead_letters::{DeadLetter, DeadLetterQueues},
    error::Error,
    output::{count, line, moment},
    verdict::Verdict,
};

/// The message that [`platform::queue`] logs for every record that fails, and two of its fields.
const FAILED: &str = "record failed";
const MESSAGE_ID: &str = "message_id";
const ERROR: &str = "error";

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The queue's name in `dlq list`, such as charge
    queue: String,
}

pub(super) async fn run(deployment: &Deployment, arguments: &Arguments) -> Result<Verdict, Error> {
    let queues = DeadLetterQueues::of(deployment).await?;
    let queue = queues.named(&arguments.queue)?;
    let letters = queues.peek(queue).await?;
    let total = count(letters.len(), "dead letter");
    line(format!("{}: {total}, fed by {}", queue.name, origin(queue)))?;
    let reasons = logged_reasons(deployment, &letters).await?;
    for letter in &letters {
        line("")?;
        line(format!("{}  {}", letter.id, summary(letter)))?;
        let first = letter.first_received.map_or_else(|| "never".to_owned(), moment);
        line(format!(
            "  sent {}, first received {first}, received {} times",
            moment(letter.sent),
            letter.receives
        ))?;
        let reason = letter.reason().or_else(|| reasons.get(&letter.id).cloned());
        line(format!("  {}", reason.as_deref().unwrap_or("no error was logged for it")))?;
    }
    let hidden = queue.depth.saturating_sub(letters.len() as u64);
    if hidden > 0 {
        line(format!("\n{}", missed(hidden)))?;
    }
    Ok(Verdict::Healthy)
}

/// The last error that was logged for each letter, by the letter's id.
async fn logged_reasons(
    deployment: &Deployment,
    letters: &[DeadLetter],
) -> Result<HashMap<String, String>, Error> {
    let Some(oldest) = letters.first() else {
        return Ok(HashMap::new());
    };
    Ok(last_errors(&deployment.logs().containing(FAILED, oldest.sent).await?))
}

/// The last error of each message in log lines that are sorted by time.
fn last_errors(lines: &[LogLine]) -> HashMap<String, String> {
    let text = |fields: &Map<String, Value>, name| fields.get(name)?.as_str().map(str::to_owned);
    let failures = lines
        .iter()
        .filter_map(LogLine::fields)
        .filter_map(|fields| Some((text(&fields, MESSAGE_ID)?, text(&fields, ERROR)?)));
    failures.collect()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_last_error_of_a_message_counts() {
        let line = |message: &str| LogLine {
            at: Timestamp::UNIX_EPOCH,
            function: "payment".to_owned(),
            message: message.to_owned(),
        };
        let failed = |id: &str, error: &str| {
            line(&json!({"message": FAILED, "message_id": id, "error": error}).to_string())
        };
        let lines = [
            failed("1", "timed out"),
            failed("2", "timed out"),
            line("Segmentation fault"),
            failed("1", "refused"),
        ];
        let errors = last_errors(&lines);
        assert_eq!(
            errors,
            [("1", "refused"), ("2", "timed out")]
                .map(|(id, error)| (id.to_owned(), error.to_owned()))
                .into()
        );
    }
}
