//! The Notices table: one row per order, with the last revision that its customer was notified of.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::{
    Client, operation::update_item::builders::UpdateItemFluentBuilder, types::AttributeValue,
};
use jiff::Timestamp;
use platform::table::{Commit, StoreError, Table, Write};
use serde::{Deserialize, de::IgnoredAny};
use tables::notices::{self, Outcome};

use crate::handler::{Claim, Claimed, Notices};

/// The Notices table in DynamoDB.
#[derive(Clone, Debug)]
pub struct DynamoDb {
    table: Table,
}

/// A row without its key.
#[derive(Deserialize)]
struct Row {
    /// The last revision that the customer was notified of or, while there is a claim, the claimed
    /// one.
    revision: u32,
    /// When the claim lapses, in milliseconds since the epoch.
    claimed_until: Option<i64>,
}

impl DynamoDb {
    /// The Notices table that is called `name`.
    #[must_use]
    pub fn new(config: &SdkConfig, name: String) -> Self {
        Self { table: Table::new(Client::new(config), name, notices::KEY) }
    }

    fn update(&self, claim: &Claim) -> UpdateItemFluentBuilder {
        self.table
            .update(claim.order)
            .expression_attribute_values(":revision", AttributeValue::N(claim.revision.to_string()))
            .expression_attribute_values(":until", milliseconds(claim.until))
    }

    /// Ends a claim, unless another delivery has taken over.
    async fn end(&self, claim: &Claim, update: UpdateItemFluentBuilder) -> Result<(), StoreError> {
        let update = update.condition_expression("revision = :revision AND claimed_until = :until");
        match update.commit::<IgnoredAny>(&self.table).await {
            Ok(Write::Committed) => Ok(()),
            Ok(Write::Conflict(_)) | Err(StoreError::MissingRow) => {
                let revision = claim.revision;
                tracing::warn!(revision, "the claim was taken over before it ended");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

impl Notices for DynamoDb {
    async fn claim(&self, claim: &Claim, now: Timestamp) -> Result<Claimed, StoreError> {
        let write = self
            .update(claim)
            .update_expression("SET revision = :revision, claimed_until = :until REMOVE #outcome")
            .expression_attribute_names("#outcome", notices::OUTCOME)
            .condition_expression(
                "attribute_not_exists(#key) \
                 OR (revision < :revision AND attribute_not_exists(claimed_until)) \
                 OR (revision <= :revision AND claimed_until <= :now)",
            )
            .expression_attribute_names("#key", notices::KEY)
            .expression_attribute_values(":now", milliseconds(now))
            .commit::<Row>(&self.table)
            .await?;
        Ok(match write {
            Write::Committed => Claimed::Granted,
            Write::Conflict(row) if row.revision > claim.revision => Claimed::Done,
            Write::Conflict(row)
                if row.revision == claim.revision && row.claimed_until.is_none() =>
            {
                Claimed::Done
            }
            Write::Conflict(_) => Claimed::Busy,
        })
    }

    async fn settle(&self, claim: &Claim, outcome: Outcome) -> Result<(), StoreError> {
        let settled = self
            .update(claim)
            .update_expression("SET #outcome = :outcome REMOVE claimed_until")
            .expression_attribute_names("#outcome", notices::OUTCOME)
            .expression_attribute_values(
                ":outcome",
                AttributeValue::S(outcome.as_str().to_owned()),
            );
        self.end(claim, settled).await
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
