//! Every published event was committed before.

use std::collections::{BTreeMap, BTreeSet};

use payment::memory::MemoryProvider;
use serde_json::{Value, json};
use shop::{
    id::OrderId,
    payment::{Payment, PaymentRecord},
    stock::Reservation,
};

use crate::{
    checks::check::Check,
    observation::{Observation, StockAnswer},
    transport::message::EventTag,
    violation::{Rule, Violation},
};

#[derive(Default)]
pub(crate) struct Events {
    /// The revisions of each order that were written.
    revisions: BTreeSet<(OrderId, u32)>,
    /// Orders whose stock was held.
    held: BTreeSet<OrderId>,
    /// Committed refusals and payments, by the event that publishes each: what it must contain.
    committed: BTreeMap<(OrderId, String), Value>,
}

impl Check for Events {
    fn observe(&mut self, observation: &Observation) -> Result<(), Violation> {
        match observation {
            Observation::OrderWritten { after, .. } => {
                self.revisions.insert((after.order_id, after.revision));
            }
            Observation::StockAsked { order, answer: StockAnswer::Held, .. } => {
                self.held.insert(*order);
            }
            Observation::StockRefused { order, refusal: Reservation::Rejected { shortages } } => {
                self.committed.insert((*order, "inventory.rejected".into()), json!(shortages));
            }
            Observation::PaymentWritten { order, record, .. } => {
                let PaymentRecord { version, payment, refunds, .. } = record;
                let states = refunds
                    .iter()
                    .map(|it| json!({"id": it.id, "attempt": it.attempt, "state": it.state}));
                let states: Vec<_> = states.collect();
                let shown = json!([states, record.dispute()]);
                self.committed.insert((*order, format!("payment.changed/{version}")), shown);
                if let Some(intent) = payment.intent() {
                    let page = MemoryProvider::page(intent);
                    let asked = (*order, "payment.authentication_required".to_owned());
                    self.committed.insert(asked, json!(page.expose()));
                }
                let name = match payment {
                    Payment::Refused { .. } => "declined",
                    _ => payment.name(),
                };
                let reason = payment.reason().map_or(Value::Null, |reason| json!(reason));
                self.committed.insert((*order, format!("payment.{name}")), reason);
            }
            Observation::EventPublished { event, data } if !self.is_committed(event, data) => {
                let EventTag { detail_type, order, .. } = event;
                let what = format!("{detail_type} of {order} is published before it is committed");
                return Err(Violation::new(Rule::Commit, what));
            }
            _ => {}
        }
        Ok(())
    }
}

impl Events {
    fn is_committed(&self, event: &EventTag, data: &Value) -> bool {
        let changed = json!([data["refunds"], data["dispute"]]);
        let (name, content) = match &*event.detail_type {
            "inventory.rejected" => (event.detail_type.to_string(), &data["shortages"]),
            "payment.authentication_required" => {
                (event.detail_type.to_string(), &data["authentication_url"])
            }
            "payment.changed" => (format!("payment.changed/{}", data["version"]), &changed),
            _ => (event.detail_type.to_string(), &data["reason"]),
        };
        match event.revision {
            Some(revision) => self.revisions.contains(&(event.order, revision)),
            None if &*event.detail_type == "inventory.reserved" => self.held.contains(&event.order),
            None => self.committed.get(&(event.order, name)) == Some(content),
        }
    }
}
