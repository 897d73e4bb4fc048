//! Tables of DynamoDB: consistent reads, and writes on a condition.

use std::{collections::HashMap, error::Error};

use aws_sdk_dynamodb::{
    Client,
    error::SdkError,
    operation::{
        put_item::{PutItemError, builders::PutItemFluentBuilder},
        update_item::{UpdateItemError, builders::UpdateItemFluentBuilder},
    },
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    cause::chain,
    decode::{self, DecodeError},
    queue::Retryable,
};

/// A row as DynamoDB stores it.
pub type Row = HashMap<String, AttributeValue>;

/// The outcome of a conditional write that reached the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a conflict means that nothing was written"]
pub enum Write<T> {
    /// The row is written.
    Committed,
    /// The condition failed, and nothing was written: this is the row as it stands.
    Conflict(T),
}

/// A table whose rows have a single text as their key.
#[derive(Clone, Debug)]
pub struct Table {
    client: Client,
    name: String,
    key: &'static str,
}

impl Table {
    /// The table `name`, whose partition key is the attribute `key`.
    #[must_use]
    pub fn new(client: Client, name: String, key: &'static str) -> Self {
        Self { client, name, key }
    }

    /// The client, for operations that only one store needs.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The table's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads a row consistently: the answer reflects every write that succeeded before.
    ///
    /// # Errors
    /// The call fails, or the row cannot be read.
    pub async fn get<T: DeserializeOwned>(
        &self,
        key: impl ToString,
    ) -> Result<Option<T>, StoreError> {
        self.read(key, true).await
    }

    /// Reads a row that may be some moments old, for half the price.
    ///
    /// # Errors
    /// The call fails, or the row cannot be read.
    pub async fn get_eventually_consistent<T: DeserializeOwned>(
        &self,
        key: impl ToString,
    ) -> Result<Option<T>, StoreError> {
        self.read(key, false).await
    }

    async fn read<T: DeserializeOwned>(
        &self,
        key: impl ToString,
        consistent: bool,
    ) -> Result<Option<T>, StoreError> {
        let get = self
            .client
            .get_item()
            .table_name(&self.name)
            .key(self.key, AttributeValue::S(key.to_string()))
            .consistent_read(consistent);
        let row = get.send().await.map_err(|error| StoreError::call("GetItem", error))?.item;
        Ok(row.map(decode::item).transpose()?)
    }

    /// Writes a row, unless there is one with its key.
    ///
    /// # Errors
    /// The row cannot be written, the call fails, or the row that is there cannot be read.
    pub async fn put_if_absent<T: DeserializeOwned>(
        &self,
        row: &impl Serialize,
    ) -> Result<Write<T>, StoreError> {
        self.put(row)?
            .condition_expression("attribute_not_exists(#key)")
            .expression_attribute_names("#key", self.key)
            .commit()
            .await
    }

    /// A put of a whole row, to which the caller adds a condition before it [commits](Commit).
    ///
    /// # Errors
    /// The row does not serialise.
    pub fn put(&self, row: &impl Serialize) -> Result<PutItemFluentBuilder, StoreError> {
        let row = serde_dynamo::to_item(row)?;
        Ok(self.client.put_item().table_name(&self.name).set_item(Some(row)))
    }

    /// An update of the row with that key, to which the caller adds an expression and a condition
    /// before it [commits](Commit).
    pub fn update(&self, key: impl ToString) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.name)
            .key(self.key, AttributeValue::S(key.to_string()))
    }
}

/// A write with a condition.
pub trait Commit {
    /// Sends the write. A failed condition is not an error but a [`Write::Conflict`].
    ///
    /// # Errors
    /// The call fails, or the condition fails on a row that is missing or cannot be read.
    async fn commit<T: DeserializeOwned>(self) -> Result<Write<T>, StoreError>;
}

/// On a conflict the answer holds the row, which saves reading it.
const ALL_OLD: ReturnValuesOnConditionCheckFailure = ReturnValuesOnConditionCheckFailure::AllOld;

impl Commit for PutItemFluentBuilder {
    async fn commit<T: DeserializeOwned>(self) -> Result<Write<T>, StoreError> {
        let put = self.return_values_on_condition_check_failure(ALL_OLD).send().await;
        match put.map_err(SdkError::into_service_error) {
            Ok(_) => Ok(Write::Committed),
            Err(PutItemError::ConditionalCheckFailedException(failure)) => conflict(failure.item),
            Err(error) => Err(StoreError::call("PutItem", error)),
        }
    }
}

