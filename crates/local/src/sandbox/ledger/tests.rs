use proptest::{prelude::*, sample::Index};

use super::*;

const NOW: i64 = 1_800_000_000;

fn new_intent(amount: u64, payment_method: Option<&str>) -> NewIntent {
    NewIntent {
        amount,
        currency: "eur".into(),
        payment_method: payment_method.map(str::to_owned),
        payment_method_types: None,
        metadata: BTreeMap::new(),
    }
}

fn ledger_with(payment_method: &str) -> (Ledger, String) {
    let mut ledger = Ledger::new(0);
    let id = ledger.create(new_intent(580, Some(payment_method)), NOW).unwrap().id.clone();
    (ledger, id)
}

fn part(amount: u64) -> NewRefund {
    NewRefund { amount: Some(amount), ..NewRefund::default() }
}

#[test]
fn a_confirmed_intent_takes_the_amount_once() {
    let (mut ledger, id) = ledger_with("pm_card_visa");
    assert_eq!(ledger.confirm(&id, None, true, NOW).unwrap().captured(), 580);
    assert!(matches!(ledger.confirm(&id, None, true, NOW), Err(Refusal::CannotConfirm(_))));
    assert_eq!(ledger.find(&id).unwrap().captured(), 580);
}

#[test]
fn a_declined_intent_can_be_confirmed_with_another_card() {
    let (mut ledger, id) = ledger_with("pm_card_chargeDeclined");
    let declined = ledger.confirm(&id, None, true, NOW);
    assert!(matches!(declined, Err(Refusal::Declined(intent, _)) if intent.captured() == 0));
    let again = ledger.confirm(&id, None, true, NOW);
    assert!(matches!(again, Err(Refusal::NothingToConfirmWith(_))));
    let paid = ledger.confirm(&id, Some("pm_card_visa"), true, NOW).unwrap();
    assert_eq!(paid.status, IntentStatus::Succeeded);
}

#[test]
fn a_card_that_needs_authentication_waits_for_the_customer_unless_that_is_an_error() {
    let (mut ledger, id) = ledger_with("pm_card_authenticationRequired");
    let waiting = ledger.confirm(&id, None, false, NOW).unwrap();
    assert_eq!(waiting.status, IntentStatus::RequiresAction);
    let failed = ledger.confirm(&id, None, true, NOW);
    assert!(matches!(failed, Err(Refusal::Declined(_, f)) if f.decline == NOT_AUTHENTICATED));
}

#[test]
fn a_refund_returns_at_most_what_is_left() {
    let (mut ledger, id) = ledger_with("pm_card_visa");
    ledger.confirm(&id, None, true, NOW).unwrap();
    assert_eq!(ledger.refund(&id, part(80), NOW).unwrap().amount, 80);
    let too_much = ledger.refund(&id, part(501), NOW);
    assert!(matches!(too_much, Err(Refusal::RefundExceeds { left: 500 })));
    assert_eq!(ledger.refund(&id, NewRefund::default(), NOW).unwrap().amount, 500);
    let again = ledger.refund(&id, NewRefund::default(), NOW);
    assert!(matches!(again, Err(Refusal::AlreadyRefunded { .. })));
}

#[test]
fn a_refund_that_fails_later_leaves_the_money_with_the_merchant() {
    let (mut ledger, id) = ledger_with("pm_card_refundFail");
    ledger.confirm(&id, None, true, NOW).unwrap();
    let answered = ledger.refund(&id, NewRefund::default(), NOW).unwrap();
    assert_eq!(answered.status, RefundStatus::Succeeded);
    assert_eq!(ledger.refunds_of(&id).next().unwrap().status, RefundStatus::Failed);
    assert_eq!(ledger.refunded(&id), 0);
}

#[test]
fn a_pending_refund_is_found_succeeded_afterwards() {
    let (mut ledger, id) = ledger_with("pm_card_pendingRefund");
    ledger.confirm(&id, None, true, NOW).unwrap();
    assert_eq!(
        ledger.refund(&id, NewRefund::default(), NOW).unwrap().status,
        RefundStatus::Pending
    );
    assert_eq!(ledger.refunds_of(&id).next().unwrap().status, RefundStatus::Succeeded);
}

#[test]
fn an_intent_that_took_no_money_cannot_be_refunded() {
    let (mut ledger, id) = ledger_with("pm_card_visa");
    let early = ledger.refund(&id, NewRefund::default(), NOW);
    assert!(matches!(early, Err(Refusal::NothingCaptured(_))));
}

#[test]
fn ids_are_not_assigned_again_after_a_reset() {
    let (mut ledger, id) = ledger_with("pm_card_visa");
    ledger.reset();
    assert!(matches!(ledger.find(&id), Err(Refusal::NoSuchIntent(_))));
    assert_ne!(ledger.create(new_intent(580, None), NOW).unwrap().id, id);
}

#[derive(Clone, Debug)]
enum Step {
    Create(u64, Option<&'static str>),
    Confirm(Index, Option<&'static str>, bool),
    Cancel(Index),
    Refund(Index, Option<u64>),
}

fn card() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "pm_card_visa",
        "pm_card_chargeDeclined",
        "pm_card_authenticationRequired",
        "pm_card_refundFail",
        "pm_card_pendingRefund",
    ])
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1..1_000u64, prop::option::of(card())).prop_map(|(a, c)| Step::Create(a, c)),
        (any::<Index>(), prop::option::of(card()), any::<bool>())
            .prop_map(|(i, c, fail)| Step::Confirm(i, c, fail)),
        any::<Index>().prop_map(Step::Cancel),
        (any::<Index>(), prop::option::of(1..1_000u64)).prop_map(|(i, a)| Step::Refund(i, a)),
    ]
}

fn refund_of(amount: Option<u64>) -> NewRefund {
    NewRefund { amount, ..NewRefund::default() }
}

proptest! {
    #[test]
    fn money_is_conserved_and_final_states_stay_final(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut ledger = Ledger::new(0);
        let mut taken = 0;
        let mut returned = 0;
        for step in steps {
            let ids: Vec<_> = ledger.intents().map(|intent| intent.id.clone()).collect();
            let at = |i: &Index| (!ids.is_empty()).then(|| i.get(&ids).clone());
            let finished: Vec<_> = ledger
                .intents()
                .filter(|intent| intent.is_final())
                .map(|intent| (intent.id.clone(), intent.status))
                .collect();
            match step {
                Step::Create(amount, card) => {
                    prop_assert!(ledger.create(new_intent(amount, card), NOW).is_ok());
                }
                Step::Confirm(i, card, fail) => if let Some(id) = at(&i)
                    && let Ok(intent) = ledger.confirm(&id, card, fail, NOW) {
                    taken += intent.captured();
                }
                Step::Cancel(i) => if let Some(id) = at(&i) {
                    ledger.cancel(&id, None, NOW).ok();
                }
                Step::Refund(i, amount) => if let Some(id) = at(&i)
                    && let Ok(refund) = ledger.refund(&id, refund_of(amount), NOW)
                    && ledger.refunds_of(&id).next().unwrap().status == RefundStatus::Succeeded {
                    returned += refund.amount;
                }
            }
            for (id, status) in finished {
                prop_assert_eq!(ledger.find(&id).unwrap().status, status);
            }
            for intent in ledger.intents() {
                prop_assert!(ledger.refunded(&intent.id) <= intent.captured());
            }
            let balance: u64 =
                ledger.intents().map(|i| i.captured() - ledger.refunded(&i.id)).sum();
            prop_assert_eq!(balance, taken - returned);
        }
    }
}
