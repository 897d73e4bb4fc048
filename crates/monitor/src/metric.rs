//! Metrics, and what is published about them.

use std::collections::BTreeMap;

use jiff::Timestamp;

/// The namespace of the system's own metrics: the stack's name, as the template refers to it.
pub const OWN_NAMESPACE: &str = "AWS::StackName";

/// What a series of values is about. Where the template refers to a resource, a dimension has its
/// logical id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Metric {
    /// Who publishes it, such as `AWS/SQS`.
    pub namespace: String,
    /// What is counted or measured.
    pub name: String,
    /// What it is counted of.
    pub dimensions: BTreeMap<String, String>,
}

impl Metric {
    /// A metric without dimensions.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into(), dimensions: BTreeMap::new() }
    }

    /// A metric of the system itself.
    #[must_use]
    pub fn own(name: &str) -> Self {
        Self::new(OWN_NAMESPACE, name)
    }

    /// The same metric of one `value` of a dimension.
    #[must_use]
    pub fn of(mut self, dimension: &str, value: &str) -> Self {
        self.dimensions.insert(dimension.into(), value.into());
        self
    }
}

/// A published value.
#[derive(Clone, Copy, Debug)]
struct Value {
    value: f64,
    /// The second from which alarms see it.
    known_from: i64,
}

/// All values that were published, by metric and by the second that they belong to.
#[derive(Debug, Default)]
pub struct Figures(BTreeMap<Metric, BTreeMap<i64, Vec<Value>>>);

impl Figures {
    /// Publishes a value of the time `at`, which alarms see from `known_from` on.
    pub fn publish(&mut self, metric: Metric, at: Timestamp, value: f64, known_from: Timestamp) {
        let value = Value { value, known_from: known_from.as_second() };
        self.0.entry(metric).or_default().entry(at.as_second()).or_default().push(value);
    }

    /// The metrics of which anything was published.
    pub fn metrics(&self) -> impl Iterator<Item = &Metric> {
        self.0.keys()
    }

    /// The values from the second `from` until before `to` that are known at `now`.
    pub(crate) fn values(&self, metric: &Metric, from: i64, to: i64, now: i64) -> Vec<f64> {
        let seconds = self.0.get(metric).into_iter().flat_map(|seconds| seconds.range(from..to));
        let values = seconds.flat_map(|(_, values)| values);
        values.filter(|value| value.known_from <= now).map(|value| value.value).collect()
    }
}
