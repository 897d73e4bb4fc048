//! The emulator process.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr},
    path::{self, Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    net::TcpListener,
    process::{ChildStdin, Command},
    time::Instant,
};

use crate::{
    Error, authorizations, aws::REGION, error::io, http, process::ProcessGroup, workspace,
};

/// A cold start on a busy machine takes a few seconds.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// The functions get a second or two to end; see `emulator.py`.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// A running emulator. Dropping it kills it and the functions that it runs.
#[derive(Debug)]
pub(crate) struct Emulator {
    process: ProcessGroup,
    /// It ends when this closes; see `emulator.py`.
    leash: Option<ChildStdin>,
    endpoint: String,
    log: PathBuf,
}

impl Emulator {
    /// Starts an empty AWS that answers on `bind:port`, any free port for 0, and enforces IAM
    /// policies.
    pub(crate) async fn start(
        python: &Path,
        bind: Ipv4Addr,
        port: u16,
        state: &Path,
    ) -> Result<Self, Error> {
        let address = free_address(bind, port).await?;
        let endpoint = format!("http://{address}");

        // Unpacked code of the functions. Nothing survives from the run before.
        let scratch =
            path::absolute(state.join("emulator")).map_err(io("finding the state directory"))?;
        let _ = fs::remove_dir_all(&scratch);
        fs::create_dir_all(&scratch).map_err(io(format!("creating {}", scratch.display())))?;
        let log = state.join("emulator.log");
        let output = File::create(&log).map_err(io(format!("creating {}", log.display())))?;
        let errors = output.try_clone().map_err(io("duplicating a file handle"))?;

        let mut command = Command::new(python);
        command
            // Isolated from what else is installed, and unbuffered, for its log.
            .args(["-I", "-u"])
            .arg(workspace::root().join("crates/local/src/emulator.py"))
            .arg(authorizations::file(state))
            // The functions inherit this environment: nothing of the developer's own AWS set-up may
            // get in.
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("TMPDIR", &scratch)
            .env("HOME", &scratch)
            // The keys that tokens are signed with.
            .env("STATE_DIR", scratch.join("state"))
            .env("GATEWAY_PORT", address.port().to_string())
            .env("BIND_HOST", address.ip().to_string())
            // Where it finds itself, such as the keys that tokens are checked with.
            .env("MINISTACK_HOST", address.ip().to_string())
            .env("AUTH", "true")
            .env("MINISTACK_REGION", REGION)
            // Listeners on fixed ports that nothing here needs.
            .env("IOT_MTLS_ENABLED", "0")
            .env("SFTP_ENABLED", "0")
            // What Lambda sets from a function's LoggingConfig, and the emulator does not.
            .env("AWS_LAMBDA_LOG_FORMAT", "JSON")
            .stdin(Stdio::piped())
            .stdout(output)
            .stderr(errors);
        let mut process = ProcessGroup::spawn(&mut command)
            .map_err(io(format!("running {}", python.display())))?;
        let leash = process.child().stdin.take();
        let mut emulator = Self { process, leash, endpoint, log };
        emulator.answer().await?;
        Ok(emulator)
    }

    /// The URL of every AWS service in it.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Waits until it ends by itself, which it should not.
    pub(crate) async fn failure(&mut self) -> Error {
        let _ = self.process.wait().await;
        self.error("ended unexpectedly")
    }

    /// Ends it and the functions, and returns when they are gone.
    pub(crate) async fn stop(mut self) {
        drop(self.leash.take());
        // When it takes longer, it is killed on drop.
        let _ = tokio::time::timeout(STOP_TIMEOUT, self.process.wait()).await;
    }

    async fn answer(&mut self) -> Result<(), Error> {
        let url = format!("{}/_ministack/ready", self.endpoint);
        let deadline = Instant::now() + START_TIMEOUT;
        let client = http::client();
        while Instant::now() < deadline {
            if client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            if self.process.child().try_wait().map_err(io("waiting for the emulator"))?.is_some() {
                return Err(self.error("did not start"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(self.error("did not answer in time"))
    }

    fn error(&self, what: &'static str) -> Error {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let reason = text
            .lines()
            .rfind(|line| !line.trim().is_empty())
            .unwrap_or("it said nothing")
            .to_owned();
        Error::Emulator { what, log: self.log.clone(), reason }
    }
}

/// The emulator binds the port itself, a moment later.
async fn free_address(bind: Ipv4Addr, port: u16) -> Result<SocketAddr, Error> {
    listen(bind, port, "--port").await?.local_addr().map_err(io("reading the port"))
}

/// Listens on `bind:port`, on any free port for 0. `flag` is the one that sets the port.
pub(crate) async fn listen(
    bind: Ipv4Addr,
    port: u16,
    flag: &'static str,
) -> Result<TcpListener, Error> {
    TcpListener::bind((bind, port)).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => Error::PortInUse { port, flag },
        std::io::ErrorKind::AddrNotAvailable => Error::NoSuchAddress(bind),
        _ => io(format!("listening on {bind}:{port} ({flag})"))(error),
    })
}
