//! The alarms of the template, as far as the figures of a local stack can fire them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::{SignedDuration, Timestamp};
use monitor::{Change, Figures, Metric, MetricAlarm, Monitor, OWN_NAMESPACE, State};
use resources::{Template, list};

/// How far alarms look back when a dashboard starts.
pub const PAST: SignedDuration = SignedDuration::from_hours(3);

/// What a local stack measures of the services of AWS.
const MEASURED: [(&str, &str); 3] =
    [("AWS/Lambda", "Errors"), ("AWS/SQS", DEPTH), ("AWS/SQS", AGE)];

/// The metric of a queue that counts its messages.
pub(crate) const DEPTH: &str = "ApproximateNumberOfMessagesVisible";
/// The metric of a queue that says how many seconds its oldest message is old.
pub(crate) const AGE: &str = "ApproximateAgeOfOldestMessage";

/// The alarms that a local stack can fire, with their states.
#[derive(Debug)]
pub(crate) struct Alarms {
    monitor: Monitor,
    figures: Figures,
    /// What each says, and its section of the runbook.
    descriptions: BTreeMap<String, (String, String)>,
    /// The logical ids of the functions, by their names.
    functions: BTreeMap<String, String>,
    /// Those that a local stack has no figures for.
    pub(crate) unjudged: Vec<String>,
    /// Into or out of an alarm, the newest first.
    pub(crate) changes: VecDeque<Change>,
    /// The whole minute of the last evaluation.
    evaluated: Option<Timestamp>,
}

/// An alarm that rings.
#[derive(Debug)]
pub struct Ringing<'a> {
    /// Its logical id in the template.
    pub alarm: &'a str,
    pub since: Timestamp,
    pub description: &'a str,
    /// Its section of the runbook.
    pub section: &'a str,
}

impl Alarms {
    /// The alarms of the template for AWS: the embedded AWS gets none.
    ///
    /// # Panics
    /// If the template's alarms cannot be read, which is a defect of this repository.
    pub(crate) fn new() -> Self {
        let template = Template::on_aws();
        let mut alarms = monitor::Alarms::read(&template).expect("the template's alarms");
        let (mut judged, mut unjudged) = (BTreeSet::new(), Vec::new());
        let mut judge = |id: &str, can: bool| {
            if can {
                judged.insert(id.to_owned());
            } else {
                unjudged.push(id.to_owned());
            }
            can
        };
        let counted = counted_by_filters(&template);
        alarms.metric.retain(|alarm| {
            let measured = alarm.metrics().all(|metric| is_measured(metric, &counted));
            judge(&alarm.id, measured && !rings_in_silence(&template, alarm))
        });
        let known: BTreeSet<_> = alarms.metric.iter().map(|alarm| alarm.id.clone()).collect();
        alarms.composite.retain(|alarm| {
            judge(&alarm.id, alarm.alarms().into_iter().all(|it| known.contains(it)))
        });
        let descriptions = judged.into_iter().map(|id| {
            let text = template.properties(&id)["AlarmDescription"].as_str().unwrap_or_default();
            let (description, section) = text.rsplit_once(' ').unwrap_or((text, ""));
            let description = (description.to_owned(), section.to_owned());
            (id, description)
        });
        let descriptions = descriptions.collect();
        let functions = template.functions().into_iter();
        let functions = functions.map(|id| (template.crate_of(id).to_owned(), id.to_owned()));
        Self {
            monitor: Monitor::new(alarms),
            figures: Figures::default(),
            descriptions,
            functions: functions.collect(),
            unjudged,
            changes: VecDeque::new(),
            evaluated: None,
        }
    }

    /// Publishes a value, which alarms see at once.
    pub(crate) fn publish(&mut self, metric: Metric, at: Timestamp, value: f64) {
        self.figures.publish(metric, at, value, at);
    }

    /// Publishes that an invocation of a function failed. It may leave several lines; the alarms
    /// ask only whether there was any.
    pub(crate) fn publish_failure(&mut self, function: &str, at: Timestamp) {
        let metric = Metric::new("AWS/Lambda", "Errors");
        self.publish(metric.clone(), at, 1.0);
        if let Some(id) = self.functions.get(function) {
            let metric = metric.of("FunctionName", id);
            self.publish(metric, at, 1.0);
        }
    }

    /// Evaluates all alarms for each minute that has ended since the last call; at first, for those
    /// of the last hours. `measure` adds what belongs to the minute that has just ended.
    pub(crate) fn advance_to(
        &mut self,
        now: Timestamp,
        measure: impl FnOnce() -> Vec<(Metric, f64)>,
    ) {
        const MINUTE: SignedDuration = SignedDuration::from_mins(1);
        let now = now.as_second();
        let ended = Timestamp::from_second(now - now.rem_euclid(60)).expect("a second in range");
        let mut minute = self.evaluated.unwrap_or(ended - PAST);
        if minute < ended {
            for (metric, value) in measure() {
                self.publish(metric, ended - MINUTE, value);
            }
        }
        while minute < ended {
            minute += MINUTE;
            for change in self.monitor.evaluate(&self.figures, minute) {
                if [change.from, change.to].contains(&State::Alarm) {
                    self.changes.push_front(change);
                }
            }
        }
        self.evaluated = Some(ended);
    }

    /// The number of alarms that can be judged.
    pub(crate) fn judged(&self) -> usize {
        self.descriptions.len()
    }

    /// The alarms that ring, those that page first.
    pub(crate) fn ringing(&self) -> Vec<Ringing<'_>> {
        let alarms = self.monitor.alarms();
        let composite = alarms.composite.iter().map(|alarm| &alarm.id);
        let all = composite.chain(alarms.metric.iter().map(|alarm| &alarm.id));
        let ringing = all.filter(|id| self.monitor.state(id) == State::Alarm);
        let described = ringing.filter_map(|id| {
            let since = self.changes.iter().find(|change| change.alarm == *id)?.at;
            let (description, section) = &self.descriptions[id];
            Some(Ringing { alarm: id, since, description, section })
        });
        described.collect()
    }
}

/// Whether a local stack has the figures of a metric.
fn is_measured(metric: &Metric, counted_by_filters: &BTreeSet<&str>) -> bool {
    let name = metric.name.as_str();
    match metric.namespace.as_str() {
        OWN_NAMESPACE => !counted_by_filters.contains(name),
        namespace => MEASURED.contains(&(namespace, name)),
    }
}

/// The metrics that CloudWatch counts in the access log of the API, which is empty here.
fn counted_by_filters(template: &Template) -> BTreeSet<&str> {
    let filters = template.all("AWS::Logs::MetricFilter").into_iter();
    let counted = filters.flat_map(|(_, filter)| list(&filter["MetricTransformations"]));
    counted.filter_map(|transformation| transformation["MetricName"].as_str()).collect()
}

/// Whether an alarm is about what does not happen. On a developer's machine, silence is no fault.
fn rings_in_silence(template: &Template, alarm: &MetricAlarm) -> bool {
    template.properties(&alarm.id)["TreatMissingData"] == "breaching"
}
