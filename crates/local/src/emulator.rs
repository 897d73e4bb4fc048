//! The emulator process: an empty AWS on this machine.

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

use stack::{embedded::REGION, workspace};

use crate::{
    Error, authorizations, error::io, http, options::DEFAULT_BIND, process::ProcessGroup,
    progress::Progress, python,
};

/// A cold start on a busy machine takes a few seconds.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// The functions get a second or two to end; see `emulator.py`.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// How an emulator is started.
#[derive(Clone, Debug)]
pub struct EmulatorOptions {
    /// The directory of its log and its other files.
    pub directory: PathBuf,
    /// The address of this machine that it listens on.
    pub bind: Ipv4Addr,
    /// The port that it listens on; 0 takes any free one.
    pub port: u16,
    /// What it is used for.
    pub purpose: Purpose,
    /// Whether to report the installation of its Python packages.
    pub progress: Progress,
}

/// What an emulator is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Hosting a stack: plain HTTP, IAM policies are enforced, and each call is logged.
    Stack,
    /// Measuring a function: TLS as on AWS, every call is allowed, and only errors are logged.
    Measurement,
}

impl EmulatorOptions {
    /// An emulator that keeps its files in `directory` and listens on any free port of the loopback
    /// interface.
    #[must_use]
    pub fn new(directory: &Path, purpose: Purpose) -> Self {
        Self {
            directory: directory.to_owned(),
            bind: DEFAULT_BIND,
            port: 0,
            purpose,
            progress: Progress::Silent,
        }
    }
}

/// A running emulator. Dropping it kills it and the functions that it runs.
#[derive(Debug)]
pub struct Emulator {
    process: ProcessGroup,
    /// The emulator ends when this pipe closes; see `emulator.py`.
    leash: Option<ChildStdin>,
    endpoint: String,
    certificate: Option<PathBuf>,
    client: reqwest::Client,
    log: PathBuf,
}

impl Emulator {
    /// Starts an empty emulator and waits until it answers. Installs its Python packages first, if
    /// they are missing or outdated.
    ///
    /// # Errors
    /// Its packages cannot be installed, the port is in use, its files cannot be written, or it
    /// does not answer.
    pub async fn start(options: &EmulatorOptions) -> Result<Self, Error> {
        let python = python::prepare(options.progress).await?;
        let address = free_address(options.bind, options.port).await?;
        let scratch = empty_directory(&scratch(&options.directory))?;
        let log = log(&options.directory);
        let mut command = command(&python, &scratch, address, options);
        let output = File::create(&log).map_err(io(format!("creating {}", log.display())))?;
        let errors = output.try_clone().map_err(io("duplicating a file handle"))?;
        command.stdin(Stdio::piped()).stdout(output).stderr(errors);
        let mut process = ProcessGroup::spawn(&mut command)
            .map_err(io(format!("running {}", python.display())))?;
        let leash = process.child().stdin.take();
        let (scheme, certificate) = match options.purpose {
            Purpose::Stack => ("http", None),
            Purpose::Measurement => ("https", Some(scratch.join("ministack-tls/server.crt"))),
        };
        let endpoint = format!("{scheme}://{address}");
        let mut emulator =
            Self { process, leash, endpoint, certificate, client: http::client(), log };
        emulator.wait_until_ready().await?;
        Ok(emulator)
    }

    /// The URL of every AWS service in it.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Its own certificate, if it speaks TLS.
    #[must_use]
    pub fn certificate(&self) -> Option<&Path> {
        self.certificate.as_deref()
    }

    /// An HTTP client that trusts its certificate and no other.
    #[must_use]
    pub fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// Waits until it ends by itself, which is an error.
    pub(crate) async fn failure(&mut self) -> Error {
        let _ = self.process.wait().await;
        self.error("ended unexpectedly")
    }

    /// Ends it and its functions, and returns when they are gone.
    pub(crate) async fn stop(mut self) {
        drop(self.leash.take());
        // If it takes longer, it is killed on drop.
        let _ = tokio::time::timeout(STOP_TIMEOUT, self.process.wait()).await;
    }

