//! What is to be done about differences, and what was done twice.

use super::*;
use crate::journal::{Decision, Entry};

/// What the groups of all differences say is to be done.
fn remedies(books: &Books) -> Vec<String> {
    let result = books.reconcile();
    let groups = Group::all(&result.differences, &books.settlements);
    groups.iter().filter_map(Group::remedy).collect()
}

impl Books {
    /// Settles every difference that there is by now.
    fn settled(mut self) -> Self {
        for difference in self.reconcile().differences {
            let (key, difference) = (difference.key(), difference.to_string());
            let decision = Decision::Settled { key: key.clone(), difference };
            let entry = Entry {
                at: at(PLACED_AT),
                who: "camille".to_owned(),
                decision,
                reason: "paid back by bank transfer".to_owned(),
            };
            self.settlements.insert(key, entry);
        }
        self
    }
}

/// A cancelled order whose refund the provider has refused.
fn refused(name: &str) -> Books {
    let reason = "expired_or_canceled_card".to_owned();
    Books::empty().with_cancelled(name, "refund_failed", |intent| Payment::Committed {
        intent,
        progress: Progress::RefundFailed { reason },
    })
}

#[test]
fn every_difference_says_what_to_do() {
    let mut books = Books::empty()
        .with_confirmed("o")
        .with_refund("o", 100, BookedRefundStatus::Succeeded)
        .with_intent("o", IntentId::new("pi_second"), IntentStatus::Succeeded)
        .with_order("stuck", "reserved", "none");
    books.unreadable.push(UnreadableRow {
        table: "MenuTable",
        key: "paris".to_owned(),
        reason: "`name` is missing".to_owned(),
    });
    let [surplus, stuck, row] = &remedies(&books)[..] else { panic!("{:?}", remedies(&books)) };
    assert!(surplus.contains("refund 2.80 EUR"), "{surplus}");
    assert!(stuck.contains(" retry`"), "{stuck}");
    assert!(row.contains("correct the field"), "{row}");
}

#[test]
fn the_differences_of_an_order_have_one_remedy_and_are_settled_by_the_order() {
    let [refund] = &remedies(&refused("o"))[..] else { panic!("not one remedy") };
    let order = id("o");
    assert!(refund.starts_with("refund 3.80 EUR in the provider's dashboard"), "{refund}");
    assert!(refund.contains(&format!("`cargo ops reconcile settle {order} ")), "{refund}");
    assert!(!refund.contains("retry"), "{refund}");

    let undoing = Books::empty().with_cancelled("o", "captured", |intent| Payment::Committed {
        intent,
        progress: Progress::Undoing,
    });
    assert_eq!(undoing.differences().len(), 2);
    let [retry] = &remedies(&undoing)[..] else { panic!("not one remedy") };
    assert!(retry.contains(&format!("`cargo ops order {order} retry`")), "{retry}");
    assert!(!retry.contains("dashboard"), "{retry}");
}

#[test]
fn what_is_left_of_an_order_that_was_settled_is_not_tried_again() {
    let mut books = Books::empty().with_cancelled("o", "captured", |intent| Payment::Committed {
        intent,
        progress: Progress::Undoing,
    });
    let kept = books.reconcile().differences[0].key();
    books = books.settled();
    books.settlements.retain(|key, _| *key == kept);
    let [rest] = &remedies(&books)[..] else { panic!("not one remedy") };
    assert!(rest.contains("was settled by hand") && !rest.contains("retry"), "{rest}");
}

#[test]
fn money_that_was_settled_by_hand_and_then_refunded_stands_out_until_that_is_settled() {
    let settled = refused("o").settled();
    assert_eq!(remedies(&settled), [""; 0]);
    let failed = settled.clone().with_refund("o", 380, BookedRefundStatus::Failed);
    assert_eq!(remedies(&failed), [""; 0]);
    let twice = settled.with_refund("o", 380, BookedRefundStatus::Succeeded);
    let found = about(
        "o",
        "was settled by hand and refunded: the provider has given 3.80 EUR back as well",
    );
    assert_eq!(twice.differences(), [found]);
    let [remedy] = &remedies(&twice)[..] else { panic!("not one remedy") };
    assert!(remedy.contains("whether the customer got the money twice"), "{remedy}");
    assert_eq!(remedies(&twice.settled()), [""; 0]);
}

#[test]
fn a_settlement_stands_while_its_order_goes_on_and_not_if_an_amount_changes() {
    let charged_twice = |status: &str| {
        let mut books = Books::empty()
            .with_confirmed("o")
            .with_intent("o", IntentId::new("pi_second"), IntentStatus::Succeeded)
            .with_confirmed("without stock");
        books.stock.reservations.remove(&id("without stock"));
        books.stock.held.values_mut().for_each(|held| *held /= 2);
        for order in &mut books.orders {
            order.status = serde_json::from_value(json!(status)).unwrap();
        }
        books
    };
    let settled = charged_twice("confirmed").settled().settlements;
    assert_eq!(settled.len(), 3);
    for status in ["preparing", "ready", "collected"] {
        let books = Books { settlements: settled.clone(), ..charged_twice(status) };
        assert_eq!(books.differences().len(), 3);
        assert_eq!(remedies(&books), [""; 0], "{status}");
    }
    let more =
        charged_twice("ready").with_intent("o", IntentId::new("pi_third"), IntentStatus::Succeeded);
    let more = Books { settlements: settled, ..more };
    assert!(remedies(&more)[0].contains("was settled by hand"), "{:?}", remedies(&more));
}

#[test]
fn a_part_that_is_refunded_after_all_was_settled_stands_out_with_its_amount() {
    let part = refused("o").settled().with_refund("o", 100, BookedRefundStatus::Pending);
    let found = part.differences();
    assert!(found[0].contains("the provider has given 1.00 EUR back as well"), "{found:?}");
    assert!(found[1].contains("has kept 2.80 EUR instead of 0.00 EUR"), "{found:?}");
    assert!(remedies(&part)[0].contains("got the money twice"), "{:?}", remedies(&part));
}

#[test]
fn a_refund_before_the_settlement_or_without_one_is_none_too_many() {
    let before = refused("o").with_refund("o", 100, BookedRefundStatus::Succeeded);
    assert_eq!(before.differences().len(), 1);
    assert_eq!(remedies(&before.settled()), [""; 0]);
    let by_hand = refused("o").with_refund("o", 380, BookedRefundStatus::Succeeded);
    assert_eq!(by_hand.differences(), [""; 0]);
    let [past] = &by_hand.refunded()[..] else { panic!("{:?}", by_hand.refunded()) };
    assert_eq!(past.key(), refused("o").reconcile().differences[0].key());
}
