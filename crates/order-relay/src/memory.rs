//! A dead-letter queue in memory, for tests: behaves like [`crate::dead_letters::Sqs`] without SQS.

use std::sync::{Mutex, PoisonError};

use serde_json::value::RawValue;

use crate::handler::{DeadLetters, SendError, Unreadable};

/// A queue that keeps every record.
#[derive(Debug, Default)]
pub struct MemoryDeadLetters {
    letters: Mutex<Vec<(String, String)>>,
}

impl MemoryDeadLetters {
    /// All records so far, each with its reason, in order.
    #[must_use]
    pub fn letters(&self) -> Vec<(String, String)> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl DeadLetters for MemoryDeadLetters {
    async fn send(&self, record: &RawValue, reason: &Unreadable) -> Result<(), SendError> {
        let letter = (record.get().to_owned(), reason.to_string());
        self.letters.lock().unwrap_or_else(PoisonError::into_inner).push(letter);
        Ok(())
    }
}
