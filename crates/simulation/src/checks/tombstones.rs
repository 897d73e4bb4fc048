//! A tombstone outlives every message that it has to stop. That holds even if no function looked at
//! the deadline, which stops the same messages.

use shop::id::OrderId;

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
            Observation::ReservationExpired { order, under_way } => {
                stops_nothing(*order, under_way, "StockQueue", "order.placed")
            }
            Observation::PaymentExpired { order, under_way } => {
                stops_nothing(*order, under_way, "ChargeQueue", "order.reserved")
            }
            _ => Ok(()),
        }
    }
}

/// Whether no such event is left in the queue that the tombstone of an order would have to stop.
fn stops_nothing(
    order: OrderId,
    under_way: &UnderWay,
    queue: &str,
    detail_type: &str,
) -> Result<(), Violation> {
    let is_stopped = |event: &EventTag| *event.detail_type == *detail_type;
    let mut messages = under_way.messages.iter();
    if messages.any(|message| message.queue == queue && message.event().is_some_and(is_stopped)) {
        let what =
            format!("the tombstone of {order} expired while its {detail_type} was in {queue}");
        return Err(Violation::new(Rule::Tombstone, what));
    }
    Ok(())
}
