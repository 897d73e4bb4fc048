//! The alarms: nothing is without one, each leads to its section of the runbook, and all of them
//! together cost little.

use std::collections::{BTreeMap, BTreeSet};

use monitor::{Alarms, Metric, OWN_NAMESPACE};
use resources::{Template, list, target};
use serde_json::Value;
use shop::{decline::DeclineReason, money::Currency};

const RUNBOOK: &str = include_str!("../../docs/runbook.md");

const ALARM: &str = "AWS::CloudWatch::Alarm";
const COMPOSITE: &str = "AWS::CloudWatch::CompositeAlarm";

/// What needs no alarm: what does nothing by itself, and what others stand for.
const UNWATCHED: [&str; 21] = [
    "AWS::ApiGatewayV2::Authorizer",
    "AWS::ApiGatewayV2::Integration",
    "AWS::ApiGatewayV2::Route",
    "AWS::ApiGatewayV2::Stage",
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::CompositeAlarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::Cognito::UserPool",
    "AWS::Cognito::UserPoolClient",
    "AWS::Cognito::UserPoolGroup",
    "AWS::Events::Archive",
    "AWS::Events::EventBus",
    "AWS::IAM::Role",
    "AWS::Lambda::Permission",
    "AWS::Logs::LogGroup",
    "AWS::Logs::MetricFilter",
    "AWS::Logs::QueryDefinition",
    "AWS::Logs::ResourcePolicy",
    "AWS::SES::ConfigurationSetEventDestination",
    "AWS::SNS::Topic",
    "AWS::SQS::QueuePolicy",
];

/// In cents a month, for up to 10,000 metrics: <https://aws.amazon.com/cloudwatch/pricing/>.
const ALARM_METRIC: usize = 10;
const COMPOSITE_ALARM: usize = 50;
const OWN_METRIC: usize = 30;

/// The metrics of the system itself, in every combination of their dimensions.
fn own_metrics() -> BTreeSet<Metric> {
    let plain = [
        "OrdersPlaced",
        "OrdersConfirmed",
        "OrdersCollected",
        "OrdersCancelled",
        "OrdersExpired",
        "OrdersAbandoned",
        "TimeToConfirm",
        "RefundsFailed",
        "RecordsDeadLettered",
        "NoticesSent",
        "NoticesDropped",
        "BookDifferences",
        "ThrottledRequests",
    ];
    let reasons: Vec<_> = DeclineReason::ALL
        .map(DeclineReason::as_str)
        .into_iter()
        .filter(|reason| {
            // Refusals to begin a charge, which are counted among the rejected orders only, and
            // reasons that are counted as others.
            ![
                "amount_too_small",
                "amount_too_large",
                "currency_not_accepted",
                "too_many_declines",
                "authentication_failed",
                "expired_card",
                "payment_method_unusable",
            ]
            .contains(reason)
        })
        .collect();
    // The first shops' currencies; each further one costs two metrics.
    let currencies = [Currency::Eur, Currency::Usd, Currency::Jpy].map(Currency::code);
    let by_dimension: [(&str, &str, &[&str]); 5] = [
        ("OrdersRejected", "Reason", &["out_of_stock", "payment_declined"]),
        ("Declines", "Reason", &reasons),
        ("MoneyTaken", "Currency", &currencies),
        ("MoneyGivenBack", "Currency", &currencies),
        ("RecordsFailed", "Cause", &["transient", "permanent", "unreadable", "panicked"]),
    ];
    let divided = by_dimension.into_iter().flat_map(|(name, dimension, values)| {
        values.iter().map(move |value| Metric::own(name).of(dimension, value))
    });
    plain.into_iter().map(Metric::own).chain(divided).collect()
}

fn alarms() -> Alarms {
    Alarms::read(&Template::on_aws()).unwrap_or_else(|error| panic!("{error}"))
}

/// The metrics that alarms watch.
fn watched() -> BTreeSet<Metric> {
    let alarms = alarms();
    alarms.metric.iter().flat_map(|alarm| alarm.metrics().cloned()).collect()
}

/// Metric alarms and composites, with their properties.
fn all(template: &Template) -> BTreeMap<&str, &Value> {
    [ALARM, COMPOSITE].into_iter().flat_map(|of_type| template.all(of_type)).collect()
}

fn is_watched_dead_letter_queue(queue: &str, metrics: &BTreeSet<Metric>) -> bool {
    ["ApproximateNumberOfMessagesVisible", "NumberOfMessagesSent"]
        .iter()
        .any(|name| metrics.contains(&Metric::new("AWS/SQS", name).of("QueueName", queue)))
}

