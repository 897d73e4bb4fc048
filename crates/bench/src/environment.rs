//! An execution environment: one process of a function, and its resource usage.

use std::{
    fs::{self, File},
    path::Path,
    pin::pin,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use axum::body::Bytes;
use serde_json::Value;

use crate::{
    cpu_share::CpuShare,
    runtime_api::{Answer, RuntimeApi},
};

/// A function that is ready for events. Dropping it kills its process.
pub(crate) struct Environment {
    api: RuntimeApi,
    process: Child,
}

impl Environment {
    /// Starts a function's binary. Returns the time until it asked for its first event, too.
    ///
    /// The environment variables are `settings` and those that Lambda sets. The output goes to the
    /// file `log`.
    pub(crate) async fn start(
        binary: &Path,
        settings: &[(&str, String)],
        log: &Path,
    ) -> Result<(Self, Duration)> {
        let api = RuntimeApi::start().await?;
        let output = File::create(log).with_context(|| format!("creating {}", log.display()))?;
        let mut command = Command::new(binary);
        command
            .env_clear()
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .env("AWS_LAMBDA_RUNTIME_API", api.address())
            .env("AWS_LAMBDA_FUNCTION_NAME", "bench")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/bench")
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "bench")
            .env("AWS_LAMBDA_LOG_FORMAT", "JSON")
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let spawned = Instant::now();
        let process = command.spawn().with_context(|| format!("running {}", binary.display()))?;
        let mut environment = Self { api, process };
        let ready = environment.ready().await?;
        Ok((environment, ready - spawned))
    }

    /// Limits the function's CPU from now on.
    pub(crate) fn limit(&self, share: &CpuShare) -> Result<()> {
        share.limit(self.process.id()).context("moving the function into its control group")
    }

    /// Sends an event to the function and waits for the answer. A refusal is an error, because it
    /// must not be timed as an answer.
    pub(crate) async fn invoke(&mut self, event: String) -> Result<Duration> {
        let Answer { body, elapsed } = self.api.invoke(Bytes::from(event)).await?;
        let answer: Value =
            serde_json::from_slice(&body).context("the function's answer is not JSON")?;
        ensure!(accepts(&answer), "the function refused the event: {answer}");
        Ok(elapsed)
    }

    /// The CPU time of all its threads so far.
    pub(crate) fn cpu_time(&self) -> Result<Duration> {
        let mut nanoseconds = 0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.process.id()))? {
            // The first of three numbers is in nanoseconds. /proc/PID/stat has only ticks of 10 ms.
            let statistics = fs::read_to_string(thread?.path().join("schedstat"))?;
            let on_cpu = statistics.split_whitespace().next().context("schedstat is empty")?;
            nanoseconds += on_cpu.parse::<u64>()?;
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// The peak of its resident memory in bytes, which includes pages of the binary.
    pub(crate) fn peak_memory(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let peak =
            status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        Ok(peak.context("the status of the process has no VmHWM")?.parse::<u64>()? * 1024)
    }

    async fn ready(&mut self) -> Result<Instant> {
        let mut ready = pin!(self.api.ready());
        loop {
            tokio::select! {
                ready = &mut ready => return Ok(ready?),
                () = tokio::time::sleep(Duration::from_millis(50)) => {
                    if let Some(status) = self.process.try_wait()? {
                        bail!("the function ended before it was ready: {status}");
                    }
                }
            }
        }
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        // Waits, so that its control group is empty. An error means that it has already ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Whether an answer to API Gateway or to an event source reports success.
fn accepts(answer: &Value) -> bool {
    let failures = answer["batchItemFailures"].as_array().map_or(0, Vec::len);
    answer["statusCode"].as_u64().unwrap_or(200) < 300 && failures == 0
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_problem_answer_or_a_failed_record_is_a_refusal() {
        assert!(!accepts(&json!({"statusCode": 409, "body": "{}"})));
        assert!(!accepts(&json!({"batchItemFailures": [{"itemIdentifier": "1"}]})));
    }

    #[test]
    fn an_accepted_order_a_complete_batch_or_no_content_is_not_a_refusal() {
        assert!(accepts(&json!({"statusCode": 202, "body": "{}"})));
        assert!(accepts(&json!({"batchItemFailures": []})));
        assert!(accepts(&Value::Null));
    }
}
