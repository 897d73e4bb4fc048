//! What all stores in DynamoDB have in common.

use std::error::Error;

use crate::{cause::chain, decode::DecodeError, queue::Retryable};

/// Why a table could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The call failed, after the SDK's own retries.
    #[error("DynamoDB {action} failed: {reason}")]
    Call {
        /// Which call.
        action: &'static str,
        /// Everything that the SDK tells.
        reason: String,
    },
    /// A row is not what this version writes.
    #[error("a row of the table cannot be read: {0}")]
    Row(#[from] DecodeError),
    /// A value is not what a row can hold.
    #[error("a row of the table cannot be written: {0}")]
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
        matches!(self, Self::Call { .. })
    }
}
