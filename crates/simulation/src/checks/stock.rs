//! I3: held stock is never above capacity, and is what live orders need, until long after the day
//! for which it is held; then no row of it stays. No order is refused for a shortage that did not
//! exist, and nothing is held after an order's deadline.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp, civil, tz::TimeZone};
use shop::{
    id::{LocationId, OrderId},
    order::{Order, Rejection},
    stock::{BakePlan, Demand, Reservation, Shortage, stock_expiry},
};

use crate::{
    checks::check::Check,
    engine::tasks::Worker,
    observation::{Observation, Rest, StockAnswer},
    violation::{Rule, Violation},
};

/// The longest that a row of stock may stand after the beginning of its pickup day.
const LONGEST_LIFE: SignedDuration = SignedDuration::from_hours(40 * 24);

#[derive(Default)]
pub(crate) struct Stock {
    deadlines: BTreeMap<OrderId, Timestamp>,
    /// The bake plans of each shop, and from when on each is in force.
    plans: BTreeMap<LocationId, Vec<(Timestamp, BakePlan)>>,
    /// What fell short, each time that stock was short for an order.
    shortages: BTreeMap<OrderId, Vec<Vec<Shortage>>>,
}

impl Check for Stock {
    fn observe(&mut self, observation: &Observation) -> Result<(), Violation> {
        match observation {
            Observation::OrderWritten { before: None, after, .. } => {
                self.deadlines.insert(after.order_id, after.deadline);
            }
            Observation::PlanChanged { at, location, plan } => {
                self.plans.entry(location.clone()).or_default().push((*at, plan.clone()));
            }
            Observation::StockAsked { by, order, demand, answer, held } => match answer {
                StockAnswer::Held => self.held(*by, *order, demand, held)?,
                StockAnswer::Short(shortages) => {
                    self.short(*by, *order, demand, held, shortages)?;
                }
                StockAnswer::Decided => {}
            },
            _ => {}
        }
        Ok(())
    }

    fn check(&self, rest: &Rest) -> Result<(), Violation> {
        for order in rest.orders.values() {
            self.check_order(order, rest)?;
        }
        check_held(rest)?;
        check_standing(rest)
    }
}

impl Stock {
    fn held(
        &self,
        by: Worker,
        order: OrderId,
        demand: &Demand,
        held: &[u32],
    ) -> Result<(), Violation> {
        if self.deadlines.get(&order).is_some_and(|deadline| *deadline <= by.started) {
            let what = format!("stock was held for {order} after its deadline");
            return Err(Violation::new(Rule::Deadline, what));
        }
        let fits = |plan: &&BakePlan| {
            demand.items.iter().zip(held).all(|(needed, held)| *held <= plan.of(&needed.item))
        };
        if self.plans_since(&demand.location, by.started).iter().any(fits) {
            return Ok(());
        }
        violation(format!("more is held than is baked, now that stock is held for {order}"))
    }

    fn short(
        &mut self,
        by: Worker,
        order: OrderId,
        demand: &Demand,
        held: &[u32],
        shortages: &[Shortage],
    ) -> Result<(), Violation> {
        let expected = |plan: &BakePlan| -> Vec<Shortage> {
            let items = demand.items.iter().zip(held).map(|(needed, held)| Shortage {
                item: needed.item.clone(),
                requested: needed.quantity,
                left: plan.of(&needed.item).saturating_sub(*held),
            });
            items.filter(|shortage| shortage.left < shortage.requested).collect()
        };
        let plans = self.plans_since(&demand.location, by.started);
        if shortages.is_empty() || !plans.iter().any(|plan| expected(plan) == shortages) {
            return violation(format!("{order} was short of {shortages:?}, which did not exist"));
        }
        self.shortages.entry(order).or_default().push(shortages.to_vec());
        Ok(())
    }

    /// The plans that were in force at any time since `started`, including the one that came into
    /// force in that very millisecond.
    fn plans_since(&self, location: &LocationId, started: Timestamp) -> Vec<&BakePlan> {
        let plans = self.plans.get(location).map_or(&[][..], Vec::as_slice);
        let first = plans.iter().rposition(|(from, _)| *from < started).unwrap_or(0);
        plans[first..].iter().map(|(_, plan)| plan).collect()
    }

    fn check_order(&self, order: &Order, rest: &Rest) -> Result<(), Violation> {
        let id = order.order_id;
        let reservation = rest.reservations.get(&id);
        if let Some(Rejection::OutOfStock { shortages }) = &order.rejection
            && !self.shortages.get(&id).is_some_and(|found| found.contains(shortages))
        {
            return violation(format!(
                "{id} is {:?}, and no such shortage was ever found",
                order.status
            ));
        }
        if !order.status.ended_early()
            && !matches!(reservation, Some(Reservation::Held(_)))
            && !may_be_deleted(order.pickup_day, rest.now)
        {
            let reservation = reservation.map(Reservation::name);
            return violation(format!("nothing is held for {id}: its row is {reservation:?}"));
        }
        Ok(())
    }
}

/// Whether the time to live of what is held for a day has passed.
fn may_be_deleted(day: civil::Date, now: Timestamp) -> bool {
    stock_expiry(day) <= now.as_second()
}

/// Fails if a row of stock is left that should be deleted by now.
fn check_standing(rest: &Rest) -> Result<(), Violation> {
    let oldest = (rest.deleted_until - LONGEST_LIFE).to_zoned(TimeZone::UTC).date();
    let standing = rest.held.keys().find(|(_, day, _)| *day < oldest);
    match standing {
        Some((shop, day, item)) => {
            let today = rest.now.to_zoned(TimeZone::UTC).date();
            violation(format!("{item} held at {shop} on {day} still stands on {today}"))
        }
        None => Ok(()),
    }
}

/// Compares what is held with what live orders need.
fn check_held(rest: &Rest) -> Result<(), Violation> {
    let mut needed: BTreeMap<_, u32> = BTreeMap::new();
    for order in rest.orders.values().filter(|order| !order.status.ended_early()) {
        for line in &order.lines {
            let key = (order.location.clone(), order.pickup_day, line.item.clone());
            *needed.entry(key).or_insert(0) += line.quantity;
        }
    }
    let keys = rest.held.keys().chain(needed.keys());
    for key in keys.filter(|(_, day, _)| !may_be_deleted(*day, rest.now)) {
        let pieces = |of: &BTreeMap<_, _>| of.get(key).copied().unwrap_or(0);
        let (held, needed) = (pieces(&rest.held), pieces(&needed));
        if held != needed {
            let (shop, day, item) = key;
            return violation(format!("{held} x {item} held at {shop} on {day}, {needed} needed"));
        }
    }
    Ok(())
}

fn violation(what: String) -> Result<(), Violation> {
    Err(Violation::new(Rule::I3, what))
}
