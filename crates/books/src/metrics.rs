//! The metric of a reconciliation.

use ::metrics::histogram;

/// Records how many differences a reconciliation has found, also none: without a value, it did not
/// run.
pub fn record(differences: usize) {
    histogram!("BookDifferences").record(differences as f64);
}
