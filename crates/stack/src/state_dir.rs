//! The directory in which `cargo local` describes its running stack.

use std::{
    fs::{File, TryLockError},
    io::Read,
    path::{Path, PathBuf},
};

use crate::workspace;

/// The state directory unless another is given.
#[must_use]
pub fn default() -> PathBuf {
    workspace::target().join("local")
}

/// The file with the description of the deployed stack.
#[must_use]
pub fn description(state_dir: &Path) -> PathBuf {
    state_dir.join("stack.json")
}

/// The file with the events of the bus, one per line.
#[must_use]
pub fn events(state_dir: &Path) -> PathBuf {
    state_dir.join("events.jsonl")
}

/// The file that the host's process locks for as long as it runs. It holds the process id.
#[must_use]
pub fn lock(state_dir: &Path) -> PathBuf {
    state_dir.join("host.lock")
}

/// The id of the process that hosts a stack in the directory, if one runs.
#[must_use]
pub fn host(state_dir: &Path) -> Option<i32> {
    let mut file = File::open(lock(state_dir)).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => {
            let mut id = String::new();
            file.read_to_string(&mut id).ok()?;
            id.parse().ok()
        }
        Ok(()) | Err(TryLockError::Error(_)) => None,
    }
}
