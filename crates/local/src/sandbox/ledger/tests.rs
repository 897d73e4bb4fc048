use proptest::{prelude::*, sample::Index};

use super::*;

const NOW: i64 = 1_800_000_000;
const PAGES: &str = "http://127.0.0.1:4740/_sandbox/authentication";

fn without_authentication() -> Confirmation {
    Confirmation { error_on_requires_action: true, ..Confirmation::default() }
}

fn with_card(payment_method: &str) -> Confirmation {
    let payment_method = Some(payment_method.to_owned());
    Confirmation { payment_method, ..without_authentication() }
}

fn with_authentication() -> Confirmation {
    let return_url = Some("https://amelie.example/orders".to_owned());
    Confirmation { return_url, ..Confirmation::default() }
}

fn new_intent(amount: u64, payment_method: Option<&str>) -> NewIntent {
    NewIntent {
        amount,
        currency: "eur".into(),
        payment_method: payment_method.map(str::to_owned),
        payment_method_types: None,
        confirmation_method: ConfirmationMethod::Manual,
        metadata: BTreeMap::new(),
    }
}

fn ledger_with(payment_method: &str) -> (Ledger, String) {
    let mut ledger = Ledger::new(0, PAGES.to_owned());
    let id = ledger.create(new_intent(580, Some(payment_method)), NOW).unwrap().id.clone();
    (ledger, id)
}

fn part(amount: u64) -> NewRefund {
    NewRefund { amount: Some(amount), ..NewRefund::default() }
}

#[test]
fn a_confirmed_intent_takes_the_amount_once() {
    let (mut ledger, id) = ledger_with("pm_card_visa");
    assert_eq!(ledger.confirm(&id, &without_authentication(), NOW).unwrap().captured(), 580);
    assert!(matches!(
        ledger.confirm(&id, &without_authentication(), NOW),
        Err(Refusal::CannotConfirm(_))
    ));
    assert_eq!(ledger.find(&id).unwrap().captured(), 580);
}

#[test]
fn a_declined_intent_can_be_confirmed_with_another_card() {
    let (mut ledger, id) = ledger_with("pm_card_chargeDeclined");
    let declined = ledger.confirm(&id, &without_authentication(), NOW);
    assert!(matches!(declined, Err(Refusal::Declined(intent, _)) if intent.captured() == 0));
    let again = ledger.confirm(&id, &without_authentication(), NOW);
    assert!(matches!(again, Err(Refusal::NothingToConfirmWith(_))));
    let paid = ledger.confirm(&id, &with_card("pm_card_visa"), NOW).unwrap();
    assert_eq!(paid.status, IntentStatus::Succeeded);
}

#[test]
fn a_card_that_needs_authentication_waits_for_the_customer_unless_that_is_an_error() {
    let (mut ledger, id) = ledger_with("pm_card_authenticationRequired");
    let waiting = ledger.confirm(&id, &with_authentication(), NOW).unwrap();
    assert_eq!(waiting.status, IntentStatus::RequiresAction);
    assert_eq!(waiting.page.as_ref().unwrap().url, format!("{PAGES}/{id}"));
    let failed = ledger.confirm(&id, &without_authentication(), NOW);
    assert!(matches!(failed, Err(Refusal::Declined(_, f)) if f.decline == NOT_AUTHENTICATED));
}

#[test]
fn an_authenticated_payment_waits_for_the_merchant_unless_its_confirmation_is_automatic() {
    for (method, after) in [
        (ConfirmationMethod::Manual, IntentStatus::RequiresConfirmation),
        (ConfirmationMethod::Automatic, IntentStatus::Succeeded),
    ] {
        let mut ledger = Ledger::new(0, PAGES.to_owned());
        let card = Some("pm_card_authenticationRequired");
        let new = NewIntent { confirmation_method: method, ..new_intent(580, card) };
        let id = ledger.create(new, NOW).unwrap().id.clone();
        ledger.confirm(&id, &with_authentication(), NOW).unwrap();
        assert_eq!(ledger.authenticate(&id, true, NOW).unwrap().status, after);
        let again = ledger.authenticate(&id, true, NOW);
        assert!(matches!(again, Err(Refusal::NothingToAuthenticate(_))));
        if method == ConfirmationMethod::Manual {
            let paid = ledger.confirm(&id, &with_authentication(), NOW).unwrap();
            assert_eq!(paid.status, IntentStatus::Succeeded);
        }
    }
}

