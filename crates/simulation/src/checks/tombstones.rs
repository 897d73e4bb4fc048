//! A tombstone outlives every message that it has to stop. That holds even if no function looked at
//! the deadline, which stops the same messages. What is held outlives every message that releases
//! it.

use shop::{id::OrderId, stock::Reservation};

use crate::{
    checks::check::Check,
    observation::{Observation, UnderWay},
    transport::message::EventTag,
    violation::{Rule, Violation},
};

pub(crate) struct Tombstones;

impl Check for Tombstones {
    fn observe(&mut self, observation: &Observation) -> Result<(), Violation> {
        match observation {
            Observation::ReservationExpired { order, reservation, under_way } => {
                let (row, events) = match reservation {
                    Reservation::Held(_) => ("stock held for", STOCK_EVENTS),
                    _ => ("tombstone of", &STOCK_EVENTS[..1]),
                };
                is_needed_by_nothing(row, *order, under_way, "StockQueue", events)
            }
            Observation::PaymentExpired { order, under_way } => is_needed_by_nothing(
                "tombstone of",
                *order,
                under_way,
                "ChargeQueue",
                &["order.reserved"],
            ),
            _ => Ok(()),
        }
    }
}

/// The events that reserve stock (the first one) and release it.
const STOCK_EVENTS: &[&str] =
    &["order.placed", "order.rejected", "order.cancelled", "order.expired"];

/// Fails if such an event is left in the queue, which would still have to find the row of the
/// order.
fn is_needed_by_nothing(
    row: &str,
    order: OrderId,
    under_way: &UnderWay,
    queue: &str,
    events: &[&str],
) -> Result<(), Violation> {
    let in_queue = under_way.messages.iter().filter(|message| message.queue == queue);
    let needs_row = |event: &&EventTag| events.contains(&&*event.detail_type);
    if let Some(event) = in_queue.filter_map(|message| message.event()).find(needs_row) {
        let detail_type = &event.detail_type;
        let what = format!("the {row} {order} expired while its {detail_type} was in {queue}");
        return Err(Violation::new(Rule::Tombstone, what));
    }
    Ok(())
}
