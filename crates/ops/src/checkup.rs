//! What is wrong with a stack at a moment.

use std::collections::BTreeSet;

use books::{
    UnreadableRow,
    reconciliation::{EXPIRY_LAG, Limits},
};
use jiff::{SignedDuration, Timestamp};
use shop::{
    id::OrderId,
    order::{Order, PaymentStatus, Status},
};
use stack::Alarm;

use crate::{
    dead_letters::{INTENTS, NOTICES},
    incidents::Group,
    mappings::RELAY,
    output::{age, count},
};

/// How long an order may wait for its stock or its payment: the threshold of the alarm
/// `OrdersWaiting`.
const PATIENCE: SignedDuration = SignedDuration::from_mins(1);

/// How long the money of an order that ended early may be on its way back: the threshold of the
/// alarm `OthersWaiting` for refunds.
const REFUND_PATIENCE: SignedDuration = SignedDuration::from_mins(5);

/// The function whose errors are differences of the books.
const BOOKS: &str = "books";

/// The number of orders that a finding names.
const NAMED: usize = 3;

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) section: Section,
    pub(crate) what: String,
    /// Where the documents say what to do.
    pub(crate) link: String,
    /// Whether nothing is left of its cause, so that it needs nobody.
    pub(crate) is_over: bool,
}

/// What is left of what functions reported as errors.
#[derive(Clone, Debug, Default)]
pub(crate) struct Left {
    /// Whether a dead-letter queue holds something.
    pub(crate) dead_letters: bool,
    /// Whether a customer is owed the money of a refund that failed.
    pub(crate) failed_refunds: bool,
    /// The messages that failed and did not get further since.
    pub(crate) open_messages: BTreeSet<String>,
}

/// The section of the documents about a finding: first what stands now, worst first, then what was
/// reported, then alarms, which say no more than that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Section {
    StreamBehind,
    Unconfirmed,
    OrdersWaiting,
    DeadOrders,
    DeadRefunds,
    RefundFailed,
    UnreadableRow,
    OthersWaiting,
    DeadOthers,
    ApiErrors,
    BooksDiffer,
    DeadLettered,
    RecordsFailing,
    /// Of the alarm that a finding names.
    Alarm,
}

impl Section {
    /// The section about dead letters of a queue.
    pub(crate) fn dead(queue: &str) -> Self {
        match queue {
            NOTICES | INTENTS => Self::DeadOthers,
            "refund" => Self::DeadRefunds,
            _ => Self::DeadOrders,
        }
    }

    /// Whether it is about dead letters that are there.
    pub(crate) const fn is_of_dead_letters(self) -> bool {
        matches!(self, Self::DeadOrders | Self::DeadRefunds | Self::DeadOthers)
    }

    /// The section about a queue whose messages wait.
    pub(crate) fn waiting(queue: &str) -> Self {
        match queue {
            RELAY => Self::StreamBehind,
            "stock" | "charge" | "results" => Self::OrdersWaiting,
            _ => Self::OthersWaiting,
        }
    }

    /// The section about errors of a function.
    pub(crate) fn errors(group: &Group) -> Self {
        match &*group.function {
            "order-intake" => Self::ApiErrors,
            BOOKS => Self::BooksDiffer,
            _ if group.is_refund() => Self::RefundFailed,
            _ if group.is_lasting => Self::DeadLettered,
            _ => Self::RecordsFailing,
        }
    }

    /// Where the documents say what to do.
    pub(crate) const fn link(self) -> &'static str {
        match self {
            Self::Alarm => "docs/runbook.md",
            Self::ApiErrors => "docs/runbook.md#api-errors",
            Self::StreamBehind => "docs/runbook.md#stream-behind",
            Self::Unconfirmed => "docs/runbook.md#unconfirmed",
            Self::OrdersWaiting => "docs/runbook.md#orders-waiting",
            Self::DeadOrders => "docs/runbook.md#dead-orders",
            Self::DeadRefunds => "docs/runbook.md#dead-refunds",
            Self::RefundFailed => "docs/runbook.md#refund-failed",
            Self::BooksDiffer => "docs/runbook.md#books-differ",
            Self::DeadLettered => "docs/runbook.md#dead-lettered",
            Self::RecordsFailing => "docs/runbook.md#records-failing",
            Self::UnreadableRow => "docs/operations.md#a-row-that-cannot-be-read",
            Self::OthersWaiting => "docs/runbook.md#others-waiting",
            Self::DeadOthers => "docs/runbook.md#dead-others",
        }
    }
}

