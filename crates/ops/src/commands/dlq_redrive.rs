//! Dead letters, back to where they come from.

use std::{collections::HashSet, fmt};

use clap::Args;
use jiff::SignedDuration;
use platform::bus::{EventBridge, EventBus};
use shop::{event::ORDERS, id::OrderId};

use super::{Verdict, dlq_show::what};
use crate::{
    dead_letters::{DeadLetterQueues, Fate, Remedy, StreamGap},
    deployment::Deployment,
    error::Error,
    output::line,
    tables::Tables,
};

/// By how much what the stream calls a record's time may differ from the order's own.
const STREAM_LAG: SignedDuration = SignedDuration::from_secs(10);

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Which, as `dlq list` calls it, such as charge
    queue: String,
    /// Only the records about this order
    #[arg(long, value_name = "ID")]
    order: Option<OrderId>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Default)]
struct Sum {
    sent: usize,
    announced: usize,
    left: usize,
    other_orders: usize,
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, announced, left, other_orders } = self;
        write!(f, "{sent} sent back, {announced} announced, {left} to be mended first, {other_orders} about other orders")
    }
}

pub(super) async fn run(deployment: &Deployment, arguments: &Arguments) -> Result<Verdict, Error> {
    let queues = DeadLetterQueues::of(deployment).await?;
    let queue = queues.named(&arguments.queue)?;
    let bus = EventBridge::new(&deployment.config, deployment.resource("EventBus")?.to_owned(), ORDERS);
    let wanted = arguments.order.map(|order| order.to_string());
    let would = if arguments.dry_run { "would be " } else { "" };

    let mut sum = Sum::default();
    // What fails again at once comes back while this is still at it.
    let mut returned = HashSet::new();
    queues
        .visit(queue, async |letter| {
            if returned.contains(&letter.id) {
                return Ok(Fate::Stays);
            }
            if wanted.is_some() && wanted.as_deref() != letter.order() {
                sum.other_orders += 1;
                return Ok(Fate::Stays);
            }
            let record = format!("{}  {}", letter.id, what(letter));
            match queues.remedy(queue, letter) {
                Remedy::Send(url) => {
                    if !arguments.dry_run {
                        returned.insert(queues.resend(queue, letter, &url).await?);
                    }
                    sum.sent += 1;
                    let name = url.rsplit('/').next().unwrap_or_default();
                    line(format!("{record}: {would}sent to {name}"))?;
                }
                Remedy::Announce(event) => {
                    if !arguments.dry_run {
                        bus.publish(&[event]).await?;
                        queues.delete(queue, letter).await?;
                    }
                    sum.announced += 1;
                    line(format!("{record}: {would}announced"))?;
                }
                hindrance => {
                    sum.left += 1;
                    line(format!("{record}: {}", advice(deployment, hindrance).await?))?;
                    return Ok(Fate::Stays);
                }
            }
            Ok(if arguments.dry_run { Fate::Stays } else { Fate::Gone })
        })
        .await?;
    line(format!("{}{sum}", if arguments.dry_run { "nothing was done: " } else { "" }))?;
    Ok(Verdict::well_if(sum.left == 0))
}

/// What to do where redriving cannot help.
async fn advice(deployment: &Deployment, hindrance: Remedy) -> Result<String, Error> {
    Ok(match hindrance {
        Remedy::AnnounceOrdersOf(gap) => {
            let orders = changed_in(deployment, &gap).await?;
            let commands: String = orders.iter().map(|order| format!("\n  cargo ops order {order} announce")).collect();
            format!("holds a place in the stream and no record. Announce the orders that changed then, and delete it:{commands}")
        }
        Remedy::Unreadable(reason) => format!(
            "still cannot be read: {reason}. Mend the row or the relay, and redrive; if the order has gone on since, announce \
             it with `cargo ops order ID announce`"
        ),
        Remedy::Nothing => "tells of a row that was deleted, which concerns nobody: delete it".to_owned(),
        _ => "does not say where it comes from: look into it with the SQS console, and delete it".to_owned(),
    })
}

/// The orders with a transition in a part of the stream.
async fn changed_in(deployment: &Deployment, gap: &StreamGap) -> Result<Vec<OrderId>, Error> {
    let time = gap.from - STREAM_LAG..=gap.to + STREAM_LAG;
    let orders = Tables::of(deployment).orders().await?.rows.into_iter();
    let changed = orders.filter(|order| order.history.iter().any(|entry| time.contains(&entry.at)));
    let mut changed: Vec<_> = changed.map(|order| order.order_id).collect();
    changed.sort();
    Ok(changed)
}
