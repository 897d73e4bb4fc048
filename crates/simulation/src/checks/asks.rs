//! A charge is asked for again with one copy of its message, and never at or after its deadline. So
//! copies do not multiply, however often invocations die after they have sent one.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use shop::id::OrderId;

use crate::{
    checks::check::Check,
    observation::Observation,
    violation::{Rule, Violation},
};

#[derive(Default)]
pub(crate) struct Asks {
    deadlines: BTreeMap<OrderId, Timestamp>,
    /// The ids of messages of which there is a copy.
    copied: BTreeSet<String>,
}

impl Check for Asks {
    fn observe(&mut self, observation: &Observation) -> Result<(), Violation> {
        match observation {
            Observation::OrderWritten { before: None, after, .. } => {
                self.deadlines.insert(after.order_id, after.deadline);
            }
            Observation::MessageCopied { of, queue, order, until } => {
                if !self.copied.insert(of.clone()) {
                    let what = format!("a message about {order} was copied twice");
                    return Err(Violation::new(Rule::Ask, what));
                }
                // Refunds have no deadline.
                let is_charge = *queue == "ChargeQueue";
                if is_charge && self.deadlines.get(order).is_none_or(|deadline| deadline <= until) {
                    let what = format!("a charge of {order} was put off past its deadline");
                    return Err(Violation::new(Rule::Ask, what));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
