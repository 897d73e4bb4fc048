//! What every function needs, independent of the domain: settings, SDK clients and their
//! connections, queue batches, the event bus, tables, decoding of messages and rows, times and
//! their limits, logs, metrics, and HTTP.

#![warn(missing_docs)]

pub mod aws;
pub mod bus;
pub mod cause;
pub mod connections;
pub mod decode;
pub mod function;
pub mod http;
pub mod log;
pub mod metrics;
pub mod queue;
pub mod settings;
pub mod table;
pub mod time;
pub mod time_limit;
