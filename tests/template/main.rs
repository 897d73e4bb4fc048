//! Properties of template.yaml that no other check covers: cfn-lint does not know the design, and
//! the embedded AWS delivers to queues, polls them and writes logs without checking permissions.
//!
//! What is added to the template has to be complete. These tests say what is missing: a dead-letter
//! queue, a rule for an event, a sample event, a route of the API, an alarm.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod alarms;
mod dashboards;
#[path = "../deployed_parameters.rs"]
mod deployed_parameters;
mod deployment;
mod events;
mod functions;
mod permissions;
mod queues;
mod routes;
mod samples;
mod storage;
mod users;
mod versions;

use std::collections::BTreeSet;

use resources::list;
use serde_json::Value;

/// The actions of a policy's statement.
fn actions(statement: &Value) -> BTreeSet<&str> {
    list(&statement["Action"]).filter_map(Value::as_str).collect()
}
