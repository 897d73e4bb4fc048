//! How a stack is to be started.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use crate::{progress::Progress, workspace};

/// The address to listen on unless another is given: out of reach of other machines.
pub const DEFAULT_BIND: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// The port of the embedded AWS unless another is given.
pub const DEFAULT_PORT: u16 = 4566;
/// The port of the payment sandbox unless another is given.
pub const DEFAULT_SANDBOX_PORT: u16 = 4567;

/// How a stack is to be started. Stacks with different state directories and ports run side by
/// side.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where its description, logs and events go.
    pub state_dir: PathBuf,
    /// The address of this machine that the embedded AWS and the payment sandbox listen on. Both do
    /// what anybody asks, so it should be one that other machines cannot reach.
    pub bind: Ipv4Addr,
    /// The port of the embedded AWS; 0 takes any free one.
    pub port: u16,
    /// The port of the payment sandbox; 0 takes any free one.
    pub sandbox_port: u16,
    /// What to deploy.
    pub template: PathBuf,
    /// Template parameters beside and instead of those that the embedded AWS needs.
    pub parameters: BTreeMap<String, String>,
    /// Whether to tell a person what is going on.
    pub progress: Progress,
}

impl Options {
    /// Where the stack of `cargo local` keeps its state.
    #[must_use]
    pub fn default_state_dir() -> PathBuf {
        workspace::target().join("local")
    }

    /// A quiet stack of this repository's template on any free ports, as tests want it.
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
