//! What the roles of a stack's functions have asked to be allowed, as IAM decided it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::{Error, error::io};

/// A decision of IAM. However often it was made, it is recorded once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Authorization {
    /// The name of the role that asked.
    pub role: String,
    /// What it asked for, such as `dynamodb:PutItem`; what a transaction does is asked for item by
    /// item.
    pub action: String,
    /// On which resource: its ARN, or `*` where the emulator does not know.
    pub resource: String,
    /// Whether it was allowed.
    pub granted: bool,
}

pub(crate) fn file(state: &Path) -> PathBuf {
    state.join("authorizations.jsonl")
}

/// All decisions since the host of a state directory was started, in the order in which they were
/// first made.
pub(crate) fn read(state: &Path) -> Result<Vec<Authorization>, Error> {
    let path = file(state);
    let read = || -> std::io::Result<Vec<Authorization>> {
        let text = fs::read_to_string(&path)?;
        // The end of the last line may still be to come.
        let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        lines.map(|line| Ok(serde_json::from_str(line)?)).collect()
    };
    read().map_err(io(format!("reading {}", path.display())))
}
