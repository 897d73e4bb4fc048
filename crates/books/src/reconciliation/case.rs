//! Judges one order by everything that is known about it.

use std::cmp::Reverse;

use jiff::{SignedDuration, Timestamp};
use shop::{
    money::Money,
    order::{HistoryEntry, Order, OrderEventType, PaymentStatus, Status},
    payment::{Payment, Progress, RefundEntry},
    refund::RefundState,
    stock::{Demand, Reservation, stock_expiry},
};
use stripe::{BookedRefund, BookedRefundStatus, IntentStatus};

use super::{
    difference::{Difference, Pending, RefundByHand},
    limits::Limits,
};
use crate::{
    journal::Settlements,
    ledger::{Account, Amount},
    rows::PaymentRow,
};

/// How much the clocks of the functions and of this machine may differ.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_secs(2);

/// How long after its time an order expires at the latest if nothing fails: the deadline queue
/// gathers messages for half a minute, and its delay begins a little after the order was placed.
pub const EXPIRY_LAG: SignedDuration = SignedDuration::from_mins(2);

/// An order with everything that is known about it.
pub struct Case<'a> {
    /// When the reading of the books began.
    pub read_at: Timestamp,
    pub limits: Limits,
    /// Whether there are dead letters about the order.
    pub dead: bool,
    pub order: &'a Order,
    pub payment: Option<&'a PaymentRow>,
    pub accounts: &'a [Account<'a>],
    pub reservation: Option<&'a Reservation>,
    pub settlements: &'a Settlements,
}

