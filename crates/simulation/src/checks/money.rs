//! I2: a customer has paid exactly once for a confirmed order, less what was refunded and what
//! their bank has given back in a dispute, and net zero for every other. Order, payment row and
//! provider agree, and no intent is confirmed after its order's deadline. What the
//! provider refuses for good, and nothing else, is refused for good.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use payment::memory::Account;
use shop::{
    dispute::Dispute,
    id::OrderId,
    order::{Order, PaymentStatus, Rejection},
    payment::{IntentId, Payment, PaymentRecord, Progress},
    refund::{Refund, RefundState},
};
use stripe::{BookedRefund, BookedRefundStatus, IntentStatus};

use crate::{
    checks::check::Check,
    engine::tasks::TaskId,
    observation::{Observation, Rest},
    violation::{Rule, Violation},
};

#[derive(Default)]
pub(crate) struct Money {
    deadlines: BTreeMap<OrderId, Timestamp>,
    /// The invocations that asked for each intent.
    creators: BTreeMap<IntentId, Vec<TaskId>>,
    mishaps: BTreeSet<TaskId>,
    refusals: Vec<Refusal>,
    /// The last version of each order's payment row, and the invocation that wrote it.
    versions: BTreeMap<OrderId, (u32, TaskId)>,
    /// The versions of which an event was published.
    reported: BTreeSet<(OrderId, u32)>,
    /// The invocations that committed an order to a refusal, unless something else came first.
    refused: BTreeSet<(TaskId, OrderId)>,
}

/// The provider's refusal to ever create an intent for an order.
struct Refusal {
    by: TaskId,
    order: OrderId,
    reason: String,
}

