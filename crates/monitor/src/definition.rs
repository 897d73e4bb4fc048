//! The alarms of the template.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{Timestamp, tz::TimeZone};
use resources::Template;
use serde_json::Value;

use crate::{
    expression::{Expression, Scope, Series},
    metric::{Figures, Metric},
    reading::{DefinitionError, Properties, Refusal},
    rule::Rule,
    state::{self, MissingData, Needed, State},
    statistic::Statistic,
};

/// The most metrics of an expression.
const MAX_METRICS: usize = 10;

const DAY: u64 = 24 * 60 * 60;
const HOUR: u64 = 60 * 60;

/// All alarms of a template.
#[derive(Debug)]
pub struct Alarms {
    /// The alarms on metrics.
    pub metric: Vec<MetricAlarm>,
    /// The alarms on other alarms, each after those that it names.
    pub composite: Vec<CompositeAlarm>,
}

/// An alarm on a metric, or on an expression of several.
#[derive(Debug)]
pub struct MetricAlarm {
    /// Its logical id.
    pub id: String,
    watched: Watched,
    /// In seconds.
    period: i64,
    compare: fn(&f64, &f64) -> bool,
    threshold: f64,
    needed: Needed,
    missing: MissingData,
    ignores_low_samples: bool,
}

/// An alarm on other alarms.
#[derive(Debug)]
pub struct CompositeAlarm {
    /// Its logical id.
    pub id: String,
    rule: Rule,
}

#[derive(Debug)]
enum Watched {
    Metric(Watch),
    Math {
        metrics: BTreeMap<String, Watch>,
        /// In the order in which they are evaluated.
        expressions: Vec<(String, Expression)>,
        /// The id of the metric or expression that the alarm watches.
        result: String,
    },
}

#[derive(Debug)]
struct Watch {
    metric: Metric,
    statistic: Statistic,
}

impl Alarms {
    /// Reads the alarms of a template.
    ///
    /// # Errors
    /// When CloudWatch refuses a definition, or it cannot be evaluated here.
    pub fn read(template: &Template) -> Result<Self, DefinitionError> {
        let of = |of_type| {
            let all = template.all(of_type).into_iter();
            all.map(|(alarm, values)| Properties { alarm, values })
        };
        let metric: Vec<_> =
            of("AWS::CloudWatch::Alarm").map(MetricAlarm::read).collect::<Result<_, _>>()?;
        let mut known: BTreeSet<_> = metric.iter().map(|alarm| alarm.id.clone()).collect();
        let mut composite = Vec::new();
        for properties in of("AWS::CloudWatch::CompositeAlarm") {
            let alarm = CompositeAlarm::read(properties, &known)?;
            known.insert(alarm.id.clone());
            composite.push(alarm);
        }
        Ok(Self { metric, composite })
    }
}

impl CompositeAlarm {
    fn read(properties: Properties<'_>, known: &BTreeSet<String>) -> Result<Self, DefinitionError> {
        const FIELD: &str = "AlarmRule";
        let rule = Rule::parse(&properties.text(FIELD)?);
        let rule = rule.map_err(|error| properties.refuse(FIELD, Refusal::Rule(error)))?;
        if let Some(unknown) = rule.alarms().into_iter().find(|alarm| !known.contains(*alarm)) {
            return Err(properties.refuse(FIELD, Refusal::Alarm(unknown.to_owned())));
        }
        Ok(Self { id: properties.alarm.to_owned(), rule })
    }

    /// The alarms that its rule names.
    #[must_use]
    pub fn alarms(&self) -> BTreeSet<&str> {
        self.rule.alarms().into_iter().collect()
    }

    pub(crate) fn state(&self, state: &impl Fn(&str) -> State) -> State {
        if self.rule.holds(state) { State::Alarm } else { State::Ok }
    }
}

