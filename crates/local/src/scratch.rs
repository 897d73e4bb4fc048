//! Directories for tests.

use std::{fs, path::PathBuf};

use stack::workspace;

/// Creates the directory `name` under the target directory, or empties it.
pub(crate) fn scratch(name: &str) -> PathBuf {
    let directory = workspace::target().join("tmp/local").join(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).expect("the target directory is writable");
    directory
}