impl Commit for UpdateItemFluentBuilder {
    async fn commit<T: DeserializeOwned>(self) -> Result<Write<T>, StoreError> {
        let update = self.return_values_on_condition_check_failure(ALL_OLD).send().await;
        match update.map_err(SdkError::into_service_error) {
            Ok(_) => Ok(Write::Committed),
            Err(UpdateItemError::ConditionalCheckFailedException(failure)) => {
                conflict(failure.item)
            }
            Err(error) => Err(StoreError::call("UpdateItem", error)),
        }
    }
}

fn conflict<T: DeserializeOwned>(row: Option<Row>) -> Result<Write<T>, StoreError> {
    let row = row.ok_or(StoreError::MissingRow)?;
    Ok(Write::Conflict(decode::item(row)?))
}

/// Why a table could not be read or written.
///
/// An unreadable row was written by another version, or by hand. It is never treated as a missing
/// row, which could be overwritten, and the error is permanent, because a retry reads the same row.
/// A message that needs the row is received again at once until it is in the dead-letter queue of
/// its queue; the other messages of the batch are not affected. A request that needs it is
/// answered with 503. The log line names the order and the first invalid field. To recover, correct
/// the row in the table, or deploy a version that can read it, and then redrive the dead-letter
/// queue.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The call failed, after the SDK's own retries.
    #[error("DynamoDB {action} failed: {reason}")]
    Call {
        /// The API action, such as `GetItem`.
        action: &'static str,
        /// The SDK's error with all its causes.
        reason: String,
    },
    /// A row is not what this version writes; see [above](StoreError).
    #[error("a row of the table cannot be read")]
    Row(#[from] DecodeError),
    /// A condition failed because there is no row. The caller had read one, so it was deleted
    /// since; the next attempt reads the table again.
    #[error("the row to change is missing, although it was there a moment ago")]
    MissingRow,
    /// A value does not serialise as a row.
    #[error("a row of the table cannot be written")]
    Unwritable(#[from] serde_dynamo::Error),
}

impl StoreError {
    /// The failure of `action`.
    pub fn call(action: &'static str, error: impl Error) -> Self {
        Self::Call { action, reason: chain(&error) }
    }
}

impl Retryable for StoreError {
    fn is_transient(&self) -> bool {
        match self {
            Self::Call { .. } | Self::MissingRow => true,
            Self::Row(_) | Self::Unwritable(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conflict_without_its_row_is_a_missing_row() {
        assert!(matches!(conflict::<u32>(None), Err(StoreError::MissingRow)));
    }

    #[test]
    fn a_conflict_returns_the_row_or_ignores_it_if_that_is_all_the_caller_needs() {
        let row = || Row::from([("n".to_owned(), AttributeValue::N("7".to_owned()))]);
        let read = conflict::<std::collections::BTreeMap<String, u32>>(Some(row())).unwrap();
        assert_eq!(read, Write::Conflict([("n".to_owned(), 7)].into()));
        let ignored = conflict::<serde::de::IgnoredAny>(Some(row())).unwrap();
        assert!(matches!(ignored, Write::Conflict(_)));
    }

    #[test]
    fn a_conflict_with_a_row_that_cannot_be_read_is_an_error() {
        assert!(matches!(conflict::<u32>(Some(Row::new())), Err(StoreError::Row(_))));
    }

    #[test]
    fn failed_calls_and_missing_rows_are_transient_and_bad_rows_are_not() {
        let unwritable = serde_dynamo::to_item::<_, Row>("text").unwrap_err();
        for (error, transient, text) in [
            (
                StoreError::call("GetItem", std::io::Error::other("timed out")),
                true,
                "DynamoDB GetItem failed: timed out",
            ),
            (
                StoreError::MissingRow,
                true,
                "the row to change is missing, although it was there a moment ago",
            ),
            (
                decode::json::<u32>("[]").unwrap_err().into(),
                false,
                "a row of the table cannot be read: `.` is missing or not what it should be",
            ),
            (
                StoreError::Unwritable(unwritable),
                false,
                "a row of the table cannot be written: Not a map-like object",
            ),
        ] {
            assert_eq!(error.is_transient(), transient, "{error}");
            assert_eq!(chain(&error), text);
        }
    }
}
