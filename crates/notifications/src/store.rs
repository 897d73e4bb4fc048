//! The Notices table: one row per order, with the last revision that its customer was told of.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::{
    Client,
    error::SdkError,
    operation::update_item::{UpdateItemError, builders::UpdateItemFluentBuilder},
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use jiff::Timestamp;
use platform::{decode, table::StoreError};
use serde::Deserialize;

use crate::handler::{Claim, Claimed, Notices};

/// The Notices table in DynamoDB.
#[derive(Clone, Debug)]
pub struct DynamoDb {
    client: Client,
    table: String,
}

/// A row, but for its key.
#[derive(Deserialize)]
struct Row {
    /// The last revision told; while there is a claim, the one that is being told.
    revision: u32,
    /// When the claim lapses, in milliseconds since the epoch.
    claimed_until: Option<i64>,
}

impl DynamoDb {
    /// The table of that name.
    #[must_use]
    pub fn new(config: &SdkConfig, table: String) -> Self {
        Self { client: Client::new(config), table }
    }

    fn update(&self, claim: &Claim) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.table)
            .key("order_id", AttributeValue::S(claim.order.to_string()))
            .expression_attribute_values(":revision", AttributeValue::N(claim.revision.to_string()))
            .expression_attribute_values(":until", milliseconds(claim.until))
    }

    /// Ends a claim, if it is still this one.
    async fn end(&self, claim: &Claim, update: UpdateItemFluentBuilder) -> Result<(), StoreError> {
        let update = update.condition_expression("revision = :revision AND claimed_until = :until");
        match update.send().await.map_err(SdkError::into_service_error) {
            Ok(_) => Ok(()),
            Err(UpdateItemError::ConditionalCheckFailedException(_)) => {
                tracing::warn!(order_id = %claim.order, revision = claim.revision, "a claim was taken over before it ended");
                Ok(())
            }
            Err(error) => Err(StoreError::call("UpdateItem", error)),
        }
    }
}

impl Notices for DynamoDb {
    async fn claim(&self, claim: &Claim, now: Timestamp) -> Result<Claimed, StoreError> {
        let updated = self
            .update(claim)
            .update_expression("SET revision = :revision, claimed_until = :until")
            .condition_expression(
                "attribute_not_exists(order_id) \
                 OR (revision < :revision AND attribute_not_exists(claimed_until)) \
                 OR (revision <= :revision AND claimed_until <= :now)",
            )
            .expression_attribute_values(":now", milliseconds(now))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match updated.map_err(SdkError::into_service_error) {
            Ok(_) => Ok(Claimed::Granted),
            Err(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                let row: Row = decode::item(failed.item.unwrap_or_default())?;
                let told = row.revision == claim.revision && row.claimed_until.is_none();
                Ok(if told || row.revision > claim.revision {
                    Claimed::Done
                } else {
                    Claimed::Busy
                })
            }
            Err(error) => Err(StoreError::call("UpdateItem", error)),
        }
    }

    async fn settle(&self, claim: &Claim) -> Result<(), StoreError> {
        self.end(claim, self.update(claim).update_expression("REMOVE claimed_until")).await
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        let lapsed = self
            .update(claim)
            .update_expression("SET claimed_until = :lapsed")
            .expression_attribute_values(":lapsed", milliseconds(Timestamp::UNIX_EPOCH));
        self.end(claim, lapsed).await
    }
}

fn milliseconds(at: Timestamp) -> AttributeValue {
    AttributeValue::N(at.as_millisecond().to_string())
}
