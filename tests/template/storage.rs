//! Tables and logs.

use resources::Template;

#[test]
fn every_table_is_encrypted_recoverable_and_outlives_the_stack_on_aws() {
    for (template, deletion, replacement) in [
        (Template::on_aws(), "RetainExceptOnCreate", "Retain"),
        (Template::local(), "Delete", "Delete"),
    ] {
        for (table, properties) in template.all("AWS::DynamoDB::Table") {
            let resource = template.resource(table);
            assert_eq!(resource["DeletionPolicy"], deletion, "{table}");
            assert_eq!(resource["UpdateReplacePolicy"], replacement, "{table}");
            assert_eq!(properties["BillingMode"], "PAY_PER_REQUEST", "{table}");
            assert_eq!(properties["SSESpecification"]["SSEEnabled"], true, "{table}");
            let recovery = &properties["PointInTimeRecoverySpecification"];
            assert_eq!(recovery["PointInTimeRecoveryEnabled"], true, "{table}");
        }
    }
}

#[test]
fn every_log_group_has_a_retention_period() {
    for (log, properties) in Template::on_aws().all("AWS::Logs::LogGroup") {
        assert!(properties["RetentionInDays"].is_u64(), "{log} is kept forever");
    }
}
