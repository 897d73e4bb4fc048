//! `cargo ops` against a system.

use std::process::Stdio;

use local::{Binaries, Progress};
use stack::Embedded;
use tokio::{process::Command, sync::OnceCell};

use super::System;

/// What a command has printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) status: i32,
    /// Standard output.
    pub(crate) text: String,
    /// Standard error.
    pub(crate) errors: String,
}

impl Output {
    /// The lines of standard output that contain `text`.
    pub(crate) fn lines(&self, text: &str) -> Vec<&str> {
        self.text.lines().filter(|line| line.contains(text)).collect()
    }
}

impl System {
    /// Runs `cargo ops` for this stack.
    pub(crate) async fn ops(&self, arguments: &[&str]) -> Output {
        run(|ops| ops.args(["--local", "--state-dir"]).arg(self.stack.state_dir()).args(arguments))
            .await
    }

    /// Runs `cargo ops` for this stack as if it were in an AWS account.
    pub(crate) async fn ops_by_name(&self, arguments: &[&str]) -> Output {
        let credentials = [
            ("AWS_REGION", &*self.stack.region),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
        ];
        self.ops_as(&credentials, arguments).await
    }

    /// Runs `cargo ops` for this stack as if it were in an AWS account, with the credentials that
    /// these environment variables lead to.
    pub(crate) async fn ops_as(&self, credentials: &[(&str, &str)], arguments: &[&str]) -> Output {
        let Embedded { endpoint, stack_name, .. } = &self.stack.embedded;
        run(|ops| {
            ops.env("AWS_ENDPOINT_URL", endpoint)
                .envs(credentials.iter().copied())
                .args(["--stack", stack_name])
                .args(arguments)
        })
        .await
    }
}

async fn run(with: impl FnOnce(&mut Command) -> &mut Command) -> Output {
    static BINARIES: OnceCell<Binaries> = OnceCell::const_new();
    let binaries = BINARIES
        .get_or_init(async || Binaries::build(&["ops"], Progress::Silent).await.unwrap())
        .await;
    let mut command = Command::new(binaries.path("ops").unwrap());
    let output = with(&mut command).stdin(Stdio::null()).kill_on_drop(true).output().await.unwrap();
    Output {
        status: output.status.code().unwrap(),
        text: String::from_utf8(output.stdout).unwrap(),
        errors: String::from_utf8(output.stderr).unwrap(),
    }
}
