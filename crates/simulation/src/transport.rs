//! What carries events between functions, as `template.yaml` deploys it: queues, rules and the
//! stream.

pub(crate) mod message;
pub(crate) mod queues;
pub(crate) mod stream;
pub(crate) mod topology;
