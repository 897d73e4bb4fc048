//! Everything that is known about an order, and its timeline.

use std::collections::HashSet;

use books::{
    UnreadableRow, journal,
    ledger::Bookings,
    rows::{NoticeRow, PaymentRow},
};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value};
use shop::{
    dispute::Dispute,
    event::{InventoryEvent, PaymentEvent},
    money::Money,
    order::{HistoryEntry, Order, OrderEventType},
    stock::Reservation,
};
use stack::{LogLine, RECORDED_AT};
use stripe::BookedRefundStatus;
use uuid::Uuid;

use crate::{
    dead_letters::{Content, DeadLetter},
    error::Error,
    mappings::Standing,
    output::name,
    words,
};

/// The events after which money is given back.
const REFUNDING: [OrderEventType; 4] = [
    OrderEventType::Rejected,
    OrderEventType::Cancelled,
    OrderEventType::Expired,
    OrderEventType::RefundRequested,
];

/// Everything that is known about an order.
pub(crate) struct OrderReport {
    /// When the reading began.
    pub(crate) read_at: Timestamp,
    pub(crate) order: Order,
    pub(crate) payment: Option<PaymentRow>,
    pub(crate) reservation: Option<Reservation>,
    pub(crate) notice: Option<NoticeRow>,
    /// Its rows that cannot be read, of those three.
    pub(crate) unreadable: Vec<UnreadableRow>,
    /// The provider's record of the payment's intent, if there is one. If the provider does not
    /// answer, everything else is still worth knowing.
    pub(crate) account: Result<Option<Bookings>, Error>,
    /// Each with the name of its queue.
    pub(crate) dead_letters: Vec<(String, DeadLetter)>,
    /// The entries of the journal about its messages that were discarded, oldest first.
    pub(crate) discards: Vec<journal::Entry>,
    /// The queues of the stack from which nothing is taken.
    pub(crate) standing: Vec<Standing>,
    /// The envelopes of its events on the bus. Only an embedded stack records them.
    pub(crate) events: Option<Vec<Value>>,
    pub(crate) log: Vec<LogLine>,
}

/// Something that happened to an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Entry {
    pub(crate) at: Timestamp,
    /// Where the entry comes from, such as the order's history or a function's log.
    pub(crate) source: String,
    pub(crate) text: String,
}

impl OrderReport {
    /// Everything that happened, oldest first.
    pub(crate) fn timeline(&self) -> Vec<Entry> {
        let mut entries = self.history();
        entries.extend(self.events.as_deref().map(events).unwrap_or_default());
        entries.extend(self.payment.as_ref().map(|row| {
            let (name, meaning) = (row.payment.name(), words::payment(&row.payment));
            let text = format!("{name}, as last written: {meaning}");
            Entry { at: row.updated_at, source: "payment row".to_owned(), text }
        }));
        if let Ok(Some(bookings)) = &self.account {
            entries.extend(self.provider(bookings));
        }
        entries.extend(self.dead_letters.iter().map(|(queue, letter)| dead_letter(queue, letter)));
        entries.extend(self.log.iter().map(|line| Entry {
            at: line.at,
            source: line.function.clone(),
            text: logged(line),
        }));
        // Stable, so that entries of one source keep their order.
        entries.sort_by_key(|entry| entry.at);
        entries
    }

    /// The transitions; and the events that they imply, if no events were recorded.
    fn history(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        for entry in &self.order.history {
            let (at, text) = (entry.at, self.transition(entry));
            entries.push(Entry { at, source: "order".to_owned(), text });
            if self.events.is_none() {
                let text = format!("{} (from the history)", name(entry.event));
                entries.push(Entry { at, source: "event".to_owned(), text });
            }
        }
        entries
    }

    fn provider(&self, Bookings { intent, refunds, disputes }: &Bookings) -> Vec<Entry> {
        let money = |amount| Money { amount, currency: self.order.currency };
        let entry = |at, text| Entry { at, source: "provider".to_owned(), text };
        let created = format!("{} created for {}", intent.id.as_str(), money(intent.amount));
        let charged = self.within(intent.created, &[OrderEventType::Reserved]);
        let mut entries = vec![entry(charged, created)];
        entries.extend(refunds.iter().map(|refund| {
            let status = match refund.status {
                BookedRefundStatus::Pending => "pending",
                BookedRefundStatus::Succeeded => "succeeded",
                BookedRefundStatus::Failed => "failed",
            };
            let at = self.within(refund.created, &REFUNDING);
            entry(at, format!("{} of {}: {status}", refund.id, money(refund.amount)))
        }));
        entries.extend(disputes.iter().map(|booked| {
            let Dispute { state, amount } = booked.dispute;
            let text = format!("{} over {}: {}", booked.id, money(amount), name(state));
            entry(booked.created, text)
        }));
        entries
    }

