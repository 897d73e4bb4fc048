//! The embedded AWS: a whole stack of this repository's template on one machine, for developers
//! (`cargo local`) and for tests ([`Running`]).
//!
//! A [`Host`] holds the running parts: the emulator with the functions' processes, the payment
//! sandbox and the recorder of events. A [`Stack`] is deployed to it and offers everything that a
//! customer or a test does with a stack.

mod address;
mod authorizations;
mod build;
mod deploy;
mod emulator;
mod environment;
pub mod error;
mod host;
mod http;
mod local_stack;
mod mail;
pub mod options;
pub mod order;
mod package;
mod process;
mod progress;
mod python;
mod queues;
mod recorder;
mod running;
pub mod sandbox;
#[cfg(test)]
mod scratch;
pub mod shops;
mod template;
mod users;

pub use address::Address;
pub use authorizations::Authorization;
pub use build::Binaries;
pub use emulator::{Emulator, EmulatorOptions, Purpose};
pub use error::Error;
pub use host::{Found, Host, host_log};
pub use local_stack::Stack;
pub use mail::Mail;
pub use options::Options;
pub use progress::{Progress, Step};
pub use python::{environment as python_environment, prepare};
pub use running::{PROVIDER_SECRET_NAME, Running};
pub use stack::{Events, change_set::Change};
