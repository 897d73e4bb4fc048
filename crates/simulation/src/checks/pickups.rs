//! Pickup: an order is accepted for a time when its shop is open and can have made it, expires by
//! then, and is not cancelled by its customer from then on.

use std::collections::BTreeMap;

use jiff::{Timestamp, civil};
use serde_json::Value;
use shop::{
    id::{LocationId, OrderId},
    order::{Order, OrderEventType},
};

use crate::{
    checks::check::Check,
    observation::{Answer, Observation, Opening},
    violation::{Rule, Violation},
};

const MINUTES_A_DAY: i64 = 24 * 60;

#[derive(Default)]
pub(crate) struct Pickups {
    openings: BTreeMap<LocationId, Opening>,
    placed: BTreeMap<OrderId, Order>,
}

impl Check for Pickups {
    fn observe(&mut self, observation: &Observation) -> Result<(), Violation> {
        match observation {
            Observation::ShopOpened { location, opening } => {
                self.openings.insert(location.clone(), *opening);
                Ok(())
            }
            Observation::OrderWritten { before: None, after, .. } => {
                self.placed.insert(after.order_id, (**after).clone());
                self.placed(after)
            }
            Observation::OrderWritten { by, after, .. } => {
                let event = after.history.last().map(|entry| entry.event);
                let is_late = by.started >= after.pickup_at;
                let by_customer = after.cancellation_reason.is_none();
                if event == Some(OrderEventType::Cancelled) && is_late && by_customer {
                    return violation(after, "was cancelled by its customer after its pickup time");
                }
                Ok(())
            }
            Observation::PlacingAnswered(answer) => self.answered(answer),
            _ => Ok(()),
        }
    }
}

impl Pickups {
    fn placed(&self, order: &Order) -> Result<(), Violation> {
        let opening = self.openings[&order.location];
        let lead = order.pickup_at.duration_since(order.placed_at).as_secs();
        if lead < opening.lead * 60 {
            return violation(order, format!("is for {lead} s after it was placed"));
        }
        if order.deadline > order.pickup_at {
            return violation(order, "expires after its pickup time");
        }
        match opening.day(order.pickup_at) {
            None => violation(order, "is for a time when the shop is closed"),
            Some(day) if date(day) != order.pickup_day => {
                violation(order, format!("uses the stock of {}", order.pickup_day))
            }
            Some(_) => Ok(()),
        }
    }

    /// An order for as soon as possible is for the day on which it was placed.
    fn answered(&self, answer: &Answer) -> Result<(), Violation> {
        let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        let order = answer.order.and_then(|id| self.placed.get(&id));
        let Some(order) = order.filter(|_| body["pickup_at"].is_null()) else { return Ok(()) };
        let opening = self.openings[&order.location];
        let never_closes = opening.to - opening.from == MINUTES_A_DAY;
        let today = opening.minutes(order.placed_at).div_euclid(MINUTES_A_DAY);
        if !never_closes && opening.day(order.pickup_at).is_some_and(|day| day > today) {
            return violation(order, format!("is for {}, and not for today", order.pickup_day));
        }
        Ok(())
    }
}

impl Opening {
    /// The shop's minutes since the beginning of 1970 on its clock.
    fn minutes(&self, at: Timestamp) -> i64 {
        at.as_second().div_euclid(60) + self.ahead
    }

    /// The day on which the opening began that this time is in; days are counted from 1970-01-01.
    fn day(&self, at: Timestamp) -> Option<i64> {
        let now = self.minutes(at);
        let date = now.div_euclid(MINUTES_A_DAY);
        [date - 1, date].into_iter().find(|day| {
            let midnight = day * MINUTES_A_DAY;
            (midnight + self.from..midnight + self.to).contains(&now)
        })
    }
}

fn date(day: i64) -> civil::Date {
    civil::date(1970, 1, 1) + jiff::ToSpan::days(day)
}

fn violation(order: &Order, what: impl Into<String>) -> Result<(), Violation> {
    Err(Violation::new(Rule::Pickup, format!("{} {}", order.order_id, what.into())))
}
