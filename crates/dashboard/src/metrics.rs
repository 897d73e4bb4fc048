//! Metrics in log lines, by CloudWatch's embedded metric format.

use std::collections::BTreeMap;

use monitor::{Metric, OWN_NAMESPACE};
use serde_json::{Map, Value};

/// The member that makes a log line a metric line.
const METADATA: &str = "_aws";

/// The values of each metric in a line; `None` if it is not a metric line.
pub(crate) fn recorded(fields: &Map<String, Value>) -> Option<Vec<(Metric, Vec<f64>)>> {
    let directives = list(&fields.get(METADATA)?["CloudWatchMetrics"]);
    let of_directive = |directive: &Value| {
        let dimensions = list(&directive["Dimensions"][0]).iter();
        let dimensions = dimensions.filter_map(|name| {
            let name = name.as_str()?;
            Some((name.to_owned(), fields.get(name)?.as_str()?.to_owned()))
        });
        let dimensions: BTreeMap<_, _> = dimensions.collect();
        let names = list(&directive["Metrics"]).iter().filter_map(|it| it["Name"].as_str());
        let of_name = |name: &str| {
            let values = match fields.get(name)? {
                Value::Array(values) => values.iter().filter_map(Value::as_f64).collect(),
                value => vec![value.as_f64()?],
            };
            let (namespace, name) = (OWN_NAMESPACE.to_owned(), name.to_owned());
            Some((Metric { namespace, name, dimensions: dimensions.clone() }, values))
        };
        names.filter_map(of_name).collect::<Vec<_>>()
    };
    Some(directives.iter().flat_map(of_directive).collect())
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The sums of metrics.
#[derive(Debug, Default)]
pub(crate) struct Sums(BTreeMap<Metric, f64>);

impl Sums {
    pub(crate) fn add(&mut self, metric: Metric, values: &[f64]) {
        *self.0.entry(metric).or_default() += values.iter().sum::<f64>();
    }

    /// The sum of a metric without dimensions.
    pub(crate) fn of(&self, name: &str) -> u64 {
        self.0.get(&Metric::own(name)).map_or(0, |sum| *sum as u64)
    }

    /// The sum of a metric for one value of its dimension.
    pub(crate) fn of_value(&self, name: &str, dimension: &str, value: &str) -> u64 {
        self.0.get(&Metric::own(name).of(dimension, value)).map_or(0, |sum| *sum as u64)
    }

    /// The sums of a metric by the values of its dimension, the largest first.
    pub(crate) fn by_value(&self, name: &str) -> Vec<(&str, u64)> {
        let all = self.0.iter().filter(|(metric, _)| metric.name == name);
        let named = all.filter_map(|(metric, sum)| {
            Some((metric.dimensions.values().next()?.as_str(), *sum as u64))
        });
        let mut sums: Vec<_> = named.collect();
        sums.sort_by_key(|(_, sum)| std::cmp::Reverse(*sum));
        sums
    }
}
