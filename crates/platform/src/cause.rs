//! An error with all its causes, in one line.

use std::error::Error;

/// What an error and each of its causes say. Unlike the debug form of an SDK's error it does not
/// hold the whole answer, which may be a row with its means of payment, or a secret.
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
