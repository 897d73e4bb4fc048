//! The dead-letter queues of a stack.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::{Duration, Instant},
};

use aws_sdk_sqs::{
    Client as Sqs,
    types::{
        ChangeMessageVisibilityBatchRequestEntry, Message, MessageSystemAttributeName,
        QueueAttributeName,
    },
};
use futures::future::try_join_all;
use serde_json::Value;
use stack::{Deployment, error::aws};

use super::{letter::DeadLetter, remedy::Remedy};
use crate::error::Error;

/// The end of a dead-letter queue's logical id. What precedes it is the queue's name here.
const SUFFIX: &str = "DeadLetters";

/// How long a message is hidden from other consumers while it is visited, in seconds. If this
/// process dies meanwhile, the message stays hidden for no longer.
const HIDDEN_FOR: i32 = 120;

/// How long SQS gathers messages for one answer, in seconds. With short polling it asks only some
/// of its servers, and an empty answer would not mean an empty queue.
const LONG_POLL: i32 = 1;

/// The number of messages that one call takes.
const BATCH: usize = 10;

/// The end of the logical id of a queue that feeds a function.
const WORK_SUFFIX: &str = "Queue";

/// The queue whose messages only tell customers something.
pub(crate) const NOTICES: &str = "notice";

/// The queue whose messages only tell payment something, which it looks up.
pub(crate) const INTENTS: &str = "intent";

/// All dead-letter queues of a stack.
pub(crate) struct DeadLetterQueues {
    client: Sqs,
    queues: Vec<DeadLetterQueue>,
    work: Vec<WorkQueue>,
    /// The approximate numbers of messages that can be received, by logical id.
    waiting: BTreeMap<String, u64>,
    /// The URLs of all queues of the stack, by ARN.
    urls: BTreeMap<String, String>,
}

#[derive(Clone, Debug)]
pub(crate) struct DeadLetterQueue {
    /// Its name in this tool, such as `charge`.
    pub(crate) name: String,
    /// The queue whose messages end here, if a queue feeds it.
    pub(crate) source: Option<Source>,
    /// The approximate number of its messages.
    pub(crate) depth: u64,
    url: String,
}

/// A queue that feeds a function.
#[derive(Clone, Debug)]
pub(crate) struct WorkQueue {
    /// Its name in this tool, such as `charge`.
    pub(crate) name: String,
    /// The approximate number of messages that could be received now.
    pub(crate) waiting: u64,
}

/// A queue that feeds a dead-letter queue.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// Its name in SQS.
    pub(crate) name: String,
    /// How often it lets a message be received.
    max_receives: Option<u32>,
    url: String,
}

/// What a visitor did with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Visit {
    /// Left it in the queue.
    Kept,
    /// Deleted it.
    Deleted,
}

type Attributes = HashMap<QueueAttributeName, String>;

impl DeadLetterQueue {
    /// Whether its letters are about what happens to orders, and not only about what customers are
    /// told.
    pub(crate) fn moves_orders(&self) -> bool {
        self.name != NOTICES && self.name != INTENTS
    }
}

impl DeadLetterQueues {
    /// Finds the dead-letter queues among the resources of a stack.
    pub(crate) async fn of(deployment: &Deployment) -> Result<Self, Error> {
        let client = Sqs::new(&deployment.config);
        let described = deployment.resources("AWS::SQS::Queue").map(async |(logical_id, url)| {
            Ok::<_, Error>((logical_id, url, attributes(&client, url).await?))
        });
        let described = try_join_all(described).await?;

        let mut urls = BTreeMap::new();
        let mut sources = HashMap::new();
        for (_, url, attributes) in &described {
            let arn = attribute(attributes, QueueAttributeName::QueueArn);
            let policy: Value = attribute(attributes, QueueAttributeName::RedrivePolicy)
                .parse()
                .unwrap_or_default();
            if let Some(target) = policy["deadLetterTargetArn"].as_str() {
                let name = arn.rsplit(':').next().unwrap_or_default().to_owned();
                let max = &policy["maxReceiveCount"];
                let max = max.as_u64().or_else(|| max.as_str()?.parse().ok());
                let max_receives = max.and_then(|max| max.try_into().ok());
                let source = Source { name, max_receives, url: (*url).to_owned() };
                sources.insert(target.to_owned(), source);
            }
            urls.insert(arn, (*url).to_owned());
        }
        let queues = described.iter().filter_map(|(logical_id, url, attributes)| {
            Some(DeadLetterQueue {
                name: logical_id.strip_suffix(SUFFIX)?.to_lowercase(),
                source: sources.get(&attribute(attributes, QueueAttributeName::QueueArn)).cloned(),
                depth: depth(attributes),
                url: (*url).to_owned(),
            })
        });
        let queues = queues.collect();
        let work = described.iter().filter_map(|(logical_id, _, attributes)| {
            Some(WorkQueue {
                name: logical_id.strip_suffix(WORK_SUFFIX)?.to_lowercase(),
                waiting: waiting(attributes),
            })
        });
        let work = work.collect();
        let waiting = described
            .iter()
            .map(|(logical_id, _, attributes)| ((*logical_id).to_owned(), waiting(attributes)));
        let waiting = waiting.collect();
        Ok(Self { client, queues, work, waiting, urls })
    }

