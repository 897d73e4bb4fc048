//! Tables and logs.

use std::collections::BTreeSet;

use resources::{Template, list};
use serde_json::Value;

#[test]
fn every_table_is_encrypted_and_recoverable() {
    for template in [Template::on_aws(), Template::local()] {
        for (table, properties) in template.all("AWS::DynamoDB::Table") {
            assert_eq!(properties["BillingMode"], "PAY_PER_REQUEST", "{table}");
            assert_eq!(properties["SSESpecification"]["SSEEnabled"], true, "{table}");
            let recovery = &properties["PointInTimeRecoverySpecification"];
            assert_eq!(recovery["PointInTimeRecoveryEnabled"], true, "{table}");
        }
    }
}

#[test]
fn orders_and_customers_outlive_the_stack_on_aws_and_cannot_be_deleted_by_mistake() {
    for (template, on_aws) in [(Template::on_aws(), true), (Template::local(), false)] {
        let tables = template.all("AWS::DynamoDB::Table").into_iter();
        let tables = tables
            .map(|(table, properties)| (table, properties["DeletionProtectionEnabled"] == true));
        let pools = template.all("AWS::Cognito::UserPool").into_iter();
        let pools =
            pools.map(|(pool, properties)| (pool, properties["DeletionProtection"] == "ACTIVE"));
        for (kept, protected) in tables.chain(pools) {
            let resource = template.resource(kept);
            let (deletion, replacement) =
                if on_aws { ("RetainExceptOnCreate", "Retain") } else { ("Delete", "Delete") };
            assert_eq!(resource["DeletionPolicy"], deletion, "{kept}");
            assert_eq!(resource["UpdateReplacePolicy"], replacement, "{kept}");
            assert_eq!(protected, on_aws, "{kept}");
        }
    }
}

#[test]
fn the_tables_with_rows_that_expire_delete_them() {
    let template = Template::on_aws();
    let expiring: Vec<_> = template
        .all("AWS::DynamoDB::Table")
        .into_iter()
        .filter(|(_, table)| {
            let time_to_live = &table["TimeToLiveSpecification"];
            time_to_live["AttributeName"] == tables::EXPIRES_AT && time_to_live["Enabled"] == true
        })
        .map(|(name, _)| name)
        .collect();
    assert_eq!(expiring, ["PaymentsTable", "StockTable"]);
}

#[test]
fn every_log_group_has_a_retention_period() {
    for (log, properties) in Template::on_aws().all("AWS::Logs::LogGroup") {
        assert!(properties["RetentionInDays"].is_u64(), "{log} is kept forever");
    }
}

#[test]
fn every_saved_query_searches_the_logs_of_all_functions() {
    let template = Template::on_aws();
    let logs: BTreeSet<_> = template
        .functions()
        .into_iter()
        .map(|function| template.properties(function)["LoggingConfig"]["LogGroup"]["!Ref"].clone())
        .map(|log| log.as_str().unwrap().to_owned())
        .collect();
    for (name, query) in template.all("AWS::Logs::QueryDefinition") {
        let searched: BTreeSet<_> = list(&query["LogGroupNames"])
            .map(|log| log["!Ref"].as_str().unwrap().to_owned())
            .collect();
        assert!(searched.is_superset(&logs), "{name} leaves out a log");
    }
}

/// The row of docs/privacy.md about a log group, a queue or an archive.
fn privacy_row(id: &str) -> &'static str {
    match id {
        "ApiLogs" => "access log",
        "Journal" => "journal",
        "UndeliveredLogs" => "bounces and complaints",
        "PaymentLogs" => "log of payment",
        "EventArchive" => "archive of the bus",
        id if id.ends_with("Logs") => "logs of the other functions",
        id if id.ends_with("DeadLetters") => "dead-letter queues",
        id if id.ends_with("Queue") => "queues",
        id => panic!("add {id} to docs/privacy.md"),
    }
}

#[test]
fn the_document_about_privacy_says_how_long_everything_is_kept() {
    let document = include_str!("../../docs/privacy.md");
    let template = Template::on_aws();
    let days = |kind, property: &'static str, a_day| {
        let kept = template.all(kind).into_iter();
        kept.map(move |(id, it): (_, &Value)| (id, it[property].as_u64().unwrap() / a_day))
    };
    let kept = days("AWS::Logs::LogGroup", "RetentionInDays", 1)
        .chain(days("AWS::SQS::Queue", "MessageRetentionPeriod", 86_400))
        .chain(days("AWS::Events::Archive", "RetentionDays", 1));
    for (id, days) in kept {
        let row = privacy_row(id);
        let row = document.lines().find(|line| line.starts_with(&format!("| {row} |")));
        let row = row.unwrap_or_else(|| panic!("docs/privacy.md lacks a row for {id}"));
        let said = row.split('|').nth(3).unwrap();
        assert!(said.contains(&format!("{days} days")), "{id} is kept for {days} days: {row}");
    }
}
