//! Which definitions are refused, and what the others evaluate to.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::json;

use super::*;

/// An alarm on `Jobs` as in the template, with some properties replaced; `null` removes one.
fn definition(changes: Value) -> Value {
    let mut definition = json!({
        "Namespace": "Test", "MetricName": "Jobs", "Statistic": "Sum", "Period": 60,
        "EvaluationPeriods": 1, "Threshold": 3, "TreatMissingData": "notBreaching",
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
    });
    definition.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    definition
}

fn alarm(changes: Value) -> MetricAlarm {
    let values = definition(changes);
    MetricAlarm::read(Properties { alarm: "Test", values: &values }).unwrap()
}

fn refusal(changes: Value) -> String {
    let values = definition(changes);
    MetricAlarm::read(Properties { alarm: "Test", values: &values }).unwrap_err().to_string()
}

fn metric(id: &str, name: &str) -> Value {
    let metric = json!({"Namespace": "Test", "MetricName": name});
    let stat = json!({"Metric": metric, "Period": 60, "Stat": "Sum"});
    json!({"Id": id, "MetricStat": stat, "ReturnData": false})
}

/// Replaces the single metric by an expression on these entries.
fn math(metrics: &[Value], expression: &str) -> Value {
    let result = json!({"Id": "result", "Expression": expression});
    let metrics = [metrics, &[result]].concat();
    json!({"Metrics": metrics, "MetricName": null, "Statistic": null, "Period": null})
}

/// Minutes of a day, as times.
fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(minute * 60).unwrap()
}

/// Publishes one value in each minute, known at its end.
fn figures(values: &[(i64, f64)]) -> Figures {
    let mut figures = Figures::default();
    for (minute, value) in values {
        figures.publish(Metric::new("Test", "Jobs"), at(*minute), *value, at(*minute + 1));
    }
    figures
}

#[test]
fn a_refused_definition_names_the_alarm_the_property_and_the_reason() {
    for (changes, message) in [
        (json!({"Threshold": null}), "Test, Threshold: it is missing"),
        (json!({"Period": 90}), "Test, Period: 90 seconds are not a multiple of 60"),
        (json!({"DatapointsToAlarm": 2}), "Test, DatapointsToAlarm: 2 is not between 1 and 1"),
        (
            json!({"EvaluationPeriods": 1441}),
            "Test, EvaluationPeriods: 1441 is not between 1 and 1440",
        ),
        (
            json!({"Period": 3600, "EvaluationPeriods": 169}),
            "Test, EvaluationPeriods: 169 is not between 1 and 168",
        ),
        (json!({"Statistic": "p99"}), "Test, Statistic: \"p99\" cannot be evaluated"),
        (
            json!({"ExtendedStatistic": "p99"}),
            "Test, ExtendedStatistic: it cannot stand beside Statistic",
        ),
        (
            json!({"EvaluateLowSampleCountPercentile": "ignore"}),
            "Test, EvaluateLowSampleCountPercentile: it cannot stand beside Statistic",
        ),
        (
            json!({"ComparisonOperator": "LessThanLowerThreshold"}),
            "Test, ComparisonOperator: \"LessThanLowerThreshold\" cannot be evaluated",
        ),
        (json!({"TreatMissingData": "no"}), "Test, TreatMissingData: \"no\" cannot be evaluated"),
    ] {
        assert_eq!(refusal(changes), message);
    }
}

#[test]
fn a_refused_expression_says_which_and_why() {
    let metrics: Vec<_> = (0..11).map(|number| metric(&format!("m{number}"), "Jobs")).collect();
    let ten = math(&metrics[..10], "SUM(METRICS())");
    assert_eq!(alarm(ten).metrics().count(), 10);
    for (changes, message) in [
        (
            math(&metrics, "SUM(METRICS())"),
            "Test, Metrics: 11 metrics are more than the ten that CloudWatch takes",
        ),
        (
            math(&metrics[..1], "RATE(m0)"),
            "Test, Expression: result: the function RATE cannot be evaluated for an alarm",
        ),
        (
            math(&metrics[..1], "METRICS()"),
            "Test, Expression: result: the result is not a single time series",
        ),
        (
            math(&[metric("M", "Jobs")], "1"),
            "Test, Id: \"M\" is not an id of its own that begins with a lower-case letter",
        ),
        (math(&[], "FILL(m0, 0)"), "Test, Period: the metrics have different periods"),
    ] {
        assert_eq!(refusal(changes), message);
    }
    let mut two = math(&metrics[..1], "m0 + 1");
    two["Metrics"][0]["ReturnData"] = json!(true);
    assert_eq!(refusal(two), "Test, ReturnData: 2 metrics or expressions return data, and not one");
}

