//! `cargo ops`: finds, explains and repairs failures in a running stack, embedded or on AWS.

mod alarms;
mod checkup;
mod commands;
mod customers;
mod dead_letters;
mod diagnosis;
mod error;
mod incidents;
mod mappings;
mod output;
mod refunds;
mod retries;
mod sources;
mod timeline;
mod verdict;
mod words;

use std::process::ExitCode;

use clap::Parser;
use commands::Cli;
use error::Error;
use platform::cause::chain;
use verdict::Verdict;

/// The exit status when the check itself failed. Usage errors share it.
const CHECK_FAILED: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    match Cli::parse().run().await {
        Ok(Verdict::Healthy) | Err(Error::OutputClosed) => ExitCode::SUCCESS,
        Ok(Verdict::Unhealthy) => ExitCode::FAILURE,
        Err(error) => {
            output::message(format!("error: {}", chain(&error)));
            ExitCode::from(CHECK_FAILED)
        }
    }
}
