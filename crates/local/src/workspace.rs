//! Where the repository and its build output are.

use std::path::{Path, PathBuf};

/// The root of the repository.
#[must_use]
pub(crate) fn root() -> &'static Path {
    let this_crate = Path::new(env!("CARGO_MANIFEST_DIR"));
    this_crate.ancestors().nth(2).unwrap_or(this_crate)
}

/// What is deployed.
#[must_use]
pub(crate) fn template() -> PathBuf {
    root().join("template.yaml")
}

/// Cargo's target directory, where everything that this crate makes goes as well.
#[must_use]
pub(crate) fn target() -> PathBuf {
    root().join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// An empty directory for a test.
#[cfg(test)]
pub(crate) fn scratch(name: &str) -> PathBuf {
    let directory = target().join("tmp/local").join(name);
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).expect("the target directory is writable");
    directory
}