impl MetricAlarm {
    fn read(properties: Properties<'_>) -> Result<Self, DefinitionError> {
        let (watched, period, ignores_low_samples) = match properties.get("Metrics") {
            Some(_) => read_math(properties)?,
            None => read_metric(properties)?,
        };
        let periods = properties.whole("EvaluationPeriods", 1, longest(period) / period)?;
        let datapoints = match properties.get("DatapointsToAlarm") {
            Some(_) => properties.whole("DatapointsToAlarm", 1, periods)?,
            None => periods,
        };
        let compare = properties.named("ComparisonOperator", |name| {
            Some(match name {
                "GreaterThanOrEqualToThreshold" => f64::ge,
                "GreaterThanThreshold" => f64::gt as fn(&f64, &f64) -> bool,
                "LessThanThreshold" => f64::lt,
                "LessThanOrEqualToThreshold" => f64::le,
                _ => return None,
            })
        })?;
        let mut missing = match properties.get("TreatMissingData") {
            None => MissingData::Missing,
            Some(_) => properties.named("TreatMissingData", |name| {
                Some(match name {
                    "missing" => MissingData::Missing,
                    "ignore" => MissingData::Ignore,
                    "breaching" => MissingData::Breaching,
                    "notBreaching" => MissingData::NotBreaching,
                    _ => return None,
                })
            })?,
        };
        // "Alarms that evaluate metrics in the AWS/DynamoDB namespace always ignore missing data":
        // https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
        if watched.watches().any(|watch| watch.metric.namespace == "AWS/DynamoDB") {
            missing = MissingData::Ignore;
        }
        Ok(Self {
            id: properties.alarm.to_owned(),
            watched,
            period: signed(period),
            compare,
            threshold: properties.number("Threshold")?,
            needed: Needed { datapoints: size(datapoints), periods: size(periods) },
            missing,
            ignores_low_samples,
        })
    }

    /// The metrics that it watches; each is paid for.
    pub fn metrics(&self) -> impl Iterator<Item = &Metric> {
        self.watched.watches().map(|watch| &watch.metric)
    }

    /// The state that follows `current`, by what is known at `now`. CloudWatch evaluates every
    /// minute, and looks at whole periods that end with the last whole minute.
    pub(crate) fn next(&self, figures: &Figures, now: Timestamp, current: State) -> State {
        let now = now.as_second();
        let end = now - now.rem_euclid(60);
        if self.ignores_low_samples && self.has_low_samples(figures, end, now) {
            return current;
        }
        let range = signed(self.needed.range() as u64);
        let starts: Vec<_> = (1..=range).rev().map(|back| end - back * self.period).collect();
        let series = self.series(figures, &starts, now);
        let breaches = |value: &f64| (self.compare)(value, &self.threshold);
        let points: Vec<_> = series.iter().map(|value| value.as_ref().map(breaches)).collect();
        state::next(&points, self.needed, self.missing, current)
    }

    fn series(&self, figures: &Figures, starts: &[i64], now: i64) -> Series {
        let of = |Watch { metric, statistic }: &Watch| -> Series {
            let values = |start: &i64| figures.values(metric, *start, start + self.period, now);
            starts.iter().map(|start| statistic.of(values(start))).collect()
        };
        match &self.watched {
            Watched::Metric(watch) => of(watch),
            Watched::Math { metrics, expressions, result } => {
                let metrics = metrics.iter().map(|(id, watch)| (id.clone(), of(watch))).collect();
                let hours: Vec<_> = starts.iter().map(|start| hour(*start)).collect();
                evaluate(&metrics, expressions, &hours, result).expect("it was tried when read")
            }
        }
    }

    fn has_low_samples(&self, figures: &Figures, end: i64, now: i64) -> bool {
        let Watched::Metric(Watch { metric, statistic }) = &self.watched else { return false };
        let start = end - signed(self.needed.periods as u64) * self.period;
        figures.values(metric, start, end, now).len() < statistic.significant_samples()
    }
}

impl Watched {
    fn watches(&self) -> impl Iterator<Item = &Watch> {
        let (single, several) = match self {
            Self::Metric(watch) => (Some(watch), None),
            Self::Math { metrics, .. } => (None, Some(metrics.values())),
        };
        single.into_iter().chain(several.into_iter().flatten())
    }
}

/// Reads what an alarm without metric math watches: its period, and whether low samples count.
fn read_metric(properties: Properties<'_>) -> Result<(Watched, u64, bool), DefinitionError> {
    let (statistic, percentile) = ("Statistic", "ExtendedStatistic");
    let statistic = match (properties.get(statistic), properties.get(percentile)) {
        (Some(_), Some(_)) => {
            return Err(properties.refuse(percentile, Refusal::Beside(statistic)));
        }
        (_, None) => properties.named(statistic, |name| {
            Statistic::parse(name).filter(|it| !matches!(it, Statistic::Percentile(_)))
        })?,
        (None, _) => properties.named(percentile, |name| {
            Statistic::parse(name).filter(|it| matches!(it, Statistic::Percentile(_)))
        })?,
    };
    const LOW: &str = "EvaluateLowSampleCountPercentile";
    let ignores_low_samples = match properties.get(LOW) {
        None => false,
        Some(_) if !matches!(statistic, Statistic::Percentile(_)) => {
            return Err(properties.refuse(LOW, Refusal::Beside("Statistic")));
        }
        Some(_) => properties.named(LOW, |name| match name {
            "ignore" => Some(true),
            "evaluate" => Some(false),
            _ => None,
        })?,
    };
    let metric = read_name(properties)?;
    let period = read_period(properties)?;
    Ok((Watched::Metric(Watch { metric, statistic }), period, ignores_low_samples))
}

