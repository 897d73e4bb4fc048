//! Queues, rules and functions, read from `template.yaml`.

use std::{collections::BTreeMap, sync::LazyLock};

use jiff::SignedDuration;
use resources::{Template, section, target};
use serde_json::Value;

/// What the template deploys.
pub(crate) static TOPOLOGY: LazyLock<Topology> =
    LazyLock::new(|| Topology::read(&Template::on_aws()));

/// The rule for the provider's events.
const OF_THE_PROVIDER: &str = "IntentRule";

/// The queue for the provider's events.
const INTENTS: &str = "IntentQueue";

/// Template parameters that are whole numbers, by name.
pub(crate) type Parameters = BTreeMap<String, i64>;

#[derive(Debug)]
pub(crate) struct Topology {
    pub(crate) queues: Vec<QueueSpec>,
    pub(crate) rules: Vec<Rule>,
    /// Timeouts by the functions' logical ids.
    pub(crate) timeouts: BTreeMap<String, SignedDuration>,
    pub(crate) defaults: Parameters,
    /// How old a change of an order may be when the relay still gets it.
    pub(crate) max_record_age: SignedDuration,
    /// The detail types that the archive of the bus does not take.
    not_archived: Vec<String>,
}

impl Topology {
    /// The template's parameters, for a run in which one customer places all orders.
    pub(crate) fn for_one_customer(&self) -> Parameters {
        let mut parameters = self.defaults.clone();
        parameters.insert("DeclinesPerCustomer".into(), 1_000);
        parameters
    }
}

/// A queue that feeds a function.
#[derive(Debug)]
pub(crate) struct QueueSpec {
    pub(crate) id: String,
    pub(crate) function: String,
    pub(crate) batch_size: usize,
    /// How many invocations handle messages of the queue at a time.
    pub(crate) concurrency: usize,
    pub(crate) visibility: SignedDuration,
    pub(crate) max_receives: u32,
    /// How long a message lives, counted from when it was sent.
    pub(crate) retention: SignedDuration,
    /// How long a dead letter lives, counted from when it was sent to the queue.
    pub(crate) dead_letter_retention: SignedDuration,
    delay: Seconds,
}

impl QueueSpec {
    /// How long a message stays invisible after it was sent.
    pub(crate) fn delay(&self, parameters: &Parameters) -> SignedDuration {
        SignedDuration::from_secs(match &self.delay {
            Seconds::Fixed(seconds) => *seconds,
            Seconds::Parameter(name) => parameters[name],
        })
    }
}

#[derive(Debug)]
enum Seconds {
    Fixed(i64),
    Parameter(String),
}

/// A rule of the bus, with its one target.
#[derive(Debug)]
pub(crate) struct Rule {
    sources: Vec<String>,
    detail_types: Vec<String>,
    /// Index of the queue.
    pub(crate) target: usize,
}

impl Rule {
    pub(crate) fn matches(&self, source: &str, detail_type: &str) -> bool {
        self.sources.iter().any(|wanted| wanted == source)
            && self.detail_types.iter().any(|wanted| wanted == detail_type)
    }
}

impl Topology {
    /// Reads the template as it is deployed to an AWS account.
    ///
    /// # Panics
    /// When the template uses something that the simulation does not know.
    fn read(template: &Template) -> Self {
        let timeouts = template
            .all("AWS::Serverless::Function")
            .into_iter()
            .map(|(id, function)| {
                (id.to_owned(), SignedDuration::from_secs(whole(&function["Timeout"])))
            })
            .collect();
        let mut queues = Vec::new();
        let mut max_record_age = None;
        for (_, mapping) in template.all("AWS::Lambda::EventSourceMapping") {
            let id = target(&mapping["EventSourceArn"]);
            if template.resource(id)["Type"] == "AWS::SQS::Queue" {
                queues.push(queue_spec(template, id, mapping));
            } else {
                let seconds = whole(&mapping["MaximumRecordAgeInSeconds"]);
                max_record_age = Some(SignedDuration::from_secs(seconds));
            }
        }
        // Other rules are on the account's own bus, on which no function of ours publishes, or
        // about what others publish.
        let rules = template.rules().into_iter();
        let rules = rules
            .filter(|(id, _)| *id != OF_THE_PROVIDER)
            .map(|(id, rule)| read_rule(id, rule, &queues))
            .collect();
        let parameters = section("Parameters");
        let defaults = parameters
            .as_object()
            .expect("parameters")
            .iter()
            .filter_map(|(name, it)| Some((name.clone(), it["Default"].as_i64()?)))
            .collect();
        let max_record_age = max_record_age.expect("a mapping from the stream");
        let archived = &template.properties("EventArchive")["EventPattern"]["detail-type"];
        let not_archived = texts(&archived[0]["anything-but"]);
        Self { queues, rules, timeouts, defaults, max_record_age, not_archived }
    }

