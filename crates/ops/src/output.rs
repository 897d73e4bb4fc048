//! Printing: results to standard output, everything else to standard error.

use std::{fmt::Display, io::Write, sync::OnceLock};

pub(crate) use books::words::name;
use jiff::Timestamp;
pub(crate) use platform::time::moment;
use shop::text::is_printable;

use crate::error::Error;

/// How the commands of this tool in hints begin.
const COMMAND: &str = "`cargo ops ";

/// The options with which this process was told its stack, such as ` --local`.
static STACK: OnceLock<String> = OnceLock::new();

/// Adds the options that name a stack to all hints from now on.
pub(crate) fn name_stack_in_hints(options: String) {
    // Only the first call counts, and there is only one.
    let _ = STACK.set(options);
}

/// The text with options at the end of each command of this tool, so that it can be pasted.
fn pasteable(text: &str, options: &str) -> String {
    let mut parts = text.split(COMMAND);
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (arguments, rest) = part.split_at(part.find('`').unwrap_or(part.len()));
        let options = if rest.is_empty() { "" } else { options };
        whole.extend([COMMAND, arguments, options, rest]);
    }
    whole
}

/// The text as it is printed.
fn printed(text: impl Display) -> String {
    pasteable(&text.to_string(), STACK.get().map_or("", String::as_str))
}

/// Prints a line of the result. Rows, dead letters and logs hold what others have sent, so that
/// characters that drive the terminal or that nobody can see are escaped.
///
/// # Errors
/// Standard output is closed, or cannot be written to.
pub(crate) fn line(text: impl Display) -> Result<(), Error> {
    writeln!(std::io::stdout(), "{}", visible(&printed(text))).map_err(|error| match error.kind() {
        std::io::ErrorKind::BrokenPipe => Error::OutputClosed,
        _ => Error::Output(error),
    })
}

/// The text with escapes in place of all characters that are not printable, except line breaks and
/// tabs.
fn visible(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    for character in text.chars() {
        if is_printable(character) || matches!(character, '\n' | '\t') {
            visible.push(character);
        } else {
            visible.extend(character.escape_unicode());
        }
    }
    visible
}

/// Prints rows with aligned columns.
///
/// # Errors
/// Standard output is closed, or cannot be written to.
pub(crate) fn table<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> Result<(), Error> {
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
    };
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
    for row in rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        line(cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

/// Prints a line that is not part of the result.
pub(crate) fn message(text: impl Display) {
    // A failure cannot be reported anywhere.
    let _ = writeln!(std::io::stderr(), "{}", printed(text));
}

/// The time since `since`, in its two largest units.
pub(crate) fn age(since: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(since).as_secs().max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min {} s", seconds % 60),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

/// A number with its noun, which gets an `s` in the plural.
pub(crate) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_its_two_largest_units() {
        let shown = |seconds| age(Timestamp::UNIX_EPOCH, Timestamp::from_second(seconds).unwrap());
        assert_eq!(shown(59), "59 s");
        assert_eq!(shown(61), "1 min 1 s");
        assert_eq!(shown(3 * 3_600 + 120), "3 h 2 min");
        assert_eq!(shown(13 * 86_400 + 5 * 3_600), "13 d 5 h");
    }

    #[test]
    fn a_time_in_the_future_has_no_age() {
        assert_eq!(age(Timestamp::from_second(60).unwrap(), Timestamp::UNIX_EPOCH), "0 s");
    }

    #[test]
    fn what_others_have_sent_does_not_drive_the_terminal() {
        assert_eq!(visible("a\u{1b}[2J\u{202e}b\n\té🥐"), "a\\u{1b}[2J\\u{202e}b\n\té🥐");
    }

    #[test]
    fn each_command_in_a_hint_names_the_stack() {
        let hint = "run `cargo ops dlq list`, then `cargo ops order 1 retry`; `sam deploy`; in \
                    `cargo ops`";
        assert_eq!(
            pasteable(hint, " --local"),
            "run `cargo ops dlq list --local`, then `cargo ops order 1 retry --local`; `sam \
             deploy`; in `cargo ops`"
        );
        assert_eq!(pasteable(hint, ""), hint);
        assert_eq!(pasteable("see `cargo ops dlq", " --local"), "see `cargo ops dlq");
    }

    #[test]
    fn only_one_is_singular() {
        assert_eq!(count(0, "order"), "0 orders");
        assert_eq!(count(1, "order"), "1 order");
        assert_eq!(count(2, "order"), "2 orders");
    }
}
