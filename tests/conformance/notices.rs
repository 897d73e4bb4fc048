//! [`Notices`]: the last revision of an order that its customer was notified of.

use futures::future::join_all;
use jiff::{Timestamp, ToSpan};
use notifications::{
    handler::{Claim, Claimed, Notices},
    memory::MemoryNotices,
    store::DynamoDb,
};
use shop::id::OrderId;
use tables::notices::Outcome::{self, NoAddress, Sent, TooLate, Unverified};

use super::{conformance, new_order};
use crate::harness::System;

conformance!(
    [
        a_settled_revision_and_older_ones_are_done,
        a_newer_revision_than_the_settled_one_is_granted,
        during_a_claim_older_revisions_are_done_and_others_busy,
        a_released_claim_is_granted_again_except_to_older_revisions,
        a_claim_lapses_exactly_at_its_time,
        the_holder_of_a_lapsed_claim_cannot_end_the_next_one,
        settling_or_releasing_without_a_claim_changes_nothing,
        one_of_several_concurrent_claims_is_granted,
        the_outcome_of_the_last_notice_is_kept_until_the_next_claim,
    ];
    memory: MemoryNotices::default(),
    dynamodb: dynamodb().await,
);

async fn dynamodb() -> DynamoDb {
    let system = System::shared().await;
    DynamoDb::new(
        &system.stack.aws(),
        system.stack.outputs.get("NoticesTableName").unwrap().to_owned(),
    )
}

/// The rows behind [`Notices`].
trait Rows: Notices {
    async fn outcome(&self, order: OrderId) -> Option<Outcome>;
}

impl Rows for MemoryNotices {
    async fn outcome(&self, order: OrderId) -> Option<Outcome> {
        Self::outcome(self, order)
    }
}

impl Rows for DynamoDb {
    async fn outcome(&self, order: OrderId) -> Option<Outcome> {
        let rows = System::shared().await.rows("NoticesTableName").await;
        let row = rows.into_iter().find(|row| row["order_id"] == order.to_string()).unwrap();
        serde_json::from_value(row["outcome"].clone()).unwrap()
    }
}

fn now() -> Timestamp {
    fixtures::at(fixtures::PLACED_AT)
}

/// The time when claims made now lapse.
fn until() -> Timestamp {
    now() + 20.seconds()
}

fn claim_of(order: OrderId, revision: u32) -> Claim {
    Claim { order, revision, until: until() }
}

/// Claims a revision now.
async fn claim(notices: &impl Notices, order: OrderId, revision: u32) -> Claimed {
    notices.claim(&claim_of(order, revision), now()).await.unwrap()
}

/// A new order with a claim of revision 3.
async fn claimed(notices: &impl Notices) -> OrderId {
    let order = new_order();
    assert_eq!(claim(notices, order, 3).await, Claimed::Granted);
    order
}

async fn a_settled_revision_and_older_ones_are_done(notices: impl Notices) {
    let order = claimed(&notices).await;
    notices.settle(&claim_of(order, 3), Sent).await.unwrap();
    for revision in [3, 2] {
        assert_eq!(claim(&notices, order, revision).await, Claimed::Done);
        let much_later =
            notices.claim(&claim_of(order, revision), until() + 1.hour()).await.unwrap();
        assert_eq!(much_later, Claimed::Done);
    }
}

async fn a_newer_revision_than_the_settled_one_is_granted(notices: impl Notices) {
    let order = claimed(&notices).await;
    notices.settle(&claim_of(order, 3), Sent).await.unwrap();
    assert_eq!(claim(&notices, order, 5).await, Claimed::Granted);
    notices.settle(&claim_of(order, 5), Sent).await.unwrap();
    assert_eq!(claim(&notices, order, 4).await, Claimed::Done);
}

async fn during_a_claim_older_revisions_are_done_and_others_busy(notices: impl Notices) {
    let order = claimed(&notices).await;
    assert_eq!(claim(&notices, order, 3).await, Claimed::Busy);
    assert_eq!(claim(&notices, order, 4).await, Claimed::Busy);
    assert_eq!(claim(&notices, order, 2).await, Claimed::Done);
    assert_eq!(claim(&notices, new_order(), 3).await, Claimed::Granted);
}

async fn a_released_claim_is_granted_again_except_to_older_revisions(notices: impl Notices) {
    for (revision, outcome) in [(2, Claimed::Done), (3, Claimed::Granted), (4, Claimed::Granted)] {
        let order = claimed(&notices).await;
        notices.release(&claim_of(order, 3)).await.unwrap();
        assert_eq!(claim(&notices, order, revision).await, outcome, "revision {revision}");
    }
}

async fn a_claim_lapses_exactly_at_its_time(notices: impl Notices) {
    for (revision, outcome) in [(2, Claimed::Done), (3, Claimed::Granted), (4, Claimed::Granted)] {
        let order = claimed(&notices).await;
        let next = Claim { until: until() + 20.seconds(), ..claim_of(order, revision) };
        let early = notices.claim(&next, until() - 1.millisecond()).await.unwrap();
        assert_eq!(early, if revision < 3 { Claimed::Done } else { Claimed::Busy });
        assert_eq!(notices.claim(&next, until()).await.unwrap(), outcome, "revision {revision}");
    }
}

async fn the_holder_of_a_lapsed_claim_cannot_end_the_next_one(notices: impl Notices) {
    for revision in [3, 4] {
        let order = claimed(&notices).await;
        let next = Claim { until: until() + 20.seconds(), ..claim_of(order, revision) };
        assert_eq!(notices.claim(&next, until()).await.unwrap(), Claimed::Granted);
        notices.settle(&claim_of(order, 3), Sent).await.unwrap();
        notices.release(&claim_of(order, 3)).await.unwrap();
        assert_eq!(notices.claim(&next, until()).await.unwrap(), Claimed::Busy);
        notices.settle(&next, Sent).await.unwrap();
        assert_eq!(notices.claim(&next, until()).await.unwrap(), Claimed::Done);
    }
}

async fn settling_or_releasing_without_a_claim_changes_nothing(notices: impl Notices) {
    let order = new_order();
    notices.settle(&claim_of(order, 3), Sent).await.unwrap();
    notices.release(&claim_of(order, 3)).await.unwrap();
    assert_eq!(claim(&notices, order, 1).await, Claimed::Granted);
}

async fn one_of_several_concurrent_claims_is_granted(notices: impl Notices) {
    let order = new_order();
    let outcomes = join_all((0..5).map(|_| claim(&notices, order, 3))).await;
    let count = |outcome| outcomes.iter().filter(|other| **other == outcome).count();
    assert_eq!((count(Claimed::Granted), count(Claimed::Busy)), (1, 4), "{outcomes:?}");
}

async fn the_outcome_of_the_last_notice_is_kept_until_the_next_claim(notices: impl Rows) {
    let order = new_order();
    for (revision, outcome) in [(3, Sent), (4, TooLate), (5, Unverified), (6, NoAddress)] {
        assert_eq!(claim(&notices, order, revision).await, Claimed::Granted);
        assert_eq!(notices.outcome(order).await, None);
        notices.settle(&claim_of(order, revision), outcome).await.unwrap();
        assert_eq!(notices.outcome(order).await, Some(outcome));
        assert_eq!(claim(&notices, order, revision).await, Claimed::Done);
    }
    claim(&notices, order, 7).await;
    notices.release(&claim_of(order, 7)).await.unwrap();
    assert_eq!(notices.outcome(order).await, None);
}
