//! Text that people read on screens, in mails and on receipts.
//!
//! It is one line without characters that a reader cannot see. Control characters drive printers
//! and terminals, a line break can imitate the lines around it or feed metres of paper, and a
//! bidirectional override shows other words than are stored.

use std::iter;

/// A character that text must not contain, and its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be one line without control characters and invisible characters: character {place} is \
     U+{:04X}", u32::from(*character)
)]
pub struct Unprintable {
    /// The character.
    pub character: char,
    /// Its place in the text, from 1.
    pub place: usize,
}

/// The characters that text must not contain, as ranges: all control characters, line and paragraph
/// separators, the `Default_Ignorable_Code_Point`s of Unicode, interlinear annotations, and
/// everything from the special-purpose plane on.
///
/// Joiners (U+200C, U+200D) and the two variation selectors of emoji (U+FE0E, U+FE0F) are allowed:
/// emoji such as families and flags are made with them, and so are words in Persian and Hindi. The
/// flags of England, Scotland and Wales are not, which are made of invisible letters.
const UNPRINTABLE: [(char, char); 20] = [
    ('\u{0}', '\u{1f}'),
    ('\u{7f}', '\u{9f}'),
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200b}'),
    ('\u{200e}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0d}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', char::MAX),
];

/// Whether text may contain the character.
#[must_use]
pub fn is_printable(character: char) -> bool {
    !UNPRINTABLE.iter().any(|(first, last)| (*first..=*last).contains(&character))
}

/// Checks that every character of a text is printable.
///
/// # Errors
/// The first one that is not.
pub fn check(text: &str) -> Result<(), Unprintable> {
    let unprintable = text.chars().zip(1..).find(|(character, _)| !is_printable(*character));
    unprintable.map_or(Ok(()), |(character, place)| Err(Unprintable { character, place }))
}

/// The text with a space in place of control characters and line breaks, and without all other
/// characters that are not printable. For text that was stored before it was checked.
#[must_use]
pub fn printable(text: &str) -> String {
    let readable = |character: char| match character {
        character if is_printable(character) => Some(character),
        '\u{2028}' | '\u{2029}' => Some(' '),
        character => character.is_control().then_some(' '),
    };
    text.chars().filter_map(readable).collect()
}

/// What such a text looks like, for JSON Schemas.
#[must_use]
pub fn pattern() -> String {
    // JavaScript and Python spell characters beyond U+FFFF in different ways, so those stand for
    // themselves.
    let spelled = |character: char| match u32::from(character) {
        code @ ..=0xffff => format!("\\u{code:04X}"),
        _ => character.to_string(),
    };
    let ranges = UNPRINTABLE.map(|(first, last)| match first == last {
        true => spelled(first),
        false => format!("{}-{}", spelled(first), spelled(last)),
    });
    iter::once("^[^").chain(ranges.iter().map(String::as_str)).chain(iter::once("]*$")).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_and_emoji_are_text() {
        for text in [
            "",
            "No bag, please!",
            "Où est la crème brûlée ? Naïve façade, e\u{301}.",
            "ケーキは半分に切ってください",
            "بدون سكر",
            "می\u{200c}خواهم",
            "क्\u{200d}ष",
            // A family, a heart, a keycap, the flag of France, a rainbow flag, a skin tone.
            "👩\u{200d}👩\u{200d}👧 ❤\u{fe0f} 1\u{fe0f}\u{20e3} 🇫🇷 🏳\u{fe0f}\u{200d}🌈 👍🏽",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
            assert_eq!(printable(text), text);
        }
    }

    #[test]
    fn what_drives_printers_reorders_or_hides_is_refused() {
        for (what, character) in [
            ("line feed", '\n'),
            ("carriage return", '\r'),
            ("tab", '\t'),
            ("null", '\0'),
            ("escape", '\u{1b}'),
            ("delete", '\u{7f}'),
            ("next line", '\u{85}'),
            ("soft hyphen", '\u{ad}'),
            ("line separator", '\u{2028}'),
            ("paragraph separator", '\u{2029}'),
            ("zero-width space", '\u{200b}'),
            ("right-to-left mark", '\u{200f}'),
            ("right-to-left embedding", '\u{202b}'),
            ("right-to-left override", '\u{202e}'),
            ("first strong isolate", '\u{2068}'),
            ("word joiner", '\u{2060}'),
            ("hangul filler", '\u{3164}'),
            ("byte order mark", '\u{feff}'),
            ("interlinear annotation anchor", '\u{fff9}'),
            ("tag letter", '\u{e0041}'),
            ("variation selector 17", '\u{e0100}'),
            ("private use", '\u{10ffff}'),
        ] {
            let text = format!("ab{character}c");
            let error = check(&text).unwrap_err();
            assert_eq!(error, Unprintable { character, place: 3 }, "{what}");
        }
        assert_eq!(
            check("no bag\u{202e}").unwrap_err().to_string(),
            "must be one line without control characters and invisible characters: character 7 is \
             U+202E"
        );
    }

    #[test]
    fn stored_text_is_read_on_one_line_and_without_what_is_invisible() {
        assert_eq!(printable("no\nbag,\r\nplease\u{202e}\u{200b}"), "no bag,  please");
        assert_eq!(printable("a\u{2028}b\u{1b}c"), "a b c");
    }

    proptest! {
        #[test]
        fn what_is_read_can_be_written(text in any::<String>()) {
            let read = printable(&text);
            prop_assert_eq!(check(&read), Ok(()));
            prop_assert_eq!(check(&text).is_ok(), read == text);
        }
    }
}
