//! `dlq show`: the letters of a dead-letter queue, each with the reason for its failure.

use std::collections::BTreeMap;

use clap::Args;
use stack::Deployment;

use super::letters::{arrival, missed, origin, summary};
use crate::{
    checkup::Section,
    dead_letters::{DeadLetter, DeadLetterQueues},
    error::Error,
    output::{count, line},
    retries::{FAILED, Failure, last_failures},
    verdict::Verdict,
};

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
    let failures = logged_failures(deployment, &letters).await?;
    for letter in &letters {
        line("")?;
        line(format!("{}  {}", letter.id, summary(letter)))?;
        line(format!("  {}", arrival(letter)))?;
        let logged = || failures.get(&letter.id).map(|failure| failure.error.clone());
        let reason = letter.reason().or_else(logged);
        line(format!("  {}", reason.as_deref().unwrap_or("no error was logged for it")))?;
        letter.record().lines().try_for_each(|part| line(format!("    {part}")))?;
    }
    let hidden = queue.depth.saturating_sub(letters.len() as u64);
    if hidden > 0 {
        line(format!("\n{}", missed(hidden)))?;
    }
    if !letters.is_empty() {
        let (name, link) = (&queue.name, Section::dead(&queue.name).link());
        line(format!(
            "\ndo: remove the cause, then run `cargo ops dlq redrive {name}`; with --dry-run it \
             says what it would do with each. What nobody can read it keeps: `cargo ops dlq \
             discard {name} --message ID --reason TEXT` deletes that; {link}"
        ))?;
    }
    Ok(Verdict::Healthy)
}

/// The last failure that was logged for each letter, by the letter's id.
async fn logged_failures(
    deployment: &Deployment,
    letters: &[DeadLetter],
) -> Result<BTreeMap<String, Failure>, Error> {
    let Some(oldest) = letters.first() else {
        return Ok(BTreeMap::new());
    };
    Ok(last_failures(&deployment.logs().containing(FAILED, oldest.sent).await?))
}
