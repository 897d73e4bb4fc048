//! The provider's books: shared with others, in unknown states, and not readable in part.

use stripe::{ObjectKind, UnreadableObject};

use super::*;

impl Books {
    /// Adds an intent of other software, which names something else in its metadata, if anything.
    fn with_intent_of_others(mut self, intent: &str, order: Option<&str>) -> Self {
        self = self.with_intent("others", IntentId::new(intent), IntentStatus::Succeeded);
        self.intents.last_mut().unwrap().order = order.map(str::to_owned);
        self
    }

    fn with_unreadable(
        mut self,
        kind: ObjectKind,
        object: &str,
        intent: Option<&str>,
        order: Option<&str>,
    ) -> Self {
        self.unreadable_objects.push(UnreadableObject {
            kind,
            id: object.to_owned(),
            intent: intent.map(IntentId::new),
            order: order.map(str::to_owned),
            reason: "`amount` is missing or not what it should be".to_owned(),
        });
        self
    }
}

#[test]
fn intents_of_others_are_counted_and_no_difference() {
    let books = Books::empty()
        .with_confirmed("o")
        .with_intent_of_others("pi_1", None)
        .with_intent_of_others("pi_2", Some("6735"));
    assert_eq!(books.reconcile(), Reconciliation { others: 2, ..Reconciliation::default() });
    assert_eq!(books.ours().count(), 1);
}

#[test]
fn an_intent_for_an_order_that_does_not_exist_is_a_difference() {
    let books = Books::empty().with_intent("o", IntentId::new("pi_x"), IntentStatus::Succeeded);
    let reconciliation = books.reconcile();
    assert_eq!((reconciliation.others, reconciliation.differences.len()), (0, 1));
}

#[test]
fn an_intent_whose_metadata_was_removed_is_missing_at_its_order() {
    let mut books = Books::empty().with_confirmed("o");
    books.intents[0].order = None;
    let missing = format!("the provider has no intent {}", intent_of(id("o")).as_str());
    assert!(books.differences().iter().any(|difference| difference.contains(&missing)));
}

#[test]
fn an_unknown_state_is_reported_as_itself() {
    let mut books = Books::empty().with_confirmed("o");
    books.intents[0].status = IntentStatus::Other("requires_capture".into());
    books.intents[0].taken = 0;
    let [kept, provider] = &books.differences()[..] else { panic!("{:?}", books.differences()) };
    assert!(kept.contains("has kept 0.00 EUR instead of 3.80 EUR"), "{kept}");
    assert!(provider.contains("stands at requires_capture, with 0.00 EUR taken"), "{provider}");
}

#[test]
fn an_order_is_not_judged_by_an_intent_or_a_refund_that_cannot_be_read() {
    let order = id("o").to_string();
    let intent = intent_of(id("o"));
    let with_intent = Books::empty().with_confirmed("o").with_confirmed("other");
    let mut by_metadata = with_intent.clone();
    by_metadata.intents.remove(0);
    let by_payment = by_metadata.clone();
    let intent = Some(intent.as_str());
    for (books, object) in [
        (
            by_metadata.with_unreadable(ObjectKind::Intent, "pi_1", None, Some(&order)),
            "intent pi_1",
        ),
        (by_payment.with_unreadable(ObjectKind::Intent, "pi_1", intent, None), "intent pi_1"),
        (with_intent.with_unreadable(ObjectKind::Refund, "re_1", intent, None), "refund re_1"),
    ] {
        let result = books.reconcile();
        let unreadable = format!(
            "the provider's {object} cannot be read: `amount` is missing or not what it should be"
        );
        assert_eq!(books.differences(), [unreadable]);
        assert_eq!(result.pending, [(id("o"), Pending::Unreadable)]);
    }
}

#[test]
fn what_cannot_be_read_of_others_is_no_difference() {
    let books = Books::empty()
        .with_intent_of_others("pi_1", None)
        .with_unreadable(ObjectKind::Intent, "pi_2", Some("pi_2"), Some("6735"))
        .with_unreadable(ObjectKind::Refund, "re_1", Some("pi_1"), None)
        .with_unreadable(ObjectKind::Refund, "re_2", Some("pi_2"), None);
    assert_eq!(books.reconcile(), Reconciliation { others: 2, ..Reconciliation::default() });
    let refund_of_a_charge = books.with_unreadable(ObjectKind::Refund, "re_3", None, None);
    assert_eq!(refund_of_a_charge.differences().len(), 1);
}
