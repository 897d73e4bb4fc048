//! IAM's decisions about the roles of a stack's functions.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::{Error, error::io};

/// A decision of IAM, recorded once however often it was made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Authorization {
    /// The name of the role.
    pub role: String,
    /// The action, such as `dynamodb:PutItem`. A transaction needs permission for each of its
    /// items.
    pub action: String,
    /// The ARN of the resource, or `*` if the emulator does not know it.
    pub resource: String,
    /// Whether IAM allowed it.
    pub granted: bool,
}

pub(crate) fn file(state: &Path) -> PathBuf {
    state.join("authorizations.jsonl")
}

/// All decisions since the host of a state directory was started, in the order of their first
/// occurrence.
pub(crate) fn read(state: &Path) -> Result<Vec<Authorization>, Error> {
    let path = file(state);
    let read = || -> std::io::Result<Vec<Authorization>> {
        let text = fs::read_to_string(&path)?;
        // The last line may not be fully written yet.
        let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        lines.map(|line| Ok(serde_json::from_str(line)?)).collect()
    };
    read().map_err(io(format!("reading {}", path.display())))
}