/// Reads metrics, and the expressions on them.
fn read_math(properties: Properties<'_>) -> Result<(Watched, u64, bool), DefinitionError> {
    const FIELD: &str = "Metrics";
    for other in ["MetricName", "Period", "Statistic", "EvaluateLowSampleCountPercentile"] {
        if properties.get(other).is_some() {
            return Err(properties.refuse(other, Refusal::Beside(FIELD)));
        }
    }
    let (mut metrics, mut expressions) = (BTreeMap::new(), Vec::new());
    let (mut periods, mut returned, mut ids) = (BTreeSet::new(), Vec::new(), BTreeSet::new());
    for values in resources::list(properties.require(FIELD)?) {
        let entry = Properties { values, ..properties };
        let id = entry.text("Id")?;
        if !id.starts_with(|c: char| c.is_ascii_lowercase()) || !ids.insert(id.clone()) {
            return Err(properties.refuse("Id", Refusal::Id(id)));
        }
        // CloudWatch's default is true.
        if entry.get("ReturnData") != Some(&Value::Bool(false)) {
            returned.push(id.clone());
        }
        if let Some(values) = entry.get("MetricStat") {
            let stat = Properties { values, ..properties };
            periods.insert(read_period(stat)?);
            let statistic = stat.named("Stat", Statistic::parse)?;
            let metric = read_name(Properties { values: stat.require("Metric")?, ..properties })?;
            metrics.insert(id, Watch { metric, statistic });
        } else {
            let expression = Expression::parse(&entry.text("Expression")?);
            let refuse = |error| Refusal::Expression { id: id.clone(), error };
            let expression =
                expression.map_err(|it| properties.refuse("Expression", refuse(it)))?;
            expressions.push((id, expression));
        }
    }
    if metrics.len() > MAX_METRICS {
        return Err(properties.refuse(FIELD, Refusal::Metrics(metrics.len())));
    }
    let [result] = &returned[..] else {
        return Err(properties.refuse("ReturnData", Refusal::Returned(returned.len())));
    };
    let mut periods = periods.into_iter();
    let (Some(period), None) = (periods.next(), periods.next()) else {
        return Err(properties.refuse("Period", Refusal::Periods));
    };
    // An evaluation without values shows whether the types fit.
    let empty = metrics.keys().map(|id| (id.clone(), vec![None])).collect();
    if let Err((id, error)) = evaluate(&empty, &expressions, &[0], result) {
        return Err(properties.refuse("Expression", Refusal::Expression { id, error }));
    }
    let result = result.clone();
    Ok((Watched::Math { metrics, expressions, result }, period, false))
}

/// Evaluates expressions in their order, up to the one whose result is wanted.
fn evaluate(
    metrics: &BTreeMap<String, Series>,
    expressions: &[(String, Expression)],
    hours: &[u8],
    result: &str,
) -> Result<Series, (String, crate::expression::ExpressionError)> {
    let mut results = BTreeMap::new();
    for (id, expression) in expressions {
        let scope = Scope { metrics, results: &results, hours };
        let series = expression.evaluate(&scope).map_err(|error| (id.clone(), error))?;
        results.insert(id.clone(), series);
    }
    Ok(results.remove(result).unwrap_or_else(|| metrics[result].clone()))
}

fn read_name(properties: Properties<'_>) -> Result<Metric, DefinitionError> {
    let mut metric = Metric::new(&properties.text("Namespace")?, &properties.text("MetricName")?);
    for values in properties.get("Dimensions").into_iter().flat_map(resources::list) {
        let dimension = Properties { values, ..properties };
        metric = metric.of(&dimension.text("Name")?, &dimension.text("Value")?);
    }
    Ok(metric)
}

fn read_period(properties: Properties<'_>) -> Result<u64, DefinitionError> {
    let period = properties.whole("Period", 1, DAY)?;
    if period.is_multiple_of(60) {
        Ok(period)
    } else {
        Err(properties.refuse("Period", Refusal::Period(period)))
    }
}

/// The longest time that the periods of an alarm may last together: a week, or a day if a period
/// is shorter than an hour.
const fn longest(period: u64) -> u64 {
    if period < HOUR { DAY } else { 7 * DAY }
}

fn hour(second: i64) -> u8 {
    let time = Timestamp::from_second(second).expect("a time of this era");
    u8::try_from(time.to_zoned(TimeZone::UTC).hour()).expect("an hour of a day")
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).expect("seconds of a week")
}

fn size(number: u64) -> usize {
    usize::try_from(number).expect("a number of periods")
}
