//! The end of an order's report: how the order stands, what is wrong, and what to do.

use std::collections::BTreeSet;

use books::{
    journal::Settlements,
    ledger::Account,
    reconciliation::{Case, Group, Limits},
};
use jiff::{SignedDuration, Timestamp};
use platform::queue::MAX_RECEIVES;
use serde::Serialize;
use shop::{
    order::{Order, PaymentStatus, Rejection, Status},
    payment::{Payment, Progress},
};

use crate::{
    output::{age, moment},
    retries::last_failures,
    timeline::OrderReport,
    words,
};

/// How long after its time a message may be received again and not be late.
const LATENESS: SignedDuration = SignedDuration::from_mins(1);

/// How an order stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Diagnosis {
    /// How the order stands, and what happens next by itself.
    pub(crate) state: Vec<String>,
    /// What does not get right by itself.
    pub(crate) problems: Vec<String>,
    /// What to do about the problems.
    pub(crate) remedies: Vec<String>,
}

impl Diagnosis {
    /// Judges an order by its report. What was settled by hand is no problem.
    pub(crate) fn of(
        report: &OrderReport,
        limits: Limits,
        settlements: &Settlements,
        now: Timestamp,
    ) -> Self {
        let mut diagnosis = Self { state: vec![outcome(&report.order)], ..Self::default() };
        diagnosis.state.extend(report.payment.as_ref().and_then(|row| money(&row.payment)));
        diagnosis.add_unreadable(report);
        diagnosis.add_dead_letters(report);
        diagnosis.add_differences(report, limits, settlements);
        diagnosis.add_tries(report, now);
        diagnosis
    }

    fn add_unreadable(&mut self, report: &OrderReport) {
        self.problems.extend(report.unreadable.iter().map(ToString::to_string));
        if !report.unreadable.is_empty() {
            self.remedies.push(
                "correct the field in the table, or deploy a version that can read the row: \
                 docs/operations.md, \"A row that cannot be read\""
                    .to_owned(),
            );
        }
    }

    fn add_dead_letters(&mut self, report: &OrderReport) {
        let failures = last_failures(&report.log);
        let order = report.order.order_id;
        for (queue, letter) in &report.dead_letters {
            let logged = failures.get(&letter.id).map(|failure| failure.error.clone());
            let reason = letter.reason().or(logged);
            self.problems.push(format!(
                "a message is in the dead-letter queue `{queue}`: {}",
                reason.as_deref().unwrap_or("no error was logged for it")
            ));
        }
        let queues: BTreeSet<_> = report.dead_letters.iter().map(|(queue, _)| queue).collect();
        self.remedies.extend(queues.into_iter().map(|queue| {
            format!("remove the cause, then run `cargo ops dlq redrive {queue} --order {order}`")
        }));
    }

    /// Compares the order with its payment, its stock and the provider's books.
    fn add_differences(&mut self, report: &OrderReport, limits: Limits, settlements: &Settlements) {
        if !report.unreadable.is_empty() {
            return;
        }
        let account = match &report.account {
            Ok(account) => account.as_ref(),
            Err(error) => {
                self.state.push(format!("its money was not checked: {error}"));
                // Whether an order is stuck is known without the provider.
                if !matches!(report.order.status, Status::Placed | Status::Reserved) {
                    return self.add_failed_refund(&report.order);
                }
                None
            }
        };
        let account = account.map(|(intent, refunds)| Account::of(intent, refunds.iter()));
        let case = Case {
            read_at: report.read_at,
            limits,
            dead: !report.dead_letters.is_empty(),
            order: &report.order,
            payment: report.payment.as_ref(),
            accounts: account.as_slice(),
            reservation: report.reservation.as_ref(),
            settlements,
        };
        let mut differences = Vec::new();
        let pending = case.judge(&mut differences);
        self.state.extend(pending.map(|pending| format!("it {pending}")));
        for group in Group::all(&differences, settlements) {
            self.state.extend(group.settled.iter().map(|(_, entry)| entry.to_string()));
            self.problems.extend(group.open.iter().map(ToString::to_string));
            // The differences follow from what has not happened yet.
            if !report.is_held_up() {
                self.remedies.extend(group.remedy());
            }
        }
    }

