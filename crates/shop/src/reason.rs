//! A shop's words to a customer.

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::{self, Unprintable};

/// Why a shop cancels an order or gives money back, in its words to the customer: 1 to 200
/// characters of [text].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Reason(String);

impl Reason {
    /// The length of the longest reason, in characters.
    pub const MAX_LENGTH: usize = 200;

    /// What stands instead of the reason once the order's customer is erased: a shop may have named
    /// them.
    #[must_use]
    pub fn erased() -> Self {
        Self("erased".to_owned())
    }

    /// The reason as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text is not a reason.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidReason {
    /// It is blank, or has too many characters.
    #[error("must be 1 to {} characters, and not blank", Reason::MAX_LENGTH)]
    Length,
    /// A character is not printable.
    #[error(transparent)]
    Unprintable(#[from] Unprintable),
}

impl TryFrom<String> for Reason {
    type Error = InvalidReason;

    fn try_from(text: String) -> Result<Self, InvalidReason> {
        if text.trim().is_empty() || text.chars().count() > Self::MAX_LENGTH {
            return Err(InvalidReason::Length);
        }
        text::check(&text)?;
        Ok(Self(text))
    }
}

impl FromStr for Reason {
    type Err = InvalidReason;

    fn from_str(text: &str) -> Result<Self, InvalidReason> {
        text.to_owned().try_into()
    }
}

impl From<Reason> for String {
    fn from(reason: Reason) -> Self {
        reason.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_line_that_says_something() {
        let longest = "é".repeat(Reason::MAX_LENGTH);
        for (text, valid) in [
            ("One croissant was burnt", true),
            (longest.as_str(), true),
            (&format!("{longest}!"), false),
            ("", false),
            (" \u{a0}", false),
            ("two\nlines", false),
        ] {
            assert_eq!(text.parse::<Reason>().is_ok(), valid, "{text:?}");
        }
    }
}
