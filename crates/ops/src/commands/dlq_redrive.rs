//! `dlq redrive`: sends dead letters back to where they come from.

use std::{collections::HashSet, fmt};

use clap::Args;
use jiff::SignedDuration;
use platform::bus::EventBus;
use shop::{event::OrderEvent, id::OrderId, order::Order};
use stack::Deployment;

use super::letters::{PATIENCE, missed, summary};
use crate::{
    dead_letters::{DeadLetter, DeadLetterQueue, DeadLetterQueues, Remedy, StreamGap, Visit},
    error::Error,
    mappings::standing,
    output::{line, message},
    sources,
    verdict::Verdict,
};

/// How much the time of a stream record may differ from the time in the order's history.
const STREAM_LAG: SignedDuration = SignedDuration::from_secs(10);

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The queue's name in `dlq list`, such as charge
    queue: String,
    /// Redrive only the letters about this order
    #[arg(long, value_name = "ID")]
    order: Option<OrderId>,
    /// Also send back what is kept otherwise: what this version cannot read, for example after a
    /// newer version was deployed, and what was settled by hand
    #[arg(long)]
    force: bool,
    /// Print what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(deployment: &Deployment, arguments: &Arguments) -> Result<Verdict, Error> {
    let queues = DeadLetterQueues::of(deployment).await?;
    let queue = queues.named(&arguments.queue)?;
    warn(deployment, queue).await?;
    let bus = sources::bus(deployment)?;
    let wanted = arguments.order.map(|order| order.to_string());
    let settlements = sources::journal(deployment)?.settlements().await?;
    let is_settled = |letter: &DeadLetter| {
        let order = letter.order().and_then(|order| order.parse().ok());
        order.is_some_and(|order| settlements.values().any(|entry| entry.settles(order)))
    };

    let mut totals = Totals::default();
    // A letter that fails again at once comes back during this visit.
    let mut returned = HashSet::new();
    let hidden = queues
        .visit(queue, PATIENCE, async |letter| {
            if returned.contains(&letter.id) {
                return Ok(Visit::Kept);
            }
            if wanted.is_some() && wanted.as_deref() != letter.order() {
                totals.others += 1;
                return Ok(Visit::Kept);
            }
            let remedy = queues.remedy(queue, letter);
            let action = if is_settled(letter) && queue.moves_orders() && !arguments.force {
                Action::settled(queue, letter)
            } else {
                Action::about(deployment, queue, letter, remedy, arguments.force).await?
            };
            let visit = match &action {
                _ if arguments.dry_run => Visit::Kept,
                Action::Send(url) => {
                    returned.insert(queues.resend(queue, letter, url).await?);
                    Visit::Deleted
                }
                Action::Publish(events) => {
                    bus.publish(events).await?;
                    queues.delete(queue, letter).await?;
                    Visit::Deleted
                }
                Action::Keep(_) => Visit::Kept,
            };
            totals.add(&action);
            let dry = arguments.dry_run && !matches!(action, Action::Keep(_));
            let would = if dry { "would be " } else { "" };
            line(format!("{}  {}: {would}{action}", letter.id, summary(letter)))?;
            Ok(visit)
        })
        .await?;
    let dry = if arguments.dry_run { "nothing was changed; a redrive would give: " } else { "" };
    line(format!("{dry}{totals}"))?;
    if hidden > 0 {
        line(missed(hidden))?;
    }
    Ok(Verdict::healthy_if(totals.kept == 0))
}

/// Says so if nobody would take what is sent back: from the source of a dead-letter queue, or, if
/// its letters may go to any queue, from any.
async fn warn(deployment: &Deployment, queue: &DeadLetterQueue) -> Result<(), Error> {
    let mut standing = standing(deployment).await?;
    standing.retain(|it| queue.source.is_none() || it.queue == queue.name);
    standing.iter().for_each(|it| message(it.warning()));
    Ok(())
}

/// What is done with a letter.
enum Action {
    /// Send it to the queue with this URL.
    Send(String),
    /// Publish these events.
    Publish(Vec<OrderEvent>),
    /// Keep it, and give this advice.
    Keep(String),
}

impl Action {
    fn settled(queue: &DeadLetterQueue, letter: &DeadLetter) -> Self {
        let discard = discarding(queue, letter);
        Self::Keep(format!(
            "kept, because something about the order was settled by hand: sent back, it could give \
             the money back twice; run {discard}, or use --force"
        ))
    }

