//! Why a stack cannot be found or read, each with what to do about it.

use std::{error, io, path::PathBuf};

use aws_sdk_cloudformation::error::ProvideErrorMetadata;
use platform::cause::chain;

/// Why a stack cannot be found or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A call of AWS failed.
    #[error("{operation}: {reason}")]
    Aws {
        /// Service and operation.
        operation: &'static str,
        /// The service's message, or why the call was not answered.
        reason: String,
    },
    /// Nothing says in which region the stack is.
    #[error(
        "no AWS region is set: for the stack that `cargo local` runs, add the option `--local` to \
         `cargo ops`; for a stack on AWS, set AWS_REGION or AWS_PROFILE"
    )]
    NoRegion,
    /// Whatever should give credentials gave none.
    #[error(
        "there are no AWS credentials ({0}): for the stack that `cargo local` runs, add the option \
         `--local` to `cargo ops`; for a stack on AWS, sign in, for example with `aws sso login`, \
         and set AWS_PROFILE"
    )]
    NoCredentials(String),
    /// CloudFormation does not know the stack.
    #[error(
        "there is no stack {0} in this account and region: check both, name another stack with \
         `--stack`, or add `--local` for the one that `cargo local` runs"
    )]
    NoStack(String),
    /// The stack lacks an output.
    #[error("the stack has no output {0}: deploy this repository's template to it")]
    NoOutput(String),
    /// The stack lacks a resource.
    #[error("the stack has no resource {0}: deploy this repository's template to it")]
    NoResource(String),
    /// The stack lacks a parameter.
    #[error("the stack has no parameter {0}: deploy this repository's template to it")]
    NoParameter(String),
    /// CloudFormation rolled the deployment back.
    #[error("the deployment was rolled back: {resource} ({kind}): {reason}")]
    RolledBack {
        /// The logical id of the first resource that failed.
        resource: String,
        /// The type of that resource.
        kind: String,
        reason: String,
    },
    /// The stack has no such function.
    #[error("there is no function {function}; choose one of {known}")]
    NoFunction {
        function: String,
        /// The names of all functions.
        known: String,
    },
    /// No embedded stack runs.
    #[error(
        "no stack is running in {}: start one with `cargo local` or `cargo local up --detach`",
        .0.display()
    )]
    NotRunning(PathBuf),
    /// The embedded stack runs, but is not deployed yet, or its deployment failed.
    #[error(
        "the stack in {} is still starting: try again in a moment, or stop it with \
         `cargo local down`",
        .0.display()
    )]
    Starting(PathBuf),
    /// A file of the state directory cannot be read.
    #[error("reading {}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
}

/// Converts the error of an SDK call, for `map_err`.
pub fn aws<E>(operation: &'static str) -> impl Fn(E) -> Error
where
    E: ProvideErrorMetadata + error::Error,
{
    move |error| Error::Aws {
        operation,
        reason: match (error.code(), error.message()) {
            (Some(code), Some(message)) => format!("{code}: {message}"),
            _ => chain(&error),
        },
    }
}
