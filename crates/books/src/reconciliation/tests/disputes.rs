//! Payments that their customers dispute.

use shop::dispute::{Dispute, DisputeState};
use stripe::BookedDispute;

use super::*;

impl Books {
    fn with_dispute(mut self, name: &str, state: DisputeState) -> Self {
        self.disputes.push(BookedDispute {
            id: format!("dp_{name}"),
            intent: Some(intent_of(id(name))),
            dispute: Dispute { state, amount: 380 },
            created: at(PLACED_AT),
        });
        self
    }

    /// Lets the order know of its dispute.
    fn known(mut self, state: DisputeState) -> Self {
        let order = self.orders.last_mut().unwrap();
        order.dispute = Some(Dispute { state, amount: 380 });
        self
    }
}

fn confirmed(state: DisputeState) -> Books {
    Books::empty().with_confirmed("o").with_dispute("o", state)
}

#[test]
fn a_dispute_that_is_open_or_won_is_no_difference_and_one_that_is_lost_has_given_all_back() {
    use DisputeState::{Closed, Inquiry, Lost, Open, Won};
    for state in [Closed, Inquiry, Lost, Open, Won] {
        let known = confirmed(state).known(state);
        assert_eq!(known.reconcile(), Reconciliation::default(), "{state:?}");
    }
}

#[test]
fn a_lost_dispute_of_which_the_order_does_not_know_is_a_difference() {
    let kept = "is confirmed, but the provider has kept 0.00 EUR instead of 3.80 EUR";
    assert_eq!(confirmed(DisputeState::Lost).differences(), [about("o", kept)]);
}

#[test]
fn what_a_shop_wants_to_give_back_waits_for_the_end_of_a_dispute() {
    let wanted = || with_refund_by_shop(RefundState::Requested, None);
    let open = wanted().with_dispute("o", DisputeState::Open).known(DisputeState::Open);
    assert_eq!(open.reconcile().pending, [(id("o"), Pending::Disputed)]);
    assert_eq!(open.differences(), [""; 0]);
    let won = wanted().with_dispute("o", DisputeState::Won).known(DisputeState::Won);
    assert!(!won.differences().is_empty());
}
