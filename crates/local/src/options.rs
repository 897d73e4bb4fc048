//! The options of a stack.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use stack::workspace;

use crate::progress::Progress;

/// The address to listen on unless another is given. Other machines cannot reach it.
pub const DEFAULT_BIND: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// The port of the embedded AWS unless another is given.
pub const DEFAULT_PORT: u16 = 4566;
/// The port of the payment sandbox unless another is given.
pub const DEFAULT_SANDBOX_PORT: u16 = 4567;

/// How a stack is started. Stacks with different state directories and ports can run side by side.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory of its description, logs and events.
    pub state_dir: PathBuf,
    /// The address that the embedded AWS and the payment sandbox listen on. Both accept every
    /// request, so it should be an address that other machines cannot reach.
    pub bind: Ipv4Addr,
    /// The port of the embedded AWS; 0 takes any free one.
    pub port: u16,
    /// The port of the payment sandbox; 0 takes any free one.
    pub sandbox_port: u16,
    /// The template to deploy.
    pub template: PathBuf,
    /// Template parameters. They take precedence over those that the embedded AWS needs.
    pub parameters: BTreeMap<String, String>,
    /// Whether to print what is being done.
    pub progress: Progress,
}

impl Options {
    /// A silent stack of this repository's template on any free ports, for tests.
    #[must_use]
    pub fn new(state_dir: &Path) -> Self {
        Self {
            state_dir: state_dir.to_owned(),
            bind: DEFAULT_BIND,
            port: 0,
            sandbox_port: 0,
            template: workspace::template(),
            parameters: BTreeMap::new(),
            progress: Progress::Silent,
        }
    }
}
