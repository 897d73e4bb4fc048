//! Deliberate faults, each of which must be caught.
//!
//! A fault is a patch that makes deployed code or the template worse. It is applied to a copy of
//! the workspace under `target/`, and what is built from that copy must fail: the simulation, or
//! the conformance tests where only a condition in the table protects. Third-party crates are
//! shared with the workspace itself.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use crate::campaign::Campaign;

/// What a copy of the workspace needs in order to build, besides its manifest.
const SOURCES: [&str; 6] = [".cargo", "Cargo.lock", "crates", "events", "template.yaml", "tests"];

/// What has to catch a group of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The simulation, with at most so many seeds.
    Simulation {
        /// The most seeds.
        seeds: u64,
    },
    /// The tests of real tables on the embedded AWS: `cargo test --test end_to_end conformance`.
    Conformance,
}

impl Proof {
    /// Where its patches are, from the root of the workspace.
    const fn patches(self) -> &'static str {
        match self {
            Self::Simulation { .. } => "crates/simulation/faults",
            Self::Conformance => "crates/simulation/faults/store",
        }
    }

    /// Its own code. When that changes, it may no longer catch any of its faults.
    const fn code(self) -> &'static [&'static str] {
        match self {
            Self::Simulation { .. } => &["crates/simulation/src/"],
            Self::Conformance => &["tests/conformance/", "tests/harness.rs"],
        }
    }
}

/// Which faults to try.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Only those whose name contains this.
    pub name: String,
    /// Only those whose patch, patched files or proof have changed since this Git revision.
    pub since: Option<String>,
}

/// The result of trying one fault.
#[derive(Debug)]
pub struct Trial {
    /// The patch's name.
    pub name: String,
    /// What the patch makes worse.
    pub title: String,
    /// How it was caught, unless it escaped.
    pub caught: Option<Catch>,
    /// The time that it took, including the build.
    pub elapsed: Duration,
}

/// How a fault was caught.
#[derive(Debug, PartialEq, Eq)]
pub enum Catch {
    /// By a violation in the simulation.
    Violation {
        /// The first rule that was violated, and how.
        what: String,
        /// How many runs it took.
        runs: u64,
    },
    /// By tests that failed.
    Tests(Vec<String>),
}

/// Tries the selected faults one after the other, and passes each result to `report`.
///
/// # Errors
/// When a patch does not apply, or what it leaves does not build.
pub fn try_all(proof: Proof, selection: &Selection, mut report: impl FnMut(&Trial)) -> Result<()> {
    let root = workspace();
    let copy = root.join("target/faults/workspace");
    let changed = selection.since.as_deref().map(|since| changed_since(&root, since));
    let changed = changed.transpose()?;
    for Patch { path, name, text } in patches(&root.join(proof.patches()))? {
        if !name.contains(&selection.name)
            || changed.as_ref().is_some_and(|changed| !concerns(changed, proof, &name, &text))
        {
            continue;
        }
        let start = Instant::now();
        copy_sources(&root, &copy)?;
        apply(&path, &copy)?;
        let caught = match proof {
            Proof::Simulation { seeds } => first_violation(&copy, &root, seeds),
            Proof::Conformance => failed_tests(&copy, &root),
        };
        let caught = caught.with_context(|| format!("trying {name}"))?;
        let title = title(&text).to_owned();
        report(&Trial { name, title, caught, elapsed: start.elapsed() });
    }
    Ok(())
}

struct Patch {
    path: PathBuf,
    name: String,
    text: String,
}

fn patches(folder: &Path) -> Result<Vec<Patch>> {
    let mut patches = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "patch") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let text =
                fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            patches.push(Patch { path, name, text });
        }
    }
    patches.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(patches)
}

/// The first line of a patch.
fn title(patch: &str) -> &str {
    patch.lines().next().unwrap_or_default()
}

/// Whether any of the changed files can make a difference to a fault.
fn concerns(changed: &BTreeSet<String>, proof: Proof, name: &str, patch: &str) -> bool {
    let is_patched = patch
        .lines()
        .filter_map(|line| line.strip_prefix("+++ b/"))
        .any(|file| changed.contains(file));
    let of_proof = |file: &String| proof.code().iter().any(|code| file.starts_with(code));
    is_patched
        || changed.contains(&format!("{}/{name}.patch", proof.patches()))
        || changed.iter().any(of_proof)
}

/// The files that differ from those of a revision, committed or not.
fn changed_since(root: &Path, since: &str) -> Result<BTreeSet<String>> {
    let mut git = Command::new("git");
    git.args(["diff", "--name-only", "--relative", "--end-of-options", since]).current_dir(root);
    let output = git.output().context("git diff")?;
    let reason = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cannot compare with {since}: {reason}");
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

fn workspace() -> PathBuf {
    let simulation = Path::new(env!("CARGO_MANIFEST_DIR"));
    simulation.ancestors().nth(2).unwrap_or(simulation).to_owned()
}

/// Makes the copy like the workspace. Files that are alike keep their time, so that cargo does not
/// build them again.
fn copy_sources(root: &Path, copy: &Path) -> Result<()> {
    fs::create_dir_all(copy)?;
    for source in SOURCES {
        mirror(&root.join(source), &copy.join(source))
            .with_context(|| format!("copying {source}"))?;
    }
    // The two workspaces share a build directory, in which cargo distinguishes packages by their
    // versions alone.
    let manifest = fs::read_to_string(root.join("Cargo.toml"))?;
    let version = concat!("version = \"", env!("CARGO_PKG_VERSION"), "\"\n");
    ensure!(
        manifest.contains(version),
        "Cargo.toml has another version than this program; build it again"
    );
    let manifest = manifest.replacen(version, "version = \"0.0.0-faulty\"\n", 1);
    write_if_changed(&copy.join("Cargo.toml"), manifest.as_bytes())
}

fn mirror(from: &Path, to: &Path) -> Result<()> {
    if from.is_file() {
        return write_if_changed(to, &fs::read(from)?);
    }
    fs::create_dir_all(to)?;
    let names = |dir: &Path| -> Result<BTreeSet<_>> {
        fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name())).collect()
    };
    let wanted = names(from)?;
    for name in names(to)?.difference(&wanted) {
        let stale = to.join(name);
        if stale.is_dir() { fs::remove_dir_all(stale)? } else { fs::remove_file(stale)? }
    }
    wanted.iter().try_for_each(|name| mirror(&from.join(name), &to.join(name)))
}

