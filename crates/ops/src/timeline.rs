//! Everything known of one order, and its story in the order of time.

use jiff::Timestamp;
use local::LogLine;
use serde::Serialize;
use serde_json::{Map, Value};
use shop::{
    money::Money,
    order::{HistoryEntry, Order},
    stock::Reservation,
};
use stripe::{BookedIntent, BookedRefund, BookedRefundStatus};
use uuid::Uuid;

use crate::{
    dead_letters::{Content, DeadLetter},
    error::Error,
    logs,
    output::name,
    tables::{NoticeRow, PaymentRow},
};

/// Everything known of one order.
pub(crate) struct Dossier {
    pub(crate) order: Order,
    pub(crate) payment: Option<PaymentRow>,
    pub(crate) reservation: Option<Reservation>,
    pub(crate) notice: Option<NoticeRow>,
    /// What the provider knows of the payment's intent, if there is one. All else is worth knowing
    /// also while the provider is what is broken.
    pub(crate) account: Result<Option<(BookedIntent, Vec<BookedRefund>)>, Error>,
    /// With the name of the queue that each lies in.
    pub(crate) dead_letters: Vec<(String, DeadLetter)>,
    /// What passed the bus, as whole envelopes; none where nobody records it.
    pub(crate) events: Option<Vec<Value>>,
    pub(crate) log: Vec<LogLine>,
}

/// Something that happened to an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Entry {
    /// When.
    pub(crate) at: Timestamp,
    /// Who tells of it.
    pub(crate) source: String,
    /// What.
    pub(crate) text: String,
}

impl Dossier {
    /// What happened, oldest first.
    pub(crate) fn timeline(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        let mut add =
            |at, source: &str, text| entries.push(Entry { at, source: source.to_owned(), text });
        for entry in &self.order.history {
            add(entry.at, "order", self.transition(entry));
            if self.events.is_none() {
                add(
                    entry.at,
                    "event",
                    format!("{} (from the history: nobody records the bus)", name(entry.event)),
                );
            }
        }
        for event in self.events.iter().flatten() {
            let at =
                event["detail"]["metadata"]["occurred_at"].as_str().and_then(|at| at.parse().ok());
            add(
                at.unwrap_or_default(),
                "event",
                event["detail-type"].as_str().unwrap_or_default().to_owned(),
            );
        }
        if let Some(row) = &self.payment {
            add(row.updated_at, "payment row", format!("{}, as last written", row.payment.name()));
        }
        if let Ok(Some((intent, refunds))) = &self.account {
            let money = |amount| Money { amount, currency: self.order.currency };
            add(
                intent.created,
                "provider",
                format!("{} made for {}", intent.id.as_str(), money(intent.amount)),
            );
            for refund in refunds {
                let status = match refund.status {
                    BookedRefundStatus::Pending => "on its way",
                    BookedRefundStatus::Succeeded => "given back",
                    BookedRefundStatus::Failed => "could not be given back",
                };
                add(
                    refund.created,
                    "provider",
                    format!("{} of {}: {status}", refund.id, money(refund.amount)),
                );
            }
        }
        for (queue, letter) in &self.dead_letters {
            let what = match &letter.content {
                Content::Event { event_type, .. } => event_type,
                _ => "a record of the stream",
            };
            let text = format!(
                "{what} was sent, and lies in `{queue}` after {} receives",
                letter.receives
            );
            add(letter.sent, "dead letter", text);
        }
        for line in &self.log {
            add(line.at, &line.function, logged(line));
        }
        // What comes from one source stays in its order.
        entries.sort_by_key(|entry| entry.at);
        entries
    }

    fn transition(&self, entry: &HistoryEntry) -> String {
        let because = match entry.cause {
            Some(cause) => format!("because of {}", self.event_name(cause)),
            None => "by a person".to_owned(),
        };
        format!("{}, revision {}, {because}", name(entry.event), entry.revision)
    }

