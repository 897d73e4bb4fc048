//! What every function needs and no domain knows: settings, SDK clients, batches from queues, the
//! event bus, messages and rows read, log lines, HTTP answers.

#![warn(missing_docs)]

pub mod aws;
pub mod bus;
pub mod cause;
pub mod decode;
pub mod http;
pub mod log;
pub mod queue;
pub mod settings;
pub mod table;
