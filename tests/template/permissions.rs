//! What roles and queue policies allow.

use std::collections::BTreeSet;

use resources::{Template, decide, list, section, target};

use crate::actions;

#[test]
fn a_role_allows_named_actions_on_one_resource_at_a_time() {
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
            let resource = &statement["Resource"];
            assert!(!resource.is_null() && !resource.is_array(), "{role}: {statement}");
            // What a mail is from decides instead of whom it is for.
            let by_sender = statement["Condition"]["StringEquals"]["ses:FromAddress"].is_object();
            assert!(by_sender || !resource.to_string().contains('*'), "{role}: {statement}");
        }
    }
}

/// The actions that only read logs.
const READS: [&str; 1] = ["logs:FilterLogEvents"];

#[test]
fn every_function_has_a_role_of_its_own_and_writes_only_to_its_own_log() {
    let template = Template::on_aws();
    let mut roles = BTreeSet::new();
    for (function, properties) in template.all("AWS::Serverless::Function") {
        assert!(
            properties["Policies"].is_null() && properties["Events"].is_null(),
            "{function}: SAM adds a policy with wildcards for either of them"
        );
        let role = target(&properties["Role"]);
        assert!(roles.insert(role), "{role} serves two functions");

        let log = target(&properties["LoggingConfig"]["LogGroup"]);
        let mut logging = template.statements_of(role);
        logging.retain(|statement| {
            let writes = |action: &&str| action.starts_with("logs:") && !READS.contains(action);
            actions(statement).iter().any(writes)
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
fn a_function_has_an_endpoint_only_in_the_embedded_aws() {
    for (on_aws, endpoint) in [(true, None), (false, Some("EndpointUrl"))] {
        let globals = decide(section("Globals"), on_aws).expect("globals");
        let variables =
            globals["Function"]["Environment"]["Variables"].as_object().expect("variables");
        assert_eq!(variables.get("AWS_ENDPOINT_URL").map(target), endpoint);
    }
    for (function, properties) in Template::on_aws().all("AWS::Serverless::Function") {
        let named = properties["Environment"]["Variables"].as_object().expect("variables").keys();
        assert_eq!(named.filter(|name| name.starts_with("AWS_")).count(), 0, "{function}");
    }
}

#[test]
fn a_function_may_read_the_source_that_feeds_it() {
    let template = Template::on_aws();
    for (mapping, properties) in template.all("AWS::Lambda::EventSourceMapping") {
        let source = &properties["EventSourceArn"];
        let needed = if template.resource(target(source))["Type"] == "AWS::SQS::Queue" {
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
fn a_function_sends_only_to_its_own_queues_in_which_it_waits_or_to_one_of_dead_letters() {
    let template = Template::on_aws();
    let mut senders = BTreeSet::new();
    for (role, _) in template.all("AWS::IAM::Role") {
        for statement in template.statements_of(role) {
            if actions(statement).contains("sqs:SendMessage") {
                assert_eq!(actions(statement).len(), 1, "{role}: {statement}");
                senders.insert((role, target(&statement["Resource"])));
            }
        }
    }
    let expected = [
        ("OrderRelayRole", "RelayDeadLetters"),
        ("PaymentRole", "ChargeQueue"),
        ("PaymentRole", "RefundQueue"),
        ("PaymentRole", "IntentQueue"),
    ];
    assert_eq!(senders, BTreeSet::from(expected));
}

#[test]
fn a_rule_may_reach_its_target_and_the_dead_letter_queue_of_rules() {
    let template = Template::local();
    for (rule, properties) in template.all("AWS::Events::Rule") {
        let [to] = list(&properties["Targets"]).collect::<Vec<_>>()[..] else {
            panic!("{rule} needs exactly one target")
        };
        let dead_letters = &to["DeadLetterConfig"]["Arn"];
        assert!(!dead_letters.is_null(), "{rule} has no dead-letter queue");
        assert_eq!(target(dead_letters), "RuleDeadLetters", "{rule}");
        for arn in [&to["Arn"], dead_letters] {
            let queue = target(arn);
            if template.resource(queue)["Type"] == "AWS::Serverless::Function" {
                assert!(may_invoke(&template, rule, queue), "{rule} cannot invoke {queue}");
                continue;
            }
            let [statement] = template.policy_of(queue)[..] else {
                panic!("the policy of {queue} needs exactly one statement")
            };
            assert_eq!(statement["Principal"]["Service"], "events.amazonaws.com", "{queue}");
            assert_eq!(statement["Action"], "sqs:SendMessage", "{queue}");
            assert_eq!(statement["Resource"], *arn, "{queue}");
            let mut senders = list(&statement["Condition"]["ArnEquals"]["aws:SourceArn"]);
            assert!(senders.any(|sender| target(sender) == rule), "{rule} cannot write to {queue}");
        }
    }
}

/// Whether a permission lets a rule invoke a function.
fn may_invoke(template: &Template, rule: &str, function: &str) -> bool {
    template.all("AWS::Lambda::Permission").into_iter().any(|(_, permission)| {
        permission["Principal"] == "events.amazonaws.com"
            && target(&permission["FunctionName"]) == function
            && target(&permission["SourceArn"]) == rule
    })
}

#[test]
fn every_queue_on_aws_denies_requests_without_tls() {
    let template = Template::on_aws();
    for queue in template.ids("AWS::SQS::Queue") {
        let denied = template.policy_of(queue).into_iter().any(|statement| {
            statement["Effect"] == "Deny"
                && statement["Principal"] == "*"
                && statement["Action"] == "sqs:*"
                && statement["Condition"]["Bool"]["aws:SecureTransport"] == "false"
                && (statement["Resource"] == "*" || target(&statement["Resource"]) == queue)
        });
        assert!(denied, "the policy of {queue} does not deny requests without TLS");
    }
}
