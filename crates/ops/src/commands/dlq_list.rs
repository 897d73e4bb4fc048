//! `dlq list`: all dead-letter queues.

use futures::future::try_join_all;
use jiff::Timestamp;
use stack::Deployment;

use super::letters::origin;
use crate::{
    dead_letters::DeadLetterQueues,
    error::Error,
    output::{age, table},
    verdict::Verdict,
};

pub(super) async fn run(deployment: &Deployment) -> Result<Verdict, Error> {
    let queues = DeadLetterQueues::of(deployment).await?;
    let peeked =
        queues.all().iter().map(async |queue| Ok::<_, Error>((queue, queues.peek(queue).await?)));
    let peeked = try_join_all(peeked).await?;

    let now = Timestamp::now();
    let mut rows = vec![["QUEUE", "LETTERS", "OLDEST", "FED BY"].map(str::to_owned)];
    let mut empty = true;
    for (queue, letters) in peeked {
        // Letters that another consumer holds are counted, but cannot be seen.
        let depth = queue.depth.max(letters.len() as u64);
        empty &= depth == 0;
        let oldest = letters.first().map_or_else(|| "-".to_owned(), |letter| age(letter.sent, now));
        rows.push([queue.name.clone(), depth.to_string(), oldest, origin(queue)]);
    }
    table(&rows)?;
    Ok(Verdict::healthy_if(empty))
}
