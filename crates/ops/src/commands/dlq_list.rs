//! All dead-letter queues at a glance.

use futures::future::try_join_all;
use jiff::Timestamp;

use super::Verdict;
use crate::{
    dead_letters::{DeadLetterQueue, DeadLetterQueues},
    deployment::Deployment,
    error::Error,
    output::{age, table},
};

pub(super) async fn run(deployment: &Deployment) -> Result<Verdict, Error> {
    let queues = DeadLetterQueues::of(deployment).await?;
    let looks =
        queues.all().iter().map(async |queue| Ok::<_, Error>((queue, queues.look(queue).await?)));
    let looks = try_join_all(looks).await?;

    let now = Timestamp::now();
    let mut rows = vec![["QUEUE", "RECORDS", "OLDEST", "FED BY"].map(str::to_owned)];
    let mut empty = true;
    for (queue, letters) in looks {
        // Those that somebody else is looking at are counted, but cannot be seen.
        let depth = queue.depth.max(letters.len() as u64);
        empty &= depth == 0;
        let oldest = letters.first().map_or_else(|| "-".to_owned(), |letter| age(letter.sent, now));
        rows.push([queue.name.clone(), depth.to_string(), oldest, fed_by(queue)]);
    }
    table(&rows)?;
    Ok(Verdict::well_if(empty))
}

/// What feeds a queue, in a few words.
pub(super) fn fed_by(queue: &DeadLetterQueue) -> String {
    match (&queue.source, &*queue.name) {
        (Some(source), _) => format!("the queue {}", source.name),
        (None, "relay") => "order-relay, and the stream of orders".to_owned(),
        (None, "rule") => "the rules of the event bus".to_owned(),
        (None, _) => "nothing in this stack".to_owned(),
    }
}
