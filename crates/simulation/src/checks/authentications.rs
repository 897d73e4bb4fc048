//! A customer whose bank asks them to authenticate is told so, and is shown the page for as long as
//! it is of use.

use std::collections::BTreeSet;

use shop::{
    id::OrderId,
    order::Status,
    payment::{Payment, Progress},
};

use crate::{
    checks::check::Check,
    observation::{Observation, Rest},
    violation::{Rule, Violation},
};

#[derive(Default)]
pub(crate) struct Authentications {
    /// Orders whose payment row says that their customer was told.
    asked: BTreeSet<OrderId>,
    /// Orders of which an event says that.
    told: BTreeSet<OrderId>,
}

impl Check for Authentications {
    fn observe(&mut self, observation: &Observation) -> Result<(), Violation> {
        match observation {
            Observation::OrderWritten { after, .. }
                if after.authentication_url.is_some() && after.status != Status::Reserved =>
            {
                let (id, status) = (after.order_id, after.status);
                let what = format!("{id} is {status:?}, and still shows where to authenticate");
                return Err(Violation::new(Rule::Authentication, what));
            }
            Observation::PaymentWritten { order, record, .. } => {
                let is_asked = matches!(
                    record.payment,
                    Payment::Committed { progress: Progress::Authenticating, .. }
                );
                if is_asked {
                    self.asked.insert(*order);
                }
            }
            Observation::EventPublished { event, .. }
                if &*event.detail_type == "payment.authentication_required" =>
            {
                self.told.insert(event.order);
            }
            _ => {}
        }
        Ok(())
    }

    fn check(&self, _: &Rest) -> Result<(), Violation> {
        match self.asked.difference(&self.told).next() {
            None => Ok(()),
            Some(order) => {
                let what = format!("the customer of {order} was never told to authenticate");
                Err(Violation::new(Rule::Authentication, what))
            }
        }
    }
}