impl Finding {
    pub(crate) fn new(section: Section, what: String) -> Self {
        Self { section, what, link: section.link().to_owned(), is_over: false }
    }

    /// An alarm that rings. One that is over ends by itself.
    pub(crate) fn alarm(alarm: Alarm, is_over: bool, now: Timestamp) -> Self {
        let Alarm { logical_id, since, reason } = alarm;
        let since = since.map_or_else(String::new, |since| format!(" for {}", age(since, now)));
        let over = if is_over { "over: " } else { "" };
        let what = format!("{over}the alarm {logical_id} rings{since}: {reason}");
        let link = format!("{}#{}", Section::Alarm.link(), kebab(&logical_id));
        Self { link, is_over, ..Self::new(Section::Alarm, what) }
    }

    /// Errors of a function with one cause. What no retry helps is over once it was redriven or
    /// discarded, a failed refund once somebody has given the money back, and a difference of the
    /// books once they are compared again.
    pub(crate) fn errors(group: &Group, left: &Left, now: Timestamp) -> Self {
        let Group { function, cause, is_lasting, count: number, last, .. } = group;
        let stands = function == BOOKS || (*is_lasting && left.dead_letters);
        let is_over = if group.is_refund() {
            !left.failed_refunds
        } else {
            group.is_over(&left.open_messages, now) && !stands
        };
        let section = Section::errors(group);
        let number = count(*number, "error");
        let becomes = if *is_lasting { " of records that no retry helps" } else { "" };
        let ago = age(*last, now);
        let what = if is_over {
            format!("over for {ago}: {function} reported {number}{becomes}: {cause}")
        } else {
            format!("{function} reported {number}{becomes}, the last one {ago} ago: {cause}")
        };
        Self { is_over, ..Self::new(section, what) }
    }

    pub(crate) fn unreadable(row: UnreadableRow) -> Self {
        Self::new(Section::UnreadableRow, row.to_string())
    }
}

/// The orders that need somebody, gathered one by one.
#[derive(Debug)]
pub(crate) struct OrdersNow {
    now: Timestamp,
    limits: Limits,
    /// Neither confirmed nor ended, long after the deadline.
    stuck: Vec<OrderId>,
    /// Neither confirmed nor ended, and without a change for too long, although they do not wait
    /// for their customers to authenticate; the oldest with its age.
    waiting: Vec<OrderId>,
    longest_wait: SignedDuration,
    /// Ended early, and the money that was taken has been on its way back for too long.
    owed: Vec<OrderId>,
    pub(crate) refund_failed: Vec<OrderId>,
    unreadable: Vec<UnreadableRow>,
}

impl OrdersNow {
    pub(crate) fn new(now: Timestamp, limits: Limits) -> Self {
        Self {
            now,
            limits,
            stuck: vec![],
            waiting: vec![],
            longest_wait: SignedDuration::ZERO,
            owed: vec![],
            refund_failed: vec![],
            unreadable: vec![],
        }
    }

    pub(crate) fn add(&mut self, row: Result<Order, UnreadableRow>) {
        let order = match row {
            Ok(order) => order,
            Err(row) => return self.unreadable.push(row),
        };
        let id = order.order_id;
        let changed = order.history.last().map_or(order.placed_at, |entry| entry.at);
        let unchanged_for = self.now.duration_since(changed);
        if order.has_failed_refund() {
            self.refund_failed.push(id);
        }
        match order.status {
            Status::Placed | Status::Reserved => {
                let expires_at = order.deadline.max(order.placed_at + self.limits.confirm_within);
                if self.now > expires_at + EXPIRY_LAG {
                    self.stuck.push(id);
                } else if unchanged_for > PATIENCE && order.authentication_url.is_none() {
                    self.waiting.push(id);
                    self.longest_wait = self.longest_wait.max(unchanged_for);
                }
            }
            status => {
                let owed = status.ended_early() && order.payment == PaymentStatus::Captured;
                if owed && unchanged_for > REFUND_PATIENCE {
                    self.owed.push(id);
                }
            }
        }
    }

