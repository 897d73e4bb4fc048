//! The embedded AWS: a whole stack of this repository's template on one machine, for people (`cargo
//! local`) and for tests ([`Running`]).
//!
//! A [`Host`] holds what runs: the emulator with the functions' processes, the payment sandbox and
//! the recorder of events. A [`Stack`] is what was deployed to it, and everything that one can ask
//! of it.

mod authorizations;
mod aws;
mod build;
mod deployment;
mod emulator;
mod environment;
pub mod error;
mod host;
mod http;
mod logs;
mod mail;
pub mod options;
pub mod order;
mod package;
mod process;
mod progress;
mod python;
mod recorder;
pub mod sandbox;
pub mod shops;
mod stack;
mod template;
mod users;
mod workspace;

pub use authorizations::Authorization;
pub use aws::REGION;
pub use build::Binaries;
pub use deployment::{Change, Outputs};
pub use emulator::{Emulator, EmulatorOptions, Purpose};
pub use error::Error;
pub use host::{Address, Found, Host};
pub use logs::{LogLine, Logs};
pub use mail::Mail;
pub use options::Options;
pub use progress::{Progress, Step};
pub use python::{environment as python_environment, prepare};
pub use recorder::Events;
pub use stack::{Running, Stack};
