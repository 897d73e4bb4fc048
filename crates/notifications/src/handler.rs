//! The use case: tell the customer of each state once, in order.
//!
//! A notice is claimed, sent, and then noted as told, so that of two deliveries of an event only
//! one sends. A claim holds as long as the invocation that made it may run. When Lambda has ended
//! that one, nobody knows whether its notice was sent: the next delivery takes over and may repeat
//! it, but none is lost.
//!
//! A newer event waits for the claim of an older one, since their mails could otherwise change
//! places. An older event is done with as soon as a newer one is claimed, even if that claim came
//! to nothing: the newer one's mail may be out, and if it is not, its message is still there to
//! come again.

use std::fmt;

use jiff::Timestamp;
use platform::{queue::Retryable, table::StoreError};
use shop::{
    event::{OrderData, OrderEvent},
    id::{CustomerId, OrderId},
};

use crate::notice::{Notice, Templates};

/// How far each order's customer has been told.
pub trait Notices {
    /// Claims a revision at `now`, if it is still to be told and nobody else is telling the
    /// customer of this order.
    async fn claim(&self, claim: &Claim, now: Timestamp) -> Result<Claimed, StoreError>;

    /// Notes that what was claimed is told, unless somebody else has taken over.
    async fn settle(&self, claim: &Claim) -> Result<(), StoreError>;

    /// Gives up what was claimed, untold, unless somebody else has taken over.
    async fn release(&self, claim: &Claim) -> Result<(), StoreError>;
}

/// The right to tell a customer of an order's revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The order.
    pub order: OrderId,
    /// The revision.
    pub revision: u32,
    /// When it lapses, in whole milliseconds. Whoever claims is certain not to run any more then.
    pub until: Timestamp,
}

/// What came of an attempt to claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// The claim is made.
    Granted,
    /// There is nothing to tell (any more): this revision has been told, or a newer one was
    /// claimed.
    Done,
    /// Somebody else is telling the customer, of this or an older revision.
    Busy,
}

/// The customers, as far as this function may know them.
pub trait Customers {
    /// Where to reach a customer; none for one who is gone or has no e-mail address.
    async fn address(&self, customer: &CustomerId) -> Result<Option<Address>, CustomerError>;
}

/// An e-mail address. It prints as `…`, so that no log line can hold it.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(String);

impl Address {
    /// Takes an address as the user pool has it.
    #[must_use]
    pub fn new(address: impl Into<String>) -> Self {
        Self(address.into())
    }

    /// The address, for the mailer alone.
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

/// Sends mail.
pub trait Mailer {
    /// Sends a notice.
    ///
    /// # Errors
    /// When it may not have been sent; it may have been all the same.
    async fn send(&self, to: &Address, notice: &Notice) -> Result<(), MailError>;
}

/// Why a notice may not have been sent. The reasons hold no address.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// No mail can be made of it, or not for that address.
    #[error(
        "SES cannot make a mail of the notice ({0}): look whether the customer's address is one"
    )]
    Malformed(String),
    /// SES does not take mail, from this sender at least, or did not answer.
    #[error(
        "SES did not take the notice ({0}): look whether it may send as the sender, and is out of its sandbox"
    )]
    NotTaken(String),
}