fn write_if_changed(path: &Path, text: &[u8]) -> Result<()> {
    if fs::read(path).ok().as_deref() != Some(text) {
        fs::write(path, text)?;
    }
    Ok(())
}

fn apply(patch: &Path, copy: &Path) -> Result<()> {
    let mut git = Command::new("git");
    git.arg("apply").arg(patch).current_dir(copy);
    // The copy is not part of the repository that it lies in.
    git.env("GIT_CEILING_DIRECTORIES", copy.parent().unwrap_or(copy));
    let output = git.output().context("git apply")?;
    let reason = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{} does not apply to the code as it is; make it again: {reason}",
        patch.display()
    );
    Ok(())
}

/// Cargo in the copy. It shares compiled dependencies with the workspace, and has its own binaries.
fn cargo(copy: &Path, root: &Path) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(copy)
        .env("CARGO_BUILD_BUILD_DIR", root.join("target"))
        .env("CARGO_TARGET_DIR", target(root));
    cargo
}

fn target(root: &Path) -> PathBuf {
    root.join("target/faults/target")
}

fn first_violation(copy: &Path, root: &Path, seeds: u64) -> Result<Option<Catch>> {
    let mut build = cargo(copy, root);
    build.args(["build", "--quiet", "--offline", "--bin", "simulation"]);
    // It is built once for each fault, and then runs for seconds.
    build.args(["--config", "profile.dev.package.simulation.opt-level=0"]);
    let output = build.output().context("cargo build")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let output = Command::new(target(root).join("debug/simulation"))
        .args(["--seeds", &seeds.to_string(), "--until-failure", "--json"])
        .output()
        .context("running the simulation")?;
    let Ok(campaign) = serde_json::from_slice::<Campaign>(&output.stdout) else {
        bail!("the simulation failed: {}", String::from_utf8_lossy(&output.stderr));
    };
    let first = campaign.failures.into_iter().next();
    Ok(first.map(|(seed, what)| Catch::Violation { what, runs: seed + 1 }))
}

fn failed_tests(copy: &Path, root: &Path) -> Result<Option<Catch>> {
    let mut test = cargo(copy, root);
    test.args(["test", "--offline", "--test", "end_to_end", "conformance::"]);
    let output = test.output().context("cargo test")?;
    let results = String::from_utf8_lossy(&output.stdout);
    let of_result = |result: &str| -> Vec<String> {
        let tests = results.lines().filter_map(|line| {
            line.strip_prefix("test conformance::")?.strip_suffix(result).map(str::to_owned)
        });
        tests.collect()
    };
    let is_stored = |test: &String| test.contains("::dynamodb::");
    ensure!(
        of_result(" ... ok").iter().any(is_stored),
        "no test of a table passed, so the failures prove nothing:\n{results}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut failed = of_result(" ... FAILED");
    failed.sort();
    Ok((!failed.is_empty()).then_some(Catch::Tests(failed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIMULATION: Proof = Proof::Simulation { seeds: 1 };

    #[test]
    fn the_readme_lists_every_fault_and_no_other() {
        let readme = include_str!("../README.md");
        let mut listed: Vec<_> = readme
            .lines()
            .skip_while(|line| !line.starts_with("| fault |"))
            .filter_map(|line| line.strip_prefix("| ")?.split(" | ").next())
            .filter(|cell| *cell != "fault")
            .map(str::to_owned)
            .collect();
        let mut titles: Vec<_> = [SIMULATION, Proof::Conformance]
            .into_iter()
            .flat_map(|proof| patches(&workspace().join(proof.patches())).unwrap())
            .map(|patch| title(&patch.text).to_owned())
            .collect();
        listed.sort();
        titles.sort();
        assert_eq!(listed, titles);
    }

    #[test]
    fn a_fault_depends_on_its_patch_the_patched_files_and_its_proof() {
        let patch = "A title\n\n--- a/crates/shop/src/lib.rs\n+++ b/crates/shop/src/lib.rs\n";
        let concerned = |file: &str| concerns(&[file.to_owned()].into(), SIMULATION, "name", patch);
        assert!(concerned("crates/shop/src/lib.rs"));
        assert!(concerned("crates/simulation/faults/name.patch"));
        assert!(concerned("crates/simulation/src/world.rs"));
        assert!(!concerned("crates/shop/src/money.rs"));
        assert!(!concerned("crates/simulation/faults/other.patch"));
    }
}
