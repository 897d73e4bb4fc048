//! An embedded AWS that speaks TLS.

use std::{
    env,
    fs::{self, File},
    net::{Ipv4Addr, TcpListener},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use reqwest::{Certificate, Client, RequestBuilder, header::CONTENT_TYPE};
use serde_json::Value;

/// The region that it plays.
pub(crate) const REGION: &str = "eu-central-1";

/// A running emulator, which takes every call whoever signed it. Dropping it ends it, as does the
/// end of this process.
pub(crate) struct Emulator {
    process: Child,
    endpoint: String,
    directory: PathBuf,
    client: Client,
}

impl Emulator {
    /// Starts an empty one on a free port, which keeps its files in `directory`.
    ///
    /// `launcher` is the script that runs it for as long as its standard input is open.
    pub(crate) async fn start(python: &Path, launcher: &Path, directory: &Path) -> Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let log = directory.join("emulator.log");
        let output = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        let process = Command::new(python)
            .args(["-I", "-u"])
            .arg(launcher)
            .env_clear()
            .envs(env::var_os("PATH").map(|path| ("PATH", path)))
            .env("HOME", directory)
            // Where it makes its certificate, once.
            .env("TMPDIR", directory)
            .env("USE_SSL", "1")
            .env("BIND_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", port.to_string())
            .env("MINISTACK_REGION", REGION)
            .env("LOG_LEVEL", "ERROR")
            // Listeners on fixed ports that nothing here needs.
            .env("IOT_MTLS_ENABLED", "0")
            .env("SFTP_ENABLED", "0")
            // It ends its process group with itself.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("running {}", python.display()))?;
        let endpoint = format!("https://127.0.0.1:{port}");
        let mut emulator =
            Self { process, endpoint, directory: directory.to_owned(), client: Client::new() };
        for _ in 0..600 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            ensure!(
                emulator.process.try_wait()?.is_none(),
                "the emulator ended: see {}",
                log.display()
            );
            if emulator.answers().await {
                return Ok(emulator);
            }
        }
        bail!("the emulator did not answer within 30 s: see {}", log.display())
    }

    /// The URL of every AWS service in it.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// A client that trusts it, and nobody else.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Its certificate, to be trusted in place of all public authorities. Those are some 140 on
    /// Lambda; reading them takes a function 3 to 5 ms of its init, which is not in the figures.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.directory.join("ministack-tls/server.crt")
    }

    /// Calls a service that is told the operation in a header, such as `DynamoDB_20120810.PutItem`.
    pub(crate) async fn call(&self, operation: &str, parameters: &Value) -> Result<Value> {
        let request = self.client.post(&self.endpoint).header("x-amz-target", operation);
        self.send(request, parameters).await.context(operation.to_owned())
    }

    /// Calls a service that is told the operation by the path.
    pub(crate) async fn post(&self, path: &str, parameters: &Value) -> Result<Value> {
        let request = self.client.post(format!("{}{path}", self.endpoint));
        self.send(request, parameters).await.context(path.to_owned())
    }

    async fn send(&self, request: RequestBuilder, parameters: &Value) -> Result<Value> {
        let request =
            request.header(CONTENT_TYPE, "application/x-amz-json-1.1").body(parameters.to_string());
        let answer = request.send().await?;
        let status = answer.status();
        let body = answer.bytes().await?;
        ensure!(status.is_success(), "{}", String::from_utf8_lossy(&body));
        Ok(serde_json::from_slice(&body)?)
    }

    async fn answers(&mut self) -> bool {
        let client = || {
            let certificate = Certificate::from_pem(&fs::read(self.certificate()).ok()?).ok()?;
            Client::builder().no_proxy().tls_certs_only([certificate]).build().ok()
        };
        let Some(client) = client() else { return false };
        self.client = client;
        let answer = self.client.get(format!("{}/_ministack/ready", self.endpoint)).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
