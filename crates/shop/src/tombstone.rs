//! How long tombstones stay in the Stock and Payments tables.

use jiff::Timestamp;

/// How many days a tombstone stays: twice the retention of a queue (14 days) and a week's margin,
/// so that it outlives every message that it must stop.
pub const TOMBSTONE_DAYS: i64 = 35;

/// When a tombstone written at `now` may be deleted, in seconds since the epoch, as in DynamoDB's
/// time-to-live attribute.
#[must_use]
pub fn tombstone_expiry(now: Timestamp) -> i64 {
    now.as_second() + TOMBSTONE_DAYS * 24 * 60 * 60
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tombstone_expires_after_35_days() {
        let written: Timestamp = "2026-11-24T08:00:00.9Z".parse().unwrap();
        let expires: Timestamp = "2026-12-29T08:00:00Z".parse().unwrap();
        assert_eq!(tombstone_expiry(written), expires.as_second());
    }
}