    pub(crate) fn findings(self) -> Vec<Finding> {
        let longest = age(self.now - self.longest_wait, self.now);
        let kinds = [
            (
                Section::Unconfirmed,
                self.stuck,
                "neither confirmed nor expired, long after the deadline".to_owned(),
            ),
            (
                Section::Unconfirmed,
                self.waiting,
                format!("waiting for stock or payment, the longest for {longest}"),
            ),
            (
                Section::RefundFailed,
                self.refund_failed,
                "whose money could not be given back".to_owned(),
            ),
            (
                Section::OthersWaiting,
                self.owed,
                format!(
                    "that ended over {} minutes ago, and whose money is not given back \
                     (`cargo ops order ID` says until when that is tried)",
                    REFUND_PATIENCE.as_mins()
                ),
            ),
        ];
        let found = kinds.into_iter().filter(|(_, orders, _)| !orders.is_empty());
        let found = found.map(|(section, orders, what)| {
            let orders = (count(orders.len(), "order"), named(&orders));
            Finding::new(section, format!("{} {what}: {}", orders.0, orders.1))
        });
        found.chain(self.unreadable.into_iter().map(Finding::unreadable)).collect()
    }
}

/// The name of an alarm as the anchor of its section: `orders-waiting` for `OrdersWaiting`.
fn kebab(name: &str) -> String {
    let mut kebab = String::new();
    for (place, letter) in name.char_indices() {
        if letter.is_ascii_uppercase() && place > 0 {
            kebab.push('-');
        }
        kebab.push(letter.to_ascii_lowercase());
    }
    kebab
}

