//! Publishing events again from the rows of the orders.

use std::collections::BTreeMap;

use books::{UnreadableRow, rows::OrderFilter};
use platform::bus::EventBus;
use shop::{event::OrderEvent, id::OrderId, order::Order};
use stack::Deployment;

use crate::{
    error::Error,
    output::{count, line, name, table},
    sources,
    verdict::Verdict,
};

/// What was published, or would be.
#[derive(Debug, Default)]
pub(super) struct Published {
    /// How many events of each type.
    events: BTreeMap<String, usize>,
    /// The orders that were left out, since something about them was settled by hand.
    settled: Vec<OrderId>,
    unreadable: Vec<UnreadableRow>,
}

/// Publishes the event again that each wanted order waits for, page by page, so that any number of
/// orders fits into memory. A dry run publishes nothing. What was settled by hand is left out:
/// money that somebody has paid back must not go back a second time.
pub(super) async fn publish_again(
    deployment: &Deployment,
    filter: &OrderFilter,
    wanted: impl Fn(&Order) -> bool,
    dry_run: bool,
) -> Result<Published, Error> {
    let bus = sources::bus(deployment)?;
    let settlements = sources::journal(deployment)?.settlements().await?;
    let is_settled =
        |order: &Order| settlements.values().any(|entry| entry.settles(order.order_id));
    let mut published = Published::default();
    let publish = async |rows: Vec<Result<Order, UnreadableRow>>| {
        let mut events = Vec::new();
        for row in rows {
            match row {
                Ok(order) if wanted(&order) && is_settled(&order) => {
                    published.settled.push(order.order_id);
                }
                Ok(order) if wanted(&order) => events.extend(OrderEvent::repeated(order)),
                Ok(_) => {}
                Err(row) => published.unreadable.push(row),
            }
        }
        if !dry_run {
            bus.publish(&events).await?;
        }
        for event in events {
            *published.events.entry(name(event.event_type)).or_default() += 1;
        }
        Ok::<_, Error>(())
    };
    sources::tables(deployment)?.order_pages(filter, publish).await?;
    Ok(published)
}

impl Published {
    /// Prints how many events of each type there were, and the rows that could not be read.
    pub(super) fn print(&self, dry_run: bool) -> Result<(), Error> {
        let would = if dry_run { "would be " } else { "" };
        table(
            &self
                .events
                .iter()
                .map(|(event, number)| [format!("  {event}"), number.to_string()])
                .collect::<Vec<_>>(),
        )?;
        let all = self.events.values().sum();
        line(format!("{} {would}published again from the rows", count(all, "event")))?;
        if !self.settled.is_empty() {
            let left_out = count(self.settled.len(), "order");
            let ids = self.settled.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            line(format!("{left_out} left out, about which something was settled by hand: {ids}"))?;
        }
        self.unreadable.iter().try_for_each(line)
    }

    pub(super) fn verdict(&self) -> Verdict {
        Verdict::healthy_if(self.unreadable.is_empty())
    }
}
