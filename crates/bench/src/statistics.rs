//! Percentiles of durations.

use std::time::Duration;

/// Durations of the same operation, sorted.
#[derive(Debug, Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    /// The smallest duration that at least `percent` of all durations do not exceed (nearest rank).
    /// Zero if there are no durations.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.0.len() * percent).div_ceil(100);
        self.0.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }

    pub(crate) fn median(&self) -> Duration {
        self.percentile(50)
    }
}

impl FromIterator<Duration> for Times {
    fn from_iter<I: IntoIterator<Item = Duration>>(times: I) -> Self {
        let mut times: Vec<_> = times.into_iter().collect();
        times.sort_unstable();
        Self(times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn milliseconds(times: impl IntoIterator<Item = u64>) -> Times {
        times.into_iter().map(Duration::from_millis).collect()
    }

    #[test]
    fn percentiles_are_measured_durations() {
        let times = milliseconds((1..=200).rev());
        assert_eq!(times.median(), Duration::from_millis(100));
        assert_eq!(times.percentile(99), Duration::from_millis(198));
        assert_eq!(times.percentile(100), Duration::from_millis(200));
    }

    #[test]
    fn a_single_duration_is_every_percentile() {
        let times = milliseconds([7]);
        assert_eq!(times.median(), Duration::from_millis(7));
        assert_eq!(times.percentile(99), Duration::from_millis(7));
    }

    #[test]
    fn the_median_of_an_odd_number_of_durations_is_the_middle_one() {
        assert_eq!(milliseconds([9, 1, 5]).median(), Duration::from_millis(5));
    }
}
