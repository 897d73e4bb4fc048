//! `cargo simulate`: the simulation on the command line.

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use jiff::SignedDuration;
use simulation::{
    alarms::{self, LIMIT, Outcome, SCENARIOS},
    campaign::{Campaign, Extent},
    fault::{self, Catch, Proof, Selection, Trial},
    outages::{LENGTHS, Scenario, Waits, waits},
    run::{Verbosity, run},
};

/// Runs the whole system under every kind of misfortune, and checks that nothing is lost, charged
/// twice or sold twice.
#[derive(Debug, Parser)]
#[command(name = "simulate", bin_name = "cargo simulate")]
struct Cli {
    /// How many seeds to run
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    seeds: u64,
    /// The first seed
    #[arg(long, value_name = "S", default_value_t = 0)]
    first: u64,
    /// Run for this long instead, such as 90s, 30m or 1h
    #[arg(long = "for", value_name = "TIME", conflicts_with = "seeds", value_parser = time)]
    time: Option<Duration>,
    /// Run this seed alone
    #[arg(long, value_name = "S", conflicts_with_all = ["seeds", "first", "time"])]
    seed: Option<u64>,
    /// Print every step of the seed, with the functions' own log lines
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Stop at the first failure
    #[arg(long)]
    until_failure: bool,
    /// Put each deliberate fault into a copy of the code, and show how many runs it takes to catch
    /// it. With a name, only faults whose name contains it
    #[arg(
        long,
        value_name = "NAME",
        num_args = 0..=1,
        default_missing_value = "",
        conflicts_with_all = ["first", "time", "seed"]
    )]
    faults: Option<String>,
    /// Put each fault of a table's conditions into a copy of the code, and show which conformance
    /// tests catch it on the embedded AWS. With a name, only faults whose name contains it
    #[arg(
        long,
        value_name = "NAME",
        num_args = 0..=1,
        default_missing_value = "",
        conflicts_with_all = ["faults", "seeds", "first", "time", "seed"]
    )]
    store_faults: Option<String>,
    /// Show how long orders wait after outages of different lengths
    #[arg(long, conflicts_with_all = ["faults", "store_faults", "first", "seeds", "time", "seed"])]
    outages: bool,
    /// Let each alarm of the template be fired by the fault that it is for, and show how soon.
    /// With a name, only alarms whose name contains it
    #[arg(
        long,
        value_name = "NAME",
        num_args = 0..=1,
        default_missing_value = "",
        conflicts_with_all = ["faults", "store_faults", "outages", "first", "seeds", "time", "seed"]
    )]
    alarms: Option<String>,
    /// With --faults or --store-faults: only faults whose patch, patched files or proof have
    /// changed since this Git revision
    #[arg(long, value_name = "REVISION")]
    since: Option<String>,
    /// Print the figures as JSON
    #[arg(long, conflicts_with_all = ["faults", "store_faults", "seed"])]
    json: bool,
}

