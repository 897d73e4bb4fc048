//! I4: the same idempotency key gives the same order, and is refused with another body, or once the
//! order's customer is erased.

use std::collections::{BTreeMap, BTreeSet};

use shop::id::OrderId;

use crate::{
    checks::check::Check,
    observation::{Answer, Observation, Rest},
    violation::{Rule, Violation},
};

#[derive(Default)]
pub(crate) struct Answers {
    answers: Vec<Answer>,
    erased: BTreeSet<OrderId>,
}

impl Check for Answers {
    fn observe(&mut self, observation: &Observation) -> Result<(), Violation> {
        match observation {
            Observation::OrderWritten { after, .. } if after.customer_id.is_erased() => {
                self.erased.insert(after.order_id);
            }
            Observation::PlacingAnswered(answer) => {
                let key = answer.key.parse().expect("a key");
                let id = OrderId::derive(&answer.customer, &key);
                if !self.erased.contains(&id) {
                    self.answers.push(answer.clone());
                } else if answer.status < 400 {
                    let what = format!("{id} is shown although its customer is erased");
                    return Err(Violation::new(Rule::I4, what));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn check(&self, rest: &Rest) -> Result<(), Violation> {
        let mut accepted: BTreeMap<(&str, &str), &Answer> = BTreeMap::new();
        for answer in &self.answers {
            let violation = |what: String| {
                let what = format!("{} of {}: {what}", answer.key, answer.customer.as_str());
                Err(Violation::new(Rule::I4, what))
            };
            let key = (answer.customer.as_str(), &*answer.key);
            match (answer.order, accepted.get(&key)) {
                (Some(order), _) if !rest.orders.contains_key(&order) => {
                    return violation("the order was accepted and does not exist".into());
                }
                (Some(order), Some(first)) if first.order != Some(order) => {
                    return violation("two orders have this key".into());
                }
                (Some(_), Some(first)) if first.body != answer.body => {
                    return violation("the key was accepted with two bodies".into());
                }
                (None, Some(first)) if first.body == answer.body && answer.status < 500 => {
                    let status = answer.status;
                    return violation(format!("accepted first, and later answered with {status}"));
                }
                (Some(_), None) => {
                    accepted.insert(key, answer);
                }
                _ => {}
            }
        }
        Ok(())
    }
}