impl Case<'_> {
    /// Adds the differences of the order, or returns why it cannot be judged yet.
    pub fn judge(&self, differences: &mut Vec<Difference>) -> Option<Pending> {
        let Order { order_id, status, placed_at, deadline, .. } = *self.order;
        // The deadline is earlier than its message if the pickup is.
        let expires_at = deadline.max(placed_at + self.limits.confirm_within);
        let changed = self.order.history.last().map_or(self.order.placed_at, |entry| entry.at);
        if changed + CLOCK_SKEW >= self.read_at {
            return Some(Pending::Changing);
        }
        differences.extend(self.given_back_twice());
        match status {
            Status::Placed | Status::Reserved if self.read_at < expires_at + EXPIRY_LAG => {
                // An overcharge is wrong in every state.
                differences.extend(self.overcharged());
                Some(Pending::Deciding(expires_at))
            }
            Status::Placed | Status::Reserved => {
                differences.push(Difference::Stuck { order: order_id, status, deadline });
                differences.extend(self.overcharged());
                None
            }
            Status::Confirmed | Status::Preparing | Status::Ready | Status::Collected => {
                let mut pending = self.refunding();
                if pending.is_none() {
                    let mut found = Vec::from_iter(self.kept());
                    found.extend(self.payment_differences());
                    found.extend(self.unmade_refunds());
                    pending = self.disputed(&found);
                    if pending.is_none() {
                        differences.extend(found);
                    }
                }
                match self.reservation {
                    Some(Reservation::Held(held)) if *held == demand(self.order) => {}
                    // The row may be deleted by now.
                    None if stock_expiry(self.order.pickup_day) <= self.read_at.as_second() => {}
                    other => differences.push(Difference::NotHeld {
                        order: order_id,
                        status,
                        reservation: other.map(Reservation::name),
                    }),
                }
                pending
            }
            Status::Rejected | Status::Cancelled | Status::Expired => {
                let mut found = Vec::from_iter(self.kept());
                found.extend(self.payment_differences());
                if matches!(self.reservation, Some(Reservation::Held(_))) {
                    found.push(Difference::StillHeld { order: order_id, status: Some(status) });
                }
                let until = changed + self.limits.undo_within;
                let may_be_undone = self.read_at < until && !self.dead;
                if !found.is_empty() && self.is_at_bank() && !self.dead {
                    return Some(Pending::AtBank);
                }
                if let Some(disputed) = self.disputed(&found) {
                    return Some(disputed);
                }
                if !found.is_empty() && may_be_undone && self.undo_is_outstanding() {
                    return Some(Pending::Undoing(until));
                }
                differences.extend(found);
                None
            }
        }
    }

    /// Whether the differences of an order that ended early can be explained by an unfinished undo:
    /// its payment is not in a final state, the order has not been updated yet, or its stock is
    /// still held.
    fn undo_is_outstanding(&self) -> bool {
        use Progress::{Authenticating, Captured, Charging, Undoing};
        let payment = self.payment.map(|row| &row.payment);
        let is_open = |progress: &Progress| {
            matches!(progress, Charging | Authenticating | Captured | Undoing)
        };
        matches!(payment, Some(Payment::Committed { progress, .. }) if is_open(progress))
            || payment.is_some_and(|payment| expected_field(payment) != Some(self.order.payment))
            || matches!(self.reservation, Some(Reservation::Held(_)))
    }

    /// Whether all that the customer has paid is given back, and a part of it is still pending.
    fn is_at_bank(&self) -> bool {
        let payment = self.payment.map(|row| &row.payment);
        let is_undoing =
            matches!(payment, Some(Payment::Committed { progress: Progress::Undoing, .. }));
        let is_pending = |refund: &&BookedRefund| refund.status == BookedRefundStatus::Pending;
        is_undoing
            && self.accounts.iter().any(|account| account.refunds.iter().any(is_pending))
            && self.accounts.iter().all(|account| account.kept() == 0)
    }

    /// Whether a dispute explains the differences: nothing is given back before it is decided.
    fn disputed(&self, found: &[Difference]) -> Option<Pending> {
        let is_disputed = self.accounts.iter().any(Account::is_disputed);
        (is_disputed && !found.is_empty()).then_some(Pending::Disputed)
    }

    /// Whether a refund by the shop is still under way: until then, a message that makes it may be.
    fn refunding(&self) -> Option<Pending> {
        let is_request = |entry: &&HistoryEntry| entry.event == OrderEventType::RefundRequested;
        let asked = self.order.history.iter().rfind(is_request)?.at;
        let until = asked + self.limits.undo_within;
        let is_under_way = self.unmade_refunds().next().is_some();
        (is_under_way && self.read_at < until && !self.dead).then_some(Pending::Refunding(until))
    }

    /// The refunds that the shop has asked for and of which nothing came.
    fn unmade_refunds(&self) -> impl Iterator<Item = Difference> {
        let order = self.order.order_id;
        let refunds = self.order.refunds.iter();
        let unmade = refunds.filter(|refund| refund.state == RefundState::Requested);
        unmade.map(move |refund| Difference::RefundUnmade { order, refund: refund.id })
    }

    /// What the provider should have kept: the price less what the shop gives back, or nothing of
    /// an order that ended early.
    fn due(&self) -> Money {
        Money { amount: self.order.due(), currency: self.order.currency }
    }

    /// The amount that the provider has kept of all intents.
    fn total_kept(&self) -> i128 {
        self.accounts.iter().map(Account::kept).sum()
    }

    /// The amount that the provider has kept, if it is not what is due.
    fn kept(&self) -> Option<Difference> {
        self.kept_before(0)
    }

    /// The amount that the provider had kept before it gave this much back, if that was not due.
    fn kept_before(&self, back: i128) -> Option<Difference> {
        let due = self.due();
        let kept = self.total_kept() + back;
        let kept = Amount { amount: kept, currency: due.currency.code().to_owned() };
        (!kept.is(due)).then_some(Difference::Kept {
            order: self.order.order_id,
            status: self.order.status,
            kept,
            due,
            refund: self.refund_by_hand(),
        })
    }

    /// A refund that this system did not make, if it explains what the provider has kept: a part of
    /// what an intent took, or all of it although its payment is not being undone.
    fn refund_by_hand(&self) -> Option<RefundByHand> {
        use Progress::{RefundFailed, Refunded, Undoing};
        let payment = self.payment.map(|row| &row.payment);
        let undoes = matches!(
            payment,
            Some(Payment::Committed { progress: Undoing | Refunded | RefundFailed { .. }, .. })
        );
        let account = self.accounts.iter().find(|account| {
            let (taken, returned) = (account.intent.taken, account.returned());
            account.kept() == self.total_kept() && returned > 0 && (returned < taken || !undoes)
        })?;
        let amount = |amount| account.amount(amount);
        Some(RefundByHand { taken: amount(account.intent.taken), back: amount(account.returned()) })
    }

    /// The amount that the provider has kept, if it is more than the price.
    fn overcharged(&self) -> Option<Difference> {
        self.kept().filter(Difference::is_surplus)
    }

    /// The surpluses that the provider had kept before each of its refunds, the latest first, each
    /// with what it has given back since.
    pub(super) fn refunded(&self) -> impl Iterator<Item = (Difference, i128)> {
        let mut refunds: Vec<_> = self.accounts.iter().flat_map(|it| &it.refunds).collect();
        refunds.sort_by_key(|refund| Reverse(refund.created));
        let mut back = 0;
        refunds.into_iter().filter_map(move |refund| {
            back += i128::from(refund.amount);
            Some((self.kept_before(back).filter(Difference::is_surplus)?, back))
        })
    }

    /// What the provider has given back although somebody had settled that it kept too much.
    fn given_back_twice(&self) -> Option<Difference> {
        if self.settlements.is_empty() {
            return None;
        }
        let is_settled =
            |(kept, _): &(Difference, i128)| self.settlements.contains_key(&kept.key());
        let (_, back) = self.refunded().filter(is_settled).last()?;
        let back = Amount { amount: back, currency: self.order.currency.code().to_owned() };
        Some(Difference::GivenBackTwice { order: self.order.order_id, back })
    }

    /// Compares the payment with the order's state and payment status, and with its intent.
    fn payment_differences(&self) -> Vec<Difference> {
        let Order { order_id: order, status, payment: field, .. } = *self.order;
        let Some(PaymentRow { payment, refunds, price, .. }) = self.payment else {
            let missing = Difference::PaymentState { order, status, row: None };
            // An order that ended before it could be charged needs no payment.
            return if status.ended_early() && field == PaymentStatus::None {
                vec![]
            } else {
                vec![missing]
            };
        };
        let row = payment.name();
        let mut differences = Vec::new();
        let order_price = self.order.price();
        if *price != order_price {
            differences.push(Difference::Price {
                order,
                order_price,
                whose: "payment",
                price: (*price).into(),
            });
        }
        let expected = expected_field(payment);
        // Captured if the order is live, and only then.
        if expected
            .is_none_or(|expected| (expected == PaymentStatus::Captured) == status.ended_early())
        {
            differences.push(Difference::PaymentState { order, status, row: Some(row) });
        } else if expected != Some(field) {
            differences.push(Difference::PaymentField { order, field, row });
        }
        let Some(intent) = payment.intent() else {
            return differences;
        };
        let Some(account) = self.accounts.iter().find(|account| account.intent.id == *intent)
        else {
            differences.push(Difference::NoIntent {
                order,
                row,
                intent: intent.as_str().to_owned(),
            });
            return differences;
        };
        let intent_price = Amount {
            amount: account.intent.amount.into(),
            currency: account.intent.currency.clone(),
        };
        if !intent_price.is(order_price) {
            differences.push(Difference::Price {
                order,
                order_price,
                whose: "intent",
                price: intent_price,
            });
        }
        // Then it is named with the amount that the provider has kept.
        let is_refunded_by_hand = account.returned() > 0
            && matches!(self.kept(), Some(Difference::Kept { refund: Some(_), .. }));
        // A refund that failed may have been made by hand since.
        let is_as_due = account.returned() > 0 && self.kept().is_none();
        if !is_refunded_by_hand && !is_as_due && !agree(payment, refunds, account) {
            differences.push(Difference::Provider {
                order,
                row,
                intent: intent.as_str().to_owned(),
                account: account.to_string(),
            });
        }
        differences
    }
}