#[test]
fn a_failed_authentication_is_a_decline_and_a_card_may_be_declined_after_a_good_one() {
    let (mut ledger, id) = ledger_with("pm_card_authenticationRequired");
    ledger.confirm(&id, &with_authentication(), NOW).unwrap();
    let failed = ledger.authenticate(&id, false, NOW).unwrap();
    assert_eq!(failed.status, IntentStatus::RequiresPaymentMethod);
    assert_eq!(failed.last_failure.as_ref().unwrap().decline, AUTHENTICATION_FAILED);

    let (mut ledger, id) =
        ledger_with("pm_card_authenticationRequiredChargeDeclinedInsufficientFunds");
    ledger.confirm(&id, &with_authentication(), NOW).unwrap();
    ledger.authenticate(&id, true, NOW).unwrap();
    let declined = ledger.confirm(&id, &with_authentication(), NOW);
    let is_meant = |failure: &Failure| failure.decline.decline_code == Some("insufficient_funds");
    assert!(matches!(declined, Err(Refusal::Declined(_, failure)) if is_meant(&failure)));
}

#[test]
fn the_customers_browser_confirms_only_what_it_has_the_secret_of_and_may() {
    let with = |client_secret: String| Confirmation {
        client_secret: Some(client_secret),
        ..Confirmation::default()
    };
    let (mut ledger, id) = ledger_with("pm_card_visa");
    let secret = ledger.find(&id).unwrap().client_secret();
    let refused = ledger.confirm(&id, &with(secret), NOW);
    assert!(matches!(refused, Err(Refusal::OnlyByMerchant(_))));
    let guessed = ledger.confirm(&id, &with("guessed".to_owned()), NOW);
    assert!(matches!(guessed, Err(Refusal::NoSuchIntent(_))));

    let automatic = NewIntent {
        confirmation_method: ConfirmationMethod::Automatic,
        ..new_intent(580, Some("pm_card_visa"))
    };
    let intent = ledger.create(automatic, NOW).unwrap();
    let (id, secret) = (intent.id.clone(), intent.client_secret());
    let paid = ledger.confirm(&id, &with(secret), NOW).unwrap();
    assert_eq!(paid.status, IntentStatus::Succeeded);
}

#[test]
fn a_refund_returns_at_most_what_is_left() {
    let (mut ledger, id) = ledger_with("pm_card_visa");
    ledger.confirm(&id, &without_authentication(), NOW).unwrap();
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
    ledger.confirm(&id, &without_authentication(), NOW).unwrap();
    let answered = ledger.refund(&id, NewRefund::default(), NOW).unwrap();
    assert_eq!(answered.status, RefundStatus::Succeeded);
    assert_eq!(ledger.refunds_of(&id).next().unwrap().status, RefundStatus::Failed);
    assert_eq!(ledger.refunded(&id), 0);
}

#[test]
fn a_pending_refund_is_found_succeeded_afterwards() {
    let (mut ledger, id) = ledger_with("pm_card_pendingRefund");
    ledger.confirm(&id, &without_authentication(), NOW).unwrap();
    assert_eq!(
        ledger.refund(&id, NewRefund::default(), NOW).unwrap().status,
        RefundStatus::Pending
    );
    assert_eq!(ledger.refunds_of(&id).next().unwrap().status, RefundStatus::Pending);
    assert_eq!(ledger.refunded(&id), 580);
    ledger.settle(&id);
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

fn confirmation(payment_method: Option<&str>, fail: bool) -> Confirmation {
    let with = if fail { without_authentication() } else { with_authentication() };
    Confirmation { payment_method: payment_method.map(str::to_owned), ..with }
}

#[derive(Clone, Debug)]
enum Step {
    Create(u64, Option<&'static str>),
    Confirm(Index, Option<&'static str>, bool),
    Authenticate(Index, bool),
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
        (any::<Index>(), any::<bool>()).prop_map(|(i, ok)| Step::Authenticate(i, ok)),
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
        let mut ledger = Ledger::new(0, PAGES.to_owned());
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
                    && let Ok(intent) = ledger.confirm(&id, &confirmation(card, fail), NOW) {
                    taken += intent.captured();
                }
                Step::Authenticate(i, succeeds) => if let Some(id) = at(&i)
                    && let Ok(intent) = ledger.authenticate(&id, succeeds, NOW) {
                    prop_assert_eq!(intent.captured(), 0);
                }
                Step::Cancel(i) => if let Some(id) = at(&i) {
                    ledger.cancel(&id, None, NOW).ok();
                }
                Step::Refund(i, amount) => if let Some(id) = at(&i)
                    && let Ok(refund) = ledger.refund(&id, refund_of(amount), NOW)
                    && ledger.refunds_of(&id).next().unwrap().status != RefundStatus::Failed {
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
