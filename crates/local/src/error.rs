//! What can go wrong, each with what to do about it.

use std::{io, net::Ipv4Addr, path::PathBuf};

use aws_sdk_cloudformation::error::ProvideErrorMetadata;

/// Why the embedded AWS, or a command to it, failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or a process could not be used.
    #[error("{doing}: {source}")]
    Io {
        /// What was attempted, with its path.
        doing: String,
        /// The system's answer.
        source: io::Error,
    },

    /// No interpreter that is recent enough.
    #[error(
        "Python 3.10 or later is needed{found}. Install it, or name one in the environment variable PYTHON"
    )]
    Python {
        /// The one that was found, if any.
        found: String,
    },
    /// `python -m venv` failed.
    #[error(
        "could not create a Python environment (on Debian and Ubuntu, `apt install python3-venv` helps): {0}"
    )]
    PythonEnvironment(String),
    /// `pip install` failed; it has printed why.
    #[error(
        "could not install Python packages with pip; see its message above, and check the connection to PyPI"
    )]
    PythonPackages,

    /// `cargo build` failed; it has printed why.
    #[error("the build failed; see the compiler's message above")]
    Build,
    /// The template names a binary that the workspace does not have.
    #[error(
        "the template's function {function} wants a binary `{binary}`, but the workspace builds none of that name"
    )]
    NoSuchBinary {
        /// Logical id.
        function: String,
        /// Its `Metadata.BuildProperties.Binary`.
        binary: String,
    },

    /// The template is not YAML, or not a SAM template.
    #[error("{}: {reason}", path.display())]
    Template {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// Something else listens there.
    #[error("port {port} is in use: stop what listens there, or choose another with {flag}")]
    PortInUse {
        /// Which port.
        port: u16,
        /// The flag that sets it.
        flag: &'static str,
    },
    /// Only an address of this machine can be listened on.
    #[error("this machine has no address {0}: choose one of its own with --bind")]
    NoSuchAddress(Ipv4Addr),
    /// The emulator ended, or never answered.
    #[error("the emulator {what}: {reason}; see {}", log.display())]
    Emulator {
        /// What it did.
        what: &'static str,
        /// Its log.
        log: PathBuf,
        /// The last line of that.
        reason: String,
    },
    /// The background process ended before it was ready.
    #[error("{0}")]
    Host(String),

    /// There is nothing to talk to.
    #[error("no stack is running in {}: start one with `cargo local` or `cargo local up --detach`", .0.display())]
    NotRunning(PathBuf),
    /// One stack at a time in a directory.
    #[error("a stack is already running in {}: stop it with `cargo local down`, or give this one another --state-dir", .0.display())]
    AlreadyRunning(PathBuf),
    /// It has started, but is not deployed yet, or its deployment failed.
    #[error("the stack in {} is still starting: try again in a moment, or stop it with `cargo local down`", .0.display())]
    Starting(PathBuf),

    /// CloudFormation undid the deployment.
    #[error("the deployment was rolled back: {resource} ({kind}): {reason}")]
    RolledBack {
        /// Logical id of the first resource that failed.
        resource: String,
        /// Its type.
        kind: String,
        /// CloudFormation's reason.
        reason: String,
    },
    /// The stack lacks an output that is needed here.
    #[error("the stack has no output {0}: is it this repository's template?")]
    NoOutput(String),
    /// CloudFormation knows no such stack.
    #[error("there is no stack {0} in this account and region")]
    NoStack(String),

    /// The stack has no such function.
    #[error("there is no function {function}; there are {known}")]
    NoSuchFunction {
        /// What was asked for.
        function: String,
        /// What there is.
        known: String,
    },

    /// A shops file that cannot be loaded.
    #[error("{}: {reason}", path.display())]
    Shops {
        /// Which file.
        path: PathBuf,
        /// The field and what is wrong with it.
        reason: String,
    },

    /// The order API refused.
    #[error("the order was refused: {status} {body}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The problem details.
        body: String,
    },
    /// The order that shows that everything works showed that something does not.
    #[error(
        "the first order should have been confirmed, but it is {0}: `cargo local logs` may tell why"
    )]
    NotConfirmed(String),
    /// The order stays where it is.
    #[error("order {order} is still {status} after {seconds} s: `cargo local logs` may tell why")]
    Stuck {
        /// Which.
        order: String,
        /// Where it stands.
        status: String,
        /// How long it was watched.
        seconds: u64,
    },
    /// An HTTP request got no usable answer.
    #[error("{url}: {reason}")]
    Http {
        /// What was asked.
        url: String,
        /// What came back.
        reason: String,
    },

    /// An AWS call failed.
    #[error("{operation}: {reason}")]
    Aws {
        /// Service and operation.
        operation: &'static str,
        /// The service's message, or what kept the call from being answered.
        reason: String,
    },
}

/// For `map_err` on a call of an AWS SDK.
pub fn aws<E>(operation: &'static str) -> impl Fn(E) -> Error
where
    E: ProvideErrorMetadata + std::error::Error,
{
    move |error| Error::Aws {
        operation,
        reason: match (error.code(), error.message()) {
            (Some(code), Some(message)) => format!("{code}: {message}"),
            _ => chain(&error),
        },
    }
}

/// An error with its causes, in one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// For `map_err` on a file or process operation.
pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
    let doing = doing.into();
    move |source| Error::Io { doing, source }
}
