//! Metric math against the examples of its documentation.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;

/// Series by their ids, written as in the documentation: `-` is a missing value.
fn scope(metrics: &[(&str, &str)]) -> BTreeMap<String, Series> {
    metrics.iter().map(|(id, values)| ((*id).to_owned(), series(values))).collect()
}

fn series(values: &str) -> Series {
    values.split(", ").map(|value| (value != "-").then(|| value.parse().unwrap())).collect()
}

fn evaluate(text: &str, metrics: &[(&str, &str)]) -> Result<Series, ExpressionError> {
    let (metrics, results) = (scope(metrics), BTreeMap::new());
    let scope = Scope { metrics: &metrics, results: &results, hours: &[5, 6, 7, 8, 9] };
    Expression::parse(text)?.evaluate(&scope)
}

fn check(text: &str, metrics: &[(&str, &str)], expected: &str) {
    assert_eq!(evaluate(text, metrics), Ok(series(expected)), "{text}");
}

/// "Comparison and logical operators" of
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html>.
#[test]
fn comparisons_and_logic_as_documented() {
    let metrics = [("metric1", "30, 20, 0, 0"), ("metric2", "20, -, 20, -")];
    check("(metric1 < metric2)", &metrics, "0, 0, 1, 0");
    check("(metric1 >= 30)", &metrics, "1, 0, 0, 0");
    check("(metric1 > 15 AND metric2 > 15)", &metrics, "1, 0, 0, 0");
    check("metric1 > 15 && metric2 > 15 || metric1 == 20", &metrics, "1, 1, 0, 0");
    check("metric1 != 0 OR metric2 <= 20", &metrics, "1, 1, 1, 0");
}

/// The tables of "Using IF expressions" on the same page.
#[test]
fn conditions_as_documented() {
    let metrics = [
        ("metric1", "1, 1, 0, 0, -"),
        ("metric2", "30, -, 0, 0, 30"),
        ("metric3", "0, 0, 20, -, 20"),
    ];
    check("IF(metric1, metric2, metric3)", &metrics, "30, 0, 20, -, -");
    check("IF(metric1, 5, metric3)", &metrics, "5, 5, 20, -, -");
    check("IF(metric1, metric2, 5)", &metrics, "30, 0, 5, 5, -");
    check("IF(metric3 < 10, metric3)", &metrics, "0, 0, -, -, -");
}

/// "Basic arithmetic functions" on the same page: "Missing values in a time series are treated as
/// 0. If the value of a data point causes a function to attempt to divide by zero, the data point
/// is dropped."
#[test]
fn arithmetic_takes_missing_values_for_zero_and_drops_divisions_by_zero() {
    let metrics = [("m1", "6, 4, -, -"), ("m2", "3, -, 2, -")];
    check("m1 + m2", &metrics, "9, 4, 2, -");
    check("m1 - m2", &metrics, "3, 4, -2, -");
    check("m1 / m2", &metrics, "2, -, 0, -");
    check("-5 * m1", &metrics, "-30, -20, -, -");
    check("2 * m1 - 1", &metrics, "11, 7, -, -");
    check("m1 ^ 2 / 2", &metrics, "18, 8, -, -");
    check("100 * m1 / (m1 + m2)", &[("m1", "1, 0"), ("m2", "3, 0")], "25, -");
}

#[test]
fn arrays_are_summed_up_where_any_of_their_series_has_a_value() {
    let metrics = [("errors1", "1, -, -"), ("errors2", "2, 3, -"), ("requests", "7, 7, -")];
    check("SUM([errors1, errors2])", &metrics, "3, 3, -");
    check("SUM(METRICS(\"errors\"))", &metrics, "3, 3, -");
    check("SUM(METRICS())", &metrics, "10, 10, -");
    check("MAX(METRICS())", &metrics, "7, 7, -");
    check("MIN(METRICS())", &metrics, "1, 3, -");
    check("SUM(METRICS() * 10)", &metrics, "100, 100, -");
    check("SUM(100 / [errors1, errors2])", &metrics, "150, 33.333333333333336, -");
    check("SUM([errors1, errors2] / requests) * 7", &metrics, "3, 3, -");
    check("SUM(FILL(METRICS(\"errors\"), 0))", &metrics, "3, 3, 0");
}

#[test]
fn missing_values_are_filled_and_hours_are_those_of_the_periods() {
    check("FILL(m1, 10)", &[("m1", "1, -")], "1, 10");
    check("HOUR(m1)", &[("m1", "1, -, -, -, -")], "5, 6, 7, 8, 9");
    check("IF(HOUR(m1) >= 7 AND HOUR(m1) < 9, 1, 0)", &[("m1", "-, -, -, -, -")], "0, 0, 1, 1, 0");
}

#[test]
fn what_no_alarm_can_watch_is_refused() {
    let refused = |text: &str| evaluate(text, &[("m1", "1")]).unwrap_err();
    assert_eq!(refused("5"), ExpressionError::NotASeries);
    assert_eq!(refused("METRICS()"), ExpressionError::NotASeries);
    assert_eq!(refused("m2 + 1"), ExpressionError::UnknownId("m2".into()));
    for function in ["SEARCH('', '')", "ANOMALY_DETECTION_BAND(m1)", "RATE(m1)", "Sum(m1)"] {
        let name = function.split('(').next().unwrap().to_owned();
        assert_eq!(refused(function), ExpressionError::UnknownFunction(name));
    }
    // Over a single series it depends on how many periods are retrieved.
    assert_eq!(refused("m1 + SUM(m1)"), ExpressionError::Arguments("SUM"));
    assert_eq!(
        refused("m1 +"),
        ExpressionError::Ends("a number, an id, a function or a parenthesis")
    );
    assert_eq!(refused("(m1"), ExpressionError::Ends("a closing parenthesis"));
    let found = ExpressionError::Unexpected { found: "m1".into(), expected: "an operator" };
    assert_eq!(refused("m1 m1"), found);
}