    /// The index of the queue for the provider's events.
    pub(crate) fn intents(&self) -> usize {
        let index = self.queues.iter().position(|queue| queue.id == INTENTS);
        index.expect("the queue feeds a function")
    }

    /// Whether the archive of the bus takes an event.
    pub(crate) fn is_archived(&self, detail_type: &str) -> bool {
        self.not_archived.iter().all(|left_out| left_out != detail_type)
    }
}

fn read_rule(id: &str, rule: &Value, queues: &[QueueSpec]) -> Rule {
    let pattern = rule["EventPattern"].as_object().expect("a pattern");
    assert!(
        pattern.keys().all(|key| key == "source" || key == "detail-type"),
        "{id} matches by more than source and detail-type"
    );
    let [to] = &rule["Targets"].as_array().expect("targets")[..] else {
        panic!("{id} does not have exactly one target")
    };
    let queue = target(&to["Arn"]);
    let index = queues.iter().position(|known| known.id == queue);
    Rule {
        sources: texts(&pattern["source"]),
        detail_types: texts(&pattern["detail-type"]),
        target: index.expect("a rule's target feeds a function"),
    }
}

/// The queue of that logical id, and how `mapping` feeds a function from it.
fn queue_spec(template: &Template, id: &str, mapping: &Value) -> QueueSpec {
    let queue = template.properties(id);
    let redrive = &queue["RedrivePolicy"];
    let dead_letters = target(&redrive["deadLetterTargetArn"]);
    QueueSpec {
        id: id.to_owned(),
        function: target(&mapping["FunctionName"]).to_owned(),
        batch_size: usize::try_from(whole(&mapping["BatchSize"])).expect("a batch size"),
        concurrency: usize::try_from(whole(&mapping["ScalingConfig"]["MaximumConcurrency"]))
            .expect("a maximum concurrency"),
        visibility: SignedDuration::from_secs(whole(&queue["VisibilityTimeout"])),
        max_receives: u32::try_from(whole(&redrive["maxReceiveCount"])).expect("a count"),
        retention: retention(queue),
        dead_letter_retention: retention(template.properties(dead_letters)),
        delay: match &queue["DelaySeconds"] {
            Value::Null => Seconds::Fixed(0),
            Value::Number(_) => Seconds::Fixed(whole(&queue["DelaySeconds"])),
            reference => Seconds::Parameter(target(reference).to_owned()),
        },
    }
}

/// How long a queue keeps a message: four days by default.
fn retention(queue: &Value) -> SignedDuration {
    match &queue["MessageRetentionPeriod"] {
        Value::Null => SignedDuration::from_hours(4 * 24),
        seconds => SignedDuration::from_secs(whole(seconds)),
    }
}

fn whole(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("{value} is not a whole number"))
}

fn texts(value: &Value) -> Vec<String> {
    let texts = value.as_array().expect("a list of texts").iter();
    texts
        .map(|text| text.as_str().unwrap_or_else(|| panic!("{text} is not a text")).to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_of_the_template_route_each_event_to_the_queues_that_want_it() {
        let to = |source, detail_type| {
            let rules = TOPOLOGY.rules.iter().filter(|rule| rule.matches(source, detail_type));
            let mut queues: Vec<_> =
                rules.map(|rule| TOPOLOGY.queues[rule.target].id.as_str()).collect();
            queues.sort_unstable();
            queues
        };
        assert_eq!(to("amelie.orders", "order.placed"), ["DeadlineQueue", "StockQueue"]);
        assert_eq!(to("amelie.orders", "order.reserved"), ["ChargeQueue"]);
        assert_eq!(to("amelie.payment", "payment.captured"), ["ResultsQueue"]);
        assert!(to("amelie.orders", "payment.captured").is_empty());
    }

    #[test]
    fn only_the_deadline_queue_is_delayed() {
        let delays: Vec<_> = TOPOLOGY
            .queues
            .iter()
            .filter(|queue| !queue.delay(&TOPOLOGY.defaults).is_zero())
            .collect();
        assert!(matches!(delays[..], [queue] if queue.id == "DeadlineQueue"));
    }
}
