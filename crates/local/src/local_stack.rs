//! A stack in the embedded AWS.

use std::{
    fs,
    path::{Path, PathBuf},
};

use aws_config::SdkConfig;
use serde::{Deserialize, Serialize};
use stack::{Deployment, Embedded, Events, Logs, Outputs, embedded, state_dir};

use crate::{
    Error,
    address::Address,
    authorizations::{self, Authorization},
    error::io,
};

/// A stack in the embedded AWS. Other modules add what a customer or a test can do with it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stack {
    /// How to reach it as a stack.
    #[serde(flatten)]
    pub embedded: Embedded,
    /// The base URL of the order API.
    pub api_url: String,
    /// The region of everything in it.
    pub region: String,
    /// The URL of the payment sandbox.
    pub sandbox_url: String,
    /// The outputs of its template.
    pub outputs: Outputs,
}

impl Stack {
    /// The running stack of a state directory.
    ///
    /// # Errors
    /// No stack is running there, or it is not deployed yet.
    pub fn find(state_dir: &Path) -> Result<Self, Error> {
        let stack: Self = embedded::describe(state_dir)?;
        Ok(Self { embedded: stack.embedded.in_directory(state_dir), ..stack })
    }

    /// A configuration for any SDK client, with all permissions.
    #[must_use]
    pub fn aws(&self) -> SdkConfig {
        self.embedded.config()
    }

    /// The directory with its description, logs and events.
    #[must_use]
    pub fn state_dir(&self) -> &Path {
        self.embedded.state_dir()
    }

    /// Where the parts of its host listen.
    #[must_use]
    pub fn address(&self) -> Address {
        Address { endpoint: self.embedded.endpoint.clone(), sandbox_url: self.sandbox_url.clone() }
    }

    /// The events on its bus, from the first one on.
    ///
    /// # Errors
    /// The file of events cannot be read.
    pub fn events(&self) -> Result<Events, Error> {
        Ok(self.embedded.events()?)
    }

    /// The logs of all its functions, from the start on.
    ///
    /// # Errors
    /// CloudFormation does not answer.
    pub async fn logs(&self) -> Result<Logs, Error> {
        Ok(Deployment::embedded(self.state_dir()).await?.logs())
    }

    /// IAM's decisions about the roles of its functions since the host was started, each once.
    ///
    /// # Errors
    /// The file of decisions cannot be read.
    pub fn authorizations(&self) -> Result<Vec<Authorization>, Error> {
        authorizations::read(self.state_dir())
    }

    /// Writes its description, by which [`Stack::find`] finds it.
    pub(crate) fn publish(&self) -> Result<(), Error> {
        write_json(&state_dir::description(self.state_dir()), self)
    }
}

/// The file with the environment variables of the functions, for `sam local invoke --env-vars`.
pub(crate) fn environments_file(state_dir: &Path) -> PathBuf {
    state_dir.join("env.json")
}

/// Writes a file that is never seen half written.
pub(crate) fn write_json(path: &Path, content: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_vec_pretty(content).expect("the content has only text keys");
    let draft = path.with_extension("json.new");
    let written = fs::write(&draft, text).and_then(|()| fs::rename(&draft, path));
    written.map_err(io(format!("writing {}", path.display())))
}
