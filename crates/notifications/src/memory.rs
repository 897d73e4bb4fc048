//! Table, customers and mail in memory, for tests: behave like [`crate::store`],
//! [`crate::cognito`] and [`crate::ses`] without AWS.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
};

use jiff::Timestamp;
use platform::table::StoreError;
use shop::id::{CustomerId, OrderId};
use tables::notices::Outcome;

use crate::{
    handler::{
        Address, Claim, Claimed, Contact, CustomerError, Customers, MailError, Mailer, Notices,
    },
    notice::Notice,
};

/// The Notices table in memory.
#[derive(Debug, Default)]
pub struct MemoryNotices {
    rows: Mutex<BTreeMap<OrderId, Row>>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    revision: u32,
    claimed_until: Option<Timestamp>,
    outcome: Option<Outcome>,
}

impl MemoryNotices {
    /// What became of the last notice of an order.
    #[must_use]
    pub fn outcome(&self, order: OrderId) -> Option<Outcome> {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.get(&order)?.outcome
    }

    /// Ends a claim, unless another delivery has taken it over.
    fn end(&self, claim: &Claim, claimed_until: Option<Timestamp>, outcome: Option<Outcome>) {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(row) = rows.get_mut(&claim.order)
            && (row.revision, row.claimed_until) == (claim.revision, Some(claim.until))
        {
            row.claimed_until = claimed_until;
            row.outcome = outcome;
        }
    }
}

impl Notices for MemoryNotices {
    async fn claim(&self, claim: &Claim, now: Timestamp) -> Result<Claimed, StoreError> {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        match rows.get(&claim.order) {
            Some(row) if row.revision > claim.revision => return Ok(Claimed::Done),
            Some(row) if row.claimed_until.is_some_and(|until| now < until) => {
                return Ok(Claimed::Busy);
            }
            Some(row) if row.claimed_until.is_none() && row.revision == claim.revision => {
                return Ok(Claimed::Done);
            }
            _ => {}
        }
        rows.insert(
            claim.order,
            Row { revision: claim.revision, claimed_until: Some(claim.until), outcome: None },
        );
        Ok(Claimed::Granted)
    }

    async fn settle(&self, claim: &Claim, outcome: Outcome) -> Result<(), StoreError> {
        self.end(claim, None, Some(outcome));
        Ok(())
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        self.end(claim, Some(Timestamp::UNIX_EPOCH), None);
        Ok(())
    }
}

/// A user pool with these customers.
#[derive(Debug, Default)]
pub struct MemoryCustomers(pub HashMap<CustomerId, Contact>);

impl Customers for MemoryCustomers {
    async fn contact(&self, customer: &CustomerId) -> Result<Contact, CustomerError> {
        Ok(self.0.get(customer).cloned().unwrap_or(Contact::None))
    }
}

/// A mailer that keeps the mail.
#[derive(Debug, Default)]
pub struct MemoryMailer {
    sent: Mutex<Vec<(Address, Notice)>>,
}

impl MemoryMailer {
    /// All mail sent so far, in order.
    #[must_use]
    pub fn sent(&self) -> Vec<(Address, Notice)> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Mailer for MemoryMailer {
    async fn send(&self, to: &Address, notice: &Notice) -> Result<(), MailError> {
        // Sending takes a while, so that concurrent deliveries interleave.
        tokio::task::yield_now().await;
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).push((to.clone(), notice.clone()));
        Ok(())
    }
}