#[test]
fn a_composite_names_alarms_that_exist() {
    let known = BTreeSet::from(["A".to_owned()]);
    let read = |rule: &str| {
        let values = json!({"AlarmRule": rule});
        CompositeAlarm::read(Properties { alarm: "Test", values: &values }, &known)
            .map(|alarm| alarm.alarms().len())
            .map_err(|error| error.to_string())
    };
    assert_eq!(read("ALARM(A) OR NOT OK(A)"), Ok(1));
    let unknown = "Test, AlarmRule: there is no alarm B before this one";
    assert_eq!(read("ALARM(A) OR ALARM(B)"), Err(unknown.to_owned()));
    assert!(read("ALARM").unwrap_err().starts_with("Test, AlarmRule: an alarm's name"));
}

#[test]
fn a_period_counts_when_it_is_over_and_what_is_published_late_counts_late() {
    let alarm = alarm(json!({}));
    let mut figures = Figures::default();
    figures.publish(Metric::new("Test", "Jobs"), at(5), 3.0, at(8));
    let state = |second| {
        let now = Timestamp::from_second(second).unwrap();
        alarm.next(&figures, now, State::Ok)
    };
    assert_eq!(state(5 * 60 + 59), State::Ok);
    assert_eq!(state(7 * 60 + 59), State::Ok, "not yet known");
    assert_eq!(state(8 * 60), State::Alarm, "two older periods are looked at as well");
    assert_eq!(state(9 * 60), State::Ok, "it has left the range");
}

#[test]
fn a_period_of_minutes_slides_by_one_minute() {
    let alarm = alarm(json!({"Period": 300}));
    let figures = figures(&[(3, 1.0), (4, 1.0), (7, 1.0)]);
    let state = |minute| alarm.next(&figures, at(minute), State::Ok);
    assert_eq!(state(7), State::Ok);
    assert_eq!(state(8), State::Alarm, "minutes 3 to 7");
    assert_eq!(state(9), State::Ok, "minutes 4 to 8");
}

#[test]
fn missing_data_of_dynamodb_is_ignored_unless_an_expression_fills_it() {
    let table = json!({"Namespace": "AWS/DynamoDB", "TreatMissingData": "notBreaching"});
    let none = Figures::default();
    let alarm_on_table = alarm(table);
    assert_eq!(alarm_on_table.next(&none, at(9), State::Alarm), State::Alarm);
    assert_eq!(alarm(json!({})).next(&none, at(9), State::Alarm), State::Ok);

    let mut throttled = metric("m1", "Throttled");
    throttled["MetricStat"]["Metric"]["Namespace"] = json!("AWS/DynamoDB");
    let filled = alarm(math(&[throttled], "SUM(FILL(METRICS(), 0))"));
    assert_eq!(filled.next(&none, at(9), State::Alarm), State::Ok);
}

#[test]
fn a_percentile_of_too_few_samples_changes_nothing_if_they_are_ignored() {
    let changes = |low: &str| {
        json!({
            "Statistic": null, "ExtendedStatistic": "p90", "EvaluateLowSampleCountPercentile": low,
        })
    };
    let few: Vec<_> = (0..99).map(|_| (5, 3.0)).collect();
    let many: Vec<_> = (0..100).map(|_| (5, 3.0)).collect();
    let state = |low, values: &[_]| alarm(changes(low)).next(&figures(values), at(6), State::Ok);
    assert_eq!(state("ignore", &few), State::Ok);
    assert_eq!(state("ignore", &many), State::Alarm);
    assert_eq!(state("evaluate", &few), State::Alarm);
}

#[test]
fn expressions_may_build_on_each_other() {
    let mut changes = math(&[metric("jobs", "Jobs")], "IF(busy AND HOUR(jobs) < 1, 10, 0)");
    let busy = json!({"Id": "busy", "Expression": "FILL(jobs, 0) > 1", "ReturnData": false});
    changes["Metrics"].as_array_mut().unwrap().insert(1, busy);
    let alarm = alarm(changes);
    let figures = figures(&[(5, 2.0), (6, 1.0), (65, 2.0)]);
    assert_eq!(alarm.next(&figures, at(6), State::Ok), State::Alarm);
    assert_eq!(alarm.next(&figures, at(7), State::Ok), State::Ok);
    assert_eq!(alarm.next(&figures, at(66), State::Ok), State::Ok, "the second hour of the day");
}
