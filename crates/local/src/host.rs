//! What runs for as long as a stack is up: the emulator, the payment sandbox and the recorder of
//! events.

use std::{
    fmt,
    fs::{self, File, TryLockError},
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
    thread::JoinHandle,
};

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::{
    Error, aws,
    emulator::{self, Emulator, EmulatorOptions, Purpose},
    error::io,
    options::Options,
    recorder::Recorder,
    sandbox,
};

/// The API key that the payment sandbox accepts.
pub(crate) const PROVIDER_SECRET: &str = "sk_test_embedded";

/// Where the parts of a host listen.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Address {
    /// The URL of every AWS service.
    pub endpoint: String,
    /// The URL of the payment sandbox.
    pub sandbox_url: String,
}

impl Address {
    /// The same for a container on this machine, as Docker Desktop has it and `--add-host`
    /// elsewhere.
    pub(crate) fn in_container(&self) -> Self {
        let in_container = |url: &str| {
            let port = url.rsplit(':').next().unwrap_or_default();
            format!("http://host.docker.internal:{port}")
        };
        Self {
            endpoint: in_container(&self.endpoint),
            sandbox_url: in_container(&self.sandbox_url),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "embedded AWS on {}, payment sandbox on {}", self.endpoint, self.sandbox_url)
    }
}

/// A running host. Dropping it ends all its processes.
///
/// It lives on a thread and a runtime of its own, so that it outlasts the runtime that started it.
#[derive(Debug)]
pub struct Host {
    address: Address,
    stop: Option<oneshot::Sender<()>>,
    failure: Option<oneshot::Receiver<Error>>,
    thread: Option<JoinHandle<()>>,
}

impl Host {
    /// Starts an empty embedded AWS.
    ///
    /// # Errors
    /// Another host uses the state directory, a port is in use, or the emulator does not start.
    pub async fn start(options: &Options) -> Result<Self, Error> {
        let (stop, stopped) = oneshot::channel();
        let (ready, started) = oneshot::channel();
        let (fail, failure) = oneshot::channel();
        let step = options.progress.step();
        let options = options.clone();
        let thread = std::thread::Builder::new()
            .name("local-host".to_owned())
            .spawn(move || run(&options, ready, stopped, fail))
            .map_err(io("starting a thread"))?;
        let address = started
            .await
            .unwrap_or_else(|_| Err(Error::Host("the host's thread panicked".to_owned())))?;
        step.done(&address.to_string());
        Ok(Self { address, stop: Some(stop), failure: Some(failure), thread: Some(thread) })
    }

    /// Where its parts listen.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Waits until a part of it fails. Pending for ever when called again.
    pub async fn failure(&mut self) -> Error {
        match self.failure.take() {
            Some(failure) => failure
                .await
                .unwrap_or_else(|_| Error::Host("the host's thread panicked".to_owned())),
            None => std::future::pending().await,
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The life of a host.
fn run(
    options: &Options,
    ready: oneshot::Sender<Result<Address, Error>>,
    stopped: oneshot::Receiver<()>,
    fail: oneshot::Sender<Error>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = ready.send(Err(io("starting a runtime")(error)));
            return;
        }
    };
    runtime.block_on(async {
        let started = async {
            let lock = Lock::acquire(&options.state_dir)?;
            let listener = emulator::listen(options.bind, options.sandbox_port, "--sandbox-port").await?;
            let sandbox = listener.local_addr().map_err(io("reading the sandbox's port"))?;
            let emulator = Emulator::start(&emulator_options(options)).await?;
            let recorder = Recorder::create(&aws::config(emulator.endpoint()), &options.state_dir).await?;
            Ok((lock, listener, format!("http://{sandbox}"), emulator, recorder))
        };
        let (lock, listener, sandbox_url, mut emulator, recorder) = match started.await {
            Ok(started) => started,
            Err(error) => {
                let _ = ready.send(Err(error));
                return;
            }
        };
        let _ = ready.send(Ok(Address { endpoint: emulator.endpoint().to_owned(), sandbox_url }));

        let error = tokio::select! {
            _ = stopped => None,
            error = emulator.failure() => Some(error),
            error = recorder.run() => Some(error),
            served = sandbox::serve(listener, PROVIDER_SECRET.to_owned(), std::future::pending()) =>
                Some(io("serving the payment sandbox")(served.err().unwrap_or_else(|| std::io::Error::other("it ended")))),
        };
        emulator.stop().await;
        drop(lock);
        if let Some(error) = error {
            let _ = fail.send(error);
        }
    });
}

fn emulator_options(options: &Options) -> EmulatorOptions {
    EmulatorOptions {
        bind: options.bind,
        port: options.port,
        progress: options.progress,
        ..EmulatorOptions::new(&options.state_dir, Purpose::Stack)
    }
}

/// Held for as long as a host uses a state directory; the system releases it when the process ends,
/// however that happens. The file holds the process id.
#[derive(Debug)]
struct Lock {
    _file: File,
    /// What tells of the stack for as long as it runs.
    descriptions: [PathBuf; 2],
}

impl Lock {
    fn path(state: &Path) -> PathBuf {
        state.join("host.lock")
    }