    /// A time in a second of the provider's books, which do not say when within it: not before the
    /// event after which the provider was asked, as the order's row and the bus have it.
    fn within(&self, second: Timestamp, provoking: &[OrderEventType]) -> Timestamp {
        let next = second + SignedDuration::from_secs(1);
        let history = self.order.history.iter();
        let changed = history.filter(|it| provoking.contains(&it.event)).map(|it| it.at);
        let names = provoking.iter().map(name).collect::<Vec<_>>();
        let envelopes = self.events.iter().flatten();
        let sent = envelopes.filter(|it| names.iter().any(|name| it["detail-type"] == **name));
        let asked = changed.chain(sent.map(passed));
        asked.filter(|at| *at < next).max().map_or(second, |at| at.max(second))
    }

    fn transition(&self, entry: &HistoryEntry) -> String {
        let because = match entry.cause {
            Some(cause) => format!("because of {}", self.event_name(cause)),
            None if entry.event == OrderEventType::Placed => "by the customer".to_owned(),
            None if entry.event == OrderEventType::Cancelled
                && self.order.cancellation_reason.is_none() =>
            {
                "by the customer".to_owned()
            }
            None if entry.event == OrderEventType::Erased => "by an operator".to_owned(),
            None => "by the shop".to_owned(),
        };
        format!("{}, revision {}, {because}", name(entry.event), entry.revision)
    }

    /// The name of the event with this id, which is derived from the order and from the event's
    /// name or revision.
    fn event_name(&self, id: Uuid) -> String {
        let own = self
            .order
            .history
            .iter()
            .find(|entry| self.order.order_id.derived(&entry.revision.to_string()) == id);
        let mut reported = InventoryEvent::DETAIL_TYPES.iter().chain(PaymentEvent::DETAIL_TYPES);
        match (own, reported.find(|name| self.order.order_id.derived(name) == id)) {
            (Some(entry), _) => name(entry.event),
            (None, Some(reported)) => (*reported).to_owned(),
            (None, None) => format!("the event {id}"),
        }
    }
}

/// The events as they passed the bus. All copies of an event have one id.
fn events(envelopes: &[Value]) -> Vec<Entry> {
    let mut envelopes: Vec<_> = envelopes.iter().collect();
    envelopes.sort_by_key(|envelope| passed(envelope));
    let mut seen = HashSet::new();
    let entries = envelopes.into_iter().map(|envelope| {
        let name = envelope["detail-type"].as_str().unwrap_or_default();
        let first = seen.insert(&envelope["detail"]["metadata"]["event_id"]);
        let text = if first { name.to_owned() } else { format!("{name}, repeated") };
        Entry { at: passed(envelope), source: "event".to_owned(), text }
    });
    entries.collect()
}

/// When an event passed the bus.
fn passed(envelope: &Value) -> Timestamp {
    let at = envelope[RECORDED_AT].as_str().and_then(|at| at.parse().ok());
    at.unwrap_or_default()
}

fn dead_letter(queue: &str, letter: &DeadLetter) -> Entry {
    let what = match &letter.content {
        Content::Event { event_type, .. } => event_type,
        _ => "a record of the stream",
    };
    let text = match letter.given_up_after {
        Some(receives) => {
            format!("{what} was sent, and is in `{queue}` since it failed {receives} times")
        }
        None => format!("{what} was sent to `{queue}`"),
    };
    Entry { at: letter.sent, source: "dead letter".to_owned(), text }
}

/// The text of a log line, without the fields that the timeline shows elsewhere.
fn logged(line: &LogLine) -> String {
    let Some(mut fields) = line.fields() else {
        return line.message.trim_end().to_owned();
    };
    // `name` is that of a span.
    for elsewhere in
        ["timestamp", "function", "order_id", "trace_id", "request_id", "message_id", "name"]
    {
        fields.remove(elsewhere);
    }
    let mut take = |field| fields.remove(field).map(plain).unwrap_or_default();
    let (level, message) = (take("level"), take("message"));
    let level = if level == "INFO" { String::new() } else { format!("{level}: ") };
    format!("{level}{message}{}", written(fields))
}