fn time(text: &str) -> Result<Duration, jiff::Error> {
    text.parse::<SignedDuration>()?.try_into()
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(seed) = cli.seed {
        return run_one(seed, cli.trace);
    }
    if let Some(name) = cli.faults {
        let seeds = Proof::Simulation { seeds: cli.seeds };
        return try_faults(seeds, &Selection { name, since: cli.since });
    }
    if let Some(name) = cli.store_faults {
        return try_faults(Proof::Conformance, &Selection { name, since: cli.since });
    }
    if let Some(name) = cli.alarms {
        return fire_alarms(&name);
    }
    if cli.outages {
        print_outages();
        return ExitCode::SUCCESS;
    }
    let campaign = Campaign::run(Extent {
        first: cli.first,
        runs: if cli.time.is_some() { u64::MAX } else { cli.seeds },
        time: cli.time,
        until_failure: cli.until_failure,
    });
    if cli.json {
        print(&serde_json::to_string(&campaign).expect("figures and texts"));
    } else {
        print_campaign(&campaign);
    }
    if campaign.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print_outages() {
    print(
        "| what is down, and the wait | outage | mean wait | longest wait | the last after its end \
         |\n|---|---|---|---|---|",
    );
    for scenario in Scenario::ALL {
        for length in LENGTHS {
            let Waits { mean, longest, after_end, lost, .. } = waits(scenario, length);
            let lost = if lost == 0 { String::new() } else { format!("; {lost} % never") };
            print(&format!(
                "| {scenario} | {} s | {} s | {} s{lost} | {} s |",
                length.as_secs(),
                mean.as_secs(),
                longest.as_secs(),
                after_end.as_secs()
            ));
        }
    }
}

/// Prints a table of alarms. Fails if one of them is not fired in time, or does not end.
fn fire_alarms(name: &str) -> ExitCode {
    print(
        "| alarm | fault | until its first sign | from there to the alarm \
         | from the fault to the page | from its end until it is over |\n|---|---|---|---|---|---|",
    );
    let seconds = |time: Option<SignedDuration>| {
        time.map_or("**never**".to_owned(), |time| format!("{} s", time.as_secs()))
    };
    let mut failed = false;
    for scenario in SCENARIOS.iter().filter(|scenario| scenario.alarm.contains(name)) {
        let Outcome { noticed, over, pages, .. } = alarms::play(scenario);
        failed |= noticed.is_none_or(|noticed| noticed > LIMIT) || over.is_none();
        let pages: Vec<_> =
            pages.iter().map(|(page, after)| format!("{page} {} s", after.as_secs())).collect();
        print(&format!(
            "| {} | {}{} | {} s | {} | {} | {} |",
            scenario.alarm,
            scenario.title,
            if scenario.is_fed { " (fed)" } else { "" },
            scenario.sign.as_secs(),
            seconds(noticed),
            pages.join(", "),
            seconds(over),
        ));
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn print_campaign(campaign: &Campaign) {
    for (seed, failure) in &campaign.failures {
        print(&format!("seed {seed}: {failure}\n  cargo simulate --seed {seed} --trace"));
    }
    let seconds = campaign.elapsed.as_secs_f64();
    let rate = campaign.runs as f64 / seconds;
    print(&format!(
        "{} runs, {} distinct schedules, {} steps in {seconds:.1} s ({rate:.0} runs per second); \
         {} failed",
        campaign.runs,
        campaign.schedules,
        campaign.steps,
        campaign.failures.len(),
    ));
    let ends: Vec<_> =
        campaign.ends.iter().map(|(end, orders)| format!("{orders} {end}")).collect();
    print(&format!("orders and payments: {}", ends.join(", ")));
}

/// Prints a table of faults to standard output, and the time that each took to standard error.
fn try_faults(proof: Proof, selection: &Selection) -> ExitCode {
    let mut escaped = 0;
    print(match proof {
        Proof::Simulation { .. } => "| fault | what breaks | runs until then |\n|---|---|---|",
        Proof::Conformance => "| fault | conformance tests that fail |\n|---|---|",
    });
    let tried = fault::try_all(proof, selection, |Trial { name, title, caught, elapsed }| {
        print(&match caught {
            Some(Catch::Violation { what, runs }) => format!("| {title} | {what} | {runs} |"),
            Some(Catch::Tests(tests)) => format!("| {title} | `{}` |", tests.join("`, `")),
            None => {
                escaped += 1;
                format!("| {title} | **nothing** |")
            }
        });
        eprintln!("{name}: {:.0} s", elapsed.as_secs_f64());
    });
    match tried {
        Ok(()) if escaped == 0 => ExitCode::SUCCESS,
        Ok(()) => {
            eprintln!("{escaped} faults were not caught: close the gap in the rules or the luck");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run_one(seed: u64, trace: bool) -> ExitCode {
    if trace {
        tracing_subscriber::fmt().without_time().with_target(false).with_ansi(false).init();
    }
    let outcome = run(seed, if trace { Verbosity::Trace } else { Verbosity::Silent });
    match &outcome.violation {
        None => {
            print(&format!("seed {seed}: all rules hold after {} steps", outcome.steps));
            ExitCode::SUCCESS
        }
        Some(violation) => {
            print(&format!("seed {seed}: {violation}"));
            ExitCode::FAILURE
        }
    }
}

/// Prints a line. A reader that closed the pipe, such as `head`, has seen enough.
fn print(line: &str) {
    writeln!(io::stdout(), "{line}").ok();
}