/// Why a record has to come again.
#[derive(Debug, thiserror::Error)]
pub enum NotificationsError {
    /// The event cannot be put into words.
    #[error("the event does not fit its template: {0}")]
    Template(#[from] minijinja::Error),
    /// The table failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The user pool failed.
    #[error(transparent)]
    Customer(#[from] CustomerError),
    /// The mailer failed.
    #[error(transparent)]
    Mail(#[from] MailError),
    /// Two deliveries at once.
    #[error("the customer is just being told of this order; this comes again")]
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
    /// Its table.
    pub notices: N,
    /// Where addresses come from.
    pub customers: C,
    /// How notices go out.
    pub mailer: M,
    /// Their words.
    pub templates: Templates,
}

impl<N: Notices, C: Customers, M: Mailer> Notifications<N, C, M> {
    /// Tells the customer of an event that concerns them, unless they were told of it or of a newer
    /// one before. It is `now`, and this will not run beyond `until`.
    ///
    /// # Errors
    /// When the customer may not have been told, or is just being told by somebody else.
    pub async fn handle(
        &self,
        event: &OrderEvent,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<(), NotificationsError> {
        let order = &event.detail.data;
        let Some(notice) = self.templates.notice(event)? else {
            return Ok(());
        };
        let claim = Claim { order: order.order_id, revision: order.revision, until };
        match self.notices.claim(&claim, now).await? {
            Claimed::Granted => {}
            Claimed::Done => {
                tracing::info!(order_id = %order.order_id, revision = order.revision, "told before, or overtaken");
                return Ok(());
            }
            Claimed::Busy => return Err(NotificationsError::Busy),
        }
        if let Err(error) = self.tell(order, &notice).await {
            // The next delivery need not wait until the claim lapses. Where this fails, it waits.
            if let Err(error) = self.notices.release(&claim).await {
                tracing::warn!(order_id = %order.order_id, %error, "could not release a claim");
            }
            return Err(error);
        }
        Ok(self.notices.settle(&claim).await?)
    }

    async fn tell(&self, order: &OrderData, notice: &Notice) -> Result<(), NotificationsError> {
        let Some(address) = self.customers.address(&order.customer_id).await? else {
            tracing::warn!(order_id = %order.order_id, "not told: the customer is gone or has no address");
            return Ok(());
        };
        self.mailer.send(&address, notice).await?;
        tracing::info!(order_id = %order.order_id, revision = order.revision, subject = notice.subject, "told");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;
    use serde_json::json;

    use super::*;
    use crate::{
        memory::{MemoryCustomers, MemoryMailer, MemoryNotices},
        notice::tests::{ORDER, event},
    };

    type InMemory<M> = Notifications<MemoryNotices, MemoryCustomers, M>;

    fn now() -> Timestamp {
        "2026-11-24T08:00:00Z".parse().unwrap()
    }

    /// When an invocation that starts now must be over.
    fn until() -> Timestamp {
        now() + 20.seconds()
    }

    fn notifications<M: Mailer>(mailer: M) -> InMemory<M> {
        let camille = (CustomerId::new("camille"), Address::new("camille@example.com"));
        Notifications {
            notices: MemoryNotices::default(),
            customers: MemoryCustomers([camille].into()),
            mailer,
            templates: Templates::new().unwrap(),
        }
    }

    fn confirmed() -> OrderEvent {
        event("order.confirmed", json!({"revision": 3}))
    }

    fn ready() -> OrderEvent {
        event("order.ready", json!({"revision": 5, "status": "ready"}))
    }

    fn subjects(notifications: &InMemory<MemoryMailer>) -> Vec<String> {
        notifications.mailer.sent().into_iter().map(|(_, notice)| notice.subject).collect()
    }

    /// What an invocation leaves that is ended after it has claimed.
    async fn claimed<M>(notifications: &InMemory<M>, revision: u32) -> Claim {
        let claim = Claim { order: ORDER.parse().unwrap(), revision, until: until() };
        assert_eq!(notifications.notices.claim(&claim, now()).await.unwrap(), Claimed::Granted);
        claim
    }

    const CONFIRMED: &str = "Your order is confirmed";
    const READY: &str = "Your order is ready";

    #[tokio::test]
    async fn the_customer_is_told_of_each_state_at_their_address() {
        let notifications = notifications(MemoryMailer::default());
        notifications.handle(&confirmed(), now(), until()).await.unwrap();
        notifications
            .handle(&event("order.preparing", json!({"revision": 4})), now(), until())
            .await
            .unwrap();
        notifications.handle(&ready(), now(), until()).await.unwrap();
        assert_eq!(subjects(&notifications), [CONFIRMED, READY]);
        assert!(
            notifications.mailer.sent().iter().all(|(to, _)| to.expose() == "camille@example.com")
        );
    }

    #[tokio::test]
    async fn an_event_that_comes_twice_is_told_once() {
        let notifications = notifications(MemoryMailer::default());
        notifications.handle(&confirmed(), now(), until()).await.unwrap();
        notifications.handle(&confirmed(), now(), until()).await.unwrap();
        assert_eq!(subjects(&notifications), [CONFIRMED]);
    }

    #[tokio::test]
    async fn an_older_state_is_not_told_after_a_newer_one() {
        let notifications = notifications(MemoryMailer::default());
        notifications.handle(&ready(), now(), until()).await.unwrap();
        notifications.handle(&confirmed(), now(), until()).await.unwrap();
        assert_eq!(subjects(&notifications), [READY]);
    }

    #[tokio::test]
    async fn of_two_deliveries_at_once_one_tells_and_the_other_comes_again_to_find_it_told() {
        let notifications = notifications(MemoryMailer::default());
        let (confirmed, until) = (confirmed(), until());
        let (first, second) = tokio::join!(
            notifications.handle(&confirmed, now(), until),
            notifications.handle(&confirmed, now(), until)
        );
        first.unwrap();
        assert!(second.unwrap_err().is_transient());
        notifications.handle(&confirmed, now(), until).await.unwrap();
        assert_eq!(subjects(&notifications), [CONFIRMED]);
    }

    #[tokio::test]
    async fn a_newer_state_waits_for_its_turn() {
        let notifications = notifications(MemoryMailer::default());
        let (confirmed, ready, until) = (confirmed(), ready(), until());
        let (first, second) = tokio::join!(
            notifications.handle(&confirmed, now(), until),
            notifications.handle(&ready, now(), until)
        );
        first.unwrap();
        assert!(second.unwrap_err().is_transient());
        notifications.handle(&ready, now(), until).await.unwrap();
        assert_eq!(subjects(&notifications), [CONFIRMED, READY]);
    }

    #[tokio::test]
    async fn a_notice_that_may_have_been_sent_by_one_who_died_is_repeated_when_its_claim_has_lapsed()
     {
        let notifications = notifications(MemoryMailer::default());
        claimed(&notifications, 3).await;
        let early = notifications.handle(&confirmed(), until() - 1.millisecond(), until()).await;
        assert!(matches!(early, Err(NotificationsError::Busy)));
        notifications.handle(&confirmed(), until(), until() + 20.seconds()).await.unwrap();
        notifications.handle(&confirmed(), until() + 1.hour(), until() + 2.hours()).await.unwrap();
        assert_eq!(subjects(&notifications), [CONFIRMED]);
    }

    #[tokio::test]
    async fn a_newer_state_takes_over_from_one_who_died_over_an_older_one() {
        let notifications = notifications(MemoryMailer::default());
        claimed(&notifications, 3).await;
        notifications.handle(&ready(), until(), until() + 20.seconds()).await.unwrap();
        notifications.handle(&confirmed(), until(), until() + 20.seconds()).await.unwrap();
        assert_eq!(subjects(&notifications), [READY]);
    }

    #[tokio::test]
    async fn an_older_state_does_not_follow_a_newer_one_that_may_have_been_sent_by_one_who_died() {
        let notifications = notifications(MemoryMailer::default());
        claimed(&notifications, 5).await;
        notifications.handle(&confirmed(), until(), until() + 20.seconds()).await.unwrap();
        assert!(subjects(&notifications).is_empty());
        notifications.handle(&ready(), until(), until() + 20.seconds()).await.unwrap();
        assert_eq!(subjects(&notifications), [READY]);
    }

    #[tokio::test]
    async fn one_who_was_taken_for_dead_does_not_end_the_claim_of_the_next() {
        let notifications = notifications(MemoryMailer::default());
        let late = claimed(&notifications, 3).await;
        let next = Claim { until: until() + 20.seconds(), ..late };
        assert_eq!(notifications.notices.claim(&next, until()).await.unwrap(), Claimed::Granted);
        notifications.notices.settle(&late).await.unwrap();
        notifications.notices.release(&late).await.unwrap();
        assert_eq!(notifications.notices.claim(&next, until()).await.unwrap(), Claimed::Busy);
    }

    /// A mailer that takes no mail.
    struct Down(fn(String) -> MailError);

    impl Mailer for Down {
        async fn send(&self, _to: &Address, _notice: &Notice) -> Result<(), MailError> {
            Err(self.0("down".into()))
        }
    }

    #[tokio::test]
    async fn a_notice_that_could_not_be_sent_is_told_by_the_next_delivery_without_waiting() {
        let down = notifications(Down(MailError::NotTaken));
        let error = down.handle(&confirmed(), now(), until()).await.unwrap_err();
        assert!(error.is_transient());
        let up = Notifications { notices: down.notices, ..notifications(MemoryMailer::default()) };
        up.handle(&confirmed(), now(), until()).await.unwrap();
        assert_eq!(subjects(&up), [CONFIRMED]);
    }

    #[tokio::test]
    async fn a_notice_that_no_mail_can_be_made_of_does_not_wait_for_better_times() {
        let error = notifications(Down(MailError::Malformed))
            .handle(&confirmed(), now(), until())
            .await
            .unwrap_err();
        assert!(!error.is_transient());
    }

    #[tokio::test]
    async fn what_a_customer_who_is_gone_would_be_told_is_acknowledged() {
        let notifications = Notifications {
            customers: MemoryCustomers::default(),
            ..notifications(MemoryMailer::default())
        };
        notifications.handle(&confirmed(), now(), until()).await.unwrap();
        notifications.handle(&ready(), now(), until()).await.unwrap();
        assert!(subjects(&notifications).is_empty());
    }

    #[test]
    fn an_address_never_prints() {
        assert!(!format!("{:?}", Address::new("camille@example.com")).contains("camille"));
    }
}
