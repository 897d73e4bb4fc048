//! `cargo simulate`: the simulation at the command line.

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use jiff::SignedDuration;
use simulation::{
    campaign::{Campaign, Extent},
    fault::{self, Trial},
    run::{Telling, run},
};

/// Runs the whole system under every kind of bad luck, and checks that nothing is lost, charged
/// twice or sold twice.
#[derive(Debug, Parser)]
#[command(name = "simulate", bin_name = "cargo simulate")]
struct Cli {
    /// How many runs.
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, value_name = "S", default_value_t = 0)]
    first: u64,
    /// Goes on for so long instead, such as 90s, 30m or 1h.
    #[arg(long = "for", value_name = "TIME", conflicts_with = "seeds", value_parser = time)]
    time: Option<Duration>,
    /// Runs this seed alone.
    #[arg(long, value_name = "S", conflicts_with_all = ["seeds", "first", "time"])]
    seed: Option<u64>,
    /// Tells what happens.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Stops at the first failure.
    #[arg(long)]
    until_failure: bool,
    /// Puts one deliberate fault after the other into a copy of the code, and shows how many runs
    /// it takes to notice each. With a name, only those that contain it.
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "", conflicts_with_all = ["first", "time", "seed"])]
    faults: Option<String>,
    /// Prints the figures as JSON.
    #[arg(long, conflicts_with_all = ["faults", "seed"])]
    json: bool,
}

fn time(text: &str) -> Result<Duration, jiff::Error> {
    text.parse::<SignedDuration>()?.try_into()
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(seed) = cli.seed {
        return alone(seed, cli.trace);
    }
    if let Some(filter) = &cli.faults {
        return faults(filter, cli.seeds);
    }
    let campaign = Campaign::run(Extent {
        first: cli.first,
        runs: if cli.time.is_some() { u64::MAX } else { cli.seeds },
        time: cli.time,
        until_failure: cli.until_failure,
    });
    let passed = if campaign.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    if cli.json {
        say(&serde_json::to_string(&campaign).expect("figures and texts"));
        return passed;
    }
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
    let ends: Vec<_> =
        campaign.ends.iter().map(|(end, orders)| format!("{orders} {end}")).collect();
    say(&format!("orders and payments: {}", ends.join(", ")));
    passed
}

fn faults(filter: &str, seeds: u64) -> ExitCode {
    let mut escaped = 0;
    say("| fault | what breaks | runs until then |\n|---|---|---|");
    let all = fault::try_all(filter, seeds, |Trial { title, caught, .. }| match caught {
        Some((seed, what)) => say(&format!("| {title} | {what} | {} |", seed + 1)),
        None => {
            escaped += 1;
            say(&format!("| {title} | **nothing** | {seeds} |"));
        }
    });
    match all {
        Ok(()) if escaped == 0 => ExitCode::SUCCESS,
        Ok(()) => {
            say(&format!("{escaped} escaped: close the hole in the simulation"));
            ExitCode::FAILURE
        }
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
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
