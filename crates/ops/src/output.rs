//! What the commands print: results to standard output, everything else to standard error.

use std::{fmt::Display, io::Write};

use jiff::Timestamp;

use crate::error::Error;

/// Prints a line of the result.
///
/// # Errors
/// Nobody reads it any more.
pub(crate) fn line(text: impl Display) -> Result<(), Error> {
    writeln!(std::io::stdout(), "{text}").map_err(|error| match error.kind() {
        std::io::ErrorKind::BrokenPipe => Error::ReaderLeft,
        _ => Error::Output(error),
    })
}

/// Prints rows with their columns aligned, but for the last one.
///
/// # Errors
/// Nobody reads it any more.
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

/// Tells a person something that is no result.
pub(crate) fn say(text: impl Display) {
    // There is nobody to tell if that fails.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A moment in UTC to the millisecond, as logs and rows have it.
pub(crate) fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S%.3fZ").to_string()
}

/// How long ago something was, in its two largest units.
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

/// How many of something there are.
pub(crate) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// The name that serde gives a value without fields, such as a state.
pub(crate) fn name(value: impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_told_in_its_two_largest_units() {
        let told = |seconds| age(Timestamp::UNIX_EPOCH, Timestamp::from_second(seconds).unwrap());
        assert_eq!(told(59), "59 s");
        assert_eq!(told(61), "1 min 1 s");
        assert_eq!(told(3 * 3_600 + 120), "3 h 2 min");
        assert_eq!(told(13 * 86_400 + 5 * 3_600), "13 d 5 h");
    }
}