    /// The approximate number of messages that can be received from each queue, by logical id.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = (&str, u64)> {
        self.waiting.iter().map(|(id, waiting)| (&**id, *waiting))
    }

    /// The queues that feed functions.
    pub(crate) fn work(&self) -> &[WorkQueue] {
        &self.work
    }

    pub(crate) fn all(&self) -> &[DeadLetterQueue] {
        &self.queues
    }

    pub(crate) fn named(&self, name: &str) -> Result<&DeadLetterQueue, Error> {
        self.queues.iter().find(|queue| queue.name == name).ok_or_else(|| {
            let known = self.queues.iter().map(|queue| &*queue.name).collect::<Vec<_>>().join(", ");
            Error::NoQueue { queue: name.to_owned(), known }
        })
    }

    /// The messages of a queue that no other consumer holds, oldest first. The queue is unchanged
    /// afterwards.
    pub(crate) async fn peek(&self, queue: &DeadLetterQueue) -> Result<Vec<DeadLetter>, Error> {
        let mut letters = Vec::new();
        let collect = async |letter: &DeadLetter| {
            letters.push(letter.clone());
            Ok(Visit::Kept)
        };
        self.visit(queue, Duration::ZERO, collect).await?;
        letters.sort_by_key(|letter| letter.sent);
        Ok(letters)
    }

    /// The messages of all queues, as [`Self::peek`] returns them.
    pub(crate) async fn peek_all(&self) -> Result<Vec<(&DeadLetterQueue, DeadLetter)>, Error> {
        let letters = self.queues.iter().map(async |queue| {
            let letters = self.peek(queue).await?;
            Ok::<_, Error>(letters.into_iter().map(|letter| (queue, letter)).collect::<Vec<_>>())
        });
        Ok(try_join_all(letters).await?.concat())
    }

    /// Visits each message once. Waits up to `patience` for messages that another consumer holds.
    /// Messages that are kept become visible again at the end, even if a visit fails.
    ///
    /// Returns the approximate number of messages that it has missed.
    pub(crate) async fn visit(
        &self,
        queue: &DeadLetterQueue,
        patience: Duration,
        visit: impl AsyncFnMut(&DeadLetter) -> Result<Visit, Error>,
    ) -> Result<u64, Error> {
        let mut hidden = Vec::new();
        let visited = self.visit_all(queue, patience, visit, &mut hidden).await;
        let released = self.release(queue, &hidden).await;
        let missed = visited?;
        released.map(|()| missed)
    }

    async fn visit_all(
        &self,
        queue: &DeadLetterQueue,
        patience: Duration,
        mut visit: impl AsyncFnMut(&DeadLetter) -> Result<Visit, Error>,
        hidden: &mut Vec<String>,
    ) -> Result<u64, Error> {
        let started = Instant::now();
        let mut seen = HashSet::new();
        loop {
            let letters = self.receive(queue).await?;
            if letters.is_empty() {
                // Another consumer may hold some.
                let missed = depth(&attributes(&self.client, &queue.url).await?)
                    .saturating_sub(hidden.len() as u64);
                if missed > 0 && started.elapsed() < patience {
                    continue;
                }
                return Ok(missed);
            }
            hidden.extend(letters.iter().map(|letter| letter.receipt.clone()));
            let new: Vec<_> =
                letters.iter().filter(|letter| seen.insert(letter.id.clone())).collect();
            if new.is_empty() {
                // The queue is so long that its first messages have become visible again.
                return Ok(0);
            }
            for letter in new {
                if visit(letter).await? == Visit::Deleted {
                    hidden.retain(|receipt| *receipt != letter.receipt);
                }
            }
        }
    }

    async fn receive(&self, queue: &DeadLetterQueue) -> Result<Vec<DeadLetter>, Error> {
        let received = self
            .client
            .receive_message()
            .queue_url(&queue.url)
            .max_number_of_messages(BATCH as i32)
            .visibility_timeout(HIDDEN_FOR)
            .wait_time_seconds(LONG_POLL)
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .message_attribute_names("All")
            .send();
        let messages: Vec<Message> =
            received.await.map_err(aws("sqs:ReceiveMessage"))?.messages.unwrap_or_default();
        let max_receives = queue.source.as_ref().and_then(|source| source.max_receives);
        Ok(messages.into_iter().map(|message| DeadLetter::of(message, max_receives)).collect())
    }

    /// Makes messages visible to all consumers.
    async fn release(&self, queue: &DeadLetterQueue, receipts: &[String]) -> Result<(), Error> {
        for batch in receipts.chunks(BATCH) {
            let entry = |(id, receipt): (usize, &String)| {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(id.to_string())
                    .receipt_handle(receipt);
                entry.visibility_timeout(0).build().expect("an entry has an id and a receipt")
            };
            let entries = batch.iter().enumerate().map(entry).collect();
            let change = self
                .client
                .change_message_visibility_batch()
                .queue_url(&queue.url)
                .set_entries(Some(entries));
            // Entries that fail become visible by themselves after a while.
            change.send().await.map_err(aws("sqs:ChangeMessageVisibilityBatch"))?;
        }
        Ok(())
    }

    /// What can be done with a letter of a queue.
    pub(crate) fn remedy(&self, queue: &DeadLetterQueue, letter: &DeadLetter) -> Remedy {
        let source = queue.source.as_ref().map(|source| &*source.url);
        Remedy::of(letter, source, &self.urls)
    }

    /// Sends a letter to the queue with the URL `to`, then deletes it from this one. A failure in
    /// between leaves it in both, which does no harm.
    ///
    /// Returns the id of the message that was sent.
    pub(crate) async fn resend(
        &self,
        queue: &DeadLetterQueue,
        letter: &DeadLetter,
        to: &str,
    ) -> Result<String, Error> {
        let send = self.client.send_message().queue_url(to).message_body(&letter.body);
        // Without the delay that some queues have for new messages: it has waited long enough.
        let send = send.delay_seconds(0).set_message_attributes(Some(letter.attributes.clone()));
        let sent = send.send().await.map_err(aws("sqs:SendMessage"))?;
        self.delete(queue, letter).await?;
        Ok(sent.message_id.unwrap_or_default())
    }

    pub(crate) async fn delete(
        &self,
        queue: &DeadLetterQueue,
        letter: &DeadLetter,
    ) -> Result<(), Error> {
        let delete =
            self.client.delete_message().queue_url(&queue.url).receipt_handle(&letter.receipt);
        delete.send().await.map_err(aws("sqs:DeleteMessage"))?;
        Ok(())
    }
}

