//! No more of a customer's payments than the limit are open or declined within the window when the
//! provider is asked for another.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};
use payment::limit::Limit;
use shop::{
    id::{CustomerId, OrderId},
    payment::{Payment, Progress},
};

use crate::{
    checks::check::Check,
    observation::Observation,
    violation::{Rule, Violation},
};

pub(crate) struct Limits {
    limit: Limit,
    customers: BTreeMap<OrderId, CustomerId>,
    /// The orders of each customer for which the provider was asked, and when it was last.
    asked: HashMap<CustomerId, BTreeMap<OrderId, Timestamp>>,
    /// What the payment row of an order says, if it has one.
    payments: BTreeMap<OrderId, Payment>,
}

impl Limits {
    pub(crate) fn new(limit: Limit) -> Self {
        Self { limit, customers: BTreeMap::new(), asked: HashMap::new(), payments: BTreeMap::new() }
    }

    /// The number of other orders of the customer for which the provider was asked lately.
    fn asked_before(&self, order: OrderId, now: Timestamp) -> usize {
        let asked = self.customers.get(&order).and_then(|customer| self.asked.get(customer));
        let is_recent = |at: &Timestamp| *at + self.limit.window + SECOND > now;
        let others = asked.into_iter().flatten().filter(|(other, _)| **other != order);
        others.filter(|(_, at)| is_recent(at)).count()
    }

    /// Whether a payment is open, or says something about a card.
    fn counts(&self, order: OrderId) -> bool {
        match self.payments.get(&order) {
            None => true,
            Some(Payment::Committed { progress, .. }) => matches!(
                progress,
                Progress::Charging | Progress::Authenticating | Progress::Declined { .. }
            ),
            Some(Payment::Forbidden | Payment::Refused { .. }) => false,
        }
    }
}

impl Check for Limits {
    fn observe(&mut self, observation: &Observation) -> Result<(), Violation> {
        match observation {
            Observation::OrderWritten { before: None, after, .. } => {
                self.customers.insert(after.order_id, after.customer_id.clone());
            }
            Observation::PaymentWritten { by, order, record } => {
                let is_refused = matches!(
                    &record.payment,
                    Payment::Refused { reason } if reason == "too_many_declines"
                );
                let tried = self.asked_before(*order, by.started);
                if is_refused && tried < self.limit.payments {
                    let what = format!(
                        "{order} is refused, although only {tried} payments of its customer were \
                         tried"
                    );
                    return Err(Violation::new(Rule::Limit, what));
                }
                self.payments.insert(*order, record.payment.clone());
            }
            Observation::IntentCreated { by, order, .. } => {
                let Some(customer) = self.customers.get(order) else { return Ok(()) };
                self.asked.entry(customer.clone()).or_default().insert(*order, by.started);
                if self.payments.contains_key(order) {
                    // A request of an earlier delivery that arrives late.
                    return Ok(());
                }
                let counted = self.asked[customer].iter().filter(|(other, at)| {
                    let is_recent = **at + self.limit.window > by.started + SECOND;
                    *other != order && is_recent && self.counts(**other)
                });
                let counted = counted.count();
                if counted >= self.limit.payments {
                    let what = format!(
                        "the provider is asked for {order}, while {counted} payments of its \
                         customer are open or declined, and {} may be",
                        self.limit.payments
                    );
                    return Err(Violation::new(Rule::Limit, what));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// An invocation reads the clock a moment after it has started.
const SECOND: SignedDuration = SignedDuration::from_secs(1);
