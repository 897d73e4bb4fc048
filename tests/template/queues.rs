//! Queues, their dead-letter queues, and the mappings that feed functions.

use std::collections::BTreeSet;

use resources::{Template, target};

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
            assert_eq!(redrive["maxReceiveCount"], 5, "{queue}");
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
