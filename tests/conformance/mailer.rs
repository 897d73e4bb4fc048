//! [`Mailer`]: sending notices.

use notifications::{
    handler::{Address, MailError, Mailer},
    memory::MemoryMailer,
    notice::Notice,
    ses::Ses,
};
use uuid::Uuid;

use super::{conformance, new_order};
use crate::harness::System;

conformance!(
    [a_notice_arrives_only_at_its_address_and_unchanged, a_notice_sent_twice_arrives_twice];
    memory: MemoryMailer::default(),
    ses: Outbox::new().await,
);

/// A mailer whose mails can be read.
trait Observed: Mailer {
    /// Subject and text of all mails to an address, in order.
    async fn sent_to(&self, address: &Address) -> Vec<(String, String)>;
}

impl Observed for MemoryMailer {
    async fn sent_to(&self, address: &Address) -> Vec<(String, String)> {
        let sent = self.sent().into_iter().filter(|(to, _)| to == address);
        sent.map(|(_, notice)| (notice.subject, notice.text)).collect()
    }
}

struct Outbox {
    ses: Ses,
    system: System,
}

impl Outbox {
    async fn new() -> Self {
        let system = System::shared().await;
        let set = system.resource("MailSettings").await;
        Self { ses: Ses::new(&system.stack.aws(), "orders@amelie.example".to_owned(), set), system }
    }
}

impl Mailer for Outbox {
    async fn send(&self, to: &Address, notice: &Notice) -> Result<(), MailError> {
        self.ses.send(to, notice).await
    }
}

impl Observed for Outbox {
    async fn sent_to(&self, address: &Address) -> Vec<(String, String)> {
        let sent = self
            .system
            .stack
            .mail()
            .await
            .unwrap()
            .into_iter()
            .filter(|mail| mail.to == [address.expose()]);
        sent.map(|mail| (mail.subject, mail.text)).collect()
    }
}

fn new_address() -> Address {
    Address::new(format!("{}@example.com", Uuid::new_v4()))
}

fn notice() -> Notice {
    Notice {
        order: new_order(),
        subject: "Your éclair is ready".to_owned(),
        text: "Dear Noor,\n\nit is \"café & crème\" \u{1f370}.".to_owned(),
    }
}

async fn a_notice_arrives_only_at_its_address_and_unchanged(mailer: impl Observed) {
    let (noor, camille, notice) = (new_address(), new_address(), notice());
    mailer.send(&noor, &notice).await.unwrap();
    assert_eq!(mailer.sent_to(&noor).await, [(notice.subject, notice.text)]);
    assert_eq!(mailer.sent_to(&camille).await, []);
}

async fn a_notice_sent_twice_arrives_twice(mailer: impl Observed) {
    let (noor, notice) = (new_address(), notice());
    for _ in 0..2 {
        mailer.send(&noor, &notice).await.unwrap();
    }
    assert_eq!(mailer.sent_to(&noor).await.len(), 2);
}