    /// A failed refund of which the provider does not say whether it was made by hand since.
    fn add_failed_refund(&mut self, order: &Order) {
        if order.payment == PaymentStatus::RefundFailed {
            self.problems.push("its refund failed".to_owned());
            self.remedies.push("run this command again once the provider answers".to_owned());
        }
    }

    /// The tries that are still to come.
    fn add_tries(&mut self, report: &OrderReport, now: Timestamp) {
        for failure in last_failures(&report.log).into_values() {
            let Some(next) = failure.next_try().filter(|next| *next + LATENESS > now) else {
                continue;
            };
            let dead =
                report.dead_letters.iter().any(|(_, letter)| letter.id == failure.message_id);
            if dead {
                continue;
            }
            let due = if next > now {
                format!("in {}", age(now, next))
            } else {
                format!("since {}", age(next, now))
            };
            self.state.push(format!(
                "the next try of {} is due {due}, at {}, after {} of {MAX_RECEIVES} receives; the \
                 last one failed: {}",
                failure.function,
                moment(next),
                failure.receives,
                failure.error
            ));
        }
    }

    /// The diagnosis in lines.
    pub(crate) fn lines(&self) -> Vec<String> {
        let state = self.state.iter().map(|state| format!("  {state}"));
        let problems = self.problems.iter().map(|problem| format!("  problem: {problem}"));
        let remedies = self.remedies.iter().map(|remedy| format!("    do: {remedy}"));
        let mut lines: Vec<_> = state.chain(problems).chain(remedies).collect();
        if self.problems.is_empty() {
            lines.push("  nothing needs to be done".to_owned());
        }
        lines
    }
}

/// What has become of an order.
fn outcome(order: &Order) -> String {
    match (order.status, &order.rejection) {
        (Status::Placed, _) => "the order waits for its stock".to_owned(),
        (Status::Reserved, _) => {
            "the order's stock is held, and it waits for its payment".to_owned()
        }
        (Status::Confirmed, _) => "the order is confirmed".to_owned(),
        (Status::Preparing, _) => "the shop is making the order".to_owned(),
        (Status::Ready, _) => "the order waits for its customer".to_owned(),
        (Status::Collected, _) => "the customer has picked the order up".to_owned(),
        (Status::Cancelled, _) => "the customer cancelled the order".to_owned(),
        (Status::Expired, _) => format!(
            "the order expired, because it was not confirmed by its deadline, {}",
            moment(order.deadline)
        ),
        (Status::Rejected, Some(Rejection::OutOfStock { shortages })) => {
            let short = shortages.iter().map(|short| format!("{} of {}", short.left, short.item));
            let short = short.collect::<Vec<_>>().join(", ");
            format!("the order was rejected, because too little was left: {short}")
        }
        (Status::Rejected, Some(Rejection::PaymentDeclined { reason })) => format!(
            "the order was rejected, because the payment was declined with `{reason}`: {}. The \
             customer can order again with another payment method",
            words::decline(reason)
        ),
        (Status::Rejected, None) => "the order was rejected".to_owned(),
    }
}

/// What has become of the money, unless the outcome says it.
fn money(payment: &Payment) -> Option<String> {
    let Payment::Committed { progress, .. } = payment else {
        return Some(format!("its payment is forbidden: {}", words::payment(payment)));
    };
    match progress {
        Progress::RefundFailed { reason } => {
            Some(format!("its refund failed with `{reason}`: {}", words::refund_failure(reason)))
        }
        Progress::Declined { .. } => None,
        _ => Some(format!("its payment is {}: {}", payment.name(), words::payment(payment))),
    }
}

#[cfg(test)]
mod tests;
