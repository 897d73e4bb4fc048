//! Times as people read them.

use jiff::Timestamp;

/// A time in UTC with date and milliseconds, as in logs and rows.
#[must_use]
pub fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S%.3fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_shown_with_its_date_and_zone() {
        assert_eq!(moment(Timestamp::UNIX_EPOCH), "1970-01-01 00:00:00.000Z");
    }
}
