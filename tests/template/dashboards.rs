//! What the dashboards show.

use std::collections::BTreeSet;

use resources::{Template, list};
use serde_json::Value;

/// The metrics of all widgets of a dashboard, written out: namespace, name and dimensions.
fn metrics(template: &Template, dashboard: &str) -> Vec<Vec<String>> {
    let body = &template.properties(dashboard)["DashboardBody"]["!Sub"];
    let body = body.as_str().or_else(|| body[0].as_str()).unwrap();
    let body: Value = serde_json::from_str(body).unwrap();
    let mut written = Vec::new();
    for widget in list(&body["widgets"]) {
        let mut last: Vec<String> = Vec::new();
        let metrics = widget["properties"]["metrics"].as_array();
        for metric in metrics.into_iter().flatten() {
            let mut texts: Vec<_> =
                list(metric).filter_map(Value::as_str).map(str::to_owned).collect();
            if texts[0] == "..." {
                let kept = last.len() + 1 - texts.len();
                texts.splice(..1, last[..kept].to_vec());
            }
            written.push(texts.clone());
            last = texts;
        }
    }
    written
}

/// The names in the table of metrics in docs/telemetry.md.
fn documented() -> BTreeSet<String> {
    let page = include_str!("../../docs/telemetry.md");
    let rows = page.lines().skip_while(|line| !line.starts_with("| metric |")).skip(2);
    let names = rows.take_while(|line| line.starts_with('|')).flat_map(|row| {
        let cell = row.split('|').nth(1).unwrap();
        cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()
    });
    names.collect()
}

#[test]
fn the_system_dashboard_shows_every_function_queue_table_and_rule() {
    let template = Template::on_aws();
    let shown: BTreeSet<_> = metrics(&template, "SystemDashboard").into_iter().flatten().collect();
    let shows = |id: &str| {
        shown.contains(&format!("${{{id}}}")) || shown.contains(&format!("${{{id}.QueueName}}"))
    };
    let mut missing = Vec::new();
    for of_type in ["AWS::Serverless::Function", "AWS::SQS::Queue", "AWS::DynamoDB::Table"] {
        missing.extend(template.ids(of_type).into_iter().filter(|id| !shows(id)));
    }
    missing.extend(template.rules().into_iter().map(|(id, _)| id).filter(|id| !shows(id)));
    assert!(missing.is_empty(), "the system dashboard does not show {missing:?}");
}

#[test]
fn the_dashboards_show_every_metric_of_the_functions() {
    let template = Template::on_aws();
    let shown: BTreeSet<_> = ["BusinessDashboard", "SystemDashboard"]
        .iter()
        .flat_map(|dashboard| metrics(&template, dashboard))
        .filter(|metric| metric[0] == "${AWS::StackName}")
        .map(|metric| metric[1].clone())
        .collect();
    assert_eq!(shown, documented());
}
