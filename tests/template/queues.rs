//! Queues, their dead-letter queues, and the mappings that feed functions.

use std::collections::{BTreeMap, BTreeSet};

use platform::queue::{Backoff, MAX_RECEIVES, MAX_WAIT};
use resources::{Template, section, target};
use serde_json::Value;

/// The longest time that SQS keeps a message, in seconds.
const FOURTEEN_DAYS: u64 = 14 * 24 * 60 * 60;

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
            let name = queue.strip_suffix("Queue");
            let name = name.unwrap_or_else(|| panic!("call {queue} {queue}Queue"));
            assert_eq!(target(&redrive["deadLetterTargetArn"]), format!("{name}DeadLetters"));
            assert_eq!(redrive["maxReceiveCount"], MAX_RECEIVES, "{queue}");
        }
    }
}

#[test]
fn a_queues_physical_name_follows_from_the_stack_and_its_logical_id() {
    let template = Template::on_aws();
    for (queue, properties) in template.all("AWS::SQS::Queue") {
        let name = match queue.strip_suffix("DeadLetters") {
            Some(name) => format!("{}-dead-letters", name.to_lowercase()),
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
fn every_queue_is_filled_by_a_rule_and_feeds_one_function() {
    let template = Template::on_aws();
    let mut unread = template.queues();
    for (mapping, properties) in template.queue_mappings() {
        let queue = target(&properties["EventSourceArn"]);
        let name = queue.strip_suffix("Queue").unwrap_or(queue);
        assert!(unread.remove(name), "{mapping}: {queue} feeds two functions");
        assert!(!template.events_of(name).is_empty(), "no rule puts an event into {queue}");
    }
    assert_eq!(unread, BTreeSet::new(), "queues that no event source mapping reads");
}

#[test]
fn every_function_is_called_by_the_api_a_queue_or_a_stream() {
    let template = Template::on_aws();
    let mut uncalled = template.functions();
    for of_type in ["AWS::Lambda::EventSourceMapping", "AWS::Lambda::Permission"] {
        for (_, properties) in template.all(of_type) {
            uncalled.remove(target(&properties["FunctionName"]));
        }
    }
    assert_eq!(uncalled, BTreeSet::new());
}

#[test]
fn a_queue_batch_reports_single_failures_and_no_message_is_filtered_out() {
    for (mapping, properties) in Template::on_aws().queue_mappings() {
        assert_eq!(properties["FunctionResponseTypes"][0], "ReportBatchItemFailures", "{mapping}");
        assert!(
            properties["FilterCriteria"].is_null(),
            "{mapping}: a filter drops messages that are not JSON"
        );
    }
}

#[test]
fn a_failed_stream_batch_is_retried_without_limit() {
    let template = Template::on_aws();
    let stream = template.properties("OrderStream");
    assert_eq!(stream["MaximumRetryAttempts"], -1);
    assert!(
        stream["FunctionResponseTypes"].is_null(),
        "the embedded AWS loses the records of a partial answer"
    );
    assert_eq!(
        target(&stream["DestinationConfig"]["OnFailure"]["Destination"]),
        "RelayDeadLetters"
    );
}

#[test]
fn the_visibility_timeout_is_six_function_timeouts_and_the_batching_window() {
    let template = Template::on_aws();
    for (mapping, properties) in template.queue_mappings() {
        let timeout = &template.properties(target(&properties["FunctionName"]))["Timeout"];
        let window = &properties["MaximumBatchingWindowInSeconds"];
        let hidden = 6 * timeout.as_u64().expect("a timeout") + window.as_u64().unwrap_or(0);
        let queue = template.properties(target(&properties["EventSourceArn"]));
        assert_eq!(queue["VisibilityTimeout"], hidden, "{mapping}");
    }
}

/// A parameter of the template that is a number.
fn number(parameter: &Value, property: &str) -> u64 {
    parameter[property].as_u64().unwrap_or_else(|| panic!("{property} of {parameter}"))
}

/// The retry budgets, by the names of their parameters.
fn budgets() -> BTreeMap<String, Value> {
    let Value::Object(parameters) = section("Parameters") else { panic!("no parameters") };
    parameters.into_iter().filter(|(name, _)| name.ends_with("RetryBudgetSeconds")).collect()
}

#[test]
fn every_function_with_a_queue_gets_a_retry_budget() {
    let template = Template::on_aws();
    let mut used = BTreeSet::new();
    for (mapping, properties) in template.queue_mappings() {
        let function = template.properties(target(&properties["FunctionName"]));
        let variables = function["Environment"]["Variables"].as_object().unwrap();
        let budgets: Vec<_> = variables
            .iter()
            .filter(|(name, _)| name.ends_with("RETRY_BUDGET_SECONDS"))
            .map(|(_, value)| target(value).to_owned())
            .collect();
        assert!(!budgets.is_empty(), "{mapping}");
        used.extend(budgets);
    }
    assert_eq!(used, budgets().into_keys().collect());
}

#[test]
fn a_retry_budget_is_one_that_the_waits_can_last_and_leaves_operators_a_week() {
    for (name, budget) in budgets() {
        let longest = u32::try_from(number(&budget, "MaxValue")).unwrap();
        assert_eq!(longest, Backoff::MAX_BUDGET, "{name}");
        let waits: Vec<_> = Backoff::outlasting(longest).waits().collect();
        assert!(waits.iter().all(|wait| *wait <= MAX_WAIT), "{name}: {waits:?}");
        // Jitter makes waits longer by up to a quarter.
        let until_dead = u64::from(longest) * 5 / 4;
        assert!(FOURTEEN_DAYS - until_dead >= 7 * 24 * 60 * 60, "{name}");
        assert!(number(&budget, "Default") <= u64::from(longest), "{name}");
    }
}

#[test]
fn the_waits_of_every_retry_budget_are_documented() {
    let document = include_str!("../../docs/operations.md");
    for (name, budget) in budgets() {
        let budget = u32::try_from(number(&budget, "Default")).unwrap();
        let backoff = Backoff::outlasting(budget);
        let waits: Vec<_> = backoff.waits().map(|wait| wait.as_secs().to_string()).collect();
        let waits = waits.join(", ");
        assert!(document.contains(&waits), "docs/operations.md does not say of {name}: {waits}");
    }
}

#[test]
fn charges_outlast_the_deadline_and_notices_a_days_quota_of_mail() {
    let (parameters, budgets) = (section("Parameters"), budgets());
    let budget = |name: &str| number(&budgets[name], "Default");
    let deadline = number(&parameters["ConfirmWithinSeconds"], "Default");
    assert_eq!(budget("ChargeRetryBudgetSeconds"), deadline + 60);
    // A deadline message that is early by the difference of two clocks is retried.
    assert!(budget("RetryBudgetSeconds") >= 60);
    assert!(budget("NoticeRetryBudgetSeconds") >= 2 * 24 * 60 * 60);
    assert!(budget("RefundRetryBudgetSeconds") >= 10 * 60 * 60);
}

/// The concurrency that an account needs, by what uses it: the sum of docs/deployment.md.
const CONCURRENCY: [(&str, u64); 8] = [
    ("ResultsMapping", 3),
    ("DeadlineMapping", 2),
    ("StockMapping", 3),
    ("ChargeMapping", 5),
    ("RefundMapping", 2),
    ("IntentMapping", 2),
    ("NoticeMapping", 2),
    ("OrderStream", 4),
];

#[test]
fn every_queue_mapping_has_a_maximum_concurrency_and_the_documented_quota_is_their_sum() {
    let template = Template::on_aws();
    let mut limits: BTreeMap<_, _> = template
        .queue_mappings()
        .into_iter()
        .map(|(mapping, properties)| {
            let limit = properties["ScalingConfig"]["MaximumConcurrency"].as_u64();
            (mapping, limit.unwrap_or_else(|| panic!("{mapping} has no maximum concurrency")))
        })
        .collect();
    assert!(limits.values().all(|limit| (2..=1000).contains(limit)), "SQS's limits: {limits:?}");
    // One invocation per shard, of which an on-demand table has four at first.
    let per_shard = template.properties("OrderStream")["ParallelizationFactor"].as_u64();
    limits.insert("OrderStream", 4 * per_shard.unwrap());
    assert_eq!(limits, BTreeMap::from(CONCURRENCY), "on the left: template.yaml");

    let sum: u64 = limits.values().sum();
    let document = include_str!("../../docs/deployment.md");
    let documented = format!("Queues and stream need {sum}");
    assert!(document.contains(&documented), "docs/deployment.md does not say: {documented}");
}

#[test]
fn concurrency_is_reserved_for_order_intake_only_if_asked_for() {
    let Value::Object(resources) = section("Resources") else { panic!("no resources") };
    let of = |function: &str| &resources[function]["Properties"]["ReservedConcurrentExecutions"];
    let [condition, reserved, none] =
        resources::list(&of("OrderIntake")["!If"]).collect::<Vec<_>>()[..]
    else {
        panic!("not a condition: {}", of("OrderIntake"))
    };
    assert_eq!(condition, "ReservesOrderIntake");
    assert_eq!(target(reserved), "OrderIntakeConcurrency");
    assert_eq!(none["!Ref"], "AWS::NoValue");
    assert_eq!(section("Parameters")["OrderIntakeConcurrency"]["Default"], 0);
    for function in Template::on_aws().functions() {
        assert!(function == "OrderIntake" || of(function).is_null(), "{function}");
    }
}
