//! Why the books cannot be read, each with what to do about it.

use std::error;

use platform::cause::chain;
use serde::Serialize;

/// Why the books cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A call of AWS failed.
    #[error("{operation}: {reason}")]
    Aws {
        /// Service and operation.
        operation: &'static str,
        /// The service's message, or why the call was not answered.
        reason: String,
    },
    /// A row has an unknown form.
    #[error("use the version of this program that belongs to the stack, or correct the row")]
    Row(#[from] UnreadableRow),
    /// The provider did not answer.
    #[error("the payment provider's books cannot be read")]
    Provider(#[from] stripe::Error),
    /// The provider's client cannot be built.
    #[error("the payment provider cannot be asked")]
    Key(#[from] stripe::ConfigError),
}

/// The error of a call of AWS.
pub(crate) fn aws<E: error::Error>(operation: &'static str) -> impl FnOnce(E) -> Error {
    move |error| Error::Aws { operation, reason: chain(&error) }
}

/// A row that this version cannot read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize)]
#[error("the row {key} of the {table} cannot be read: {reason}")]
pub struct UnreadableRow {
    /// The logical id of the table.
    pub table: &'static str,
    pub key: String,
    pub reason: String,
}
