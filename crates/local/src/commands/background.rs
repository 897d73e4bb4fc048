//! A host in a background process.
//!
//! The process starts the host and prints the result as one line of JSON. It ends with its parent,
//! unless the parent asks it to stay.

use std::{
    fs::{self, File},
    io::{BufRead, stdin},
    process::Stdio,
};

use local::{Address, Error, Host, Options, host_log};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, Command},
    sync::oneshot,
};

use crate::output;

/// The line that asks the process to outlive its parent.
const STAY: &str = "stay\n";

/// The process, as its parent sees it.
pub(super) struct Background {
    process: Child,
    address: Address,
}

impl Background {
    pub(super) async fn start(options: &Options) -> Result<Self, Error> {
        let step = options.progress.step();
        fs::create_dir_all(&options.state_dir).map_err(io("creating the state directory"))?;
        let log_path = host_log(&options.state_dir);
        let log =
            File::create(&log_path).map_err(io("creating the log of the background process"))?;
        let mut process =
            Command::new(std::env::current_exe().map_err(io("finding this program"))?)
                .arg("host")
                .arg("--state-dir")
                .arg(&options.state_dir)
                .args(["--bind", &options.bind.to_string()])
                .args([
                    "--port",
                    &options.port.to_string(),
                    "--sandbox-port",
                    &options.sandbox_port.to_string(),
                ])
                // So that Ctrl-C in the terminal does not reach it.
                .process_group(0)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(log)
                .spawn()
                .map_err(io("starting the background process"))?;

        let mut answer = String::new();
        if let Some(output) = process.stdout.take() {
            BufReader::new(output)
                .read_line(&mut answer)
                .await
                .map_err(io("reading from the background process"))?;
        }
        match serde_json::from_str::<Result<Address, String>>(&answer) {
            Ok(Ok(address)) => {
                step.done(&address.to_string());
                Ok(Self { process, address })
            }
            Ok(Err(error)) => Err(Error::Host(error)),
            Err(_) => Err(Error::Host(format!(
                "the background process ended before it was ready: see {}",
                log_path.display()
            ))),
        }
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Lets it outlive this process.
    pub(super) async fn stay(mut self) -> Result<(), Error> {
        match self.process.stdin.take() {
            Some(mut leash) => leash
                .write_all(STAY.as_bytes())
                .await
                .map_err(io("writing to the background process")),
            None => Ok(()),
        }
    }

    /// Ends it and waits until it is gone.
    pub(super) async fn end(mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait().await;
    }
}

fn io(doing: &'static str) -> impl FnOnce(std::io::Error) -> Error {
    move |source| Error::Io { doing: doing.to_owned(), source }
}

/// Runs the process itself.
pub(super) async fn run(options: &Options) -> Result<(), Error> {
    tokio::select! {
        result = host(options) => result,
        () = abandoned() => Ok(()),
    }
}

async fn host(options: &Options) -> Result<(), Error> {
    let started = Host::start(options).await;
    let answer: Result<&Address, String> =
        started.as_ref().map(Host::address).map_err(ToString::to_string);
    output::line(serde_json::json!(answer))?;
    Err(started?.failure().await)
}

/// Waits until the parent ends without having asked this process to stay.
async fn abandoned() {
    let (gone, abandoned) = oneshot::channel::<()>();
    // A thread, because the runtime waits for its blocking tasks before it ends.
    std::thread::spawn(move || {
        let mut word = String::new();
        if stdin().lock().read_line(&mut word).is_ok() && word == STAY {
            std::mem::forget(gone);
        }
    });
    let _ = abandoned.await;
}
