//! Measures the functions: what a call costs, cold and warm, at the CPU share of a memory size.

mod aws;
mod call_counter;
mod cpu_share;
mod environment;
mod fixtures;
mod measurement;
mod runtime_api;
mod statistics;
mod workload;

use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, builder::PossibleValuesParser};
use local::{Emulator, EmulatorOptions, Progress, Purpose};

use crate::{
    aws::Aws,
    call_counter::CallCounter,
    cpu_share::CpuShare,
    fixtures::Fixtures,
    measurement::{Effort, Subject, table},
    workload::{FUNCTIONS, Workload},
};

/// A function that does nothing, beside which the others are measured.
const FLOOR: &str = "floor";

/// Measures functions beside one that does nothing, the floor, and prints a table.
///
/// They run as on Lambda: at full CPU until they are ready, then at the share of a memory size,
/// which takes root and control groups. They call the embedded AWS over TLS. Calls follow each
/// other without a pause, so the slowest are those that wait for the next period's share. Measure
/// on an idle machine: under load everything costs a multiple.
#[derive(Parser)]
#[command(name = "cargo measure")]
struct Arguments {
    /// What to measure; all functions when nothing is named.
    #[arg(value_parser = PossibleValuesParser::new(FUNCTIONS.iter().map(|function| function.name).chain([FLOOR])))]
    functions: Vec<String>,
    /// Memory size whose share of a core the functions get, in MB.
    #[arg(long, default_value_t = 128)]
    memory: u64,
    /// Processes to start of each function.
    #[arg(long, default_value_t = 20)]
    spawns: usize,
    /// Warm calls of each process.
    #[arg(long, default_value_t = 100)]
    calls: usize,
    /// Where the binaries are, such as `.aws-sam/build`; without it, cargo builds them.
    #[arg(long)]
    binaries: Option<PathBuf>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    tokio::select! {
        measured = measure(&arguments) => measured,
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
    }
}

async fn measure(arguments: &Arguments) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = root.join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()));
    let directory = target.join("bench");
    fs::create_dir_all(&directory).with_context(|| format!("creating {}", directory.display()))?;

    let named = &arguments.functions;
    let functions: Vec<_> = FUNCTIONS
        .iter()
        .filter(|function| named.is_empty() || named.iter().any(|name| name == function.name))
        .collect();
    let build = |names: Vec<&str>| build(&root, &target, &names);
    let binaries = match &arguments.binaries {
        Some(binaries) => binaries.clone(),
        None => build(functions.iter().map(|function| function.name).chain([FLOOR]).collect())?,
    };
    // SAM does not build it.
    let floor =
        binary(&binaries, FLOOR, FLOOR).or_else(|_| binary(&build(vec![FLOOR])?, FLOOR, FLOOR))?;

    let effort = Effort { spawns: arguments.spawns, calls: arguments.calls };
    let share = CpuShare::of(arguments.memory);
    let log = |name| directory.join(name).with_extension("log");

    progress(FLOOR);
    let floor = Subject {
        name: FLOOR,
        binary: floor,
        log: log(FLOOR),
        workload: None,
        settings: Vec::new(),
    };
    let mut measurements = vec![floor.measure(effort, share.as_ref().ok(), None).await?];

    if !functions.is_empty() {
        let emulator = EmulatorOptions {
            progress: Progress::Shown,
            ..EmulatorOptions::new(&directory, Purpose::Measurement)
        };
        let aws = Aws::new(Emulator::start(&emulator).await?);
        let fixtures = Fixtures::create(aws, &root.join("crates/local/demo/shops.json")).await?;
        let counter =
            CallCounter::start(fixtures.aws().endpoint(), fixtures.aws().client()).await?;
        for function in functions {
            progress(function.name);
            let subject = Subject {
                name: function.name,
                binary: binary(&binaries, function.name, function.logical_id)?,
                log: log(function.name),
                workload: Some(Workload::of(function, &root.join("events"), &fixtures)?),
                settings: fixtures.settings().to_vec(),
            };
            let measured = subject.measure(effort, share.as_ref().ok(), Some(&counter)).await;
            measurements
                .push(measured.with_context(|| format!("see {}", log(function.name).display()))?);
        }
    }

    let cpu = match share {
        Ok(_) => format!("CPU held to the share of {} MB", arguments.memory),
        Err(error) => format!("CPU NOT HELD, since control groups cannot be made here ({error})"),
    };
    let Effort { spawns, calls } = effort;
    let caption = format!("{cpu}. Medians of {spawns} processes; warm: {calls} calls of each.");
    writeln!(std::io::stdout(), "{caption}\n\n{}", table(&measurements))?;
    Ok(())
}

/// Builds binaries as `sam build` does, which is the release profile, and tells where they are.
fn build(root: &Path, target: &Path, names: &[&str]) -> Result<PathBuf> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["build", "--release"])
        .args(names.iter().flat_map(|name| ["--bin", name]))
        .current_dir(root);
    ensure!(
        cargo.status().context("running cargo")?.success(),
        "the build failed: see the messages above"
    );
    Ok(target.join("release"))
}

/// A function's binary, where cargo puts it or where `sam build` does.
fn binary(directory: &Path, name: &str, logical_id: &str) -> Result<PathBuf> {
    let places = [directory.join(name), directory.join(logical_id).join("bootstrap")];
    let found = places.into_iter().find(|path| path.is_file());
    found.with_context(|| {
        format!("neither {name} nor {logical_id}/bootstrap is in {}", directory.display())
    })
}

fn progress(name: &str) {
    // Nobody reads it if it cannot be written.
    let _ = writeln!(std::io::stderr(), "measuring {name}");
}
