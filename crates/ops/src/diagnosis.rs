//! The end of an order's report: how the order stands, what is wrong, and what to do.

use std::collections::BTreeSet;

use books::{
    journal::Settlements,
    ledger::Bookings,
    reconciliation::{Case, Difference, Group, Limits, Pending},
    rows::PaymentRow,
};
use jiff::Timestamp;
use serde::Serialize;
use shop::{
    order::{Order, Rejection, Status},
    payment::{Payment, Progress},
    refund::RefundState,
};

use crate::{
    dead_letters::NOTICES,
    mappings::{RELAY, Standing},
    output::{age, moment},
    retries::{LATENESS, last_failures, open_failures},
    timeline::OrderReport,
    words,
};

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
        diagnosis.state.extend(report.payment.iter().flat_map(failed_refunds));
        diagnosis.state.extend(report.order.dispute.map(words::dispute));
        let judgement = Judgement::of(report, limits, settlements);
        let awaited = judgement.awaited(report, settlements);
        diagnosis.add_unreadable(report);
        diagnosis.add_standing(report, awaited);
        diagnosis.add_dead_letters(report, |queue| queue != NOTICES);
        diagnosis.add_discards(report, awaited);
        diagnosis.add_differences(report, &judgement, settlements);
        diagnosis.add_dead_letters(report, |queue| queue == NOTICES);
        diagnosis.add_tries(report, awaited, now);
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

    fn add_dead_letters(&mut self, report: &OrderReport, of: impl Fn(&str) -> bool) {
        let failures = last_failures(&report.log);
        let order = report.order.order_id;
        let letters = || report.dead_letters.iter().filter(|(queue, _)| of(queue));
        for (queue, letter) in letters() {
            let logged = failures.get(&letter.id).map(|failure| failure.error.clone());
            let reason = letter.reason().or(logged);
            self.problems.push(format!(
                "a message is in the dead-letter queue `{queue}`: {}",
                reason.as_deref().unwrap_or("no error was logged for it")
            ));
        }
        let queues: BTreeSet<_> = letters().map(|(queue, _)| queue).collect();
        self.remedies.extend(queues.into_iter().map(|queue| {
            format!("remove the cause, then run `cargo ops dlq redrive {queue} --order {order}`")
        }));
    }

    /// Queues that the order waits for and from which nothing is taken.
    fn add_standing(&mut self, report: &OrderReport, awaited: &[&str]) {
        let standing = report.standing.iter();
        for Standing { what, remedy, .. } in standing.filter(|it| awaited.contains(&&*it.queue)) {
            self.problems.push(what.clone());
            self.remedies.push(remedy.clone());
        }
    }

    /// Messages that somebody has discarded. They are missing if the order has not changed since
    /// and waits for one.
    fn add_discards(&mut self, report: &OrderReport, awaited: &[&str]) {
        let order = &report.order;
        let changed = order.history.last().map_or(order.placed_at, |entry| entry.at);
        let mut is_missing = false;
        for entry in &report.discards {
            let queue = entry.discards(order.order_id).unwrap_or_default();
            if awaited.contains(&queue) && entry.at > changed {
                is_missing = true;
                self.problems.push(format!("a message that the order waits for is gone: {entry}"));
            } else {
                self.state.push(entry.to_string());
            }
        }
        if is_missing {
            let retry = format!("`cargo ops order {} retry`", order.order_id);
            self.remedies.push(format!("run {retry}, which sends it again"));
        }
    }

    /// Where the order, its payment, its stock and the provider's books disagree.
    fn add_differences(
        &mut self,
        report: &OrderReport,
        judgement: &Judgement,
        settlements: &Settlements,
    ) {
        self.state.extend(judgement.unchecked.clone());
        self.state.extend(judgement.pending.map(|pending| format!("it {pending}")));
        // What has not happened yet may be all that is wrong.
        let is_held_up = !self.remedies.is_empty();
        for group in Group::all(&judgement.differences, settlements) {
            self.state.extend(group.settled.iter().map(|(_, entry)| entry.to_string()));
            self.problems.extend(group.open.iter().map(ToString::to_string));
            if !is_held_up {
                self.remedies.extend(group.remedy());
            }
        }
        if judgement.unchecked.is_some() {
            self.add_failed_refund(&report.order, "once the provider answers");
        } else if judgement.pending == Some(Pending::Changing) {
            self.add_failed_refund(&report.order, "in a moment");
        }
    }

    /// A failed refund of which it is not known whether it was made by hand since, until somebody
    /// looks again.
    fn add_failed_refund(&mut self, order: &Order, again: &str) {
        if order.has_failed_refund() {
            self.problems.push("its refund failed".to_owned());
            self.remedies.push(format!("run this command again {again}"));
        }
    }

    /// The tries that are still to come, of functions that the order waits for.
    fn add_tries(&mut self, report: &OrderReport, awaited: &[&str], now: Timestamp) {
        let mut failures = open_failures(&report.log);
        failures.retain(|failure| is_awaited(&failure.function, awaited));
        for failure in failures {
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
                "the next try of {} is due {due}, at {}, after {}; the last one failed: {}",
                failure.function,
                moment(next),
                failure.tries,
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

/// An order compared with its payment, its stock and the provider's books.
#[derive(Default)]
struct Judgement {
    differences: Vec<Difference>,
    pending: Option<Pending>,
    /// Why the provider's books were not compared, if so.
    unchecked: Option<String>,
}

impl Judgement {
    fn of(report: &OrderReport, limits: Limits, settlements: &Settlements) -> Self {
        let mut judgement = Self::default();
        if !report.unreadable.is_empty() {
            return judgement;
        }
        let account = match &report.account {
            Ok(account) => account.as_ref(),
            Err(error) => {
                judgement.unchecked = Some(format!("its money was not checked: {error}"));
                None
            }
        };
        let account = account.map(Bookings::account);
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
        judgement.pending = case.judge(&mut judgement.differences);
        // Whether an order is stuck, or a message about its money under way, is known without the
        // provider.
        if judgement.unchecked.is_some() && !is_undecided(&report.order) {
            judgement.differences.clear();
        }
        judgement
    }

    /// The queues whose messages can move the order on, and where such messages may end.
    fn awaited(&self, report: &OrderReport, settlements: &Settlements) -> &'static [&'static str] {
        let is_open = |it: &Difference| !settlements.contains_key(&it.key());
        let is_undone = self.pending.is_none() && !self.differences.iter().any(is_open);
        match report.order.status {
            Status::Placed => &[RELAY, "rule", "stock", "results", "deadline"],
            Status::Reserved => &[RELAY, "rule", "charge", "results", "deadline"],
            status if status.ended_early() && !is_undone => {
                &[RELAY, "rule", "stock", "refund", "results"]
            }
            _ => &[],
        }
    }
}

/// Whether an order waits for a function, if it waits for the messages of these queues. Its
/// customer may wait for a notice in every state.
fn is_awaited(function: &str, awaited: &[&str]) -> bool {
    let queues: &[&str] = match function {
        "inventory" => &["stock"],
        "payment" => &["charge", "refund"],
        "order-status" => &["results", "deadline"],
        "order-relay" => &[RELAY],
        _ => return true,
    };
    queues.iter().any(|queue| awaited.contains(queue))
}

/// Whether an order is neither confirmed nor over.
fn is_undecided(order: &Order) -> bool {
    matches!(order.status, Status::Placed | Status::Reserved)
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
        (Status::Cancelled, _) => match &order.cancellation_reason {
            Some(reason) => format!("the shop cancelled the order: {}", reason.as_str()),
            None => "the customer cancelled the order".to_owned(),
        },
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
            "the order was rejected, because the payment was declined with `{reason}`: {}. {}",
            words::decline(reason),
            words::after_decline(reason)
        ),
        (Status::Rejected, None) => "the order was rejected".to_owned(),
    }
}

/// What has become of the money, unless the outcome says it.
fn money(payment: &Payment) -> Option<String> {
    match payment {
        Payment::Committed { progress: Progress::RefundFailed { reason }, .. } => {
            Some(format!("its refund failed with `{reason}`: {}", words::refund_failure(reason)))
        }
        Payment::Refused { .. }
        | Payment::Committed { progress: Progress::Declined { .. }, .. } => None,
        _ => Some(format!("its payment is {}: {}", payment.name(), words::payment(payment))),
    }
}

/// The refunds of the shop that the provider or the bank refuses.
fn failed_refunds(row: &PaymentRow) -> impl Iterator<Item = String> {
    let failed = row.refunds.iter().filter(|entry| entry.state == RefundState::Failed);
    failed.map(|entry| {
        let reason = entry.reason.as_deref().unwrap_or("unknown");
        format!(
            "refund {} of its shop failed with `{reason}`: {}",
            entry.id,
            words::refund_failure(reason)
        )
    })
}

#[cfg(test)]
mod tests;
