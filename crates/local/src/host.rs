//! The parts that run as long as a stack is up: the emulator, the payment sandbox and the recorder
//! of events.

use std::{
    fs::{self, File, TryLockError},
    io::{Seek, Write},
    path::{Path, PathBuf},
    thread::JoinHandle,
};

use rustix::process::{Pid, Signal, kill_process};
use stack::{embedded, state_dir};
use tokio::{net::TcpListener, sync::oneshot};

use crate::{
    Error,
    address::Address,
    authorizations,
    emulator::{self, Emulator, EmulatorOptions, Purpose},
    error::io,
    local_stack::environments_file,
    options::Options,
    recorder::Recorder,
    sandbox,
};

/// The API key that the payment sandbox accepts.
pub(crate) const PROVIDER_KEY: &str = "sk_test_embedded";

/// A running host. Dropping it ends all its processes.
///
/// It has its own thread and runtime, so that it outlives the runtime that started it.
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

    /// Makes sure that a host can listen on its ports, before anything else is done for it.
    ///
    /// # Errors
    /// A port is in use, or the address is not one of this machine.
    pub async fn check_ports(options: &Options) -> Result<(), Error> {
        listener(options).await.map(drop)
    }

    /// Removes what the last host of a state directory left there: files that hold data of
    /// customers, such as events and logs. Returns whether there was anything.
    ///
    /// # Errors
    /// A host uses the state directory, or a file cannot be removed.
    pub fn remove_data(state: &Path) -> Result<bool, Error> {
        if !state.exists() {
            return Ok(false);
        }
        // The lock also removes the description of a stack that was killed.
        let _lock = Lock::acquire(state)?;
        let mut found = false;
        for path in data(state) {
            let removed =
                if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            match removed {
                Ok(()) => found = true,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(io(format!("removing {}", path.display()))(error)),
            }
        }
        Ok(found)
    }

    /// The URLs of its parts.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Waits until one of its parts fails. Another call waits forever.
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

/// Runs a host on the current thread until it is stopped or one of its parts fails.
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
        match Parts::start(options).await {
            Ok(parts) => {
                let _ = ready.send(Ok(parts.address.clone()));
                if let Some(error) = parts.run(stopped).await {
                    let _ = fail.send(error);
                }
            }
            Err(error) => drop(ready.send(Err(error))),
        }
    });
}

/// The running parts of a host.
struct Parts {
    lock: Lock,
    address: Address,
    emulator: Emulator,
    recorder: Recorder,
    /// The listener of the payment sandbox.
    listener: TcpListener,
}

impl Parts {
    async fn start(options: &Options) -> Result<Self, Error> {
        let lock = Lock::acquire(&options.state_dir)?;
        let listener = listener(options).await?;
        let sandbox = listener.local_addr().map_err(io("reading the sandbox's port"))?;
        let emulator = Emulator::start(&emulator_options(options)).await?;
        let config = embedded::config(emulator.endpoint());
        let recorder = Recorder::create(&config, &options.state_dir).await?;
        let address = Address {
            endpoint: emulator.endpoint().to_owned(),
            sandbox_url: format!("http://{sandbox}"),
        };
        Ok(Self { lock, address, emulator, recorder, listener })
    }

    /// Runs until `stopped` completes, or returns the error of the first part that fails.
    async fn run(self, stopped: oneshot::Receiver<()>) -> Option<Error> {
        let Self { lock, mut emulator, recorder, listener, .. } = self;
        let secret = PROVIDER_KEY.to_owned();
        let error = tokio::select! {
            _ = stopped => None,
            error = emulator.failure() => Some(error),
            error = recorder.run() => Some(error),
            served = sandbox::serve(listener, secret, std::future::pending()) => {
                let reason = served.err().unwrap_or_else(|| std::io::Error::other("it ended"));
                Some(io("serving the payment sandbox")(reason))
            }
        };
        emulator.stop().await;
        drop(lock);
        error
    }
}

/// The listener of the payment sandbox, if the port of the emulator is free as well: who has to
/// choose another port should not have to do so twice.
async fn listener(options: &Options) -> Result<TcpListener, Error> {
    let sandbox = emulator::listen(options.bind, options.sandbox_port, "--sandbox-port").await;
    let emulator = emulator::listen(options.bind, options.port, "--port").await;
    match (emulator, sandbox) {
        (Err(Error::PortsInUse(mut ports)), Err(Error::PortsInUse(others))) => {
            ports.extend(others);
            Err(Error::PortsInUse(ports))
        }
        (Err(error), _) => Err(error),
        (Ok(_), sandbox) => sandbox,
    }
}

/// The files in which a host keeps what concerns customers.
fn data(state: &Path) -> [PathBuf; 5] {
    [
        state_dir::events(state),
        authorizations::file(state),
        emulator::log(state),
        emulator::scratch(state),
        // What the last part that failed has said.
        host_log(state),
    ]
}

