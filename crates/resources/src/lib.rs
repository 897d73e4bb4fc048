//! What `template.yaml` declares, so that neither tests nor tools keep a list of their own of the
//! functions, queues, tables, rules, routes and alarms. A template that they do not understand is a
//! defect of this repository, so that reading it panics.

#![allow(clippy::unwrap_used, reason = "the template is part of the source")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use serde_json::Value;

/// The resources of a stage by their logical ids, with conditions decided. References stay as they
/// are written, such as `{"!Ref": id}`.
pub struct Template(BTreeMap<String, Value>);

impl Template {
    /// The resources that are deployed to an AWS account.
    #[must_use]
    pub fn on_aws() -> Self {
        Self::read(true)
    }

    /// The resources that are deployed to the embedded AWS.
    #[must_use]
    pub fn local() -> Self {
        Self::read(false)
    }

    fn read(on_aws: bool) -> Self {
        let Value::Object(resources) = section("Resources") else {
            panic!("template.yaml has no resources")
        };
        let deployed = resources.into_iter().filter(|(_, resource)| {
            resource["Condition"].as_str().is_none_or(|condition| holds(condition, on_aws))
        });
        let decided = deployed.map(|(id, resource)| {
            (id, decide(resource, on_aws).expect("a resource is never left out as a whole"))
        });
        Self(decided.collect())
    }

    /// The logical ids and properties of all resources of a type.
    ///
    /// # Panics
    /// If there are none, since a test of nothing proves nothing.
    #[must_use]
    pub fn all(&self, of_type: &str) -> Vec<(&str, &Value)> {
        let resources = self.0.iter().filter(|(_, resource)| resource["Type"] == of_type);
        let found: Vec<_> =
            resources.map(|(id, resource)| (id.as_str(), &resource["Properties"])).collect();
        assert!(!found.is_empty(), "template.yaml has no resource of type {of_type}");
        found
    }

    /// The logical ids of all resources of a type.
    #[must_use]
    pub fn ids(&self, of_type: &str) -> BTreeSet<&str> {
        self.all(of_type).into_iter().map(|(id, _)| id).collect()
    }

    /// The logical ids of all resources, whatever their type.
    pub fn all_ids(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// A resource, with its type and policies.
    #[must_use]
    pub fn resource(&self, id: &str) -> &Value {
        self.0.get(id).unwrap_or_else(|| panic!("template.yaml has no resource {id}"))
    }

    #[must_use]
    pub fn properties(&self, id: &str) -> &Value {
        &self.resource(id)["Properties"]
    }

    /// The logical ids of all functions.
    #[must_use]
    pub fn functions(&self) -> BTreeSet<&str> {
        self.ids("AWS::Serverless::Function")
    }

    /// The name of a function's crate, which also names its log and its samples.
    #[must_use]
    pub fn crate_of(&self, function: &str) -> &str {
        let metadata = &self.resource(function)["Metadata"];
        let binary = metadata["BuildProperties"]["Binary"].as_str();
        binary.unwrap_or_else(|| panic!("{function} does not say which binary it runs"))
    }

    /// The names of the queues that feed functions, without the suffix `Queue`: for `Charge` there
    /// are the resources `ChargeQueue` and `ChargeDeadLetters`.
    #[must_use]
    pub fn queues(&self) -> BTreeSet<&str> {
        self.ids("AWS::SQS::Queue").into_iter().filter_map(|id| id.strip_suffix("Queue")).collect()
    }

    /// The logical ids and properties of the mappings that feed functions from queues.
    #[must_use]
    pub fn queue_mappings(&self) -> Vec<(&str, &Value)> {
        let mut mappings = self.all("AWS::Lambda::EventSourceMapping");
        mappings.retain(|(_, mapping)| {
            let source = self.resource(target(&mapping["EventSourceArn"]));
            source["Type"] == "AWS::SQS::Queue"
        });
        mappings
    }

    /// The logical ids and properties of the rules of the stack's event bus.
    #[must_use]
    pub fn rules(&self) -> Vec<(&str, &Value)> {
        let mut rules = self.all("AWS::Events::Rule");
        rules.retain(|(_, rule)| {
            let bus = &rule["EventBusName"];
            !bus.is_null() && self.resource(target(bus))["Type"] == "AWS::Events::EventBus"
        });
        rules
    }

    /// The event types that rules put into a queue.
    #[must_use]
    pub fn events_of(&self, queue: &str) -> BTreeSet<&str> {
        let id = format!("{queue}Queue");
        let rules = self.rules().into_iter();
        let rules = rules
            .filter(|(_, rule)| list(&rule["Targets"]).any(|to| target(&to["Arn"]) == id))
            .flat_map(|(_, rule)| list(&rule["EventPattern"]["detail-type"]));
        rules.map(|event_type| event_type.as_str().unwrap()).collect()
    }

    /// The statements of a queue's policy.
    #[must_use]
    pub fn policy_of(&self, queue: &str) -> Vec<&Value> {
        let mut policies = self.all("AWS::SQS::QueuePolicy");
        policies.retain(|(_, policy)| list(&policy["Queues"]).any(|id| target(id) == queue));
        let [(_, policy)] = policies[..] else {
            panic!("{queue} has {} policies; SQS keeps exactly one", policies.len())
        };
        list(&policy["PolicyDocument"]["Statement"]).collect()
    }

    /// The statements of a role's policies.
    #[must_use]
    pub fn statements_of(&self, role: &str) -> Vec<&Value> {
        let policies = list(&self.properties(role)["Policies"]);
        policies.flat_map(|policy| list(&policy["PolicyDocument"]["Statement"])).collect()
    }

    /// The routes of the API, in the order of their keys.
    #[must_use]
    pub fn routes(&self) -> Vec<Route<'_>> {
        let routes = self.all("AWS::ApiGatewayV2::Route").into_iter();
        let mut routes: Vec<_> = routes
            .map(|(_, route)| Route {
                key: route["RouteKey"].as_str().expect("a route key"),
                public: route["AuthorizationType"] == "NONE",
            })
            .collect();
        routes.sort_by_key(|route| route.key);
        routes
    }
}

