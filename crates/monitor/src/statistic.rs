//! One value for all values of a period.

/// How the values of a period become one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Statistic {
    Sum,
    Average,
    Minimum,
    Maximum,
    SampleCount,
    /// A share between 0 and 1: the smallest value that at least this share of all values reach.
    Percentile(f64),
}

impl Statistic {
    /// A statistic by the name that CloudWatch gives it, such as `Sum` or `p99.9`.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "Sum" => Self::Sum,
            "Average" => Self::Average,
            "Minimum" => Self::Minimum,
            "Maximum" => Self::Maximum,
            "SampleCount" => Self::SampleCount,
            _ => {
                let percent: f64 = name.strip_prefix('p')?.parse().ok()?;
                (0.0 < percent && percent < 100.0).then_some(Self::Percentile(percent / 100.0))?
            }
        })
    }

    /// Computes the statistic of a period's values; `None` if there are no values.
    #[must_use]
    pub fn of(self, mut values: Vec<f64>) -> Option<f64> {
        if values.is_empty() {
            return None;
        }
        let count = values.len() as f64;
        Some(match self {
            Self::Sum => values.iter().sum(),
            Self::Average => values.iter().sum::<f64>() / count,
            Self::Minimum => values.into_iter().fold(f64::INFINITY, f64::min),
            Self::Maximum => values.into_iter().fold(f64::NEG_INFINITY, f64::max),
            Self::SampleCount => count,
            Self::Percentile(share) => {
                values.sort_by(f64::total_cmp);
                let rank = (share * count).ceil() as usize;
                values[rank.clamp(1, values.len()) - 1]
            }
        })
    }

    /// How many values a percentile takes to be significant, by
    /// docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/percentiles-with-low-samples.html
    pub(crate) fn significant_samples(self) -> usize {
        match self {
            Self::Percentile(share) => {
                // A little less, so that an error in the last bit does not ask for one more.
                (10.0 / (1.0 - share).min(share) - 1e-6).ceil() as usize
            }
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, values: &[f64]) -> Option<f64> {
        Statistic::parse(name).expect("a statistic").of(values.to_vec())
    }

    #[test]
    fn a_period_without_values_has_no_statistic() {
        for name in ["Sum", "Average", "Minimum", "Maximum", "SampleCount", "p99"] {
            assert_eq!(of(name, &[]), None, "{name}");
        }
    }

    #[test]
    fn each_statistic_sums_a_period_up_in_its_own_way() {
        let values = [4.0, 1.0, 1.0];
        assert_eq!(of("Sum", &values), Some(6.0));
        assert_eq!(of("Average", &values), Some(2.0));
        assert_eq!(of("Minimum", &values), Some(1.0));
        assert_eq!(of("Maximum", &values), Some(4.0));
        assert_eq!(of("SampleCount", &values), Some(3.0));
    }

    #[test]
    fn a_percentile_is_the_value_that_its_share_of_all_values_does_not_exceed() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(of("p50", &values), Some(50.0));
        assert_eq!(of("p99", &values), Some(99.0));
        assert_eq!(of("p99.9", &values), Some(100.0));
        assert_eq!(of("p90", &[7.0]), Some(7.0));
    }

    /// The example of
    /// docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/percentiles-with-low-samples.html
    /// "this setting would be used if there were fewer than 1000 samples for an alarm on a p99
    /// percentile".
    #[test]
    fn a_p99_needs_a_thousand_samples_and_a_p10_as_many_as_a_p90() {
        let needs = |name| Statistic::parse(name).expect("a statistic").significant_samples();
        assert_eq!(needs("p99"), 1_000);
        assert_eq!(needs("p90"), 100);
        assert_eq!(needs("p10"), 100);
        assert_eq!(needs("Sum"), 0);
    }

    #[test]
    fn other_names_are_no_statistics() {
        for name in ["sum", "p", "p0", "p100", "tm90", ""] {
            assert_eq!(Statistic::parse(name), None, "{name}");
        }
    }
}
