//! All that a dashboard shows.

use std::collections::BTreeSet;

use jiff::Timestamp;
use monitor::Metric;
use resources::Template;
use stack::LogLine;

use crate::{
    alarms::{self, Alarms, Ringing},
    business::Business,
    depth::Depth,
    metrics::{Sums, recorded},
    system::System,
};

/// The figures of a local stack at a moment.
#[derive(Debug)]
pub struct Dashboard {
    pub(crate) stack: String,
    pub(crate) now: Timestamp,
    /// The sums of all metrics of the functions since the stack was started.
    pub(crate) sums: Sums,
    pub(crate) business: Business,
    pub(crate) system: System,
    pub(crate) alarms: Alarms,
}

impl Dashboard {
    /// The dashboard of a stack, with all figures zero.
    #[must_use]
    pub fn new(stack: &str, now: Timestamp) -> Self {
        Self {
            stack: stack.to_owned(),
            now,
            sums: Sums::default(),
            business: Business::default(),
            system: System::new(&Template::local()),
            alarms: Alarms::new(),
        }
    }

    /// Adds a line of a function's log.
    pub fn add(&mut self, line: &LogLine) {
        let fields = line.fields().unwrap_or_default();
        if let Some(metrics) = recorded(&fields) {
            for (metric, values) in metrics {
                self.business.count(line.at, &metric, &values);
                self.sums.add(metric.clone(), &values);
                for value in values {
                    self.alarms.publish(metric.clone(), line.at, value);
                }
            }
            return;
        }
        self.business.add(line.at, &fields);
        if self.system.add(line) {
            self.alarms.publish_failure(&line.function, line.at);
        }
    }

    /// Replaces what is known about a queue, by its logical id in the template.
    pub fn measure(&mut self, queue: &str, depth: Depth) {
        self.system.measure(queue, depth);
    }

    /// Replaces what is known about the mappings of queues and stream: the logical ids of those
    /// that are disabled.
    pub fn disable(&mut self, mappings: BTreeSet<String>) {
        self.system.disable(mappings);
    }

    /// The alarms that ring, those that page first.
    #[must_use]
    pub fn ringing(&self) -> Vec<Ringing<'_>> {
        self.alarms.ringing()
    }

    /// Moves the clock, and evaluates the alarms of the minutes that have ended.
    pub fn advance_to(&mut self, now: Timestamp) {
        self.now = now;
        let queues = || {
            let depths = self.system.depths();
            depths.flat_map(|(id, depth)| {
                let metric = |name| Metric::new("AWS/SQS", name).of("QueueName", id);
                let age = depth.oldest.as_secs_f64();
                [(metric(alarms::DEPTH), depth.waiting as f64), (metric(alarms::AGE), age)]
            })
        };
        self.alarms.advance_to(now, || queues().collect());
    }
}
