//! A deployed stack of this repository's template, in an AWS account or embedded on this machine:
//! how to find it, and what it consists of.
//!
//! `cargo local` describes its running stack in a [state directory](state_dir), where `cargo ops`
//! finds it.

mod alarms;
pub mod change_set;
mod credentials;
mod deployment;
pub mod embedded;
pub mod error;
mod events;
mod logs;
pub mod state_dir;
pub mod time;
pub mod workspace;

pub use alarms::Alarm;
pub use credentials::on_aws;
pub use deployment::{Deployment, Outputs, describe};
pub use embedded::Embedded;
pub use error::Error;
pub use events::{Events, RECORDED_AT};
pub use logs::{Level, LogLine, Logs, Selection};
