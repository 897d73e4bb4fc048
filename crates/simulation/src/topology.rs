//! Queues, rules and functions, as `template.yaml` has them.

use std::{collections::BTreeMap, sync::LazyLock};

use jiff::SignedDuration;
use serde_json::Value;

/// What the template deploys, read once.
pub(crate) static TOPOLOGY: LazyLock<Topology> =
    LazyLock::new(|| Topology::parse(include_str!("../../../template.yaml")));

/// Template parameters that are whole numbers, by name.
pub(crate) type Parameters = BTreeMap<String, i64>;

#[derive(Debug)]
pub(crate) struct Topology {
    pub(crate) queues: Vec<QueueSpec>,
    pub(crate) rules: Vec<Rule>,
    /// Timeouts by the functions' logical ids.
    pub(crate) timeouts: BTreeMap<String, SignedDuration>,
    pub(crate) defaults: Parameters,
}

/// A queue that feeds a function.
#[derive(Debug)]
pub(crate) struct QueueSpec {
    pub(crate) id: String,
    pub(crate) function: String,
    pub(crate) batch_size: usize,
    pub(crate) visibility: SignedDuration,
    pub(crate) max_receives: u32,
    delay: Seconds,
}

impl QueueSpec {
    /// How long a message stays out of sight after it was sent.
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
    /// A template that this cannot read is a change that the simulation has to learn about: it
    /// panics and says of what.
    fn parse(text: &str) -> Self {
        let yaml: yaml_serde::Value = yaml_serde::from_str(text).expect("the template is YAML");
        let template = serde_json::to_value(yaml).expect("the template has text for keys");
        let Value::Object(resources) = &template["Resources"] else {
            panic!("the template has no resources")
        };
        let all = |of_type: &'static str| {
            resources
                .iter()
                .filter(move |(_, it)| it["Type"] == of_type)
                .map(|(id, it)| (id, &it["Properties"]))
        };

        let timeouts = all("AWS::Serverless::Function")
            .map(|(id, function)| {
                (id.clone(), SignedDuration::from_secs(whole(&function["Timeout"])))
            })
            .collect();
        let mappings = all("AWS::Lambda::EventSourceMapping");
        let from_queues = mappings.filter(|(_, it)| {
            resources[target(&it["EventSourceArn"])]["Type"] == "AWS::SQS::Queue"
        });
        let queues: Vec<_> = from_queues
            .map(|(_, mapping)| {
                let id = target(&mapping["EventSourceArn"]).to_owned();
                let queue = &resources[&id]["Properties"];
                QueueSpec {
                    function: target(&mapping["FunctionName"]).to_owned(),
                    batch_size: usize::try_from(whole(&mapping["BatchSize"]))
                        .expect("a batch size"),
                    visibility: SignedDuration::from_secs(whole(&queue["VisibilityTimeout"])),
                    max_receives: u32::try_from(whole(&queue["RedrivePolicy"]["maxReceiveCount"]))
                        .expect("a count"),
                    delay: match &queue["DelaySeconds"] {
                        Value::Null => Seconds::Fixed(0),
                        Value::Number(_) => Seconds::Fixed(whole(&queue["DelaySeconds"])),
                        reference => Seconds::Parameter(target(reference).to_owned()),
                    },
                    id,
                }
            })
            .collect();
        let rules = all("AWS::Events::Rule")
            .map(|(id, rule)| {
                let pattern = rule["EventPattern"].as_object().expect("a pattern");
                assert!(
                    pattern.keys().all(|key| key == "source" || key == "detail-type"),
                    "{id} matches by more than it may"
                );
                let [to] = &rule["Targets"].as_array().expect("targets")[..] else {
                    panic!("{id} has not one target")
                };
                let queue = target(&to["Arn"]);
                Rule {
                    sources: texts(&pattern["source"]),
                    detail_types: texts(&pattern["detail-type"]),
                    target: queues
                        .iter()
                        .position(|known| known.id == queue)
                        .expect("a rule's target feeds a function"),
                }
            })
            .collect();
        let parameters = template["Parameters"].as_object().expect("parameters");
        let defaults = parameters
            .iter()
            .filter_map(|(name, it)| Some((name.clone(), it["Default"].as_i64()?)))
            .collect();
        Self { queues, rules, timeouts, defaults }
    }

    /// The index of the queue of that logical id.
    pub(crate) fn queue(&self, id: &str) -> usize {
        self.queues
            .iter()
            .position(|queue| queue.id == id)
            .unwrap_or_else(|| panic!("the template has no {id}"))
    }
}

fn whole(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("{value} is not a whole number"))
}

/// The logical id that a reference names.
fn target(reference: &Value) -> &str {
    let name = reference["!Ref"].as_str().or_else(|| reference["!GetAtt"].as_str());
    let name = name.unwrap_or_else(|| panic!("{reference} is not a reference"));
    name.split('.').next().unwrap_or(name)
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
    fn the_template_says_who_gets_which_event() {
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
    fn only_deadlines_are_delayed() {
        let delays: Vec<_> = TOPOLOGY
            .queues
            .iter()
            .filter(|queue| !queue.delay(&TOPOLOGY.defaults).is_zero())
            .collect();
        assert!(matches!(delays[..], [queue] if queue.id == "DeadlineQueue"));
    }
}