/// The first orders, and how many more there are.
fn named(orders: &[OrderId]) -> String {
    let first: Vec<_> = orders.iter().take(NAMED).map(ToString::to_string).collect();
    match orders.len().saturating_sub(NAMED) {
        0 => first.join(", "),
        more => format!("{} and {more} more (`cargo ops orders`)", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use fixtures::at;
    use resources::Template;
    use shop::order::Trigger;
    use stack::LogLine;

    use super::*;
    use crate::incidents::groups;

    const LIMITS: Limits = Limits {
        confirm_within: SignedDuration::from_mins(15),
        undo_within: SignedDuration::from_hours(10),
    };

    fn found(time: &str, orders: impl IntoIterator<Item = Order>) -> Vec<(Section, String)> {
        let mut now = OrdersNow::new(at(time), LIMITS);
        orders.into_iter().for_each(|order| now.add(Ok(order)));
        now.findings().into_iter().map(|finding| (finding.section, finding.what)).collect()
    }

    fn after(triggers: &[Trigger]) -> Order {
        fixtures::after(fixtures::order(), triggers)
    }

    #[test]
    fn an_order_waits_after_a_minute_and_is_stuck_after_its_deadline() {
        let reserved = || [after(&[Trigger::StockReserved])];
        assert_eq!(found("2026-11-24T08:00:59Z", reserved()), []);
        let [(Section::Unconfirmed, waiting)] = &found("2026-11-24T08:02:01Z", reserved())[..]
        else {
            panic!("not waiting")
        };
        assert!(waiting.contains("the longest for 2 min 0 s"), "{waiting}");
        let [(Section::Unconfirmed, stuck)] = &found("2026-11-24T08:18:00Z", reserved())[..] else {
            panic!("not stuck")
        };
        assert!(stuck.contains("neither confirmed nor expired"), "{stuck}");
    }

    #[test]
    fn an_order_may_wait_for_its_customer_to_authenticate_until_its_deadline() {
        let asked = || {
            let page = "https://hooks.stripe.com/3d_secure_2/hosted".to_owned();
            let page = Trigger::AuthenticationRequired(page.try_into().unwrap());
            [after(&[Trigger::StockReserved, page])]
        };
        assert_eq!(found("2026-11-24T08:14:00Z", asked()), []);
        assert_eq!(found("2026-11-24T08:18:00Z", asked()).len(), 1);
    }

    #[test]
    fn money_that_does_not_come_back_is_found() {
        let cancelled = [Trigger::StockReserved, Trigger::PaymentCaptured, Trigger::Cancelled];
        assert_eq!(found("2026-11-24T08:05:00Z", [after(&cancelled)]), []);
        let owed = found("2026-11-24T08:06:00Z", [after(&cancelled)]);
        assert_eq!(owed[0].0, Section::OthersWaiting);
        let failed = [&cancelled[..], &[Trigger::RefundFailed(0)]].concat();
        let failed = found("2026-11-24T08:00:10Z", [after(&failed)]);
        assert_eq!((failed[0].0, failed.len()), (Section::RefundFailed, 1));
        let confirmed = [Trigger::StockReserved, Trigger::PaymentCaptured];
        assert_eq!(found("2026-11-25T08:00:00Z", [after(&confirmed)]), []);
    }

    #[test]
    fn patience_ends_when_the_alarms_do_ring() {
        let template = Template::on_aws();
        let others = template.properties("OthersWaiting").to_string();
        assert!(others.contains(&format!("refund > {} ", REFUND_PATIENCE.as_secs())), "{others}");
        assert_eq!(template.properties("OrdersWaiting")["Threshold"], PATIENCE.as_secs());
    }

    #[test]
    fn an_alarm_leads_to_its_own_section() {
        let now = at("2026-11-24T08:05:00Z");
        let alarm = Alarm {
            logical_id: "OrdersWaiting".to_owned(),
            since: Some(at("2026-11-24T08:00:00Z")),
            reason: "threshold crossed".to_owned(),
        };
        let Finding { what, link, .. } = Finding::alarm(alarm.clone(), false, now);
        assert_eq!(what, "the alarm OrdersWaiting rings for 5 min 0 s: threshold crossed");
        assert_eq!(link, "docs/runbook.md#orders-waiting");
        let over = Finding::alarm(alarm, true, now);
        assert!(over.is_over && over.what.starts_with("over: the alarm"), "{over:?}");
    }

    #[test]
    fn errors_stand_as_long_as_their_dead_letters_do() {
        let at = |second| fixtures::at(&format!("2026-11-24T08:0{second}:00Z"));
        let line = |function: &str, transient: bool| {
            let message = serde_json::json!({
                "level": "ERROR", "message": "record failed", "transient": transient
            });
            LogLine { at: at(0), function: function.to_owned(), message: message.to_string() }
        };
        let found = |line: LogLine, dead_letters: bool| {
            let left = Left { dead_letters, ..Left::default() };
            Finding::errors(&groups(&[line])[0], &left, at(5))
        };
        let over = found(line("payment", true), true);
        assert!(over.is_over, "{over:?}");
        assert_eq!(over.what, "over for 5 min 0 s: payment reported 1 error: record failed");
        assert!(found(line("payment", false), false).is_over);
        let lasting = found(line("payment", false), true);
        assert!(!lasting.is_over && lasting.what.contains("the last one 5 min 0 s ago"));
        let books = found(line("books", true), false);
        assert!(!books.is_over && books.link.ends_with("#books-differ"), "{books:?}");
    }

    #[test]
    fn a_refund_that_failed_is_over_once_somebody_has_given_the_money_back() {
        let message = r#"{"level": "ERROR", "message": "refund failed: give the money back"}"#;
        let at = at("2026-11-24T08:00:00Z");
        let line = LogLine { at, function: "payment".to_owned(), message: message.to_owned() };
        let found = |failed_refunds: bool| {
            let left = Left { failed_refunds, ..Left::default() };
            Finding::errors(&groups(std::slice::from_ref(&line))[0], &left, at)
        };
        let stands = found(true);
        assert!(!stands.is_over && stands.link.ends_with("#refund-failed"), "{stands:?}");
        assert!(found(false).is_over);
    }

    #[test]
    fn a_finding_names_three_orders_and_counts_the_others() {
        let orders = (0..5).map(fixtures::numbered_order);
        let waiting = &found("2026-11-24T08:05:00Z", orders)[0].1;
        assert!(waiting.starts_with("5 orders waiting"), "{waiting}");
        assert!(waiting.contains("000000000002 and 2 more"), "{waiting}");
    }
}
