//! Why a command could not do what it was asked, each with what to do about it.

use local::error::chain;
use platform::bus::PublishError;
use shop::id::OrderId;
use stripe::ConfigError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A call to AWS failed, or there is no such stack.
    #[error(transparent)]
    Aws(#[from] local::Error),
    /// The stack lacks a resource.
    #[error("the stack has no {0}: is it this repository's template, deployed to its end?")]
    NoResource(String),
    /// The stack lacks a parameter.
    #[error("the stack has no parameter {0}: is it this repository's template?")]
    NoParameter(&'static str),
    /// A row is not what this version knows.
    #[error("{0}. Use the version of `cargo ops` that belongs to the stack, or mend the row")]
    Row(#[from] UnreadableRow),
    /// No order has that id.
    #[error("there is no order {0} in this stack")]
    NoOrder(OrderId),
    /// No transition has made that row.
    #[error("order {0} has no history, so there is no event to announce: look who wrote its row")]
    NoHistory(OrderId),
    /// No dead-letter queue has that name.
    #[error("there is no dead-letter queue {queue}; there are {known}")]
    NoQueue {
        /// What was asked for.
        queue: String,
        /// What there is.
        known: String,
    },
    /// The bus did not take an event.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The provider did not answer the question.
    #[error("the payment provider's books cannot be read: {}", chain(.0))]
    Provider(#[from] stripe::Error),
    /// The provider cannot be asked.
    #[error("the payment provider cannot be asked: {}", chain(.0))]
    Key(#[from] ConfigError),
    /// A result that JSON has no words for.
    #[error("the result cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// Standard output is closed, as `head` does when it has enough.
    #[error("nobody reads the output any more")]
    ReaderLeft,
    /// Standard output cannot be written to.
    #[error("writing to standard output: {0}")]
    Output(std::io::Error),
}

/// A row that is not what this version knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the row {key} of the {table} cannot be read: {reason}")]
pub(crate) struct UnreadableRow {
    /// The logical id of the table.
    pub(crate) table: &'static str,
    pub(crate) key: String,
    pub(crate) reason: String,
}