/// Whether a resource is watched, or nothing of its type has to be.
fn is_watched(template: &Template, id: &str, metrics: &BTreeSet<Metric>) -> bool {
    let has = |namespace, name, dimension, of: &str| {
        metrics.contains(&Metric::new(namespace, name).of(dimension, of))
    };
    let resource = template.resource(id);
    let properties = &resource["Properties"];
    let dead_letters = |queue: &Value| is_watched_dead_letter_queue(target(queue), metrics);
    match resource["Type"].as_str().unwrap() {
        "AWS::Serverless::Function" => {
            let permissions = template.all("AWS::Lambda::Permission");
            let answers = permissions.iter().any(|(_, it)| {
                it["Principal"] == "apigateway.amazonaws.com" && target(&it["FunctionName"]) == id
            });
            // A customer waits for what answers requests, so that it has an alarm of its own.
            (answers && has("AWS/Lambda", "Errors", "FunctionName", id))
                || (!answers && metrics.contains(&Metric::new("AWS/Lambda", "Errors")))
        }
        "AWS::Lambda::EventSourceMapping" => {
            let source = target(&properties["EventSourceArn"]);
            let function = target(&properties["FunctionName"]);
            template.resource(source)["Type"] == "AWS::SQS::Queue"
                || has("AWS/Lambda", "IteratorAge", "FunctionName", function)
        }
        "AWS::SQS::Queue" if id.ends_with("DeadLetters") => {
            is_watched_dead_letter_queue(id, metrics)
        }
        "AWS::SQS::Queue" => has("AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", id),
        "AWS::DynamoDB::Table" => ["ReadThrottleEvents", "WriteThrottleEvents"]
            .iter()
            .any(|name| has("AWS/DynamoDB", name, "TableName", id)),
        "AWS::Events::Rule" => {
            list(&properties["Targets"]).all(|to| dead_letters(&to["DeadLetterConfig"]["Arn"]))
        }
        "AWS::Scheduler::Schedule" => {
            dead_letters(&properties["Target"]["DeadLetterConfig"]["Arn"])
        }
        "AWS::ApiGatewayV2::Api" => metrics.iter().any(|metric| {
            metric.name == "5xx" && metric.dimensions.get("ApiId").is_some_and(|api| api == id)
        }),
        // Mail is judged for the whole account.
        "AWS::SES::ConfigurationSet" | "AWS::SES::EmailIdentity" => {
            metrics.contains(&Metric::new("AWS/SES", "Reputation.BounceRate"))
        }
        other => UNWATCHED.contains(&other),
    }
}

#[test]
fn everything_that_can_fail_has_an_alarm() {
    let (template, metrics) = (Template::on_aws(), watched());
    let forgotten: Vec<_> =
        template.all_ids().filter(|id| !is_watched(&template, id, &metrics)).collect();
    assert!(forgotten.is_empty(), "add alarms, or say in UNWATCHED why not, for {forgotten:?}");
}

#[test]
fn an_alarm_watches_resources_that_exist_and_metrics_that_are_published() {
    let (template, own) = (Template::on_aws(), own_metrics());
    for metric in watched() {
        if metric.namespace == OWN_NAMESPACE {
            assert!(own.contains(&metric), "the system publishes no {metric:?}");
        }
        for (dimension, value) in &metric.dimensions {
            let of_type = match dimension.as_str() {
                "FunctionName" => "AWS::Serverless::Function",
                "QueueName" => "AWS::SQS::Queue",
                "TableName" => "AWS::DynamoDB::Table",
                "ApiId" => "AWS::ApiGatewayV2::Api",
                "Stage" => {
                    assert_eq!(template.properties("ApiStage")["StageName"], **value);
                    continue;
                }
                _ if metric.namespace == OWN_NAMESPACE => continue,
                other => panic!("{metric:?}: say here what {other} names"),
            };
            assert_eq!(template.resource(value)["Type"], of_type, "{metric:?}");
        }
    }
}

#[test]
fn the_access_log_yields_the_throttled_requests() {
    let template = Template::on_aws();
    let filter = template.properties("ThrottledRequests");
    assert_eq!(target(&filter["LogGroupName"]), "ApiLogs");
    assert_eq!(filter["FilterPattern"], "{ $.status = \"429\" }");
    let format = &template.properties("ApiStage")["AccessLogSettings"]["Format"];
    assert!(format.as_str().unwrap().contains("\"status\":\"$context.status\""), "{format}");
    let metric = &filter["MetricTransformations"][0];
    assert_eq!(target(&metric["MetricNamespace"]), OWN_NAMESPACE);
    assert!(own_metrics().contains(&Metric::own(metric["MetricName"].as_str().unwrap())));
}

