//! Dead letters in memory, for tests: the behaviour of [`crate::dead_letters::Sqs`] without SQS.

use std::sync::{Mutex, PoisonError};

use serde_json::value::RawValue;

use crate::handler::{BuryError, DeadLetters, Unreadable};

/// Records that live as long as this value.
#[derive(Debug, Default)]
pub struct MemoryDeadLetters {
    buried: Mutex<Vec<(String, String)>>,
}

impl MemoryDeadLetters {
    /// Every record so far as it came, with the reason, in order.
    #[must_use]
    pub fn buried(&self) -> Vec<(String, String)> {
        self.buried.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl DeadLetters for MemoryDeadLetters {
    async fn bury(&self, record: &RawValue, reason: &Unreadable) -> Result<(), BuryError> {
        let letter = (record.get().to_owned(), reason.to_string());
        self.buried.lock().unwrap_or_else(PoisonError::into_inner).push(letter);
        Ok(())
    }
}
