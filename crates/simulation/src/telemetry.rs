//! What CloudWatch gets to know about a run: the metrics of AWS's services, from what is observed,
//! and the system's own, which the functions record.

use std::{
    collections::BTreeMap,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use metrics::{
    Counter, CounterFn, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};
use monitor::{Figures, Metric};
use resources::{Template, target};

use crate::{
    engine::calls::Port, observation::Observation, transport::topology::TOPOLOGY, world::World,
};

/// How late the metrics of AWS's services are known.
const OF_AWS: SignedDuration = SignedDuration::from_secs(60);

/// How late the metrics are known that CloudWatch makes of log lines.
const OF_LOGS: SignedDuration = SignedDuration::from_secs(30);

/// How late metrics of a queue are known that was idle, as each dead-letter queue is: "Monitoring
/// Amazon SQS queues using CloudWatch" in its developer guide.
const OF_IDLE_QUEUES: SignedDuration = SignedDuration::from_mins(15);

/// The metrics of a run.
pub(crate) struct Telemetry {
    world: Rc<World>,
    figures: Figures,
    own: OwnMetrics,
    /// For each queue that feeds a function, the queue of its dead letters.
    dead_letters: Vec<String>,
    /// When each dead-letter queue got its first letter.
    active_since: BTreeMap<String, Timestamp>,
}

impl Telemetry {
    pub(crate) fn new(world: Rc<World>, own: OwnMetrics) -> Self {
        let template = Template::on_aws();
        let dead_letters_of = |queue: &str| {
            let redrive = &template.properties(queue)["RedrivePolicy"];
            target(&redrive["deadLetterTargetArn"]).to_owned()
        };
        Self {
            world,
            figures: Figures::default(),
            own,
            dead_letters: TOPOLOGY.queues.iter().map(|it| dead_letters_of(&it.id)).collect(),
            active_since: BTreeMap::new(),
        }
    }

    pub(crate) fn figures(&self) -> &Figures {
        &self.figures
    }

    /// Publishes a figure that a service of AWS measures.
    pub(crate) fn publish(&mut self, metric: Metric, value: f64) {
        let now = self.world.now();
        self.figures.publish(metric, now, value, now + OF_AWS);
    }

    /// Publishes a figure of the system itself.
    pub(crate) fn publish_own(&mut self, metric: Metric, value: f64) {
        let now = self.world.now();
        self.figures.publish(metric, now, value, now + OF_LOGS);
    }

    /// Takes note of what has just happened.
    pub(crate) fn observe(&mut self, observation: &Observation) {
        match observation {
            Observation::InvocationStarted(function) => self.lambda("Errors", function, 0.0),
            Observation::InvocationFailed(function) => self.lambda("Errors", function, 1.0),
            Observation::Throttled(function) => self.lambda("Throttles", function, 1.0),
            Observation::StreamRead(age) => {
                let age = age.as_millis() as f64;
                let metric = Metric::new("AWS/Lambda", "IteratorAge");
                self.publish(metric.of("FunctionName", "OrderRelay"), age);
            }
            Observation::RequestAnswered { status, latency } => {
                let failed = f64::from(u8::from(*status >= 500));
                self.api("5xx", failed);
                self.api("Latency", latency.as_millis() as f64);
            }
            Observation::CallRefused(port) => {
                if let Some((table, name)) = table(*port) {
                    let metric = Metric::new("AWS/DynamoDB", name).of("TableName", table);
                    self.publish(metric, 1.0);
                }
            }
            _ => {}
        }
        for (metric, value) in self.own.take() {
            self.publish_own(metric, value);
        }
    }

    fn lambda(&mut self, name: &str, function: &str, value: f64) {
        let metric = Metric::new("AWS/Lambda", name);
        self.publish(metric.clone(), value);
        self.publish(metric.of("FunctionName", function), value);
    }

    fn api(&mut self, name: &str, value: f64) {
        let metric = Metric::new("AWS/ApiGateway", name);
        self.publish(metric.of("ApiId", "Api").of("Stage", "$default"), value);
    }

    /// Measures all queues, as SQS does once a minute.
    pub(crate) fn measure_queues(&mut self) {
        let (world, now) = (self.world.clone(), self.world.now());
        world.queues.measure(|index, oldest, dead_letters| {
            let age = oldest.map_or(0.0, |sent_at| now.duration_since(sent_at).as_secs_f64());
            let age = age.max(0.0);
            self.queue("ApproximateAgeOfOldestMessage", &TOPOLOGY.queues[index].id, age);
            let queue = self.dead_letters[index].clone();
            self.dead_letter_queue("ApproximateNumberOfMessagesVisible", &queue, dead_letters);
        });
        let given_up = world.relay_dead_letters.letters().len();
        let name = "ApproximateNumberOfMessagesVisible";
        self.dead_letter_queue(name, "RelayDeadLetters", given_up);
    }

    fn queue(&mut self, name: &str, queue: &str, value: f64) {
        self.publish(Metric::new("AWS/SQS", name).of("QueueName", queue), value);
    }

    /// Publishes a figure of a queue that was idle until it got its first letter.
    pub(crate) fn dead_letter_queue(&mut self, name: &str, queue: &str, letters: usize) {
        let now = self.world.now();
        if letters > 0 {
            self.active_since.entry(queue.to_owned()).or_insert(now);
        }
        if let Some(since) = self.active_since.get(queue) {
            let known_from = (now + OF_AWS).max(*since + OF_IDLE_QUEUES);
            let metric = Metric::new("AWS/SQS", name).of("QueueName", queue);
            self.figures.publish(metric, now, letters as f64, known_from);
        }
    }
}

/// The table behind a port, and the metric that counts calls which it does not take.
const fn table(port: Port) -> Option<(&'static str, &'static str)> {
    Some(match port {
        Port::Orders => ("OrdersTable", "WriteThrottleEvents"),
        Port::Menus => ("MenuTable", "ReadThrottleEvents"),
        Port::Stock => ("StockTable", "WriteThrottleEvents"),
        Port::Payments => ("PaymentsTable", "WriteThrottleEvents"),
        Port::Notices => ("NoticesTable", "WriteThrottleEvents"),
        _ => return None,
    })
}

/// What the functions have recorded and nobody has taken yet.
#[derive(Clone, Default)]
pub(crate) struct OwnMetrics(Arc<Mutex<Vec<(Metric, f64)>>>);

impl OwnMetrics {
    fn take(&self) -> Vec<(Metric, f64)> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn series(&self, key: &Key) -> Arc<OwnMetric> {
        let metric = key
            .labels()
            .fold(Metric::own(key.name()), |metric, label| metric.of(label.key(), label.value()));
        Arc::new(OwnMetric { metric, recorded: self.clone() })
    }
}

/// A metric of the system, which adds to what was recorded.
struct OwnMetric {
    metric: Metric,
    recorded: OwnMetrics,
}

impl OwnMetric {
    fn add(&self, value: f64) {
        let mut recorded = self.recorded.0.lock().unwrap_or_else(PoisonError::into_inner);
        recorded.push((self.metric.clone(), value));
    }
}

impl CounterFn for OwnMetric {
    fn increment(&self, value: u64) {
        self.add(value as f64);
    }

    fn absolute(&self, _value: u64) {
        unreachable!("the functions count what happens, and know no totals");
    }
}

impl HistogramFn for OwnMetric {
    fn record(&self, value: f64) {
        self.add(value);
    }
}

impl Recorder for OwnMetrics {
    fn describe_counter(&self, _key: KeyName, _unit: Option<Unit>, _text: SharedString) {}

    fn describe_gauge(&self, _key: KeyName, _unit: Option<Unit>, _text: SharedString) {}

    fn describe_histogram(&self, _key: KeyName, _unit: Option<Unit>, _text: SharedString) {}

    fn register_counter(&self, key: &Key, _metadata: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.series(key))
    }

    fn register_gauge(&self, _key: &Key, _metadata: &Metadata<'_>) -> Gauge {
        unreachable!("the functions record no gauges: an instance does not know the others");
    }

    fn register_histogram(&self, key: &Key, _metadata: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.series(key))
    }
}
