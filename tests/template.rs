//! What the template promises and nothing else would notice: cfn-lint knows no design, and the
//! embedded AWS delivers to queues, polls them and writes logs without asking for permission.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// The longest that SQS keeps a message, in seconds.
const FOURTEEN_DAYS: u64 = 14 * 24 * 60 * 60;

/// The resources of a stage by their logical ids: conditions are decided, references left as
/// `{"!Ref": id}` and the like.
struct Template(BTreeMap<String, Value>);

impl Template {
    fn on_aws() -> Self {
        Self::read(true)
    }

    fn local() -> Self {
        Self::read(false)
    }

    fn read(on_aws: bool) -> Self {
        let Value::Object(resources) = section("Resources") else { panic!("no resources") };
        let there =
            resources.into_iter().filter(|(_, resource)| match resource["Condition"].as_str() {
                None => true,
                Some(condition) => holds(condition, on_aws),
            });
        Self(
            there
                .map(|(id, resource)| (id, decide(resource, on_aws).expect("a resource")))
                .collect(),
        )
    }

    /// The logical ids and properties of all resources of a type, of which there are some.
    fn all(&self, of_type: &str) -> Vec<(&str, &Value)> {
        let resources = self.0.iter().filter(|(_, resource)| resource["Type"] == of_type);
        let found: Vec<_> =
            resources.map(|(id, resource)| (id.as_str(), &resource["Properties"])).collect();
        assert!(!found.is_empty(), "no {of_type}");
        found
    }

    fn properties(&self, id: &str) -> &Value {
        &self.0[id]["Properties"]
    }

    fn mappings_of_queues(&self) -> Vec<(&str, &Value)> {
        let mut mappings = self.all("AWS::Lambda::EventSourceMapping");
        mappings.retain(|(_, mapping)| {
            self.0[target(&mapping["EventSourceArn"])]["Type"] == "AWS::SQS::Queue"
        });
        mappings
    }

    /// The statements of the one policy that a queue has.
    fn policy_of(&self, queue: &str) -> Vec<&Value> {
        let policies = self.all("AWS::SQS::QueuePolicy").into_iter();
        let mut policies = policies
            .filter(|(_, policy)| list(&policy["Queues"]).any(|listed| target(listed) == queue));
        let (_, policy) = policies.next().unwrap_or_else(|| panic!("{queue} has no policy"));
        assert!(policies.next().is_none(), "{queue} has two policies, of which SQS keeps one");
        list(&policy["PolicyDocument"]["Statement"]).collect()
    }

    fn statements_of(&self, role: &str) -> Vec<&Value> {
        let policies = list(&self.properties(role)["Policies"]);
        policies.flat_map(|policy| list(&policy["PolicyDocument"]["Statement"])).collect()
    }
}

/// A part of the template as it is written.
fn section(name: &str) -> Value {
    let yaml: yaml_serde::Value =
        yaml_serde::from_str(include_str!("../template.yaml")).expect("YAML");
    serde_json::to_value(yaml).expect("YAML with text for keys")[name].take()
}

fn holds(condition: &str, on_aws: bool) -> bool {
    assert_eq!(condition, "OnAws", "a condition that these tests do not know");
    on_aws
}

