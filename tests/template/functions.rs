//! The functions' timeouts. Calls end first, then the function's own limit, then Lambda's, and the
//! API's last, so that the caller is told what failed.

use std::time::Duration;

use notifications::ses;
use platform::{aws::OPERATION_TIMEOUT, queue, time_limit};
use resources::{Template, target};
use stripe::RetrySettings;

use crate::actions;

/// The longest time for a call that the function makes, with all its attempts.
fn longest_call(function: &str) -> Duration {
    match function {
        "Payment" => OPERATION_TIMEOUT.max(RetrySettings::default().call_timeout),
        "Notifications" => OPERATION_TIMEOUT.max(ses::TIME_LIMIT),
        _ => OPERATION_TIMEOUT,
    }
}

/// The seconds of a `Timeout`.
fn timeout(template: &Template, function: &str) -> Duration {
    let seconds = template.properties(function)["Timeout"].as_u64();
    Duration::from_secs(seconds.unwrap_or_else(|| panic!("{function} has no timeout")))
}

#[test]
fn a_call_that_hangs_ends_before_its_function_does() {
    let template = Template::on_aws();
    let of_queues = template.queue_mappings();
    for function in template.functions() {
        let reads_queue = of_queues.iter().any(|(_, of)| target(&of["FunctionName"]) == function);
        let reserve = if reads_queue { queue::RESERVE } else { time_limit::RESERVE };
        let (call, timeout) = (longest_call(function), timeout(&template, function));
        assert!(
            call + reserve < timeout,
            "{function} ends after {timeout:?}, which leaves less than {reserve:?} after a call \
             of {call:?}"
        );
    }
}

/// Otherwise Lambda takes messages that a function sends to its own queue for a mistake, and stops
/// them after sixteen. Only AWS does that.
#[test]
fn a_function_that_sends_to_its_own_queue_is_allowed_to_call_itself_and_no_other_is() {
    let template = Template::on_aws();
    for function in template.functions() {
        let properties = template.properties(function);
        let mut of_function = template.queue_mappings();
        of_function.retain(|(_, mapping)| target(&mapping["FunctionName"]) == function);
        let sends_to = |queue: &str| {
            let statements = template.statements_of(target(&properties["Role"]));
            statements.into_iter().any(|statement| {
                actions(statement).contains("sqs:SendMessage")
                    && target(&statement["Resource"]) == queue
            })
        };
        let calls_itself =
            of_function.iter().any(|(_, mapping)| sends_to(target(&mapping["EventSourceArn"])));
        let allowed = properties["RecursiveLoop"] == "Allow";
        assert_eq!(allowed, calls_itself, "{function}");
        assert_eq!(allowed, function == "Payment", "{function}");
    }
}

#[test]
fn the_api_waits_longer_than_the_function_that_answers() {
    let template = Template::on_aws();
    for (integration, properties) in template.all("AWS::ApiGatewayV2::Integration") {
        let milliseconds = properties["TimeoutInMillis"].as_u64().expect("a timeout");
        let function = target(&properties["IntegrationUri"]);
        let waits = Duration::from_millis(milliseconds);
        assert!(timeout(&template, function) < waits, "{integration} waits for {waits:?}");
    }
}
