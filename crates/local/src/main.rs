//! `cargo local`: the embedded AWS at the command line.

mod commands;
mod output;

use std::process::ExitCode;

use clap::Parser;
use commands::Cli;
use local::Error;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    tokio::select! {
        // First, because a command may take an interruption for its regular end.
        biased;
        result = cli.run() => match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) if reader_left(&error) => ExitCode::SUCCESS,
            Err(error) => {
                output::say(format!("error: {error}"));
                ExitCode::FAILURE
            }
        },
        () = interrupted() => ExitCode::from(130),
    }
}

/// Whether standard output was closed, as `head` does when it has enough.
fn reader_left(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Waits for Ctrl-C, for the terminal to close or for somebody to end this process.
async fn interrupted() {
    let signals = [SignalKind::interrupt(), SignalKind::hangup(), SignalKind::terminate()].map(
        |kind| async move {
            match signal(kind) {
                Ok(mut signal) => signal.recv().await,
                // Then it ends the process at once.
                Err(_) => std::future::pending().await,
            };
        },
    );
    futures::future::select_all(signals.map(Box::pin)).await;
}
