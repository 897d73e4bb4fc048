//! `dlq discard`: deletes one dead letter, and keeps who did so and why.

use books::journal::Decision;
use clap::Args;
use stack::Deployment;

use super::{
    letters::{PATIENCE, summary},
    reason::reason,
};
use crate::{
    dead_letters::{DeadLetterQueues, Visit},
    error::Error,
    output::line,
    sources,
    verdict::Verdict,
};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The queue's name in `dlq list`, such as charge
    queue: String,
    /// The id of the message, as `dlq show` prints it
    #[arg(long, value_name = "ID")]
    message: String,
    /// Why nobody needs it, for auditors
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: String,
}

pub(super) async fn run(deployment: &Deployment, arguments: &Arguments) -> Result<Verdict, Error> {
    let Arguments { queue, message, reason } = arguments;
    let journal = sources::journal(deployment)?;
    let queues = DeadLetterQueues::of(deployment).await?;
    let queue = queues.named(queue)?;
    let mut discarded = None;
    queues
        .visit(queue, PATIENCE, async |letter| {
            if letter.id != *message || discarded.is_some() {
                return Ok(Visit::Kept);
            }
            // First the journal, so that no letter is deleted without a trace.
            let decision = Decision::Discarded {
                queue: queue.name.clone(),
                message_id: letter.id.clone(),
                summary: summary(letter),
            };
            discarded = Some(journal.write(decision, reason).await?);
            queues.delete(queue, letter).await?;
            Ok(Visit::Deleted)
        })
        .await?;
    let missing = || Error::NoLetter { message: message.clone(), queue: queue.name.clone() };
    line(discarded.ok_or_else(missing)?)?;
    Ok(Verdict::Healthy)
}