    fn remove_descriptions(&self) {
        for description in &self.descriptions {
            let _ = fs::remove_file(description);
        }
    }

    fn acquire(state: &Path) -> Result<Self, Error> {
        fs::create_dir_all(state).map_err(io(format!("creating {}", state.display())))?;
        let path = Self::path(state);
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(io(format!("opening {}", path.display())))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::AlreadyRunning(state.to_owned())),
            Err(TryLockError::Error(error)) => {
                return Err(io(format!("locking {}", path.display()))(error));
            }
        }
        let written = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| write!(file, "{}", std::process::id()));
        written.map_err(io(format!("writing {}", path.display())))?;
        let lock =
            Self { _file: file, descriptions: [stack_file(state), environments_file(state)] };
        lock.remove_descriptions();
        Ok(lock)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.remove_descriptions();
    }
}

/// Where a deployed stack is described.
pub(crate) fn stack_file(state: &Path) -> PathBuf {
    state.join("stack.json")
}

/// Where the environment of a deployed stack's functions is told.
pub(crate) fn environments_file(state: &Path) -> PathBuf {
    state.join("env.json")
}

/// A host that runs in some process, found by its state directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found(Pid);

impl Found {
    /// The process that runs the host of a state directory, if there is one.
    #[must_use]
    pub fn in_directory(state: &Path) -> Option<Self> {
        let mut file = File::open(Lock::path(state)).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => {
                let mut id = String::new();
                file.read_to_string(&mut id).ok()?;
                Some(Self(Pid::from_raw(id.parse().ok()?)?))
            }
            Ok(()) | Err(TryLockError::Error(_)) => None,
        }
    }

    /// The process's id.
    #[must_use]
    pub fn process_id(self) -> i32 {
        self.0.as_raw_nonzero().get()
    }

    /// Asks the process to end.
    ///
    /// # Errors
    /// It belongs to somebody else.
    pub fn terminate(self) -> Result<(), Error> {
        kill_process(self.0, Signal::TERM)
            .map_err(|error| io(format!("stopping process {}", self.process_id()))(error.into()))
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn a_state_directory_has_one_host_at_a_time_and_none_when_that_is_dropped() {
        let options = Options::new(&crate::workspace::scratch("one-host"));
        let host = Host::start(&options).await.unwrap();
        let port = host.address().endpoint.rsplit(':').next().unwrap().parse().unwrap();
        assert_eq!(
            Found::in_directory(&options.state_dir).unwrap().process_id().cast_unsigned(),
            std::process::id()
        );
        assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
        assert!(matches!(Host::start(&options).await, Err(Error::AlreadyRunning(_))));

        drop(host);
        // A child that another test is just spawning holds a copy of the lock for a moment.
        for _ in 0..1000 {
            if Found::in_directory(&options.state_dir).is_none() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        assert_eq!(Found::in_directory(&options.state_dir), None);
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    }

    #[tokio::test]
    async fn a_port_in_use_is_named_with_the_flag_that_changes_it() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        // A directory each, for the same reason.
        let options = |name| Options::new(&crate::workspace::scratch(name));
        for (options, flag) in [
            (Options { port, ..options("port-in-use") }, "--port"),
            (Options { sandbox_port: port, ..options("sandbox-port-in-use") }, "--sandbox-port"),
        ] {
            let error = Host::start(&options).await.unwrap_err().to_string();
            assert_eq!(
                error,
                format!(
                    "port {port} is in use: stop what listens there, or choose another with {flag}"
                )
            );
        }
    }
}
