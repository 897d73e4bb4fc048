//! `cargo local`: the embedded AWS on the command line.

mod commands;
mod output;
mod signals;

use std::process::ExitCode;

use clap::Parser;
use commands::Cli;
use local::Error;

/// The exit status after Ctrl-C, as shells define it.
const INTERRUPTED: u8 = 130;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    tokio::select! {
        // The command first, because some commands regularly end by an interruption.
        biased;
        result = cli.run() => match result {
            Ok(status) => status,
            Err(error) if output_closed(&error) => ExitCode::SUCCESS,
            Err(error) => {
                output::message(format!("error: {error}"));
                ExitCode::FAILURE
            }
        },
        () = signals::interrupted() => ExitCode::from(INTERRUPTED),
    }
}

/// Whether standard output was closed, as `head` does when it has enough.
fn output_closed(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == std::io::ErrorKind::BrokenPipe)
}
