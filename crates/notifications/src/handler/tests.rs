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

/// When an invocation that starts now has ended.
fn until() -> Timestamp {
    now() + 20.seconds()
}

fn notifications<M: Mailer>(mailer: M) -> InMemory<M> {
    let address = Contact::Verified(Address::new("camille@example.com"));
    let camille = (CustomerId::new("camille"), address);
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

/// The claim that an invocation leaves behind if it dies after it has claimed.
async fn claimed<M>(notifications: &InMemory<M>, revision: u32) -> Claim {
    let claim = Claim { order: ORDER.parse().unwrap(), revision, until: until() };
    assert_eq!(notifications.notices.claim(&claim, now()).await.unwrap(), Claimed::Granted);
    claim
}

const CONFIRMED: &str = "Your order is confirmed";
const READY: &str = "Your order is ready";

#[tokio::test]
async fn the_customer_is_notified_of_each_state_at_their_address() {
    let notifications = notifications(MemoryMailer::default());
    notifications.handle(&confirmed(), now(), until()).await.unwrap();
    notifications
        .handle(&event("order.preparing", json!({"revision": 4})), now(), until())
        .await
        .unwrap();
    notifications.handle(&ready(), now(), until()).await.unwrap();
    assert_eq!(subjects(&notifications), [CONFIRMED, READY]);
    assert!(notifications.mailer.sent().iter().all(|(to, _)| to.expose() == "camille@example.com"));
}

#[tokio::test]
async fn a_repeated_event_sends_one_notice() {
    let notifications = notifications(MemoryMailer::default());
    notifications.handle(&confirmed(), now(), until()).await.unwrap();
    notifications.handle(&confirmed(), now(), until()).await.unwrap();
    assert_eq!(subjects(&notifications), [CONFIRMED]);
}

#[tokio::test]
async fn an_older_state_sends_no_notice_after_a_newer_one() {
    let notifications = notifications(MemoryMailer::default());
    notifications.handle(&ready(), now(), until()).await.unwrap();
    notifications.handle(&confirmed(), now(), until()).await.unwrap();
    assert_eq!(subjects(&notifications), [READY]);
}

#[tokio::test]
async fn of_two_concurrent_deliveries_one_sends_and_the_other_is_retried() {
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
async fn a_newer_state_waits_for_the_claim_of_an_older_one() {
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
async fn a_notice_may_be_repeated_once_its_claim_has_lapsed() {
    let notifications = notifications(MemoryMailer::default());
    claimed(&notifications, 3).await;
    let early = notifications.handle(&confirmed(), until() - 1.millisecond(), until()).await;
    assert!(matches!(early, Err(NotificationsError::Busy)));
    notifications.handle(&confirmed(), until(), until() + 20.seconds()).await.unwrap();
    notifications.handle(&confirmed(), until() + 1.hour(), until() + 2.hours()).await.unwrap();
    assert_eq!(subjects(&notifications), [CONFIRMED]);
}

#[tokio::test]
async fn a_newer_state_takes_over_a_lapsed_claim_of_an_older_one() {
    let notifications = notifications(MemoryMailer::default());
    claimed(&notifications, 3).await;
    notifications.handle(&ready(), until(), until() + 20.seconds()).await.unwrap();
    notifications.handle(&confirmed(), until(), until() + 20.seconds()).await.unwrap();
    assert_eq!(subjects(&notifications), [READY]);
}

#[tokio::test]
async fn an_older_state_sends_no_notice_after_a_lapsed_claim_of_a_newer_one() {
    let notifications = notifications(MemoryMailer::default());
    claimed(&notifications, 5).await;
    notifications.handle(&confirmed(), until(), until() + 20.seconds()).await.unwrap();
    assert!(subjects(&notifications).is_empty());
    notifications.handle(&ready(), until(), until() + 20.seconds()).await.unwrap();
    assert_eq!(subjects(&notifications), [READY]);
}

#[tokio::test]
async fn a_lapsed_claim_cannot_end_the_claim_that_took_it_over() {
    let notifications = notifications(MemoryMailer::default());
    let late = claimed(&notifications, 3).await;
    let next = Claim { until: until() + 20.seconds(), ..late };
    assert_eq!(notifications.notices.claim(&next, until()).await.unwrap(), Claimed::Granted);
    notifications.notices.settle(&late, Outcome::Sent).await.unwrap();
    notifications.notices.release(&late).await.unwrap();
    assert_eq!(notifications.notices.claim(&next, until()).await.unwrap(), Claimed::Busy);
}

/// A mailer that accepts no mail.
struct Down(fn(String) -> MailError);

impl Mailer for Down {
    async fn send(&self, _to: &Address, _notice: &Notice) -> Result<(), MailError> {
        Err(self.0("down".into()))
    }
}

#[tokio::test]
async fn a_notice_that_could_not_be_sent_is_sent_by_the_next_delivery_without_waiting() {
    let down = notifications(Down(MailError::NotTaken));
    let error = down.handle(&confirmed(), now(), until()).await.unwrap_err();
    assert!(error.is_transient());
    let up = Notifications { notices: down.notices, ..notifications(MemoryMailer::default()) };
    up.handle(&confirmed(), now(), until()).await.unwrap();
    assert_eq!(subjects(&up), [CONFIRMED]);
}

#[tokio::test]
async fn a_malformed_mail_is_not_retried() {
    let error = notifications(Down(MailError::Malformed))
        .handle(&confirmed(), now(), until())
        .await
        .unwrap_err();
    assert!(!error.is_transient());
}

#[tokio::test]
async fn a_notice_to_a_customer_without_a_verified_address_is_dropped_with_the_reason() {
    let camille = || CustomerId::new("camille");
    for (customers, outcome) in [
        (MemoryCustomers::default(), Outcome::NoAddress),
        (MemoryCustomers([(camille(), Contact::None)].into()), Outcome::NoAddress),
        (MemoryCustomers([(camille(), Contact::Unverified)].into()), Outcome::Unverified),
    ] {
        let notifications = Notifications { customers, ..notifications(MemoryMailer::default()) };
        for event in [confirmed(), ready()] {
            notifications.handle(&event, now(), until()).await.unwrap();
            assert_eq!(notifications.notices.outcome(ORDER.parse().unwrap()), Some(outcome));
        }
        assert!(subjects(&notifications).is_empty());
    }
}

#[tokio::test]
async fn a_notice_that_no_longer_helps_is_dropped_and_one_about_money_is_sent() {
    let notifications = notifications(MemoryMailer::default());
    let outcome = || notifications.notices.outcome(ORDER.parse().unwrap());
    // The order was picked up on 24 November, and it is now the second of December.
    let (late, end) = (now() + 192.hours(), until() + 192.hours());
    for event in [confirmed(), ready()] {
        notifications.handle(&event, late, end).await.unwrap();
        assert_eq!(outcome(), Some(Outcome::TooLate));
    }
    assert!(subjects(&notifications).is_empty());
    let refunded = json!({"revision": 6, "status": "cancelled", "payment": "refunded"});
    let refunded = event("order.payment_changed", refunded);
    notifications.handle(&refunded, late, end).await.unwrap();
    assert_eq!(outcome(), Some(Outcome::Sent));
    assert_eq!(subjects(&notifications), ["We have given your money back"]);
}

#[tokio::test]
async fn a_notice_that_was_dropped_is_not_sent_by_a_delivery_in_time() {
    let notifications = notifications(MemoryMailer::default());
    let (late, end) = (now() + 192.hours(), until() + 192.hours());
    notifications.handle(&ready(), late, end).await.unwrap();
    for event in [confirmed(), ready()] {
        notifications.handle(&event, now(), until()).await.unwrap();
    }
    assert!(subjects(&notifications).is_empty());
}

#[test]
fn the_debug_form_of_an_address_hides_it() {
    assert!(!format!("{:?}", Address::new("camille@example.com")).contains("camille"));
}

#[test]
fn errors_say_once_what_is_wrong_and_only_some_are_retried() {
    let unreadable = StoreError::Row {
        table: "numbers".to_owned(),
        key: "7".to_owned(),
        reason: platform::decode::json::<u32>("[]").unwrap_err(),
    };
    let template = minijinja::Error::new(minijinja::ErrorKind::UndefinedError, "no total");
    let code = || "Code".to_owned();
    for (error, transient, text) in [
        (
            NotificationsError::from(template),
            false,
            "the event does not fit its template: undefined value: no total",
        ),
        (
            unreadable.into(),
            false,
            "the row `7` of numbers cannot be read: `.` is missing or not what it should be",
        ),
        (
            StoreError::MissingRow.into(),
            true,
            "the row to change is missing, although it was there a moment ago",
        ),
        (CustomerError(code()).into(), true, "Cognito AdminGetUser failed with Code"),
        (
            MailError::Malformed(code()).into(),
            false,
            "SES rejects the mail as malformed (Code); check the customer's address",
        ),
        (
            MailError::NotTaken(code()).into(),
            true,
            "SES did not accept the mail (Code); check that the sender is verified, that the \
             account is out of the SES sandbox, and how much of its quota it uses",
        ),
        (
            NotificationsError::Busy,
            true,
            "another delivery is notifying the customer of this order; the message is retried",
        ),
    ] {
        assert_eq!(error.is_transient(), transient, "{error}");
        assert_eq!(chain(&error), text);
    }
}
