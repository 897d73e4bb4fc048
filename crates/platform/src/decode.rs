//! Decodes messages and rows. An error names the place of the fault and never quotes the value
//! there, which may be an address or a payment method: errors are logged.

use std::fmt::Display;

use serde::de::DeserializeOwned;
use serde_dynamo::{AttributeValue, Deserializer, Item};

/// Why a text or a row could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The text is not JSON, or more than one value.
    #[error("it is not JSON from line {line}, column {column} on")]
    NotJson {
        /// The line, from 1.
        line: usize,
        /// The byte in that line, from 1; 0 for the start of the line.
        column: usize,
    },
    /// A field is missing, or has a wrong type or value.
    #[error("`{place}` is missing or not what it should be")]
    Unfit {
        /// The path of the field, such as `detail.data.lines[0].quantity`; `.` for the whole value.
        place: String,
    },
}

/// Decodes a text that is one JSON value.
///
/// # Errors
/// The text is not JSON, or the value does not fit the type.
pub fn json<T: DeserializeOwned>(text: &str) -> Result<T, DecodeError> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let not_json = |error: &serde_json::Error| DecodeError::NotJson {
        line: error.line(),
        column: error.column(),
    };
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        // The path to a syntax error may contain the name of an unknown field, which is input and
        // must not be quoted.
        if error.inner().is_data() { unfit(&error) } else { not_json(error.inner()) }
    })?;
    deserializer.end().map_err(|error| not_json(&error))?;
    Ok(value)
}

/// Decodes a row of a DynamoDB table.
///
/// # Errors
/// The row does not fit the type.
pub fn item<T: DeserializeOwned>(row: impl Into<Item>) -> Result<T, DecodeError> {
    let row = Deserializer::from_attribute_value(AttributeValue::M(row.into().into()));
    serde_path_to_error::deserialize(row).map_err(|error| unfit(&error))
}

fn unfit(error: &serde_path_to_error::Error<impl Display>) -> DecodeError {
    DecodeError::Unfit { place: place(error) }
}

/// The path of the field that is wrong or missing; `.` for the whole value.
pub(crate) fn place(error: &serde_path_to_error::Error<impl Display>) -> String {
    let path = error.path().to_string();
    // The name of a missing field is a name of this program, so it can be quoted.
    match missing_field(&error.inner().to_string()) {
        Some(field) if path == "." => field.to_owned(),
        Some(field) => format!("{path}.{field}"),
        None => path,
    }
}

/// The field that a message of serde reports as missing.
pub(crate) fn missing_field(message: &str) -> Option<&str> {
    Some(message.strip_prefix("missing field `")?.split_once('`')?.0)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Basket {
        lines: Vec<Line>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Line {
        quantity: u32,
    }

    fn place(error: DecodeError) -> String {
        match error {
            DecodeError::Unfit { place } => place,
            DecodeError::NotJson { .. } => panic!("{error}"),
        }
    }

    #[test]
    fn unknown_fields_are_ignored() {
        let basket = Basket { lines: vec![Line { quantity: 2 }] };
        assert_eq!(json(r#" {"lines": [{"quantity": 2, "size": "L"}]} "#), Ok(basket));
    }

    #[test]
    fn the_error_names_the_field_that_is_wrong_or_missing() {
        for (text, expected) in [
            (r#"{"lines": [{"quantity": 2}, {"quantity": "pm_card_visa"}]}"#, "lines[1].quantity"),
            (r#"{"lines": [{}]}"#, "lines[0].quantity"),
            (r#"{}"#, "lines"),
            (r#""pm_card_visa""#, "."),
        ] {
            assert_eq!(place(json::<Basket>(text).unwrap_err()), expected, "{text}");
        }
    }

    #[test]
    fn a_syntax_error_is_located_by_line_and_column() {
        for (text, column) in [
            ("pm_card_visa", 1),
            (r#"{"lines": []} pm_card_visa"#, 15),
            (r#"{"pm_card_visa": x}"#, 18),
        ] {
            assert_eq!(
                json::<Basket>(text),
                Err(DecodeError::NotJson { line: 1, column }),
                "{text}"
            );
        }
    }

    #[test]
    fn a_row_decodes_like_a_text() {
        let row = |quantity: AttributeValue| {
            let line = AttributeValue::M(HashMap::from([("quantity".to_owned(), quantity)]));
            HashMap::from([("lines".to_owned(), AttributeValue::L(vec![line]))])
        };
        let number = |text: &str| AttributeValue::N(text.to_owned());
        assert_eq!(item(row(number("2"))), Ok(Basket { lines: vec![Line { quantity: 2 }] }));
        assert_eq!(
            place(item::<Basket>(row(number("pm_card_visa"))).unwrap_err()),
            "lines[0].quantity"
        );
    }

    proptest! {
        #[test]
        fn an_error_never_quotes_its_input(text in "[a-z]{8}", shape in 0_usize..6) {
            let text = format!("secret{text}");
            let body = match shape {
                0 => text.clone(),
                1 => format!("\"{text}\""),
                2 => format!("{{\"lines\": \"{text}\"}}"),
                3 => format!("{{\"lines\": [{{\"quantity\": \"{text}\"}}]}}"),
                4 => format!("{{\"{text}\": {{}}}}"),
                _ => format!("{{\"{text}\": {{\"{text}\": [}}}}"),
            };
            let error = json::<Basket>(&body).unwrap_err();
            let printed = format!("{error} {error:?}");
            prop_assert!(!printed.contains("secret"), "{}", printed);
        }
    }
}
