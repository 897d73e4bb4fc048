//! The contents of a dead letter as they may be shown.

use serde_json::Value;

/// The names of members that are left out: what can pay, and the customer's own words.
const CONFIDENTIAL: [&str; 4] = ["payment_method", "authentication_url", "client_secret", "note"];

/// How the provider's tokens and secrets begin.
const TOKENS: [&str; 5] = ["pm_", "sk_", "rk_", "seti_", "tok_"];

/// The number of characters that are shown of a text that is not JSON. What follows the beginning
/// of a torn event may be confidential.
const BEGINNING: usize = 100;

/// The record as indented JSON, without what is confidential; or the beginning of another text.
pub(super) fn shown(body: &str) -> String {
    match serde_json::from_str::<Value>(body) {
        Ok(mut record) => {
            leave_out(&mut record);
            format!("{record:#}")
        }
        Err(_) => {
            let beginning: String = body.chars().take(BEGINNING).collect();
            let more = if beginning.len() < body.len() { "…" } else { "" };
            format!("not JSON: {}{more}", without_tokens(&beginning))
        }
    }
}

fn leave_out(value: &mut Value) {
    match value {
        Value::Object(members) => members.iter_mut().for_each(|(name, value)| {
            if CONFIDENTIAL.contains(&name.as_str()) && !value.is_null() {
                *value = "(left out)".into();
            } else {
                leave_out(value);
            }
        }),
        Value::Array(values) => values.iter_mut().for_each(leave_out),
        Value::String(text) => *text = without_tokens(text),
        _ => {}
    }
}

/// The text with `(left out)` in place of each word that looks like a token.
fn without_tokens(text: &str) -> String {
    let in_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split_inclusive(|c| !in_word(c)).map(|part| {
        let word = part.trim_end_matches(|c| !in_word(c));
        let secret =
            TOKENS.iter().any(|start| word.starts_with(start)) || word.contains("_secret_");
        if secret { format!("(left out){}", &part[word.len()..]) } else { part.to_owned() }
    });
    words.collect()
}

#[cfg(test)]
mod tests {
    use fixtures::{ORDER, order, order_event, stream_record};
    use shop::order::OrderEventType;

    use super::*;

    #[test]
    fn an_event_is_shown_without_its_payment_method() {
        let event = serde_json::to_string(&order_event(OrderEventType::Reserved)).unwrap();
        assert!(event.contains("pm_card_visa"));
        let shown = shown(&event);
        assert!(shown.contains(ORDER) && shown.contains(r#""payment_method": "(left out)""#));
        assert!(!shown.contains("pm_card_visa"), "{shown}");
    }

    #[test]
    fn a_stream_record_is_shown_without_payment_method_and_note() {
        let mut record = stream_record("INSERT", &order());
        record["dynamodb"]["NewImage"]["note"] = serde_json::json!({"S": "Ring twice"});
        let shown = shown(&record.to_string());
        assert!(shown.contains(ORDER), "{shown}");
        assert!(!shown.contains("pm_card_visa") && !shown.contains("Ring twice"), "{shown}");
    }

    #[test]
    fn of_a_text_that_is_not_json_only_the_beginning_is_shown_and_no_token() {
        assert_eq!(shown("pm_card_visa, please"), "not JSON: (left out), please");
        let torn = format!(r#"{{"version":"0","id":"{ORDER}","detail-type":"order.placed","#);
        let long = format!("{torn}{}", "x".repeat(200));
        assert!(shown(&long).starts_with("not JSON: {\"version\"") && shown(&long).ends_with("x…"));
        assert!(shown(&long).chars().count() < 120);
    }
}
