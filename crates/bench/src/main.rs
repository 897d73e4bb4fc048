//! `cargo measure`: what a call of each function costs, cold and warm, at the CPU share of a memory
//! size.

mod aws;
mod call_counter;
mod cpu_share;
mod environment;
mod fixtures;
mod measurement;
mod report;
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
use stack::workspace;

use crate::{
    aws::Aws,
    call_counter::CallCounter,
    cpu_share::CpuShare,
    fixtures::Fixtures,
    measurement::{Effort, Measurement, Subject},
    report::Conditions,
    workload::{FUNCTIONS, Function, Workload},
};

/// A function that does nothing, for comparison.
const FLOOR: &str = "floor";

/// Measures functions and one that does nothing, the floor, and prints a table.
///
/// The functions run as on Lambda: at full CPU until they are ready, then at the share of a memory
/// size, which requires root and control groups. They call the embedded AWS over TLS. There is no
/// pause between calls, so the slowest calls are those that wait for the CPU share of the next
/// period. Measure on an idle machine: under load, everything costs several times as much.
#[derive(Parser)]
#[command(name = "cargo measure", bin_name = "cargo measure")]
struct Arguments {
    /// Functions to measure [default: all]
    #[arg(value_parser = PossibleValuesParser::new(names().chain([FLOOR])))]
    functions: Vec<String>,
    /// Memory size in MB whose CPU share the functions get
    #[arg(long, default_value_t = 128)]
    memory: u64,
    /// Processes to start of each function
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    spawns: u32,
    /// Warm calls of each process
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    calls: u32,
    /// Directory of the binaries, such as `.aws-sam/build` [default: build them with cargo]
    #[arg(long, value_name = "DIR")]
    binaries: Option<PathBuf>,
}

fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().map(|function| function.name)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let report = tokio::select! {
        report = run(&arguments) => report?,
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
    };
    writeln!(std::io::stdout(), "{report}").context("writing the report")
}

/// Measures everything, and returns the report.
async fn run(arguments: &Arguments) -> Result<String> {
    let directory = workspace::target().join("bench");
    fs::create_dir_all(&directory).with_context(|| format!("creating {}", directory.display()))?;
    let named = &arguments.functions;
    let functions: Vec<&Function> = FUNCTIONS
        .iter()
        .filter(|function| named.is_empty() || named.iter().any(|name| name == function.name))
        .collect();
    let binaries = match &arguments.binaries {
        Some(binaries) => binaries.clone(),
        None => build(functions.iter().map(|function| function.name).chain([FLOOR]).collect())?,
    };

    let effort = Effort { spawns: arguments.spawns, calls: arguments.calls };
    let share = CpuShare::of(arguments.memory);
    let mut measurements =
        vec![measure_floor(effort, share.as_ref().ok(), &binaries, &directory).await?];
    if !functions.is_empty() {
        let share = share.as_ref().ok();
        measurements
            .extend(measure_functions(&functions, effort, share, &binaries, &directory).await?);
    }
    let cpu = match share {
        Ok(_) => format!("limited to the share of {} MB", arguments.memory),
        Err(error) => format!("NOT LIMITED, because no control group can be created ({error})"),
    };
    let binaries = match &arguments.binaries {
        Some(directory) => format!("from {}", directory.display()),
        None => "release profile".to_owned(),
    };
    let conditions = Conditions { cpu, binaries, effort };
    Ok(format!("{conditions}\n\n{}", report::table(&measurements)))
}

async fn measure_floor(
    effort: Effort,
    share: Option<&CpuShare>,
    binaries: &Path,
    directory: &Path,
) -> Result<Measurement> {
    progress(FLOOR);
    // `sam build` does not build the floor.
    let path = match binary(binaries, FLOOR, FLOOR) {
        Ok(path) => path,
        Err(_) => binary(&build(vec![FLOOR])?, FLOOR, FLOOR)?,
    };
    let subject = Subject {
        name: FLOOR,
        binary: path,
        log: log(directory, FLOOR),
        workload: None,
        settings: Vec::new(),
    };
    subject.measure(effort, share, None).await
}

async fn measure_functions(
    functions: &[&Function],
    effort: Effort,
    share: Option<&CpuShare>,
    binaries: &Path,
    directory: &Path,
) -> Result<Vec<Measurement>> {
    let emulator = EmulatorOptions {
        progress: Progress::Shown,
        ..EmulatorOptions::new(directory, Purpose::Measurement)
    };
    let aws = Aws::new(Emulator::start(&emulator).await?);
    let root = workspace::root();
    let fixtures = Fixtures::create(aws, &root.join("crates/local/demo/shops.json")).await?;
    let counter = CallCounter::start(fixtures.aws().endpoint(), fixtures.aws().client()).await?;
    let mut measurements = Vec::new();
    for function in functions {
        progress(function.name);
        let log = log(directory, function.name);
        let subject = Subject {
            name: function.name,
            binary: binary(binaries, function.name, function.logical_id)?,
            log: log.clone(),
            workload: Some(Workload::of(function, &root.join("events"), &fixtures)?),
            settings: fixtures.settings().to_vec(),
        };
        let measured = subject.measure(effort, share, Some(&counter)).await;
        measurements.push(measured.with_context(|| format!("see {}", log.display()))?);
    }
    Ok(measurements)
}

/// Builds binaries in the release profile, which is also that of `sam build`. Returns their
/// directory.
fn build(names: Vec<&str>) -> Result<PathBuf> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["build", "--release"])
        .args(names.iter().flat_map(|name| ["--bin", name]))
        .current_dir(workspace::root());
    ensure!(
        cargo.status().context("running cargo")?.success(),
        "the build failed: see the messages above"
    );
    Ok(workspace::target().join("release"))
}

/// The path of a function's binary, as cargo or `sam build` names it.
fn binary(directory: &Path, name: &str, logical_id: &str) -> Result<PathBuf> {
    let paths = [directory.join(name), directory.join(logical_id).join("bootstrap")];
    let found = paths.into_iter().find(|path| path.is_file());
    found.with_context(|| {
        format!(
            "{} has neither {name} nor {logical_id}/bootstrap: build the functions, or omit \
             --binaries",
            directory.display()
        )
    })
}

fn log(directory: &Path, name: &str) -> PathBuf {
    directory.join(name).with_extension("log")
}

fn progress(name: &str) {
    // A failure cannot be reported anywhere.
    let _ = writeln!(std::io::stderr(), "measuring {name}");
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn at_least_one_call_of_one_process_is_measured() {
        assert!(Arguments::try_parse_from(["measure", "--spawns", "0"]).is_err());
        assert!(Arguments::try_parse_from(["measure", "--calls", "0"]).is_err());
        assert!(Arguments::try_parse_from(["measure", "floor", "--calls", "1"]).is_ok());
    }
}