/// A route of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route<'a> {
    /// Method and path with parameters in braces, such as `GET /orders/{id}`.
    pub key: &'a str,
    /// Whether it is served without a token.
    pub public: bool,
}

impl<'a> Route<'a> {
    #[must_use]
    pub fn method(&self) -> &'a str {
        self.split().0
    }

    /// The path, with parameters in braces.
    #[must_use]
    pub fn path(&self) -> &'a str {
        self.split().1
    }

    fn split(&self) -> (&'a str, &'a str) {
        self.key.split_once(' ').expect("a route key is a method and a path")
    }
}

/// The types of all events, from their committed schemas.
///
/// # Panics
/// If a schema names no event.
#[must_use]
pub fn event_types() -> BTreeSet<String> {
    let schemas = concat!(env!("CARGO_MANIFEST_DIR"), "/../shop/schemas");
    let mut types = BTreeSet::new();
    for file in std::fs::read_dir(schemas).expect("the schemas of the events") {
        let path = file.unwrap().path();
        let schema = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let mut named = BTreeSet::new();
        collect_event_types(&schema, &mut named);
        assert!(!named.is_empty(), "{} names no event", path.display());
        types.append(&mut named);
    }
    types
}

/// Collects constants such as `order.placed`. No other constant of the schemas has a dot.
fn collect_event_types(schema: &Value, types: &mut BTreeSet<String>) {
    match schema {
        Value::Object(members) => {
            let constants = members.get("const").into_iter();
            let constants = constants.chain(members.get("enum").into_iter().flat_map(list));
            let names = constants.filter_map(Value::as_str).filter(|name| name.contains('.'));
            types.extend(names.map(str::to_owned));
            members.values().for_each(|member| collect_event_types(member, types));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_event_types(item, types)),
        _ => {}
    }
}

/// A section of the template as it is written.
#[must_use]
pub fn section(name: &str) -> Value {
    // Parsed once: each reference of an alarm asks for the parameters.
    static TEMPLATE: LazyLock<Value> = LazyLock::new(|| {
        let yaml: yaml_serde::Value = yaml_serde::from_str(include_str!("../../../template.yaml"))
            .expect("template.yaml is YAML");
        serde_json::to_value(yaml).expect("all keys of template.yaml are text")
    });
    TEMPLATE[name].clone()
}

/// Whether a condition holds in a stage, if all other parameters have their defaults.
fn holds(condition: &str, on_aws: bool) -> bool {
    evaluate(&CONDITIONS[condition], on_aws)
}

fn evaluate(condition: &Value, on_aws: bool) -> bool {
    let (function, argument) = condition.as_object().unwrap().iter().next().unwrap();
    match function.as_str() {
        "!Condition" => holds(argument.as_str().unwrap(), on_aws),
        "!Not" => !evaluate(&argument[0], on_aws),
        "!And" => list(argument).all(|condition| evaluate(condition, on_aws)),
        "!Equals" => value(&argument[0], on_aws) == value(&argument[1], on_aws),
        _ => panic!("teach crates/resources the function {function}"),
    }
}

fn value(value: &Value, on_aws: bool) -> Value {
    match value["!Ref"].as_str() {
        Some("Stage") => (if on_aws { "prod" } else { "local" }).into(),
        Some(parameter) => PARAMETERS[parameter]["Default"].clone(),
        None => value.clone(),
    }
}

static CONDITIONS: LazyLock<Value> = LazyLock::new(|| section("Conditions"));
static PARAMETERS: LazyLock<Value> = LazyLock::new(|| section("Parameters"));

/// Replaces every `!If` by its branch. `None` is what CloudFormation leaves out.
#[must_use]
pub fn decide(value: Value, on_aws: bool) -> Option<Value> {
    match value {
        Value::Object(map) if map.contains_key("!If") => {
            let [condition, yes, no] = list(&map["!If"]).collect::<Vec<_>>()[..] else {
                panic!("!If takes a condition and two branches: {map:?}")
            };
            let condition = condition.as_str().expect("a condition is named by text");
            decide(if holds(condition, on_aws) { yes } else { no }.clone(), on_aws)
        }
        Value::Object(map) if map.get("!Ref").is_some_and(|id| id == "AWS::NoValue") => None,
        Value::Object(map) => {
            let members =
                map.into_iter().filter_map(|(key, value)| Some((key, decide(value, on_aws)?)));
            Some(Value::Object(members.collect()))
        }
        Value::Array(items) => {
            Some(items.into_iter().filter_map(|item| decide(item, on_aws)).collect())
        }
        value => Some(value),
    }
}

/// The logical id that a reference names.
#[must_use]
pub fn target(reference: &Value) -> &str {
    let name = reference["!Ref"].as_str().or_else(|| reference["!GetAtt"].as_str());
    let name = name.unwrap_or_else(|| panic!("{reference} is not a reference"));
    name.split('.').next().unwrap_or(name)
}

/// The elements of a list. CloudFormation and IAM allow one element without a list around it.
pub fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice).iter()
}
