//! A stack that `cargo local` runs on this machine.

use std::{
    fs,
    path::{Path, PathBuf},
};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_cloudformation::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_http_client::Builder;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{Error, Events, state_dir};

/// The region of the embedded AWS.
pub const REGION: &str = "eu-central-1";

/// A running embedded stack: how to reach it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Embedded {
    /// The URL of every AWS service.
    pub endpoint: String,
    /// The stack's name in CloudFormation.
    pub stack_name: String,
    #[serde(skip)]
    state_dir: PathBuf,
}

impl Embedded {
    /// A stack whose host uses `state_dir`.
    #[must_use]
    pub fn new(endpoint: &str, stack_name: &str, state_dir: &Path) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            stack_name: stack_name.to_owned(),
            state_dir: state_dir.to_owned(),
        }
    }

    /// The running stack of a state directory.
    ///
    /// # Errors
    /// No stack is running there, or it is not deployed yet.
    pub fn find(state_dir: &Path) -> Result<Self, Error> {
        Ok(describe::<Self>(state_dir)?.in_directory(state_dir))
    }

    /// The same stack after its description was read from `state_dir`.
    #[must_use]
    pub fn in_directory(self, state_dir: &Path) -> Self {
        Self { state_dir: state_dir.to_owned(), ..self }
    }

    #[must_use]
    pub fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    /// A configuration for any SDK client, with all permissions.
    #[must_use]
    pub fn config(&self) -> SdkConfig {
        config(&self.endpoint)
    }

    /// The events on its bus, from the first one on.
    ///
    /// # Errors
    /// The file of events cannot be read.
    pub fn events(&self) -> Result<Events, Error> {
        Events::open(&self.state_dir)
    }
}

/// Reads the description of the running stack of a state directory.
///
/// # Errors
/// No stack is running there, or it is not deployed yet.
pub fn describe<T: DeserializeOwned>(state_dir: &Path) -> Result<T, Error> {
    if state_dir::host(state_dir).is_none() {
        return Err(Error::NotRunning(state_dir.to_owned()));
    }
    let starting = || Error::Starting(state_dir.to_owned());
    let text = fs::read(state_dir::description(state_dir)).map_err(|_| starting())?;
    serde_json::from_slice(&text).map_err(|_| starting())
}

/// A configuration for any SDK client of the embedded AWS at `endpoint`. Its credentials are the
/// root user's, which no policy restricts.
#[must_use]
pub fn config(endpoint: &str) -> SdkConfig {
    SdkConfig::builder()
        // Without TLS, which an embedded stack does not use: reading the system's certificates
        // takes each client a while.
        .http_client(Builder::new().build_http())
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
            "test", "test", None, None, "embedded",
        )))
        .build()
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, File},
        io::Write,
    };

    use super::*;
    use crate::workspace;

    fn scratch(name: &str) -> PathBuf {
        let directory = workspace::target().join("tmp/stack").join(name);
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).unwrap();
        directory
    }

    #[test]
    fn a_stack_is_found_while_its_host_runs() {
        let state_dir = scratch("found");
        assert!(matches!(Embedded::find(&state_dir), Err(Error::NotRunning(_))));

        let mut host = File::create(state_dir::lock(&state_dir)).unwrap();
        host.lock().unwrap();
        write!(host, "{}", std::process::id()).unwrap();
        assert!(matches!(Embedded::find(&state_dir), Err(Error::Starting(_))));
        assert_eq!(state_dir::host(&state_dir).map(i32::cast_unsigned), Some(std::process::id()));

        let description = r#"{"endpoint": "http://127.0.0.1:1", "stack_name": "s", "more": 1}"#;
        fs::write(state_dir::description(&state_dir), description).unwrap();
        let expected = Embedded::new("http://127.0.0.1:1", "s", &state_dir);
        assert_eq!(Embedded::find(&state_dir).unwrap(), expected);

        drop(host);
        assert!(matches!(Embedded::find(&state_dir), Err(Error::NotRunning(_))));
    }
}
