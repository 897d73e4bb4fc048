//! [`Notices`]: how far a customer has been told.

use futures::future::join_all;
use jiff::{Timestamp, ToSpan};
use notifications::{
    handler::{Claim, Claimed, Notices},
    memory::MemoryNotices,
    store::DynamoDb,
};
use shop::id::OrderId;

use super::{an_order, conformance};
use crate::harness::System;

conformance!(
    [
        what_has_been_told_is_done_with,
        what_is_newer_than_what_has_been_told_can_be_claimed,
        while_somebody_tells_all_others_wait_but_for_what_is_older,
        what_is_given_up_can_be_claimed_at_once_by_what_is_not_older,
        a_claim_lapses_at_its_time_and_not_before,
        one_whose_claim_was_taken_over_ends_nothing,
        a_claim_that_was_never_made_ends_nothing,
        of_many_who_claim_at_once_one_tells,
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

fn now() -> Timestamp {
    "2026-11-24T08:00:00Z".parse().unwrap()
}

/// When claims made now lapse.
fn until() -> Timestamp {
    now() + 20.seconds()
}

fn claim_of(order: OrderId, revision: u32) -> Claim {
    Claim { order, revision, until: until() }
}

/// Claims a revision, now.
async fn claim(notices: &impl Notices, order: OrderId, revision: u32) -> Claimed {
    notices.claim(&claim_of(order, revision), now()).await.unwrap()
}

/// An order whose customer is just being told of revision 3.
async fn telling(notices: &impl Notices) -> OrderId {
    let order = an_order();
    assert_eq!(claim(notices, order, 3).await, Claimed::Granted);
    order
}

async fn what_has_been_told_is_done_with(notices: impl Notices) {
    let order = telling(&notices).await;
    notices.settle(&claim_of(order, 3)).await.unwrap();
    for revision in [3, 2] {
        assert_eq!(claim(&notices, order, revision).await, Claimed::Done);
        let much_later =
            notices.claim(&claim_of(order, revision), until() + 1.hour()).await.unwrap();
        assert_eq!(much_later, Claimed::Done);
    }
}

async fn what_is_newer_than_what_has_been_told_can_be_claimed(notices: impl Notices) {
    let order = telling(&notices).await;
    notices.settle(&claim_of(order, 3)).await.unwrap();
    assert_eq!(claim(&notices, order, 5).await, Claimed::Granted);
    notices.settle(&claim_of(order, 5)).await.unwrap();
    assert_eq!(claim(&notices, order, 4).await, Claimed::Done);
}

async fn while_somebody_tells_all_others_wait_but_for_what_is_older(notices: impl Notices) {
    let order = telling(&notices).await;
    assert_eq!(claim(&notices, order, 3).await, Claimed::Busy);
    assert_eq!(claim(&notices, order, 4).await, Claimed::Busy);
    assert_eq!(claim(&notices, order, 2).await, Claimed::Done);
    assert_eq!(claim(&notices, an_order(), 3).await, Claimed::Granted);
}

async fn what_is_given_up_can_be_claimed_at_once_by_what_is_not_older(notices: impl Notices) {
    for (revision, outcome) in [(2, Claimed::Done), (3, Claimed::Granted), (4, Claimed::Granted)] {
        let order = telling(&notices).await;
        notices.release(&claim_of(order, 3)).await.unwrap();
        assert_eq!(claim(&notices, order, revision).await, outcome, "revision {revision}");
    }
}

async fn a_claim_lapses_at_its_time_and_not_before(notices: impl Notices) {
    for (revision, outcome) in [(2, Claimed::Done), (3, Claimed::Granted), (4, Claimed::Granted)] {
        let order = telling(&notices).await;
        let next = Claim { until: until() + 20.seconds(), ..claim_of(order, revision) };
        let early = notices.claim(&next, until() - 1.millisecond()).await.unwrap();
        assert_eq!(early, if revision < 3 { Claimed::Done } else { Claimed::Busy });
        assert_eq!(notices.claim(&next, until()).await.unwrap(), outcome, "revision {revision}");
    }
}

async fn one_whose_claim_was_taken_over_ends_nothing(notices: impl Notices) {
    for revision in [3, 4] {
        let order = telling(&notices).await;
        let next = Claim { until: until() + 20.seconds(), ..claim_of(order, revision) };
        assert_eq!(notices.claim(&next, until()).await.unwrap(), Claimed::Granted);
        notices.settle(&claim_of(order, 3)).await.unwrap();
        notices.release(&claim_of(order, 3)).await.unwrap();
        assert_eq!(notices.claim(&next, until()).await.unwrap(), Claimed::Busy);
        notices.settle(&next).await.unwrap();
        assert_eq!(notices.claim(&next, until()).await.unwrap(), Claimed::Done);
    }
}

async fn a_claim_that_was_never_made_ends_nothing(notices: impl Notices) {
    let order = an_order();
    notices.settle(&claim_of(order, 3)).await.unwrap();
    notices.release(&claim_of(order, 3)).await.unwrap();
    assert_eq!(claim(&notices, order, 1).await, Claimed::Granted);
}

async fn of_many_who_claim_at_once_one_tells(notices: impl Notices) {
    let order = an_order();
    let outcomes = join_all((0..5).map(|_| claim(&notices, order, 3))).await;
    let count = |outcome| outcomes.iter().filter(|other| **other == outcome).count();
    assert_eq!((count(Claimed::Granted), count(Claimed::Busy)), (1, 4), "{outcomes:?}");
}