    async fn wait_until_ready(&mut self) -> Result<(), Error> {
        let url = format!("{}/_ministack/ready", self.endpoint);
        let deadline = Instant::now() + START_TIMEOUT;
        while Instant::now() < deadline {
            // A certificate that is not there yet, or only half written, is tried again.
            if let Some(client) = self.trusting_client() {
                self.client = client;
                let answer = self.client.get(&url).send().await;
                if answer.is_ok_and(|answer| answer.status().is_success()) {
                    return Ok(());
                }
            }
            if self.process.child().try_wait().map_err(io("waiting for the emulator"))?.is_some() {
                return Err(self.error("did not start"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(self.error("did not answer in time"))
    }

    fn trusting_client(&self) -> Option<reqwest::Client> {
        let Some(path) = &self.certificate else {
            return Some(self.client.clone());
        };
        http::client_trusting(&fs::read(path).ok()?)
    }

    fn error(&self, what: &'static str) -> Error {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let reason = text
            .lines()
            .rfind(|line| !line.trim().is_empty())
            .unwrap_or("its log is empty")
            .to_owned();
        Error::Emulator { what, log: self.log.clone(), reason }
    }
}

/// The command line and the environment of the emulator.
fn command(
    python: &Path,
    scratch: &Path,
    address: SocketAddr,
    options: &EmulatorOptions,
) -> Command {
    let mut command = Command::new(python);
    command
        // Isolated from other installed packages, and unbuffered, for its log.
        .args(["-I", "-u"])
        .arg(workspace::root().join("crates/local/src/emulator.py"))
        .arg(authorizations::file(&options.directory))
        // The functions inherit this environment, so nothing of the developer's own AWS
        // configuration may get in.
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        // The unpacked code of the functions, and the certificate.
        .env("TMPDIR", scratch)
        .env("HOME", scratch)
        // The keys that sign tokens.
        .env("STATE_DIR", scratch.join("state"))
        .env("GATEWAY_PORT", address.port().to_string())
        .env("BIND_HOST", address.ip().to_string())
        // The address at which it calls itself, for example for the keys that verify tokens.
        .env("MINISTACK_HOST", address.ip().to_string())
        .env("MINISTACK_REGION", REGION)
        // Listeners on fixed ports that nothing here needs.
        .env("IOT_MTLS_ENABLED", "0")
        .env("SFTP_ENABLED", "0")
        // Lambda derives this from a function's LoggingConfig; the emulator does not.
        .env("AWS_LAMBDA_LOG_FORMAT", "JSON");
    match options.purpose {
        Purpose::Stack => command.env("AUTH", "true"),
        Purpose::Measurement => command.env("USE_SSL", "1").env("LOG_LEVEL", "ERROR"),
    };
    command
}

/// The file with the log of the emulator, in which the functions' logs are as well.
pub(crate) fn log(directory: &Path) -> PathBuf {
    directory.join("emulator.log")
}

/// The directory of the emulator's own files.
pub(crate) fn scratch(directory: &Path) -> PathBuf {
    directory.join("emulator")
}

/// Creates the directory, or empties it: nothing survives from the previous run.
fn empty_directory(path: &Path) -> Result<PathBuf, Error> {
    let directory = path::absolute(path).map_err(io("finding the state directory"))?;
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).map_err(io(format!("creating {}", directory.display())))?;
    Ok(directory)
}

/// The emulator binds the port itself, a moment later.
async fn free_address(bind: Ipv4Addr, port: u16) -> Result<SocketAddr, Error> {
    listen(bind, port, "--port").await?.local_addr().map_err(io("reading the port"))
}

/// Listens on `bind:port`, or on any free port if it is 0. `flag` is the option that sets the port.
pub(crate) async fn listen(
    bind: Ipv4Addr,
    port: u16,
    flag: &'static str,
) -> Result<TcpListener, Error> {
    TcpListener::bind((bind, port)).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => Error::PortsInUse(vec![(flag, port)]),
        std::io::ErrorKind::AddrNotAvailable => Error::NoSuchAddress(bind),
        _ => io(format!("listening on {bind}:{port} ({flag})"))(error),
    })
}
