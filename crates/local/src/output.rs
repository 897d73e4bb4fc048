//! Printing: results to standard output, everything else to standard error.

use std::{fmt::Display, io::Write};

use local::{Error, Mail, Stack};
use platform::time::moment;
use serde::Deserialize;
use serde_json::Value;
use shop::money::{Currency, Money};
use stack::LogLine;

/// Prints a line of the result.
///
/// # Errors
/// Standard output is closed, or cannot be written to.
pub(crate) fn line(text: impl Display) -> Result<(), Error> {
    let written = writeln!(std::io::stdout(), "{text}");
    written.map_err(|source| Error::Io { doing: "writing to standard output".to_owned(), source })
}

/// Prints a line that is not part of the result.
pub(crate) fn message(text: impl Display) {
    // A failure cannot be reported anywhere.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// An envelope of the event bus in one line.
pub(crate) fn event(envelope: &Value) -> String {
    let detail = &envelope["detail"];
    let data = &detail["data"];
    let at = detail["metadata"]["occurred_at"].as_str().and_then(|at| at.parse().ok());
    let mut line = match at {
        Some(at) => {
            format!("{}  {:<20}", moment(at), envelope["detail-type"].as_str().unwrap_or_default())
        }
        // Not an event of this application.
        None => return envelope.to_string(),
    };
    let amount = data["total"].as_u64().or(data["amount"].as_u64());
    let currency = Currency::deserialize(&data["currency"]).ok();
    let money =
        amount.zip(currency).map(|(amount, currency)| Money { amount, currency }.to_string());
    let text = |name: &str| match &data[name] {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    let parts = [
        text("order_id"),
        text("location"),
        money,
        text("reason"),
        text("shortages"),
        text("rejection"),
    ];
    for part in parts.into_iter().flatten() {
        line.push_str("  ");
        line.push_str(&part);
    }
    line
}

/// A line of a function's log.
pub(crate) fn log(line: &LogLine) -> String {
    format!("{}  {:<13}  {}", moment(line.at), line.function, line.message.trim_end())
}

/// A message with its headers.
pub(crate) fn mail(mail: &Mail) -> String {
    format!(
        "From: {}\nTo: {}\nSubject: {}\n\n{}\n",
        mail.from,
        mail.to.join(", "),
        mail.subject,
        mail.text.trim_end()
    )
}

/// Prints where the parts of a stack listen.
pub(crate) fn addresses(stack: &Stack) -> Result<(), Error> {
    line(format!("order API        {}", stack.api_url))?;
    line(format!(
        "embedded AWS     {}  (region {}, access key and secret `test`)",
        stack.embedded.endpoint, stack.region
    ))?;
    line(format!("payment sandbox  {}", stack.sandbox_url))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_shown_with_its_most_important_data() {
        let declined = json!({
            "detail-type": "payment.declined",
            "detail": {
                "metadata": {"occurred_at": "2026-11-24T08:00:00.123456Z"},
                "data": {
                    "order_id": "8435b720-4cf4-5b92-b566-f4d729cee30f",
                    "reason": "insufficient_funds"
                }
            }
        });
        let line = event(&declined);
        assert!(line.starts_with("2026-11-24 08:00:00.123Z  payment.declined "), "{line}");
        assert!(
            line.ends_with("  8435b720-4cf4-5b92-b566-f4d729cee30f  insufficient_funds"),
            "{line}"
        );
    }

    #[test]
    fn amounts_are_shown_in_their_currency() {
        let captured = |currency| {
            json!({
                "detail-type": "payment.captured",
                "detail": {
                    "metadata": {"occurred_at": "2026-11-24T08:00:00Z"},
                    "data": {"order_id": "o", "amount": 760, "currency": currency}
                }
            })
        };
        assert!(event(&captured("EUR")).ends_with("  7.60 EUR"));
        assert!(event(&captured("JPY")).ends_with("  760 JPY"));
    }

    #[test]
    fn an_unknown_event_is_shown_as_json() {
        let unknown = json!({"detail-type": "x", "detail": {"y": 1}});
        assert_eq!(event(&unknown), unknown.to_string());
    }
}
