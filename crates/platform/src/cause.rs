//! Errors with all their causes, in one line.

use std::error::Error;

/// Joins the messages of an error and of all its causes with colons.
///
/// Unlike the debug form of an SDK error, the text does not hold the whole response, which may be
/// a row with a payment method, or a secret.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
