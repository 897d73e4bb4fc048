//! Times as people write them.

use jiff::{Span, SpanRelativeTo, Timestamp};

/// Why a text is not a time.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("must be a span before now, such as 10m, 2h or 3d, or a time such as 2026-11-24T08:00:00Z")]
pub struct InvalidTime;

/// The time that a text means: a span before now, or a time of RFC 3339.
///
/// # Errors
/// The text is neither.
pub fn since(text: &str) -> Result<Timestamp, InvalidTime> {
    before(Timestamp::now(), text)
}

fn before(now: Timestamp, text: &str) -> Result<Timestamp, InvalidTime> {
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    let span: Span = text.parse().map_err(|_| InvalidTime)?;
    let span = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| InvalidTime)?;
    now.checked_sub(span.abs()).map_err(|_| InvalidTime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_counted_back_from_now_and_a_time_is_taken_as_it_is() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = at("2026-11-24T08:00:00Z");
        for (text, time) in [
            ("10m", "2026-11-24T07:50:00Z"),
            ("2h", "2026-11-24T06:00:00Z"),
            ("1h 30m", "2026-11-24T06:30:00Z"),
            ("3d", "2026-11-21T08:00:00Z"),
            ("3 days ago", "2026-11-21T08:00:00Z"),
            ("2026-11-24T09:00:00+01:00", "2026-11-24T08:00:00Z"),
        ] {
            assert_eq!(before(now, text), Ok(at(time)), "{text}");
        }
        for text in ["", "10", "soon", "1 month", "2026-11-24"] {
            assert_eq!(before(now, text), Err(InvalidTime), "{text}");
        }
    }
}
