//! Names that people read: of shops and items.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::{self, Unprintable};

/// The name of a shop or an item: one line of 1 to 100 visible characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Name(String);

impl Name {
    /// The length of the longest name, in characters. Orders and events repeat the names of all
    /// their lines, and must fit into a row, an event and a message.
    pub const MAX_LENGTH: usize = 100;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text is not a name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidName {
    /// It is empty or too long.
    #[error("must be 1 to {} characters", Name::MAX_LENGTH)]
    Length,
    /// It is nothing but space.
    #[error("must not be blank")]
    Blank,
    /// It has a character that people cannot read.
    #[error(transparent)]
    Unprintable(#[from] Unprintable),
}

impl TryFrom<String> for Name {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        // Counting stops at the limit, however long the text is.
        let length = text.chars().take(Self::MAX_LENGTH + 1).count();
        if !(1..=Self::MAX_LENGTH).contains(&length) {
            return Err(InvalidName::Length);
        }
        if text.trim().is_empty() {
            return Err(InvalidName::Blank);
        }
        text::check(&text)?;
        Ok(Self(text))
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_1_to_100_characters_of_any_length_in_bytes() {
        for good in ["é", "Pâte à choux", &"\u{1f370}".repeat(100)] {
            assert_eq!(Name::try_from(good.to_owned()).unwrap().as_str(), good);
        }
        for bad in ["", &"a".repeat(101), &"\u{1f370}".repeat(101)] {
            assert_eq!(Name::try_from(bad.to_owned()), Err(InvalidName::Length), "{bad:?}");
        }
    }

    #[test]
    fn a_name_is_more_than_space() {
        for blank in [" ", "\u{a0}\u{2003}"] {
            assert_eq!(Name::try_from(blank.to_owned()), Err(InvalidName::Blank));
        }
    }

    #[test]
    fn a_name_is_one_line_of_visible_characters() {
        let error = Name::try_from("Amélie\u{202e}siraP".to_owned()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "must be one line without control characters and invisible characters: character 7 is \
             U+202E"
        );
        assert!(Name::try_from("Éclair\u{1b}@".to_owned()).is_err());
    }
}
