//! What carries events between functions, as `template.yaml` deploys it: queues, rules, the
//! stream and the archive of the bus.

pub(crate) mod archive;
pub(crate) mod message;
pub(crate) mod queues;
pub(crate) mod stream;
pub(crate) mod topology;