/// The file with the standard error of a host in a background process.
#[must_use]
pub fn host_log(state: &Path) -> PathBuf {
    state.join("host.log")
}

fn emulator_options(options: &Options) -> EmulatorOptions {
    EmulatorOptions {
        bind: options.bind,
        port: options.port,
        progress: options.progress,
        ..EmulatorOptions::new(&options.state_dir, Purpose::Stack)
    }
}

/// The lock that a host holds on its state directory. The system releases it when the process ends,
/// for whatever reason. The file contains the process id.
#[derive(Debug)]
struct Lock {
    _file: File,
    /// The files that describe the running stack.
    descriptions: [PathBuf; 2],
}

impl Lock {
    fn remove_descriptions(&self) {
        for description in &self.descriptions {
            let _ = fs::remove_file(description);
        }
    }

    fn acquire(state: &Path) -> Result<Self, Error> {
        fs::create_dir_all(state).map_err(io(format!("creating {}", state.display())))?;
        let path = state_dir::lock(state);
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
        let lock = Self {
            _file: file,
            descriptions: [state_dir::description(state), environments_file(state)],
        };
        lock.remove_descriptions();
        Ok(lock)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.remove_descriptions();
    }
}

/// A host in any process, found by its state directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found(Pid);

impl Found {
    /// The host that uses a state directory, if one runs.
    #[must_use]
    pub fn in_directory(state: &Path) -> Option<Self> {
        Some(Self(Pid::from_raw(state_dir::host(state)?)?))
    }

    /// The id of its process.
    #[must_use]
    pub fn process_id(self) -> i32 {
        self.0.as_raw_nonzero().get()
    }

    /// Asks its process to end.
    ///
    /// # Errors
    /// The process belongs to another user.
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
    async fn a_state_directory_has_one_host_until_that_is_dropped() {
        let options = Options::new(&crate::scratch::scratch("one-host"));
        let host = Host::start(&options).await.unwrap();
        let port = host.address().endpoint.rsplit(':').next().unwrap().parse().unwrap();
        assert_eq!(
            Found::in_directory(&options.state_dir).unwrap().process_id().cast_unsigned(),
            std::process::id()
        );
        assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
        assert!(matches!(Host::start(&options).await, Err(Error::AlreadyRunning(_))));

        drop(host);
        // A child process that another test is spawning holds a copy of the lock for a moment.
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
    async fn the_error_for_ports_in_use_names_all_of_them_and_the_options_that_set_them() {
        let taken = [(), ()].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [first, second] = taken.each_ref().map(|it| it.local_addr().unwrap().port());
        // One directory for each host, because of such copies of the lock.
        let options = |name| Options::new(&crate::scratch::scratch(name));
        for (options, ports) in [
            (
                Options { port: first, ..options("port-in-use") },
                format!("port {first} (--port) is"),
            ),
            (
                Options { sandbox_port: first, ..options("sandbox-port-in-use") },
                format!("port {first} (--sandbox-port) is"),
            ),
            (
                Options { port: first, sandbox_port: second, ..options("ports-in-use") },
                format!("ports {first} (--port) and {second} (--sandbox-port) are"),
            ),
        ] {
            let error = Host::start(&options).await.unwrap_err().to_string();
            assert_eq!(Host::check_ports(&options).await.unwrap_err().to_string(), error);
            assert_eq!(
                error,
                format!(
                    "{ports} in use, perhaps by another stack: choose free ports with --port and \
                     --sandbox-port; 0 takes any. If it is a stack whose state directory was \
                     deleted, `ss -ltnp` names its process: end that with `kill`"
                )
            );
        }
    }

    #[tokio::test]
    async fn what_a_host_leaves_is_removed_once_it_has_ended() {
        let options = Options::new(&crate::scratch::scratch("left"));
        assert!(!Host::remove_data(&options.state_dir.join("nowhere")).unwrap());
        let host = Host::start(&options).await.unwrap();
        let refused = Host::remove_data(&options.state_dir);
        assert!(matches!(refused, Err(Error::AlreadyRunning(_))), "{refused:?}");
        fs::write(options.state_dir.join("mine.txt"), "kept").unwrap();

        drop(host);
        // A child process that another test is spawning holds a copy of the lock for a moment.
        let mut removed = Host::remove_data(&options.state_dir);
        for _ in 0..1000 {
            if removed.is_ok() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            removed = Host::remove_data(&options.state_dir);
        }
        assert!(removed.unwrap());
        let mut left: Vec<_> = fs::read_dir(&options.state_dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["host.lock", "mine.txt"]);
        assert!(!Host::remove_data(&options.state_dir).unwrap());
    }
}
