//! Deliberate faults, and whether the simulation notices them.
//!
//! Each patch in `faults/` makes the code worse. It is applied to a copy of the workspace under
//! `target/`, the simulation is built from that copy, and runs until a rule breaks. Third-party
//! crates are shared with the workspace itself.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};

use crate::campaign::Campaign;

/// What a copy of the workspace needs in order to build, beside its manifest.
const SOURCES: [&str; 5] = [".cargo", "Cargo.lock", "crates", "template.yaml", "tests"];

/// A fault that was put into the code, and what the simulation made of it.
#[derive(Debug)]
pub struct Trial {
    /// The patch's name.
    pub name: String,
    /// What the patch makes worse.
    pub title: String,
    /// The first seed that fails, and what broke; none when no seed did.
    pub caught: Option<(u64, String)>,
}

/// Tries all patches whose name contains `filter`, with at most so many seeds each.
///
/// # Errors
/// When a patch no longer applies, or what it leaves does not build.
pub fn try_all(filter: &str, seeds: u64, mut tried: impl FnMut(&Trial)) -> Result<()> {
    let root = workspace();
    let copy = root.join("target/faults/workspace");
    let mut patches: Vec<_> = fs::read_dir(root.join("crates/simulation/faults"))
        .context("reading the patches")?
        .map(|entry| Ok(entry?.path()))
        .filter(|path| {
            path.as_ref()
                .is_ok_and(|path| path.extension().is_some_and(|extension| extension == "patch"))
        })
        .collect::<Result<_>>()?;
    patches.sort();
    for patch in patches {
        let name = patch.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if !name.contains(filter) {
            continue;
        }
        let text =
            fs::read_to_string(&patch).with_context(|| format!("reading {}", patch.display()))?;
        let title = text.lines().next().unwrap_or_default().to_owned();
        copy_sources(&root, &copy)?;
        apply(&patch, &copy)?;
        let program = build(&copy, &root).with_context(|| format!("building with {name}"))?;
        let caught =
            first_failure(&program, seeds).with_context(|| format!("running with {name}"))?;
        tried(&Trial { name, title, caught });
    }
    Ok(())
}

fn workspace() -> PathBuf {
    let simulation = Path::new(env!("CARGO_MANIFEST_DIR"));
    simulation.ancestors().nth(2).unwrap_or(simulation).to_owned()
}

/// Makes the copy like the workspace. What is alike already keeps its time, so that cargo does not
/// build it again.
fn copy_sources(root: &Path, copy: &Path) -> Result<()> {
    fs::create_dir_all(copy)?;
    for source in SOURCES {
        mirror(&root.join(source), &copy.join(source))
            .with_context(|| format!("copying {source}"))?;
    }
    // Cargo tells packages of two workspaces apart by their versions alone, and the two share what
    // is compiled.
    let manifest = fs::read_to_string(root.join("Cargo.toml"))?;
    let version = concat!("version = \"", env!("CARGO_PKG_VERSION"), "\"\n");
    ensure!(
        manifest.contains(version),
        "Cargo.toml does not set the version that this was built with"
    );
    fs::write(
        copy.join("Cargo.toml"),
        manifest.replacen(version, "version = \"0.0.0-faulty\"\n", 1),
    )?;
    Ok(())
}

fn mirror(from: &Path, to: &Path) -> Result<()> {
    if from.is_file() {
        let text = fs::read(from)?;
        if fs::read(to).ok().as_ref() != Some(&text) {
            fs::write(to, text)?;
        }
        return Ok(());
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

fn apply(patch: &Path, copy: &Path) -> Result<()> {
    let mut git = Command::new("git");
    git.arg("apply").arg(patch).current_dir(copy);
    // The copy is not part of the repository that it lies in.
    git.env("GIT_CEILING_DIRECTORIES", copy.parent().unwrap_or(copy));
    let output = git.output().context("git apply")?;
    let reason = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{} no longer applies; make it anew: {reason}",
        patch.display()
    );
    Ok(())
}

fn build(copy: &Path, root: &Path) -> Result<PathBuf> {
    let target = root.join("target/faults/target");
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["build", "--quiet", "--offline", "--bin", "simulation", "--target-dir"])
        .arg(&target)
        .current_dir(copy);
    // Shares what is compiled already, and keeps its programs to itself.
    cargo.env("CARGO_BUILD_BUILD_DIR", root.join("target"));
    // It is built once for each fault, and then runs for seconds.
    cargo.args(["--config", "profile.dev.package.simulation.opt-level=0"]);
    let output = cargo.output().context("cargo build")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(target.join("debug/simulation"))
}

fn first_failure(program: &Path, seeds: u64) -> Result<Option<(u64, String)>> {
    let output = Command::new(program)
        .args(["--seeds", &seeds.to_string(), "--until-failure", "--json"])
        .output()?;
    let Ok(campaign) = serde_json::from_slice::<Campaign>(&output.stdout) else {
        bail!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    };
    Ok(campaign.failures.into_iter().next())
}
