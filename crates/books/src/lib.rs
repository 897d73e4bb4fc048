//! The books: orders, payments, stock and the provider's ledger, read and compared, and the journal
//! of what operators have decided about their differences. Nothing here writes to a table.

pub mod error;
pub mod journal;
pub mod ledger;
pub mod metrics;
pub mod reconciliation;
pub mod rows;
pub mod words;

pub use error::{Error, UnreadableRow};