    /// The name of an event by its id, which follows from the order and the event's name.
    fn event_name(&self, id: Uuid) -> String {
        const REPORTS: [&str; 7] = [
            "inventory.reserved",
            "inventory.rejected",
            "payment.captured",
            "payment.declined",
            "payment.voided",
            "payment.refunded",
            "payment.refund_failed",
        ];
        let own = self
            .order
            .history
            .iter()
            .find(|entry| self.order.order_id.derived(&entry.revision.to_string()) == id);
        let report = REPORTS.into_iter().find(|name| self.order.order_id.derived(name) == id);
        match (own, report) {
            (Some(entry), _) => name(entry.event),
            (None, Some(report)) => report.to_owned(),
            (None, None) => format!("the event {id}"),
        }
    }
}

/// A line of a function's log without what is said beside it.
fn logged(line: &LogLine) -> String {
    let Some(mut fields) = logs::fields(line) else {
        return line.message.trim_end().to_owned();
    };
    for elsewhere in ["timestamp", "order_id", "span", "spans"] {
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

/// Text without quotes, anything else as JSON has it.
fn plain(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ORDER: &str = "0b7c55f2-9d4e-4c6b-8a1f-3e2d7c9014aa";

    fn order() -> Order {
        let order: shop::id::OrderId = ORDER.parse().unwrap();
        let at = |second| format!("2026-11-24T08:00:0{second}.000Z");
        serde_json::from_value(json!({
            "order_id": ORDER, "customer_id": "camille", "location": "paris", "location_name": "Amélie Paris",
            "time_zone": "Europe/Paris", "status": "reserved", "revision": 2, "payment": "none", "total": 380,
            "currency": "EUR", "placed_at": at(0), "pickup_at": at(0), "pickup_day": "2026-11-24",
            "lines": [{"item": "croissant", "name": "Butter croissant", "quantity": 2, "unit_price": 190}],
            "payment_method": "pm_card_visa", "deadline": "2026-11-24T08:15:00Z", "fingerprint": "f",
            "history": [
                {"revision": 1, "event": "order.placed", "status": "placed", "at": at(0)},
                {"revision": 2, "event": "order.reserved", "status": "reserved", "at": at(2),
                 "cause": order.derived("inventory.reserved")}
            ]
        }))
        .unwrap()
    }

    fn dossier(events: Option<Vec<Value>>, log: Vec<LogLine>) -> Dossier {
        let order = order();
        Dossier {
            order,
            payment: None,
            reservation: None,
            notice: None,
            account: Ok(None),
            dead_letters: vec![],
            events,
            log,
        }
    }

    fn told(dossier: &Dossier) -> Vec<String> {
        dossier
            .timeline()
            .into_iter()
            .map(|entry| format!("{}: {}", entry.source, entry.text))
            .collect()
    }

    #[test]
    fn what_happened_is_told_in_the_order_of_time_whoever_tells_it() {
        let at = "2026-11-24T08:00:01Z".parse().unwrap();
        let message = json!({
            "timestamp": at, "level": "ERROR", "message": "record failed", "order_id": ORDER, "receives": 1,
            "error": "the table is away"
        });
        let line = LogLine { at, function: "inventory".to_owned(), message: message.to_string() };
        let event = json!({"detail-type": "order.placed", "detail": {"metadata": {"occurred_at": "2026-11-24T08:00:00.000Z"}}});
        assert_eq!(
            told(&dossier(Some(vec![event]), vec![line])),
            [
                "order: order.placed, revision 1, by a person",
                "event: order.placed",
                "inventory: ERROR: record failed error=the table is away receives=1",
                "order: order.reserved, revision 2, because of inventory.reserved",
            ]
        );
    }

    #[test]
    fn where_nobody_records_the_bus_its_events_are_told_from_the_history() {
        let derived = told(&dossier(None, vec![]));
        assert_eq!(derived.iter().filter(|entry| entry.starts_with("event: order.")).count(), 2);
        assert!(derived[1].contains("from the history"), "{derived:?}");
    }

    #[test]
    fn a_line_of_a_function_that_crashed_is_told_as_it_is() {
        let line = LogLine {
            at: Timestamp::UNIX_EPOCH,
            function: "payment".to_owned(),
            message: "Segfault\n".to_owned(),
        };
        assert_eq!(logged(&line), "Segfault");
    }
}
