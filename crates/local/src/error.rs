//! Why the embedded AWS or a command failed, each with what to do about it.

use std::{io, net::Ipv4Addr, path::PathBuf};

use aws_sdk_cloudformation::error::ProvideErrorMetadata;

/// Why the embedded AWS or a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or a process could not be used.
    #[error("{doing}: {source}")]
    Io {
        /// The operation, with its path.
        doing: String,
        /// The system's answer.
        source: io::Error,
    },

    /// There is no interpreter that is recent enough.
    #[error(
        "Python 3.10 or later is needed{found}. Install it, or set the environment variable PYTHON \
         to another interpreter"
    )]
    Python {
        /// The version that was found, if any, as the end of a sentence.
        found: String,
    },
    /// `python -m venv` failed.
    #[error(
        "could not create a Python environment (on Debian and Ubuntu, run `apt install \
         python3-venv`): {0}"
    )]
    PythonEnvironment(String),
    /// `pip install` failed. It has printed the reason.
    #[error(
        "could not install Python packages with pip: see its messages above, and check the \
         connection to PyPI"
    )]
    PythonPackages,

    /// `cargo build` failed. It has printed the reason.
    #[error("the build failed: see the compiler's messages above")]
    Build,
    /// The template names a binary that does not exist.
    #[error(
        "the template's function {function} names the binary `{binary}`, which the workspace does \
         not have: correct its Metadata.BuildProperties.Binary"
    )]
    NoSuchBinary {
        /// The logical id of the function.
        function: String,
        /// The name of the binary.
        binary: String,
    },

    /// The template is not YAML, or not a SAM template.
    #[error("{}: {reason}", path.display())]
    Template {
        /// The path of the file.
        path: PathBuf,
        /// Why it cannot be used.
        reason: String,
    },

    /// Other processes listen on the ports, each with the option that sets it.
    #[error(
        "{} in use, perhaps by another stack: choose free ports with --port and --sandbox-port; 0 \
         takes any. If it is a stack whose state directory was deleted, `ss -ltnp` names its \
         process: end that with `kill`",
        ports(.0)
    )]
    PortsInUse(Vec<(&'static str, u16)>),
    /// The address to listen on does not belong to this machine.
    #[error("this machine has no address {0}: choose one of its own with --bind")]
    NoSuchAddress(Ipv4Addr),
    /// The emulator ended, or never answered.
    #[error("the emulator {what}: {reason}; see {}", log.display())]
    Emulator {
        /// What happened to it, as a verb.
        what: &'static str,
        /// The path of its log.
        log: PathBuf,
        /// The last line of its log.
        reason: String,
    },
    /// The host failed, or the background process that runs it.
    #[error("{0}")]
    Host(String),

    /// Another stack uses the state directory.
    #[error(
        "a stack is already running in {}: stop it with `cargo local down`, or choose another \
         directory with --state-dir",
        .0.display()
    )]
    AlreadyRunning(PathBuf),
    /// A file of shops cannot be loaded.
    #[error("{}: {reason}", path.display())]
    Shops {
        /// The path of the file.
        path: PathBuf,
        /// The field that is wrong, and why.
        reason: String,
    },

    /// The order API refused a request.
    #[error("the API refused: {reason} ({status})")]
    Refused {
        status: u16,
        /// What the API says about it.
        reason: String,
    },
    /// The order that checks a new stack was not confirmed.
    #[error(
        "the first order should have been confirmed, but it is {0}: look for the reason with \
         `cargo local logs`"
    )]
    NotConfirmed(String),
    /// An order makes no progress.
    #[error(
        "order {order} is still {status} after {seconds} s, its payment {payment}: `cargo ops \
         order {order} --local` says why"
    )]
    Stuck {
        order: String,
        status: String,
        payment: String,
        /// How long it was followed.
        seconds: u64,
    },
    /// The payment sandbox has no such fault.
    #[error(
        "there is no fault {0}, or it is used up: `cargo local faults` lists those that are set"
    )]
    NoSuchFault(u32),
    /// An HTTP request failed, or its answer cannot be used.
    #[error("{url}: {reason}")]
    Http { url: String, reason: String },

    /// The stack cannot be found or read.
    #[error(transparent)]
    Stack(#[from] stack::Error),
}

fn ports(in_use: &[(&str, u16)]) -> String {
    let ports: Vec<_> = in_use.iter().map(|(flag, port)| format!("{port} ({flag})")).collect();
    match &ports[..] {
        [port] => format!("port {port} is"),
        ports => format!("ports {} are", ports.join(" and ")),
    }
}

/// Converts the error of an SDK call, for `map_err`.
pub(crate) fn aws<E>(operation: &'static str) -> impl Fn(E) -> Error
where
    E: ProvideErrorMetadata + std::error::Error,
{
    move |error| stack::error::aws(operation)(error).into()
}

/// The error of an AWS call that could not be built, or whose answer cannot be used.
pub(crate) fn failed(operation: &'static str, reason: impl ToString) -> Error {
    stack::Error::Aws { operation, reason: reason.to_string() }.into()
}

/// Converts the error of a file or process operation, for `map_err`.
pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
    let doing = doing.into();
    move |source| Error::Io { doing, source }
}