async fn attributes(client: &Sqs, url: &str) -> Result<Attributes, Error> {
    let attributes = client
        .get_queue_attributes()
        .queue_url(url)
        .attribute_names(QueueAttributeName::All)
        .send();
    Ok(attributes.await.map_err(aws("sqs:GetQueueAttributes"))?.attributes.unwrap_or_default())
}

fn attribute(attributes: &Attributes, name: QueueAttributeName) -> String {
    attributes.get(&name).cloned().unwrap_or_default()
}

/// The number of messages in a queue that can be received now.
fn waiting(attributes: &Attributes) -> u64 {
    let waiting = attribute(attributes, QueueAttributeName::ApproximateNumberOfMessages);
    waiting.parse().unwrap_or_default()
}

/// The number of messages in a queue, hidden ones included. SQS may take a minute to count them
/// correctly.
fn depth(attributes: &Attributes) -> u64 {
    let count = |name| attribute(attributes, name).parse::<u64>().unwrap_or_default();
    count(QueueAttributeName::ApproximateNumberOfMessages)
        + count(QueueAttributeName::ApproximateNumberOfMessagesNotVisible)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_messages_count_towards_the_depth() {
        let attributes = [
            (QueueAttributeName::ApproximateNumberOfMessages, "2".to_owned()),
            (QueueAttributeName::ApproximateNumberOfMessagesNotVisible, "3".to_owned()),
        ];
        assert_eq!(depth(&attributes.into()), 5);
        assert_eq!(depth(&Attributes::new()), 0);
    }
}