impl Check for Money {
    fn observe(&mut self, observation: &Observation) -> Result<(), Violation> {
        match observation {
            Observation::OrderWritten { before: None, after, .. } => {
                self.deadlines.insert(after.order_id, after.deadline);
            }
            Observation::Mishap(task) => {
                self.mishaps.insert(*task);
            }
            Observation::IntentCreated { by, intent, .. } => {
                self.creators.entry(intent.clone()).or_default().push(by.task);
            }
            Observation::IntentRefused { by, order, reason } => {
                self.refusals.push(Refusal { by: by.task, order: *order, reason: reason.clone() });
            }
            Observation::RefusalWritten { by, order } => {
                self.refused.insert((by.task, *order));
            }
            Observation::PaymentWritten { by, order, record } => {
                self.versions.insert(*order, (record.version, by.task));
            }
            Observation::EventPublished { event, data }
                if &*event.detail_type == "payment.changed" =>
            {
                let version = data["version"].as_u64().and_then(|it| u32::try_from(it).ok());
                self.reported.extend(version.map(|version| (event.order, version)));
            }
            Observation::IntentConfirmed { by, intent, order } => {
                let deadline = order.and_then(|order| self.deadlines.get(&order));
                if deadline.is_some_and(|deadline| *deadline <= by.started) {
                    let what = format!("{} was confirmed after its deadline", intent.as_str());
                    return Err(Violation::new(Rule::Deadline, what));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn check(&self, rest: &Rest) -> Result<(), Violation> {
        rest.orders.values().try_for_each(|order| {
            let accounts: Vec<_> =
                rest.accounts.iter().filter(|it| it.order_id == order.order_id).collect();
            let row = rest.payments.get(&order.order_id);
            check_charge(order, &accounts)
                .and_then(|()| check_refunds(order, &accounts))
                .and_then(|()| check_row(order, row))
                .and_then(|()| check_dispute(order, row, &accounts))
                .and_then(|()| self.check_shown_refunds(order, row))
                .and_then(|()| self.check_open_intents(row, &accounts))
                .and_then(|()| self.check_decline(order, &accounts))
                .and_then(|()| self.check_refusals(order.order_id))
                .map_err(|what| {
                    let (id, status) = (order.order_id, order.status);
                    Violation::new(Rule::I2, format!("{id} is {status:?}, and {what}"))
                })
        })
    }
}

impl Money {
    /// Only an intent that no row names and whose creator failed may stay open: nothing knows it.
    fn check_open_intents(
        &self,
        row: Option<&PaymentRecord>,
        accounts: &[&Account],
    ) -> Result<(), String> {
        let committed = row.and_then(|row| row.payment.intent());
        for account in accounts.iter().filter(|account| account.is_open()) {
            let id = &account.intent.id;
            let creators = self.creators.get(id).map_or(&[][..], Vec::as_slice);
            if committed == Some(id) || creators.iter().any(|task| !self.mishaps.contains(task)) {
                return Err(format!("{} could still take money", id.as_str()));
            }
        }
        Ok(())
    }

    /// An order shows its refunds as the payment row has them. It may be behind while nobody has
    /// published the row's last version, because the invocation that wrote it failed. Its message
    /// is then gone if it was delivered twice and handled once, until the order is announced again.
    fn check_shown_refunds(
        &self,
        order: &Order,
        row: Option<&PaymentRecord>,
    ) -> Result<(), String> {
        let shown: Vec<_> = order.refunds.iter().map(|refund| (refund.id, refund.state)).collect();
        let entries = row.into_iter().flat_map(|row| &row.refunds);
        let kept: Vec<_> = entries.map(|entry| (entry.id, entry.state)).collect();
        let is_unreported = self.versions.get(&order.order_id).is_some_and(|(version, by)| {
            self.mishaps.contains(by) && !self.reported.contains(&(order.order_id, *version))
        });
        if shown == kept || order.status.ended_early() || is_unreported {
            return Ok(());
        }
        Err(format!("its refunds are {shown:?}, but in its payment row {kept:?}"))
    }

    /// An order is only declined if the provider declined a charge, or refused to begin one, or
    /// because of others of its customer, which is another check's concern.
    fn check_decline(&self, order: &Order, accounts: &[&Account]) -> Result<(), String> {
        let Some(Rejection::PaymentDeclined { reason }) = &order.rejection else { return Ok(()) };
        let has_refused =
            |refusal: &Refusal| refusal.order == order.order_id && refusal.reason == *reason;
        let declined = |account: &&Account| account.intent.status != IntentStatus::Succeeded;
        if reason == "too_many_declines"
            || accounts.iter().any(declined)
            || self.refusals.iter().any(has_refused)
        {
            return Ok(());
        }
        Err(format!("no charge was declined ({reason})"))
    }

    /// The invocation that learns of a refusal commits the order to it, unless it fails before.
    fn check_refusals(&self, order: OrderId) -> Result<(), String> {
        let is_lost = |refusal: &&Refusal| {
            refusal.order == order
                && !self.mishaps.contains(&refusal.by)
                && !self.refused.contains(&(refusal.by, order))
        };
        match self.refusals.iter().find(is_lost) {
            Some(refusal) => {
                Err(format!("the refusal of its payment is lost ({})", refusal.reason))
            }
            None => Ok(()),
        }
    }
}

/// Compares an order with the provider's intents for it.
fn check_charge(order: &Order, accounts: &[&Account]) -> Result<(), String> {
    let charged: Vec<_> = accounts
        .iter()
        .filter(|account| account.intent.status == IntentStatus::Succeeded)
        .collect();
    let expected = match charged[..] {
        [] => &[PaymentStatus::None, PaymentStatus::Voided][..],
        [charge] if charge.price != order.price() => {
            return Err(format!("the customer was charged {}", charge.price));
        }
        [_] if !order.status.ended_early() => &[PaymentStatus::Captured][..],
        [charge] if charge.taken() == 0 => &[PaymentStatus::Refunded],
        [charge] if charge.refunds.is_empty() => &[PaymentStatus::Captured][..],
        [charge] => match charge.refunds.last().map(|refund| refund.status) {
            Some(BookedRefundStatus::Failed) => &[PaymentStatus::RefundFailed][..],
            _ => &[],
        },
        _ => return Err("the customer was charged more than once".into()),
    };
    let given =
        |refund: &&Refund| matches!(refund.state, RefundState::Pending | RefundState::Succeeded);
    let given: u64 = order.refunds.iter().filter(given).map(|refund| refund.amount).sum();
    let lost: u64 = accounts.iter().map(|account| account.lost()).sum();
    let back: u64 = accounts.iter().map(|account| account.returned() + account.lost()).sum();
    if back > order.total {
        return Err(format!("the customer has got {back} back of {}", order.total));
    }
    let owed = if order.status.ended_early() { 0 } else { order.total - given - lost };
    let paid: u64 = accounts.iter().map(|account| account.taken()).sum();
    // A refund that the provider refuses is left to staff, provided that the order shows it.
    let left_to_staff = order.status.ended_early() && order.payment == PaymentStatus::RefundFailed;
    if paid != owed && !left_to_staff {
        return Err(format!("the customer has paid {paid} instead of {owed}"));
    }
    if !expected.contains(&order.payment) {
        return Err(format!("its payment is {:?} instead of {expected:?}", order.payment));
    }
    Ok(())
}

/// Compares the refunds that the shop has asked for with those that the provider has made.
fn check_refunds(order: &Order, accounts: &[&Account]) -> Result<(), String> {
    let lost: u64 = accounts.iter().map(|account| account.lost()).sum();
    let made = accounts.iter().flat_map(|account| &account.refunds);
    let made: Vec<_> = made.filter_map(|it| Some((it.name?.id, it))).collect();
    let is_live = |made: &BookedRefund| made.status != BookedRefundStatus::Failed;
    for (id, refund) in &made {
        match order.refunds.iter().find(|asked| asked.id == *id) {
            None => return Err(format!("refund {id} was made, and nobody has asked for it")),
            Some(asked) if asked.amount != refund.amount => {
                return Err(format!(
                    "refund {id} is {} instead of {}",
                    refund.amount, asked.amount
                ));
            }
            Some(_) => {}
        }
    }
    for Refund { id, state, attempt, .. } in &order.refunds {
        let all: Vec<_> = made.iter().filter(|(this, _)| this == id).collect();
        let live = all.iter().filter(|(_, refund)| is_live(refund)).count();
        let fits = match state {
            RefundState::Requested => false,
            // Of an order that ended, its payment says what became of all.
            RefundState::Pending | RefundState::Succeeded => {
                live == 1 || order.status.ended_early()
            }
            // Each attempt reaches the provider.
            RefundState::Failed => live == 0 && all.len() >= *attempt as usize,
            // All that the customer has paid is given back, by us or by their bank.
            RefundState::Covered => live <= 1 && (order.status.ended_early() || lost > 0),
        };
        if !fits {
            return Err(format!("its refund {id} is {state:?}, and {live} were made"));
        }
    }
    Ok(())
}

/// Compares the dispute that an order and its payment row show with what the provider has.
fn check_dispute(
    order: &Order,
    row: Option<&PaymentRecord>,
    accounts: &[&Account],
) -> Result<(), String> {
    let disputes = accounts.iter().flat_map(|account| &account.disputes);
    let dispute = Dispute::summary(disputes.map(|entry| entry.dispute));
    let recorded = row.and_then(PaymentRecord::dispute);
    if recorded != dispute || order.dispute != dispute {
        return Err(format!(
            "its dispute is {:?}, in its payment row {recorded:?}, at the provider {dispute:?}",
            order.dispute
        ));
    }
    Ok(())
}

/// Compares an order with its payment row.
fn check_row(order: &Order, row: Option<&PaymentRecord>) -> Result<(), String> {
    let recorded = match row.map(|row| &row.payment) {
        None | Some(Payment::Forbidden | Payment::Refused { .. }) => PaymentStatus::None,
        Some(Payment::Committed { progress, .. }) => match progress {
            Progress::Declined { .. } => PaymentStatus::None,
            Progress::Voided => PaymentStatus::Voided,
            Progress::Captured => PaymentStatus::Captured,
            Progress::Refunded => PaymentStatus::Refunded,
            Progress::RefundFailed { .. } => PaymentStatus::RefundFailed,
            Progress::Charging | Progress::Authenticating | Progress::Undoing => {
                return Err(format!("its payment row is unfinished: {row:?}"));
            }
        },
    };
    if recorded != order.payment {
        return Err(format!("its payment is {:?}, but its payment row is {row:?}", order.payment));
    }
    Ok(())
}