    async fn about(
        deployment: &Deployment,
        queue: &DeadLetterQueue,
        letter: &DeadLetter,
        remedy: Remedy,
        force: bool,
    ) -> Result<Self, Error> {
        let discard = discarding(queue, letter);
        Ok(match remedy {
            Remedy::Send(url) => Self::Send(url),
            Remedy::Discard(url) if force => Self::Send(url),
            Remedy::Discard(_) => Self::Keep(format!(
                "kept, because it is not an event that this version reads; look at it with `cargo \
                 ops dlq show {}`, and discard it with {discard}, or deploy what reads it and \
                 use --force",
                queue.name
            )),
            Remedy::Publish(event) => Self::Publish(vec![*event]),
            Remedy::PublishOrdersOf(gap) => {
                let events = changed_in(&gap, sources::tables(deployment)?.orders().await?.rows);
                if events.is_empty() {
                    Self::Keep(format!("no order changed then; check it, and run {discard}"))
                } else {
                    Self::Publish(events)
                }
            }
            // The change stays as it was written. If the row has been corrected since, its last
            // event says all that there is to say.
            Remedy::Unreadable(reason) => match corrected(deployment, letter).await? {
                Some(event) => Self::Publish(vec![event]),
                None => Self::Keep(format!(
                    "still cannot be read: {reason}. Correct the row, or deploy a version that can \
                     read it, and redrive"
                )),
            },
            Remedy::Unknown => {
                Self::Keep(format!("does not say where it belongs; check it, and run {discard}"))
            }
        })
    }
}

/// The command that discards a letter.
fn discarding(queue: &DeadLetterQueue, letter: &DeadLetter) -> String {
    format!("`cargo ops dlq discard {} --message {} --reason TEXT`", queue.name, letter.id)
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send(url) => write!(f, "sent to {}", url.rsplit('/').next().unwrap_or_default()),
            Self::Publish(events) => {
                let orders = events
                    .iter()
                    .map(|event| event.detail.data.order_id.to_string())
                    .collect::<Vec<_>>();
                write!(f, "published for {}", orders.join(", "))
            }
            Self::Keep(advice) => f.write_str(advice),
        }
    }
}

#[derive(Default)]
struct Totals {
    sent: usize,
    published: usize,
    kept: usize,
    /// Letters about other orders than the wanted one.
    others: usize,
}

impl Totals {
    fn add(&mut self, action: &Action) {
        match action {
            Action::Send(_) => self.sent += 1,
            Action::Publish(_) => self.published += 1,
            Action::Keep(_) => self.kept += 1,
        }
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, published, kept, others } = self;
        write!(f, "{sent} sent back, {published} published, {kept} kept for you to check")?;
        if *others > 0 {
            write!(f, ", {others} about other orders")?;
        }
        Ok(())
    }
}

/// The last event of the order that a letter is about, if its row can be read.
async fn corrected(
    deployment: &Deployment,
    letter: &DeadLetter,
) -> Result<Option<OrderEvent>, Error> {
    let Some(id) = letter.order().and_then(|order| order.parse().ok()) else { return Ok(None) };
    match sources::tables(deployment)?.order(id).await {
        Ok(order) => Ok(order.and_then(OrderEvent::latest)),
        Err(books::Error::Row(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The last events of the orders with a transition in a part of the stream.
fn changed_in(gap: &StreamGap, orders: Vec<Order>) -> Vec<OrderEvent> {
    let time = gap.from - STREAM_LAG..=gap.to + STREAM_LAG;
    let changed = orders
        .into_iter()
        .filter(|order| order.history.iter().any(|entry| time.contains(&entry.at)));
    changed.filter_map(OrderEvent::latest).collect()
}

#[cfg(test)]
mod tests {
    use fixtures::at;

    use super::*;

    fn order(number: u32, placed_at: &str) -> Order {
        let mut order = fixtures::numbered_order(number);
        order.history[0].at = at(placed_at);
        order
    }

    #[test]
    fn only_orders_that_changed_in_a_gap_of_the_stream_are_published() {
        let gap = StreamGap {
            condition: "RecordAgeExceeded".to_owned(),
            records: 1,
            from: at("2026-11-24T08:00:00Z"),
            to: at("2026-11-24T08:00:30Z"),
        };
        let orders = [
            order(0, "2026-11-24T07:59:00Z"),
            order(1, "2026-11-24T07:59:59.9Z"),
            order(2, "2026-11-24T08:00:31Z"),
            order(3, "2026-11-24T08:01:00Z"),
        ];
        let published = changed_in(&gap, orders.clone().into());
        let ids: Vec<_> = published.iter().map(|event| event.detail.data.order_id).collect();
        assert_eq!(ids, [orders[1].order_id, orders[2].order_id]);
    }

    #[test]
    fn totals_count_each_action() {
        let mut totals = Totals { others: 4, ..Totals::default() };
        totals.add(&Action::Send("http://sqs/charge".to_owned()));
        totals.add(&Action::Publish(vec![]));
        totals.add(&Action::Keep("check it".to_owned()));
        assert_eq!(
            totals.to_string(),
            "1 sent back, 1 published, 1 kept for you to check, 4 about other orders"
        );
        assert!(Totals::default().to_string().ends_with("0 kept for you to check"));
    }
}