fn written(fields: Map<String, Value>) -> String {
    fields.into_iter().map(|(name, value)| format!(" {name}={}", plain(value))).collect()
}

/// Text without quotes, any other value as JSON.
fn plain(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use fixtures::{ORDER, PLACED_AT, at};
    use serde_json::json;
    use shop::order::Trigger;

    use super::*;

    /// An order that was reserved.
    fn order() -> Order {
        let mut order = fixtures::after(fixtures::order(), &[Trigger::StockReserved]);
        order.history[1].cause = Some(order.order_id.derived("inventory.reserved"));
        order.history[1].at = at("2026-11-24T08:00:02Z");
        order
    }

    fn report(events: Option<Vec<Value>>, log: Vec<LogLine>) -> OrderReport {
        let order = order();
        OrderReport {
            read_at: at("2026-11-24T08:00:10Z"),
            order,
            payment: None,
            reservation: None,
            notice: None,
            unreadable: vec![],
            account: Ok(None),
            dead_letters: vec![],
            discards: vec![],
            standing: vec![],
            events,
            log,
        }
    }

    fn shown(report: &OrderReport) -> Vec<String> {
        report
            .timeline()
            .into_iter()
            .map(|entry| format!("{}: {}", entry.source, entry.text))
            .collect()
    }

    #[test]
    fn entries_of_all_sources_are_sorted_by_the_time_when_each_happened() {
        let at = at("2026-11-24T08:00:01Z");
        let message = json!({
            "timestamp": at,
            "level": "ERROR",
            "message": "record failed",
            "order_id": ORDER,
            "receives": 1,
            "error": "the table is unavailable"
        });
        let line = LogLine { at, function: "inventory".to_owned(), message: message.to_string() };
        let event = |passed: &str| {
            json!({
                "detail-type": "order.placed",
                "detail": {"metadata": {"occurred_at": PLACED_AT, "event_id": ORDER}},
                "recorded_at": passed
            })
        };
        let events = [event("2026-11-24T08:00:03Z"), event("2026-11-24T08:00:00.5Z")];
        assert_eq!(
            shown(&report(Some(events.into()), vec![line])),
            [
                "order: order.placed, revision 1, by the customer",
                "event: order.placed",
                "inventory: ERROR: record failed error=the table is unavailable receives=1",
                "order: order.reserved, revision 2, because of inventory.reserved",
                "event: order.placed, repeated",
            ]
        );
    }

    #[test]
    fn the_provider_acts_after_the_event_that_it_was_asked_after() {
        let [intent, refund] = ["2026-11-24T08:00:02Z", "2026-11-24T08:00:09Z"].map(at);
        let mut report = report(None, vec![]);
        report.order.history[1].at = at("2026-11-24T08:00:02.3Z");
        let asked = [OrderEventType::Reserved];
        assert_eq!(report.within(intent, &asked), at("2026-11-24T08:00:02.3Z"));
        assert_eq!(report.within(refund, &asked), refund);
        // The event passes the bus after the transition, in the second after it or the same.
        report.order.history[1].at = at("2026-11-24T08:00:01.9Z");
        let reserved =
            |passed: &str| json!({"detail-type": "order.reserved", "recorded_at": passed});
        report.events = Some(vec![reserved("2026-11-24T08:00:02.1Z")]);
        assert_eq!(report.within(intent, &asked), at("2026-11-24T08:00:02.1Z"));
        report.events = Some(vec![reserved("2026-11-24T08:00:07Z")]);
        assert_eq!(report.within(intent, &asked), intent);
    }

    #[test]
    fn events_that_were_not_recorded_follow_from_the_history() {
        let derived = shown(&report(None, vec![]));
        assert_eq!(derived.iter().filter(|entry| entry.starts_with("event: order.")).count(), 2);
        assert!(derived[1].contains("from the history"), "{derived:?}");
    }

    #[test]
    fn a_log_line_of_a_crashed_function_is_shown_unchanged() {
        let line = LogLine {
            at: Timestamp::UNIX_EPOCH,
            function: "payment".to_owned(),
            message: "Segfault\n".to_owned(),
        };
        assert_eq!(logged(&line), "Segfault");
    }
}
