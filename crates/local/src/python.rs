//! Python environments under the target directory, for the emulator and for tools.

use std::{
    ffi::OsString,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::process::Command;

use stack::workspace;

use crate::{Error, error::io, process::ProcessGroup, progress::Progress};

/// The oldest Python version that all of them support.
const OLDEST: (u32, u32) = (3, 10);

/// Installs the emulator if it is missing or outdated, with exactly the versions in
/// `requirements.txt`. Returns the Python interpreter of its environment.
///
/// # Errors
/// The same as of [`environment`].
pub async fn prepare(progress: Progress) -> Result<PathBuf, Error> {
    environment("local-python", "crates/local/requirements.txt", progress).await
}

/// Creates a Python environment in `name` under the target directory if it is missing or outdated,
/// and returns its interpreter. `requirements` is a file relative to the root of the repository
/// that lists every package with its version.
///
/// # Errors
/// No recent Python is installed, the file cannot be read, or its packages cannot be installed.
pub async fn environment(
    name: &str,
    requirements: &str,
    progress: Progress,
) -> Result<PathBuf, Error> {
    let wanted = workspace::root().join(requirements);
    let packages =
        fs::read_to_string(&wanted).map_err(io(format!("reading {}", wanted.display())))?;
    let directory = workspace::target().join(name);
    let python = directory.join("bin/python");
    fs::create_dir_all(workspace::target()).map_err(io("creating the target directory"))?;

    // Several stacks may start at the same time.
    let path = directory.with_extension("lock");
    let lock = File::create(&path).map_err(io(format!("creating {}", path.display())))?;
    let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock))
        .await
        .map_err(std::io::Error::other)
        .flatten()
        .map_err(io(format!("locking {}", path.display())))?;

    let installed = directory.join("requirements.txt");
    // The interpreter is a link, which breaks when the system's Python is replaced.
    if python.exists() && fs::read_to_string(&installed).is_ok_and(|text| text == packages) {
        return Ok(python);
    }
    let base = find(candidates()).await?;
    progress.note(&format!("installing the packages of {requirements} into target/{name} (once)"));
    let step = progress.step();
    create(&base, &directory).await?;
    install(&python, &wanted).await?;
    // Written last, so that an unfinished environment is created again.
    fs::write(&installed, packages).map_err(io(format!("writing {}", installed.display())))?;
    step.done("Python packages installed");
    drop(lock);
    Ok(python)
}

/// The interpreters to try.
fn candidates() -> Vec<OsString> {
    match std::env::var_os("PYTHON") {
        Some(name) => vec![name],
        None => ["python3", "python3.14", "python3.13", "python3.12", "python3.11", "python3.10"]
            .map(OsString::from)
            .to_vec(),
    }
}

/// The first interpreter that is recent enough.
async fn find(candidates: Vec<OsString>) -> Result<OsString, Error> {
    let mut found = String::new();
    for name in candidates {
        let Some(version) = version(&name).await else { continue };
        if version >= OLDEST {
            return Ok(name);
        }
        found = format!(", and {} is {}.{}", name.display(), version.0, version.1);
    }
    Err(Error::Python { found })
}

async fn version(python: &OsString) -> Option<(u32, u32)> {
    let output = Command::new(python)
        .args(["-c", "import sys; print(*sys.version_info[:2])"])
        .output()
        .await
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (major, minor) = text.trim().split_once(' ')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

async fn create(python: &OsString, directory: &Path) -> Result<(), Error> {
    let output = Command::new(python)
        .args(["-m", "venv", "--clear"])
        .arg(directory)
        .kill_on_drop(true)
        .output()
        .await
        .map_err(io(format!("running {}", python.display())))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stderr, output.stdout].concat();
    let said = String::from_utf8_lossy(&said);
    Err(Error::PythonEnvironment(said.trim().lines().next().unwrap_or_default().to_owned()))
}

async fn install(python: &Path, requirements: &Path) -> Result<(), Error> {
    let mut pip = Command::new(python);
    pip.args([
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--no-input",
        "--requirement",
    ])
    .arg(requirements)
    .stdin(Stdio::null())
    // Standard output is for results.
    .stdout(std::io::stderr());
    let status = match ProcessGroup::spawn(&mut pip) {
        Ok(mut pip) => pip.wait().await,
        Err(error) => Err(error),
    };
    if status.map_err(io("running pip"))?.success() { Ok(()) } else { Err(Error::PythonPackages) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_interpreter_that_does_not_work_is_skipped() {
        let found = find(["no-such-python", "false", "python3"].map(OsString::from).to_vec())
            .await
            .unwrap();
        assert_eq!(found, "python3");
    }

    #[tokio::test]
    async fn the_error_without_python_says_what_to_install() {
        let error = find(vec!["no-such-python".into()]).await.unwrap_err().to_string();
        assert!(error.starts_with("Python 3.10 or later is needed. Install it"), "{error}");
    }
}
