//! Dead letters, back to where they come from.

use std::{collections::HashSet, fmt, time::Duration};

use clap::Args;
use jiff::SignedDuration;
use platform::bus::{EventBridge, EventBus};
use shop::{
    event::{ORDERS, OrderEvent},
    id::OrderId,
    order::Order,
};

use super::{
    Verdict,
    dlq_show::{elsewhere, what},
};
use crate::{
    dead_letters::{DeadLetter, DeadLetterQueue, DeadLetterQueues, Fate, Remedy, StreamGap},
    deployment::Deployment,
    error::Error,
    output::line,
    tables::Tables,
};

/// By how much what the stream calls a record's time may differ from the order's own.
const STREAM_LAG: SignedDuration = SignedDuration::from_secs(10);

/// How long to wait for records that somebody else is looking at: that takes a second or two.
const PATIENCE: Duration = Duration::from_secs(15);

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

/// What is done with a letter.
enum Deed {
    /// It is sent to the queue of that URL.
    Send(String),
    /// These are put on the bus.
    Announce(Vec<OrderEvent>),
    /// Nothing, for that reason.
    Leave(String),
}

impl Deed {
    async fn about(
        deployment: &Deployment,
        queues: &DeadLetterQueues,
        queue: &DeadLetterQueue,
        letter: &DeadLetter,
    ) -> Result<Self, Error> {
        Ok(match queues.remedy(queue, letter) {
            Remedy::Send(url) => Self::Send(url),
            Remedy::Announce(event) => Self::Announce(vec![*event]),
            Remedy::AnnounceOrdersOf(gap) => {
                match changed_in(&gap, Tables::of(deployment).orders().await?.rows) {
                    none if none.is_empty() => Self::Leave(
                        "no order changed then; see for yourself, and delete it".to_owned(),
                    ),
                    events => Self::Announce(events),
                }
            }
            Remedy::Unreadable(reason) => Self::Leave(format!(
                "still cannot be read: {reason}. Mend the relay and redrive, or mend the row and announce the order"
            )),
            Remedy::Unknown => Self::Leave(
                "does not say where it belongs; see for yourself, and delete it".to_owned(),
            ),
        })
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send(url) => write!(f, "sent to {}", url.rsplit('/').next().unwrap_or_default()),
            Self::Announce(events) => {
                let orders = events
                    .iter()
                    .map(|event| event.detail.data.order_id.to_string())
                    .collect::<Vec<_>>();
                write!(f, "announced {}", orders.join(", "))
            }
            Self::Leave(advice) => f.write_str(advice),
        }
    }
}

#[derive(Default)]
struct Sum {
    sent: usize,
    announced: usize,
    left: usize,
    others: usize,
}

impl Sum {
    fn add(&mut self, deed: &Deed) {
        match deed {
            Deed::Send(_) => self.sent += 1,
            Deed::Announce(_) => self.announced += 1,
            Deed::Leave(_) => self.left += 1,
        }
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, announced, left, others } = self;
        write!(
            f,
            "{sent} sent back, {announced} announced, {left} left for you, {others} not about the order"
        )
    }
}

pub(super) async fn run(deployment: &Deployment, arguments: &Arguments) -> Result<Verdict, Error> {
    let queues = DeadLetterQueues::of(deployment).await?;
    let queue = queues.named(&arguments.queue)?;
    let bus =
        EventBridge::new(&deployment.config, deployment.resource("EventBus")?.to_owned(), ORDERS);
    let wanted = arguments.order.map(|order| order.to_string());

    let mut sum = Sum::default();
    // What fails again at once comes back while this is still at it.
    let mut returned = HashSet::new();
    let missed = queues
        .visit(queue, PATIENCE, async |letter| {
            if returned.contains(&letter.id) {
                return Ok(Fate::Stays);
            }
            if wanted.is_some() && wanted.as_deref() != letter.order() {
                sum.others += 1;
                return Ok(Fate::Stays);
            }
            let deed = Deed::about(deployment, &queues, queue, letter).await?;
            let fate = match &deed {
                _ if arguments.dry_run => Fate::Stays,
                Deed::Send(url) => {
                    returned.insert(queues.resend(queue, letter, url).await?);
                    Fate::Gone
                }
                Deed::Announce(events) => {
                    bus.publish(events).await?;
                    queues.delete(queue, letter).await?;
                    Fate::Gone
                }
                Deed::Leave(_) => Fate::Stays,
            };
            sum.add(&deed);
            let would =
                if arguments.dry_run && !matches!(deed, Deed::Leave(_)) { "would be " } else { "" };
            line(format!("{}  {}: {would}{deed}", letter.id, what(letter)))?;
            Ok(fate)
        })
        .await?;
    line(format!(
        "{}{sum}",
        if arguments.dry_run { "nothing was done, but would be: " } else { "" }
    ))?;
    if missed > 0 {
        line(elsewhere(missed))?;
    }
    Ok(Verdict::well_if(sum.left == 0))
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
    use jiff::Timestamp;
    use serde_json::json;
    use shop::id::CustomerId;

    use super::*;

    fn order(placed_at: &str) -> Order {
        let id = OrderId::derive(&CustomerId::new("camille"), &placed_at.parse().unwrap());
        serde_json::from_value(json!({
            "order_id": id, "customer_id": "camille", "location": "paris", "location_name": "Amélie Paris",
            "time_zone": "Europe/Paris", "status": "placed", "revision": 1, "payment": "none", "total": 380,
            "currency": "EUR", "placed_at": placed_at, "pickup_at": placed_at, "pickup_day": "2026-11-24",
            "lines": [{"item": "croissant", "name": "Butter croissant", "quantity": 2, "unit_price": 190}],
            "deadline": placed_at, "fingerprint": "f",
            "history": [{"revision": 1, "event": "order.placed", "status": "placed", "at": placed_at}]
        }))
        .unwrap()
    }

    #[test]
    fn orders_that_changed_in_a_lost_part_of_the_stream_are_announced_and_no_others() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let gap = StreamGap {
            condition: "RecordAgeExceeded".to_owned(),
            records: 1,
            from: at("2026-11-24T08:00:00Z"),
            to: at("2026-11-24T08:00:30Z"),
        };
        let orders = [
            "2026-11-24T07:59:00Z",
            "2026-11-24T07:59:59.9Z",
            "2026-11-24T08:00:31Z",
            "2026-11-24T08:01:00Z",
        ];
        let events = changed_in(&gap, orders.map(order).into());
        let announced: Vec<_> =
            events.iter().map(|event| event.detail.metadata.occurred_at).collect();
        assert_eq!(announced, orders[1..3].iter().map(|text| at(text)).collect::<Vec<_>>());
    }
}
