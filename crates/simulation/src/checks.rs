//! The rules, one check for each concern. A check sees observations, and what is left at rest.

mod answers;
mod asks;
mod authentications;
mod check;
mod events;
mod limits;
mod money;
mod notices;
mod orders;
mod pickups;
mod stock;
mod tombstones;

use std::collections::HashMap;

use notifications::handler::Contact;
use payment::limit::Limit;
use shop::id::CustomerId;

use self::{
    answers::Answers, asks::Asks, authentications::Authentications, check::Check, events::Events,
    limits::Limits, money::Money, notices::Notices, orders::Orders, pickups::Pickups, stock::Stock,
    tombstones::Tombstones,
};
use crate::{
    observation::{Observation, Rest},
    violation::Violation,
};

/// All checks of a run.
pub(crate) struct Checks {
    all: Vec<Box<dyn Check>>,
}

impl Checks {
    /// Checks for a run with these customers, and this limit of their payments.
    pub(crate) fn new(customers: HashMap<CustomerId, Contact>, limit: Limit) -> Self {
        let reachable = customers.into_iter().filter_map(|(customer, contact)| match contact {
            Contact::Verified(address) => Some((customer, address)),
            Contact::Unverified | Contact::None => None,
        });
        Self {
            all: vec![
                Box::new(Orders::default()),
                Box::new(Pickups::default()),
                Box::new(Money::default()),
                Box::new(Stock::default()),
                Box::new(Notices::new(reachable.collect())),
                Box::new(Answers::default()),
                Box::new(Events::default()),
                Box::new(Tombstones),
                Box::new(Asks::default()),
                Box::new(Authentications::default()),
                Box::new(Limits::new(limit)),
            ],
        }
    }

    pub(crate) fn observe(&mut self, observation: &Observation) -> Result<(), Violation> {
        self.all.iter_mut().try_for_each(|check| check.observe(observation))
    }

    pub(crate) fn check(&self, rest: &Rest) -> Result<(), Violation> {
        self.all.iter().try_for_each(|check| check.check(rest))
    }
}
