//! Metrics in CloudWatch's embedded metric format: lines of the log from which CloudWatch makes
//! metrics, without a call. docs/telemetry.md lists them.
//!
//! Code records with the macros of the [`metrics`] crate: a counter for what happens, a histogram
//! for what has an amount, of which an invocation may record 100. Each label is a dimension, and
//! each value of it a metric that costs money by itself, so a label has a few fixed values. A shop
//! or an order is a field of a log line, and never a label.
//!
//! What is recorded without [`init`](Metrics::init), as in the simulation, goes to the local
//! recorder of the thread, or nowhere.

use std::io;

use metrics_cloudwatch_embedded::{Builder, Collector};

use crate::settings::{self, SettingError};

/// The metrics that this process has recorded and not yet written.
#[derive(Clone, Copy)]
pub struct Metrics(&'static Collector);

impl Metrics {
    /// Starts to collect what is recorded, for the namespace in `METRICS_NAMESPACE`.
    ///
    /// # Errors
    /// The namespace is not set.
    ///
    /// # Panics
    /// When called twice.
    pub fn init() -> Result<Self, SettingError> {
        let builder = Builder::new().cloudwatch_namespace(settings::text("METRICS_NAMESPACE")?);
        Ok(Self(builder.init().expect("metrics are collected once")))
    }

    /// Writes what was recorded since the last call to standard output, one line for each set of
    /// labels.
    ///
    /// An invocation that dies before writes nothing: a metric may miss what was committed, and
    /// counts nothing twice.
    pub fn write(self) {
        if let Err(error) = self.0.flush(io::stdout().lock()) {
            tracing::warn!(%error, "metrics were not written");
        }
    }
}
