//! Deploying a stack to a host.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client as SecretsManager;
use stack::{
    Deployment, Embedded, Outputs, change_set::Change, embedded, embedded::REGION, workspace,
};

use crate::{
    Error,
    address::Address,
    build::Binaries,
    deploy,
    environment::Environments,
    error::aws,
    host::{Host, PROVIDER_KEY},
    local_stack::{Stack, environments_file, write_json},
    options::Options,
    recorder,
    sandbox::{self, Control},
    shops,
    template::Template,
    users,
};

/// The stack's name in CloudFormation.
const NAME: &str = "amelie";

/// The sender of notices: a name that can never receive mail.
const SENDER: &str = "orders@amelie.example";

/// The name of the secret that holds the payment provider's API key.
pub const PROVIDER_SECRET_NAME: &str = "amelie/payment-provider";

/// A stack with the host that it runs on. Dropping it ends everything.
#[derive(Debug)]
pub struct Running {
    pub stack: Stack,
    pub host: Host,
}

impl Running {
    /// Builds the functions, unless another process uses the ports; starts a host and deploys to
    /// it.
    ///
    /// # Errors
    /// Any of these steps fails. Nothing is left running then.
    pub async fn start(options: &Options) -> Result<Self, Error> {
        Host::check_ports(options).await?;
        let binaries = Binaries::build(&[], options.progress).await?;
        let host = Host::start(options).await?;
        let (stack, _) = Stack::deploy(host.address(), &binaries, options).await?;
        Ok(Self { stack, host })
    }
}

impl Stack {
    /// Deploys the template and the binaries to a host, as far as they have changed. A new stack
    /// gets the demo shops and users.
    ///
    /// # Errors
    /// The deployment fails. If it was the first one, end the host too.
    pub async fn deploy(
        address: &Address,
        binaries: &Binaries,
        options: &Options,
    ) -> Result<(Self, Change), Error> {
        let config = embedded::config(&address.endpoint);
        let step = options.progress.step();
        store_provider_key(&config).await?;
        let mut template = Template::read(&options.template)?;
        template.name_api(NAME);
        let mut parameters = parameters(address);
        parameters.extend(options.parameters.clone());
        let change = deploy::deploy(&config, NAME, template, binaries, &parameters).await?;
        let outputs = Outputs::of(&config, NAME).await?;
        let bus = outputs.get("EventBusName")?;
        recorder::connect(&config, bus).await?;
        let sandbox = Control::new(&address.sandbox_url);
        sandbox.send_events_to(&address.endpoint, bus).await.map_err(|error| {
            Error::Host(format!("the payment sandbox does not answer: {error}"))
        })?;
        step.done(&match &change {
            Change::Created => format!("stack {NAME} deployed"),
            Change::Updated(resources) => format!("stack {NAME} updated: {}", resources.join(", ")),
            Change::Nothing => format!("stack {NAME} is up to date"),
        });

        let stack = Self {
            embedded: Embedded::new(&address.endpoint, NAME, &options.state_dir),
            api_url: api_url(&address.endpoint, outputs.get("ApiUrl")?),
            region: REGION.to_owned(),
            sandbox_url: address.sandbox_url.clone(),
            outputs,
        };
        if change == Change::Created {
            stack.add_demo_data(options).await?;
        }
        let deployment = Deployment::of(config, NAME).await?;
        let environments = Environments::of(&deployment).await?.in_container(address);
        write_json(&environments_file(&options.state_dir), &environments)?;
        // Last, so that a stack that can be found is complete.
        stack.publish()?;
        Ok((stack, change))
    }

    async fn add_demo_data(&self, options: &Options) -> Result<(), Error> {
        let step = options.progress.step();
        let shops = shops::read(&workspace::root().join("crates/local/demo/shops.json"))?;
        shops::load(&self.aws(), &self.outputs, &shops).await?;
        for user in users::DEMO {
            self.add_user(user).await?;
        }
        step.done(&format!("{} demo shops, customers {}", shops.len(), users::DEMO.join(", ")));
        Ok(())
    }
}

/// Stores the API key as operators do it before they deploy, unless there is one.
async fn store_provider_key(config: &SdkConfig) -> Result<(), Error> {
    let secrets = SecretsManager::new(config);
    let new = secrets.create_secret().name(PROVIDER_SECRET_NAME).secret_string(PROVIDER_KEY);
    match new.send().await {
        Err(error)
            if error
                .as_service_error()
                .is_some_and(|error| error.is_resource_exists_exception()) =>
        {
            Ok(())
        }
        created => created.map(drop).map_err(aws("secretsmanager:CreateSecret")),
    }
}

/// The API at a host name that every resolver knows. Its own URL has the host
/// `ID.execute-api.localhost`, which some resolvers do not know.
fn api_url(endpoint: &str, own: &str) -> String {
    let id = own.trim_start_matches("http://").split('.').next().unwrap_or_default();
    format!("{endpoint}/_aws/execute-api/{id}")
}

/// The template parameters that differ from their defaults.
fn parameters(address: &Address) -> BTreeMap<String, String> {
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" };
    let return_url = format!("{}{}", address.sandbox_url, sandbox::RETURNED);
    let parameters = [
        ("Stage", "local"),
        ("EndpointUrl", &address.endpoint),
        ("Architecture", architecture),
        // A changed menu is seen after a moment, and the cache is used nevertheless.
        ("MenuCacheSeconds", "1"),
        ("ProviderUrl", &address.sandbox_url),
        ("AuthenticationReturnUrl", &return_url),
        ("ProviderSecretName", PROVIDER_SECRET_NAME),
        ("SenderAddress", SENDER),
    ];
    parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_is_reached_at_the_endpoint_by_its_id() {
        let own = "http://a1b2c3.execute-api.localhost:4566";
        assert_eq!(
            api_url("http://127.0.0.1:4566", own),
            "http://127.0.0.1:4566/_aws/execute-api/a1b2c3"
        );
    }
}
