//! Building the binaries of the functions.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
    process::Stdio,
};

use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

use stack::workspace;

use crate::{Error, error::io, process::ProcessGroup, progress::Progress, template::Template};

/// Binaries of the workspace, by name.
#[derive(Clone, Debug)]
pub struct Binaries(BTreeMap<String, PathBuf>);

/// The part of cargo's message about an artifact that is needed here.
#[derive(Deserialize)]
struct Artifact {
    target: Target,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

impl Binaries {
    /// Builds the functions of this repository's template, and `tools`, which are other binaries of
    /// the workspace. The compiler prints its messages to standard error.
    ///
    /// Selects binaries instead of packages, so that features are resolved as for `cargo local`
    /// itself and nothing is compiled twice.
    ///
    /// # Errors
    /// The template cannot be read, cargo cannot be run, or the build fails.
    pub async fn build(tools: &[&str], progress: Progress) -> Result<Self, Error> {
        let step = progress.step();
        let binaries = Self::build_in(workspace::root(), tools, &[]).await?;
        step.done("functions built");
        Ok(binaries)
    }

    /// Builds the functions of another checkout of this repository. Its packages must have another
    /// version, since cargo tells them apart by that alone. The dependencies that both have in
    /// common are compiled once; the binaries go to the checkout's own target directory.
    ///
    /// # Errors
    /// The checkout has no template, cargo cannot be run, or the build fails.
    pub async fn build_other(checkout: &Path) -> Result<Self, Error> {
        let directories = [
            ("CARGO_TARGET_DIR", checkout.join("target")),
            ("CARGO_BUILD_BUILD_DIR", workspace::target()),
        ];
        Self::build_in(checkout, &[], &directories).await
    }

    async fn build_in(
        checkout: &Path,
        tools: &[&str],
        directories: &[(&str, PathBuf)],
    ) -> Result<Self, Error> {
        let template = Template::read(&checkout.join("template.yaml"))?;
        let functions = template.functions().into_values();
        let names = functions.chain(tools.iter().map(|tool| (*tool).to_owned()));
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let mut command = Command::new(cargo);
        command
            .args(["build", "--message-format=json-render-diagnostics"])
            .args(names.flat_map(|name| ["--bin".to_owned(), name]))
            .envs(directories.iter().map(|(name, path)| (name, path)))
            .current_dir(checkout)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut cargo = ProcessGroup::spawn(&mut command).map_err(io("running cargo"))?;

        let mut binaries = BTreeMap::new();
        if let Some(output) = cargo.child().stdout.take() {
            let mut lines = BufReader::new(output).lines();
            while let Some(line) =
                lines.next_line().await.map_err(io("reading cargo's messages"))?
            {
                if let Ok(Artifact { target, executable: Some(path) }) = serde_json::from_str(&line)
                {
                    binaries.insert(target.name, path);
                }
            }
        }
        if !cargo.wait().await.map_err(io("running cargo"))?.success() {
            return Err(Error::Build);
        }
        Ok(Self(binaries))
    }

    /// The path of a binary, if it was built.
    #[must_use]
    pub fn path(&self, name: &str) -> Option<&Path> {
        self.0.get(name).map(PathBuf::as_path)
    }
}
