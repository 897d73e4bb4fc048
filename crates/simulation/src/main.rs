//! `cargo simulate`: the simulation at the command line.

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use simulation::{
    campaign::{Campaign, Extent},
    run::{Telling, run},
};

/// Runs the whole system under every kind of bad luck, and checks that nothing is lost, charged twice or sold twice.
#[derive(Debug, Parser)]
#[command(name = "simulate", bin_name = "cargo simulate")]
struct Cli {
    /// How many runs.
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, value_name = "S", default_value_t = 0)]
    first: u64,
    /// Goes on for so many minutes instead.
    #[arg(long = "for", value_name = "MINUTES", conflicts_with = "seeds")]
    minutes: Option<u64>,
    /// Runs this seed alone.
    #[arg(long, value_name = "S", conflicts_with_all = ["seeds", "first", "minutes"])]
    seed: Option<u64>,
    /// Tells what happens.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Stops at the first failure.
    #[arg(long)]
    until_failure: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(seed) = cli.seed {
        return alone(seed, cli.trace);
    }
    let campaign = Campaign::run(Extent {
        first: cli.first,
        runs: if cli.minutes.is_some() { u64::MAX } else { cli.seeds },
        time: cli.minutes.map(|minutes| Duration::from_secs(60 * minutes)),
        until_failure: cli.until_failure,
    });
    for (seed, failure) in &campaign.failures {
        say(&format!("seed {seed}: {failure}\n  cargo simulate --seed {seed} --trace"));
    }
    let seconds = campaign.elapsed.as_secs_f64();
    let rate = campaign.runs as f64 / seconds;
    say(&format!(
        "{} runs, {} distinct schedules, {} steps in {seconds:.1} s ({rate:.0} runs a second); {} failed",
        campaign.runs,
        campaign.schedules,
        campaign.steps,
        campaign.failures.len(),
    ));
    if campaign.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn alone(seed: u64, trace: bool) -> ExitCode {
    if trace {
        tracing_subscriber::fmt().without_time().with_target(false).with_ansi(false).init();
    }
    let outcome = run(seed, if trace { Telling::Aloud } else { Telling::Silent });
    match &outcome.broken {
        None => say(&format!("seed {seed}: all rules hold after {} steps", outcome.steps)),
        Some(broken) => say(&format!("seed {seed}: {broken}")),
    }
    if outcome.broken.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Who has stopped reading wants no more of it.
fn say(line: &str) {
    writeln!(io::stdout(), "{line}").ok();
}