#[test]
fn an_alarm_acts_and_says_what_missing_data_means() {
    for (alarm, properties) in Template::on_aws().all(ALARM) {
        assert_eq!(properties["ActionsEnabled"], true, "{alarm}");
        let actions: Vec<_> = list(&properties["AlarmActions"]).map(target).collect();
        assert_eq!(actions, ["Notes"], "{alarm}");
        assert!(properties["TreatMissingData"].is_string(), "{alarm}: say what it means");
    }
}

#[test]
fn pages_are_composites_and_say_when_they_are_over() {
    let template = Template::on_aws();
    for (alarm, properties) in template.all(COMPOSITE) {
        assert_eq!(properties["ActionsEnabled"], true, "{alarm}");
        for actions in ["AlarmActions", "OKActions"] {
            let actions: Vec<_> = list(&properties[actions]).map(target).collect();
            assert_eq!(actions, ["Pages"], "{alarm}");
        }
    }
    // What lasts until somebody has repaired it would hide the next fault from its page.
    let alarms = alarms();
    for composite in &alarms.composite {
        for part in composite.alarms() {
            assert!(
                !part.starts_with("Dead") || part == "DeadLettered",
                "{}: {part}",
                composite.id
            );
        }
    }
}

#[test]
fn the_embedded_aws_gets_no_alarm_since_it_would_ring_for_nothing() {
    let local = Template::local();
    let types = local.all_ids().map(|id| &local.resource(id)["Type"]);
    let alarms = types.filter(|of_type| **of_type == ALARM || **of_type == COMPOSITE);
    assert_eq!(alarms.count(), 0);
}

#[test]
fn every_alarm_leads_to_its_section_of_the_runbook_and_every_section_is_of_an_alarm() {
    let template = Template::on_aws();
    let sections: BTreeMap<_, _> = RUNBOOK
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .map(|title| (title.to_owned(), title.to_lowercase().replace(' ', "-")))
        .collect();
    for (alarm, properties) in all(&template) {
        let title = spaced(alarm);
        let section = sections.get(&title);
        let section = section.unwrap_or_else(|| panic!("docs/runbook.md needs `### {title}`"));
        let description = properties["AlarmDescription"].as_str().unwrap();
        let (meaning, link) = description.rsplit_once(' ').unwrap();
        assert_eq!(link.split_once('#'), Some(("docs/runbook.md", &**section)), "{alarm}");
        assert!(meaning.ends_with('.') && meaning.len() > 20, "{alarm}: what does it mean?");
    }
    let titles: BTreeSet<_> = all(&template).into_keys().map(spaced).collect();
    let sections: BTreeSet<_> = sections.into_keys().collect();
    assert_eq!(sections, titles, "on the left: docs/runbook.md");
}

/// A logical id as a title: `OrderStuck` becomes `Order stuck`.
fn spaced(id: &str) -> String {
    let mut title = String::new();
    for (at, letter) in id.char_indices() {
        if at > 0 && letter.is_uppercase() {
            title.push(' ');
        }
        title.push(if at == 0 { letter } else { letter.to_ascii_lowercase() });
    }
    title
}

#[test]
fn a_section_of_the_runbook_answers_four_questions() {
    for section in RUNBOOK.split("\n### ").skip(1) {
        let title = section.lines().next().unwrap();
        for question in ["**Means**", "**Confirm**", "**Do**", "**Over**"] {
            assert!(section.contains(question), "{title} does not answer {question}");
        }
    }
}

#[test]
fn alarms_and_metrics_cost_at_most_fifteen_dollars_a_month() {
    let (alarms, own) = (alarms(), own_metrics().len());
    assert!(own <= 32, "{own} metrics");
    let metrics: usize = alarms.metric.iter().map(|alarm| alarm.metrics().count()).sum();
    let cents =
        metrics * ALARM_METRIC + alarms.composite.len() * COMPOSITE_ALARM + own * OWN_METRIC;
    assert!(cents <= 1500, "{metrics} watched metrics and {own} of our own cost {cents} cents");
    let documented = format!(
        "{} alarms watch {metrics} metrics, {} composites gather them, and there are {own} metrics \
         of our own: {}.{:02} dollars a month",
        alarms.metric.len(),
        alarms.composite.len(),
        cents / 100,
        cents % 100
    );
    let runbook = RUNBOOK.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(runbook.contains(&documented), "docs/runbook.md does not say: {documented}");
}
