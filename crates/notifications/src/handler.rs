//! The use case: notify the customer of each state once, in order.
//!
//! A notice is claimed, sent and then settled, so that of two concurrent deliveries of an event
//! only one sends it. A claim holds for as long as the invocation that made it may run. When
//! Lambda has ended that invocation, it is unknown whether the notice was sent: the next delivery
//! takes the claim over and may send the notice again, so that none is lost.
//!
//! A newer event waits for the claim of an older one, since their mails could otherwise arrive in
//! the wrong order. An older event is done as soon as a newer one has been claimed, even if that
//! claim was released: the newer mail may have been sent, and if it was not, its message is
//! retried.

use std::fmt;

use jiff::Timestamp;
use platform::{cause::chain, queue::Retryable, table::StoreError};
use shop::{
    event::OrderEvent,
    id::{CustomerId, OrderId},
};
use tables::notices::Outcome;

use crate::{
    metrics,
    notice::{Notice, Templates, helps_until},
};

/// The last revision of each order that its customer was notified of.
pub trait Notices {
    /// Claims a revision at `now`, if its notice is still to be sent and no other delivery holds
    /// a claim on the order.
    async fn claim(&self, claim: &Claim, now: Timestamp) -> Result<Claimed, StoreError>;

    /// Records what became of the claimed notice, unless another delivery has taken the claim over.
    async fn settle(&self, claim: &Claim, outcome: Outcome) -> Result<(), StoreError>;

    /// Gives up the claim without a notice, unless another delivery has taken it over.
    async fn release(&self, claim: &Claim) -> Result<(), StoreError>;
}

/// The exclusive right to notify a customer of one revision of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    pub order: OrderId,
    pub revision: u32,
    /// When the claim lapses, in whole milliseconds. The invocation that made it has ended by
    /// then.
    pub until: Timestamp,
}

/// The outcome of an attempt to claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// The claim is made.
    Granted,
    /// Nothing is left to send: the notice of this revision was sent or dropped, or a newer
    /// revision was claimed.
    Done,
    /// Another delivery holds a claim on this or an older revision.
    Busy,
}

/// The customers' addresses.
pub trait Customers {
    /// How a customer can be reached.
    async fn contact(&self, customer: &CustomerId) -> Result<Contact, CustomerError>;
}

/// How a customer can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contact {
    /// At this address, which the customer has confirmed to be theirs.
    Verified(Address),
    /// Not at all yet: the address may be anybody's, so it is not even passed on.
    Unverified,
    /// Not at all: the account is deleted or has no address.
    None,
}

/// An e-mail address. Its debug form is `Address(…)`, so that no log line can hold it.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(String);

impl Address {
    #[must_use]
    pub fn new(address: impl Into<String>) -> Self {
        Self(address.into())
    }

    /// The address as text. Only a mailer may need it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address(…)")
    }
}

/// Why a customer's address could not be looked up.
#[derive(Debug, thiserror::Error)]
#[error("Cognito AdminGetUser failed with {0}")]
pub struct CustomerError(pub String);

pub trait Mailer {
    /// Sends a notice.
    ///
    /// # Errors
    /// The notice may not have been sent. It may have been sent all the same.
    async fn send(&self, to: &Address, notice: &Notice) -> Result<(), MailError>;
}

/// Why a notice may not have been sent. The texts are error codes and hold no address.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// SES rejects the mail itself, or its recipient.
    #[error("SES rejects the mail as malformed ({0}); check the customer's address")]
    Malformed(String),
    /// SES accepts no mail for now, at least from this sender, or did not answer. Its quotas for a
    /// second and for a day are among the reasons.
    #[error(
        "SES did not accept the mail ({0}); check that the sender is verified, that the account is \
         out of the SES sandbox, and how much of its quota it uses"
    )]
    NotTaken(String),
}

/// Why handling an event failed.
#[derive(Debug, thiserror::Error)]
pub enum NotificationsError {
    #[error("the event does not fit its template")]
    Template(#[from] minijinja::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Customer(#[from] CustomerError),
    #[error(transparent)]
    Mail(#[from] MailError),
    /// Another delivery holds a claim on the order.
    #[error("another delivery is notifying the customer of this order; the message is retried")]
    Busy,
}

impl Retryable for NotificationsError {
    fn is_transient(&self) -> bool {
        match self {
            Self::Template(_) | Self::Mail(MailError::Malformed(_)) => false,
            Self::Store(error) => error.is_transient(),
            Self::Customer(_) | Self::Mail(MailError::NotTaken(_)) | Self::Busy => true,
        }
    }
}

/// The function with its ports.
#[derive(Debug)]
pub struct Notifications<N, C, M> {
    pub notices: N,
    pub customers: C,
    pub mailer: M,
    pub templates: Templates,
}

impl<N: Notices, C: Customers, M: Mailer> Notifications<N, C, M> {
    /// Notifies the customer of an event that concerns them, unless the notice of this event or of
    /// a newer one was sent before, or [no longer helps](helps_until) at `now`. The invocation ends
    /// at `until` at the latest.
    ///
    /// # Errors
    /// The notice may not have been sent, or another delivery is sending one.
    pub async fn handle(
        &self,
        event: &OrderEvent,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<(), NotificationsError> {
        let order = &event.detail.data;
        let (order_id, revision) = (order.order_id, order.revision);
        let Some(notice) = self.templates.notice(event)? else {
            return Ok(());
        };
        let claim = Claim { order: order_id, revision, until };
        match self.notices.claim(&claim, now).await? {
            Claimed::Granted => {}
            Claimed::Done => {
                tracing::info!(revision, "no notice: sent before, or overtaken");
                return Ok(());
            }
            Claimed::Busy => return Err(NotificationsError::Busy),
        }
        match self.notify(event, &notice, now).await {
            Ok(outcome) => {
                self.notices.settle(&claim, outcome).await?;
                metrics::record(outcome);
                Ok(())
            }
            Err(error) => {
                // Lets the next delivery claim at once. If this fails, it waits until the claim
                // lapses.
                if let Err(error) = self.notices.release(&claim).await {
                    tracing::warn!(error = chain(&error), "the claim was not released");
                }
                Err(error)
            }
        }
    }

    /// Sends a notice, unless it no longer helps or cannot reach the customer.
    async fn notify(
        &self,
        event: &OrderEvent,
        notice: &Notice,
        now: Timestamp,
    ) -> Result<Outcome, NotificationsError> {
        let order = &event.detail.data;
        let (revision, subject) = (order.revision, &notice.subject);
        if helps_until(event).is_some_and(|end| end <= now) {
            tracing::warn!(revision, subject, "notice dropped: too late to help");
            return Ok(Outcome::TooLate);
        }
        match self.customers.contact(&order.customer_id).await? {
            Contact::Verified(address) => {
                self.mailer.send(&address, notice).await?;
                tracing::info!(revision, subject, "notice sent");
                Ok(Outcome::Sent)
            }
            Contact::Unverified => {
                tracing::warn!(revision, subject, "notice dropped: unverified address");
                Ok(Outcome::Unverified)
            }
            Contact::None => {
                tracing::warn!(revision, subject, "notice dropped: no address");
                Ok(Outcome::NoAddress)
            }
        }
    }
}

#[cfg(test)]
mod tests;
