//! `cargo ops`: sees, explains and repairs what went wrong in a running stack, local or on AWS.

mod commands;
mod dead_letters;
mod deployment;
mod error;
mod ledger;
mod logs;
mod output;
mod reconciliation;
mod tables;
mod timeline;

use std::process::ExitCode;

use clap::Parser;
use commands::{Cli, Verdict};
use error::Error;

/// The exit status of a command that could not tell, as of a command line that is none.
const COULD_NOT_TELL: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    match Cli::parse().run().await {
        Ok(Verdict::AllIsWell) => ExitCode::SUCCESS,
        Ok(Verdict::SomethingIsWrong) => ExitCode::FAILURE,
        Err(Error::ReaderLeft) => ExitCode::SUCCESS,
        Err(error) => {
            output::say(format!("error: {error}"));
            ExitCode::from(COULD_NOT_TELL)
        }
    }
}