/// Replaces every `!If` by its branch; `None` is what CloudFormation leaves out.
fn decide(value: Value, on_aws: bool) -> Option<Value> {
    match value {
        Value::Object(map) if map.contains_key("!If") => {
            let [condition, yes, no] = list(&map["!If"]).collect::<Vec<_>>()[..] else {
                panic!("{map:?}")
            };
            let taken =
                if holds(condition.as_str().expect("a condition"), on_aws) { yes } else { no };
            decide(taken.clone(), on_aws)
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
fn target(reference: &Value) -> &str {
    let name = reference["!Ref"].as_str().or_else(|| reference["!GetAtt"].as_str());
    let name = name.unwrap_or_else(|| panic!("{reference} is no reference"));
    name.split('.').next().unwrap_or(name)
}

/// One thing or many, as policies have it.
fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice).iter()
}

fn actions(statement: &Value) -> BTreeSet<&str> {
    list(&statement["Action"]).filter_map(Value::as_str).collect()
}

#[test]
fn no_function_is_allowed_more_than_named_actions_on_one_resource() {
    let template = Template::on_aws();
    for (role, properties) in template.all("AWS::IAM::Role") {
        assert!(
            properties["ManagedPolicyArns"].is_null(),
            "{role} has policies that are not in the template"
        );
        for statement in template.statements_of(role) {
            assert_eq!(statement["Effect"], "Allow", "{role}: {statement}");
            assert!(!actions(statement).is_empty(), "{role}: {statement}");
            assert!(!statement["Action"].to_string().contains('*'), "{role}: {statement}");
            assert!(
                !statement["Resource"].is_null() && !statement["Resource"].is_array(),
                "{role}: {statement}"
            );
            assert!(!statement["Resource"].to_string().contains('*'), "{role}: {statement}");
        }
    }
}

#[test]
fn every_function_has_its_own_role_and_writes_to_its_own_log_alone() {
    let template = Template::on_aws();
    let mut roles = BTreeSet::new();
    for (function, properties) in template.all("AWS::Serverless::Function") {
        // Either would make SAM add a policy with wildcards.
        assert!(properties["Policies"].is_null() && properties["Events"].is_null(), "{function}");
        let role = target(&properties["Role"]);
        assert!(roles.insert(role), "{role} serves two functions");

        let log = target(&properties["LoggingConfig"]["LogGroup"]);
        let mut logging = template.statements_of(role);
        logging.retain(|statement| {
            actions(statement).iter().any(|action| action.starts_with("logs:"))
        });
        let [statement] = logging[..] else {
            panic!("{role} has {} statements about logs", logging.len())
        };
        assert_eq!(target(&statement["Resource"]), log);
        assert_eq!(
            actions(statement),
            BTreeSet::from(["logs:CreateLogStream", "logs:PutLogEvents"])
        );
    }
}

#[test]
fn a_function_is_told_where_aws_is_in_the_embedded_one_alone() {
    for (on_aws, told) in [(true, None), (false, Some("EndpointUrl"))] {
        let globals = decide(section("Globals"), on_aws).expect("globals");
        let variables =
            globals["Function"]["Environment"]["Variables"].as_object().expect("variables");
        assert_eq!(variables.get("AWS_ENDPOINT_URL").map(target), told);
    }
    for (function, properties) in Template::on_aws().all("AWS::Serverless::Function") {
        let named = properties["Environment"]["Variables"].as_object().expect("variables").keys();
        assert_eq!(named.filter(|name| name.starts_with("AWS_")).count(), 0, "{function}");
    }
}

#[test]
fn a_function_may_read_what_feeds_it() {
    let template = Template::on_aws();
    for (mapping, properties) in template.all("AWS::Lambda::EventSourceMapping") {
        let source = &properties["EventSourceArn"];
        let needed = if template.0[target(source)]["Type"] == "AWS::SQS::Queue" {
            [
                "sqs:ReceiveMessage",
                "sqs:DeleteMessage",
                "sqs:GetQueueAttributes",
                "sqs:ChangeMessageVisibility",
            ]
        } else {
            [
                "dynamodb:DescribeStream",
                "dynamodb:GetRecords",
                "dynamodb:GetShardIterator",
                "dynamodb:ListStreams",
            ]
        };
        let role = target(&template.properties(target(&properties["FunctionName"]))["Role"]);
        let allowed = template.statements_of(role).into_iter().any(|statement| {
            statement["Resource"] == *source
                && actions(statement).is_superset(&BTreeSet::from(needed))
        });
        assert!(allowed, "{role} cannot read the source of {mapping}");
    }
}

#[test]
fn every_queue_is_encrypted_keeps_messages_for_14_days_and_has_or_is_a_dead_letter_queue() {
    let template = Template::on_aws();
    for (queue, properties) in template.all("AWS::SQS::Queue") {
        assert_eq!(properties["SqsManagedSseEnabled"], true, "{queue}");
        assert_eq!(properties["MessageRetentionPeriod"], FOURTEEN_DAYS, "{queue}");
        let redrive = &properties["RedrivePolicy"];
        if redrive.is_null() {
            assert!(queue.ends_with("DeadLetters"), "{queue} has no dead-letter queue");
        } else {
            let dead_letters =
                format!("{}DeadLetters", queue.strip_suffix("Queue").expect("a queue's name"));
            assert_eq!(target(&redrive["deadLetterTargetArn"]), dead_letters);
            assert_eq!(redrive["maxReceiveCount"], 5, "{queue}");
        }
    }
}

#[test]
fn a_queue_is_named_after_the_stack_and_what_it_carries() {
    let template = Template::on_aws();
    for (queue, properties) in template.all("AWS::SQS::Queue") {
        let name = match queue.strip_suffix("DeadLetters") {
            Some(carries) => format!("{}-dead-letters", carries.to_lowercase()),
            None => queue.strip_suffix("Queue").expect("a queue's name").to_lowercase(),
        };
        assert_eq!(
            properties["QueueName"]["!Sub"],
            format!("${{AWS::StackName}}-{name}"),
            "{queue}"
        );
    }
}

#[test]
fn on_aws_no_queue_answers_without_tls() {
    let template = Template::on_aws();
    for (queue, _) in template.all("AWS::SQS::Queue") {
        let refused = template.policy_of(queue).into_iter().any(|statement| {
            statement["Effect"] == "Deny"
                && statement["Principal"] == "*"
                && statement["Action"] == "sqs:*"
                && statement["Condition"]["Bool"]["aws:SecureTransport"] == "false"
                && (statement["Resource"] == "*" || target(&statement["Resource"]) == queue)
        });
        assert!(refused, "{queue}");
    }
}

#[test]
fn a_rule_may_write_to_its_queue_and_to_the_dead_letter_queue_of_rules() {
    let template = Template::local();
    for (rule, properties) in template.all("AWS::Events::Rule") {
        let [to] = list(&properties["Targets"]).collect::<Vec<_>>()[..] else {
            panic!("{rule}: one target")
        };
        let dead_letters = &to["DeadLetterConfig"]["Arn"];
        assert_eq!(target(dead_letters), "RuleDeadLetters", "{rule}");
        for arn in [&to["Arn"], dead_letters] {
            let queue = target(arn);
            let [statement] = template.policy_of(queue)[..] else {
                panic!("{queue}: one statement")
            };
            assert_eq!(statement["Principal"]["Service"], "events.amazonaws.com", "{queue}");
            assert_eq!(statement["Action"], "sqs:SendMessage", "{queue}");
            assert_eq!(statement["Resource"], *arn, "{queue}");
            let mut senders = list(&statement["Condition"]["ArnEquals"]["aws:SourceArn"]);
            assert!(senders.any(|sender| target(sender) == rule), "{rule} cannot write to {queue}");
        }
    }
}

#[test]
fn a_batch_from_a_queue_fails_record_by_record_and_is_filtered_nowhere() {
    for (mapping, properties) in Template::on_aws().mappings_of_queues() {
        assert_eq!(properties["FunctionResponseTypes"][0], "ReportBatchItemFailures", "{mapping}");
        assert!(properties["FilterCriteria"].is_null(), "{mapping} would drop what is not JSON");
    }
}

#[test]
fn a_failed_batch_from_the_stream_is_repeated_without_end() {
    let template = Template::on_aws();
    let stream = template.properties("OrderStream");
    assert_eq!(stream["MaximumRetryAttempts"], -1);
    assert!(
        stream["FunctionResponseTypes"].is_null(),
        "the embedded AWS would lose the records of a partial answer"
    );
    assert_eq!(
        target(&stream["DestinationConfig"]["OnFailure"]["Destination"]),
        "RelayDeadLetters"
    );
}

#[test]
fn a_message_is_hidden_for_six_timeouts_and_the_batching_window() {
    let template = Template::on_aws();
    for (mapping, properties) in template.mappings_of_queues() {
        let timeout = &template.properties(target(&properties["FunctionName"]))["Timeout"];
        let window = &properties["MaximumBatchingWindowInSeconds"];
        let hidden = 6 * timeout.as_u64().expect("a timeout") + window.as_u64().unwrap_or(0);
        let queue = template.properties(target(&properties["EventSourceArn"]));
        assert_eq!(queue["VisibilityTimeout"], hidden, "{mapping}");
    }
}

#[test]
fn every_table_is_encrypted_recoverable_and_outlives_the_stack_on_aws() {
    for (template, deletion, replacement) in [
        (Template::on_aws(), "RetainExceptOnCreate", "Retain"),
        (Template::local(), "Delete", "Delete"),
    ] {
        for (table, properties) in template.all("AWS::DynamoDB::Table") {
            assert_eq!(template.0[table]["DeletionPolicy"], deletion, "{table}");
            assert_eq!(template.0[table]["UpdateReplacePolicy"], replacement, "{table}");
            assert_eq!(properties["BillingMode"], "PAY_PER_REQUEST", "{table}");
            assert_eq!(properties["SSESpecification"]["SSEEnabled"], true, "{table}");
            assert_eq!(
                properties["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"], true,
                "{table}"
            );
        }
    }
}

#[test]
fn no_log_is_kept_for_ever() {
    for (log, properties) in Template::on_aws().all("AWS::Logs::LogGroup") {
        assert!(properties["RetentionInDays"].is_u64(), "{log}");
    }
}

#[test]
fn all_but_menus_asks_for_a_token() {
    let template = Template::on_aws();
    let mut public = BTreeSet::new();
    for (route, properties) in template.all("AWS::ApiGatewayV2::Route") {
        match properties["AuthorizationType"].as_str() {
            Some("JWT") => {
                assert_eq!(target(&properties["AuthorizerId"]), "Authorizer", "{route}");
                // Without it, ID tokens would do as well.
                assert_eq!(
                    properties["AuthorizationScopes"][0], "aws.cognito.signin.user.admin",
                    "{route}"
                );
            }
            _ => assert!(
                public.insert(properties["RouteKey"].as_str().expect("a route key")),
                "{route}"
            ),
        }
    }
    assert_eq!(public, BTreeSet::from(["GET /locations", "GET /menu/{location}"]));
}

#[test]
fn the_document_of_the_api_has_the_templates_routes_and_says_which_ask_for_a_token() {
    let template = Template::on_aws();
    let routes = template.all("AWS::ApiGatewayV2::Route").into_iter();
    let routes: BTreeMap<_, _> = routes
        .map(|(_, route)| {
            (
                route["RouteKey"].as_str().expect("a key").to_owned(),
                route["AuthorizationType"] == "JWT",
            )
        })
        .collect();
    let document: Value =
        serde_json::from_str(include_str!("../crates/order-intake/openapi.json")).expect("JSON");
    let paths = document["paths"].as_object().expect("paths").iter();
    let documented: BTreeMap<_, _> = paths
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().expect("methods by name").iter();
            methods.map(move |(method, operation)| {
                (format!("{} {path}", method.to_uppercase()), operation["security"].is_array())
            })
        })
        .collect();
    assert_eq!(documented, routes);
}

#[test]
fn the_api_and_nothing_else_may_invoke_the_functions_behind_its_routes() {
    let template = Template::on_aws();
    let integrations = template.all("AWS::ApiGatewayV2::Integration").into_iter();
    let integrated: BTreeSet<_> =
        integrations.map(|(_, integration)| target(&integration["IntegrationUri"])).collect();
    let mut permitted = BTreeSet::new();
    for (id, permission) in template.all("AWS::Lambda::Permission") {
        assert_eq!(permission["Principal"], "apigateway.amazonaws.com", "{id}");
        let source = permission["SourceArn"]["!Sub"].as_str().expect("a source");
        assert!(source.ends_with(":${AWS::AccountId}:${Api}/*"), "{id} admits {source}");
        assert!(permitted.insert(target(&permission["FunctionName"])), "{id} is one too many");
    }
    assert_eq!(permitted, integrated);
}
