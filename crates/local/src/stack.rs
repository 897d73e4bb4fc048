//! A deployed stack, and everything that one can do with it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use aws_config::SdkConfig;
use serde::{Deserialize, Serialize};

use crate::{
    Error,
    authorizations::{self, Authorization},
    aws::{self, REGION},
    build::Binaries,
    deployment::{self, Change, Outputs},
    environment::Environments,
    error::io,
    host::{Address, Found, Host, PROVIDER_SECRET, environments_file, stack_file},
    options::Options,
    python,
    recorder::{self, Events},
    shops,
    template::Template,
    users, workspace,
};

/// The stack's name in CloudFormation.
const NAME: &str = "amelie";

/// The sender of the notices; a name that can never receive mail.
const SENDER: &str = "orders@amelie.example";

/// A stack in the embedded AWS.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stack {
    /// The URL of every AWS service.
    pub endpoint: String,
    /// The base URL of the order API.
    pub api_url: String,
    /// The region of everything in it.
    pub region: String,
    /// Its name in CloudFormation.
    pub stack_name: String,
    /// The URL of the payment sandbox.
    pub sandbox_url: String,
    /// The outputs of its template.
    pub outputs: Outputs,
    #[serde(skip)]
    state_dir: PathBuf,
}

impl Stack {
    /// Deploys what is new of the template and the binaries to a host. A stack that did not exist
    /// gets the demo shops and users.
    ///
    /// # Errors
    /// The deployment fails; a first one that does is to be given up, host and all.
    pub async fn deploy(
        address: &Address,
        binaries: &Binaries,
        options: &Options,
    ) -> Result<(Self, Change), Error> {
        let config = aws::config(&address.endpoint);
        let step = options.progress.step();
        let template = Template::read(&options.template)?;
        let mut parameters = parameters(address);
        parameters.extend(options.parameters.clone());
        let change = deployment::deploy(&config, NAME, template, binaries, &parameters).await?;
        let outputs = Outputs::of(&config, NAME).await?;
        recorder::connect(&config, outputs.get("EventBusName")?).await?;
        step.done(&match &change {
            Change::Created => format!("stack {NAME} deployed"),
            Change::Updated(resources) => format!("stack {NAME} updated: {}", resources.join(", ")),
            Change::Nothing => format!("stack {NAME} is up to date"),
        });

        let stack = Self {
            endpoint: address.endpoint.clone(),
            api_url: api_url(&address.endpoint, outputs.get("ApiUrl")?),
            region: REGION.to_owned(),
            stack_name: NAME.to_owned(),
            sandbox_url: address.sandbox_url.clone(),
            outputs,
            state_dir: options.state_dir.clone(),
        };
        if change == Change::Created {
            let step = options.progress.step();
            let shops = shops::read(&workspace::root().join("crates/local/demo/shops.json"))?;
            shops::load(&config, &stack.outputs, &shops).await?;
            for user in users::DEMO {
                stack.add_user(user).await?;
            }
            step.done(&format!("{} demo shops, customers {}", shops.len(), users::DEMO.join(", ")));
        }
        let environments = Environments::of(&config, NAME).await?.in_container(address);
        write(&environments_file(&options.state_dir), &environments)?;
        // Last: whoever finds a stack finds all of it.
        write(&stack_file(&options.state_dir), &stack)?;
        Ok((stack, change))
    }

    /// The running stack of a state directory.
    ///
    /// # Errors
    /// There is none, or it is not deployed yet.
    pub fn find(state_dir: &Path) -> Result<Self, Error> {
        if Found::in_directory(state_dir).is_none() {
            return Err(Error::NotRunning(state_dir.to_owned()));
        }
        let text =
            fs::read(stack_file(state_dir)).map_err(|_| Error::Starting(state_dir.to_owned()))?;
        let stack: Self =
            serde_json::from_slice(&text).map_err(|_| Error::Starting(state_dir.to_owned()))?;
        Ok(Self { state_dir: state_dir.to_owned(), ..stack })
    }

    /// A configuration for any SDK client, with rights to everything.
    #[must_use]
    pub fn aws(&self) -> SdkConfig {
        aws::config(&self.endpoint)
    }

    /// Where its description, logs and events are.
    #[must_use]
    pub fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    /// Where its host's parts listen.
    #[must_use]
    pub fn address(&self) -> Address {
        Address { endpoint: self.endpoint.clone(), sandbox_url: self.sandbox_url.clone() }
    }

    /// The events on its bus, from the first one on.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn events(&self) -> Result<Events, Error> {
        Events::open(&self.state_dir)
    }

    /// What the roles of its functions have asked to be allowed since the host was started, each
    /// once.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn authorizations(&self) -> Result<Vec<Authorization>, Error> {
        authorizations::read(&self.state_dir)
    }
}

fn write(path: &Path, description: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_vec_pretty(description)
        .expect("a description has nothing that JSON has not");
    // Nobody sees half of it.
    let draft = path.with_extension("json.new");
    let written = fs::write(&draft, text).and_then(|()| fs::rename(&draft, path));
    written.map_err(io(format!("writing {}", path.display())))
}

/// The API by a host name that every resolver knows. The one in its own URL,
/// `ID.execute-api.localhost`, is none.
fn api_url(endpoint: &str, own: &str) -> String {
    let id = own.trim_start_matches("http://").split('.').next().unwrap_or_default();
    format!("{endpoint}/_aws/execute-api/{id}")
}

/// What the template needs to be told here.
fn parameters(address: &Address) -> BTreeMap<String, String> {
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" };
    let parameters = [
        ("Stage", "local"),
        ("EndpointUrl", &address.endpoint),
        ("Architecture", architecture),
        // A changed menu is seen at once, and yet the cache is at work.
        ("MenuCacheSeconds", "1"),
        ("ProviderUrl", &address.sandbox_url),
        ("ProviderSecret", PROVIDER_SECRET),
        ("SenderAddress", SENDER),
    ];
    parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// A stack with the host that it runs on. Dropping it ends everything.
#[derive(Debug)]
pub struct Running {
    /// The stack.
    pub stack: Stack,
    /// What it runs on.
    pub host: Host,
}

impl Running {
    /// Builds the functions, starts a host and deploys to it.
    ///
    /// # Errors
    /// Any of that fails; nothing stays behind then.
    pub async fn start(options: &Options) -> Result<Self, Error> {
        python::prepare(options.progress).await?;
        let binaries = Binaries::build(&[], options.progress).await?;
        let host = Host::start(options).await?;
        let (stack, _) = Stack::deploy(host.address(), &binaries, options).await?;
        Ok(Self { stack, host })
    }
}
