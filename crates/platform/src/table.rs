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
        row.map(|row| self.decode(row)).transpose()
    }

    /// Decodes a row of this table.
    ///
    /// # Errors
    /// The row cannot be read. The error names the row by its key.
    pub fn decode<T: DeserializeOwned>(&self, row: Row) -> Result<T, StoreError> {
        let key = row.get(self.key).and_then(|key| key.as_s().ok()).cloned().unwrap_or_default();
        decode::item(row).map_err(|reason| StoreError::Row {
            table: self.name.clone(),
            key,
            reason,
        })
    }

    /// Decodes rows that were read together. One that cannot be read is logged and left out, since
    /// it must not hide the others.
    pub fn decode_readable<T: DeserializeOwned>(&self, rows: Vec<Row>) -> Vec<T> {
        let readable = rows.into_iter().filter_map(|row| {
            let log = |error| tracing::error!(error = chain(&error), "a row was left out");
            self.decode(row).map_err(log).ok()
        });
        readable.collect()
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
            .commit(self)
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
    /// Sends the write to `table`, which has built it. A failed condition is not an error but a
    /// [`Write::Conflict`].
    ///
    /// # Errors
    /// The call fails, or the condition fails on a row that is missing or cannot be read.
    async fn commit<T: DeserializeOwned>(self, table: &Table) -> Result<Write<T>, StoreError>;
}

/// On a conflict the answer holds the row, which saves reading it.
const ALL_OLD: ReturnValuesOnConditionCheckFailure = ReturnValuesOnConditionCheckFailure::AllOld;

impl Commit for PutItemFluentBuilder {
    async fn commit<T: DeserializeOwned>(self, table: &Table) -> Result<Write<T>, StoreError> {
        let put = self.return_values_on_condition_check_failure(ALL_OLD).send().await;
        match put.map_err(SdkError::into_service_error) {
            Ok(_) => Ok(Write::Committed),
            Err(PutItemError::ConditionalCheckFailedException(failure)) => {
                conflict(table, failure.item)
            }
            Err(error) => Err(StoreError::call("PutItem", error)),
        }
    }
}

impl Commit for UpdateItemFluentBuilder {
    async fn commit<T: DeserializeOwned>(self, table: &Table) -> Result<Write<T>, StoreError> {
        let update = self.return_values_on_condition_check_failure(ALL_OLD).send().await;
        match update.map_err(SdkError::into_service_error) {
            Ok(_) => Ok(Write::Committed),
            Err(UpdateItemError::ConditionalCheckFailedException(failure)) => {
                conflict(table, failure.item)
            }
            Err(error) => Err(StoreError::call("UpdateItem", error)),
        }
    }
}

fn conflict<T: DeserializeOwned>(table: &Table, row: Option<Row>) -> Result<Write<T>, StoreError> {
    let row = row.ok_or(StoreError::MissingRow)?;
    Ok(Write::Conflict(table.decode(row)?))
}

/// Why a table could not be read or written.
///
/// An unreadable row was written by another version, or by hand. It is never treated as a missing
/// row, which could be overwritten, and the error is permanent, because a retry reads the same row.
/// A message that needs the row is received again at once until it is in the dead-letter queue of
/// its queue; the other messages of the batch are not affected. A request that needs it is
/// answered with 503; a list [leaves it out](Table::decode_readable). The log line names the table,
/// the key and the first invalid field. To recover, correct the row in the table, or deploy a
/// version that can read it, and then redrive the dead-letter queue.
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
    #[error("the row `{key}` of {table} cannot be read")]
    Row {
        /// The table's name.
        table: String,
        /// The row's key.
        key: String,
        /// The first invalid field.
        #[source]
        reason: DecodeError,
    },
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
            Self::Row { .. } | Self::Unwritable(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::config::{BehaviorVersion, Config};

    use super::*;

    /// A table whose rows are maps of numbers next to the key. No test calls it.
    fn table() -> Table {
        let config = Config::builder().behavior_version(BehaviorVersion::latest()).build();
        Table::new(Client::from_conf(config), "numbers".to_owned(), "key")
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Number {
        n: u32,
    }

    fn row(key: &str, n: AttributeValue) -> Row {
        Row::from([("key".to_owned(), AttributeValue::S(key.to_owned())), ("n".to_owned(), n)])
    }

    fn number(n: &str) -> AttributeValue {
        AttributeValue::N(n.to_owned())
    }

    #[test]
    fn a_row_that_cannot_be_read_is_named_by_table_and_key_and_its_value_is_not_quoted() {
        let unreadable = row("seven", AttributeValue::S("secret".to_owned()));
        let error = table().decode::<Number>(unreadable).unwrap_err();
        assert_eq!(
            chain(&error),
            "the row `seven` of numbers cannot be read: `n` is missing or not what it should be"
        );
    }

    #[test]
    fn of_rows_that_were_read_together_those_that_cannot_be_read_are_left_out() {
        let rows = vec![
            row("one", number("1")),
            row("two", AttributeValue::Bool(true)),
            Row::new(),
            row("four", number("4")),
        ];
        let numbers: Vec<Number> = table().decode_readable(rows);
        assert_eq!(numbers, [Number { n: 1 }, Number { n: 4 }]);
    }

    #[test]
    fn a_conflict_without_its_row_is_a_missing_row() {
        assert!(matches!(conflict::<u32>(&table(), None), Err(StoreError::MissingRow)));
    }

    #[test]
    fn a_conflict_returns_the_row_or_ignores_it_if_that_is_all_the_caller_needs() {
        let row = || row("seven", number("7"));
        let read = conflict::<Number>(&table(), Some(row())).unwrap();
        assert_eq!(read, Write::Conflict(Number { n: 7 }));
        let ignored = conflict::<serde::de::IgnoredAny>(&table(), Some(row())).unwrap();
        assert!(matches!(ignored, Write::Conflict(_)));
    }

    #[test]
    fn a_conflict_with_a_row_that_cannot_be_read_is_an_error() {
        let conflict = conflict::<u32>(&table(), Some(Row::new()));
        assert!(matches!(conflict, Err(StoreError::Row { .. })));
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
                table().decode::<Number>(row("seven", number("-7"))).unwrap_err(),
                false,
                "the row `seven` of numbers cannot be read: `n` is missing or not what it should \
                 be",
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