/// The payment status of an order that has received the last event of this payment; `None` while
/// the payment is undecided.
fn expected_field(payment: &Payment) -> Option<PaymentStatus> {
    let Payment::Committed { progress, .. } = payment else { return Some(PaymentStatus::None) };
    match progress {
        Progress::Charging | Progress::Authenticating | Progress::Undoing => None,
        Progress::Declined { .. } => Some(PaymentStatus::None),
        Progress::Captured => Some(PaymentStatus::Captured),
        Progress::Voided => Some(PaymentStatus::Voided),
        Progress::Refunded => Some(PaymentStatus::Refunded),
        Progress::RefundFailed { .. } => Some(PaymentStatus::RefundFailed),
    }
}

/// Whether a payment's state fits the provider's account of it.
fn agree(payment: &Payment, refunds: &[RefundEntry], account: &Account<'_>) -> bool {
    let Payment::Committed { progress, .. } = payment else { return true };
    match progress {
        // Undecided, or possibly refunded by hand.
        Progress::Charging
        | Progress::Authenticating
        | Progress::Undoing
        | Progress::RefundFailed { .. } => true,
        Progress::Captured => {
            let given = refunds.iter().filter(|refund| refund.is_given());
            let given: u64 = given.map(|refund| refund.amount).sum();
            account.intent.status == IntentStatus::Succeeded && account.returned() == given
        }
        Progress::Declined { .. } | Progress::Voided => account.intent.taken == 0,
        Progress::Refunded => account.intent.taken > 0 && account.kept() == 0,
    }
}

/// The stock that an order needs.
pub(super) fn demand(order: &Order) -> Demand {
    Demand {
        location: order.location.clone(),
        pickup_day: order.pickup_day,
        items: order.lines.iter().map(Into::into).collect(),
    }
}
