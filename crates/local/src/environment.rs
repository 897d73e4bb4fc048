//! The environment variables of a deployed stack's functions, for running one in a container.

use std::collections::BTreeMap;

use aws_sdk_lambda::Client as Lambda;
use futures::future::try_join_all;
use serde::Serialize;
use stack::Deployment;

use crate::{Error, address::Address, error::aws};

/// The environment variables of each function by its logical id, in the format of `sam local invoke
/// --env-vars`.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Environments(BTreeMap<String, BTreeMap<String, String>>);

impl Environments {
    /// The variables with which the functions are deployed.
    pub(crate) async fn of(deployment: &Deployment) -> Result<Self, Error> {
        let lambda = Lambda::new(&deployment.config);
        let functions = deployment.resources("AWS::Lambda::Function");
        let environments = functions.map(async |(logical_id, name)| {
            let configuration = lambda.get_function_configuration().function_name(name);
            let configuration =
                configuration.send().await.map_err(aws("lambda:GetFunctionConfiguration"))?;
            let variables = configuration
                .environment
                .and_then(|environment| environment.variables)
                .unwrap_or_default();
            Ok::<_, Error>((logical_id.to_owned(), variables.into_iter().collect()))
        });
        Ok(Self(try_join_all(environments).await?.into_iter().collect()))
    }

    /// The same variables for containers, which reach the parts of the host by another host name.
    /// The URLs of queues are not changed, because they only identify queues.
    pub(crate) fn in_container(mut self, host: &Address) -> Self {
        let reached = host.in_container();
        for value in self.0.values_mut().flat_map(BTreeMap::values_mut) {
            if *value == host.endpoint {
                value.clone_from(&reached.endpoint);
            } else if *value == host.sandbox_url {
                value.clone_from(&reached.sandbox_url);
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_addresses_of_the_host_change_for_a_container() {
        let host = Address {
            endpoint: "http://127.0.0.1:4566".to_owned(),
            sandbox_url: "http://127.0.0.1:4567".to_owned(),
        };
        let variables = |values: [&str; 3]| {
            let names = ["AWS_ENDPOINT_URL", "PROVIDER_URL", "QUEUE_URL"].map(str::to_owned);
            let pairs = names.into_iter().zip(values.map(str::to_owned));
            BTreeMap::from([("Payment".to_owned(), pairs.collect())])
        };
        let queue = "http://127.0.0.1:4566/000000000000/charge";
        let deployed = Environments(variables([&host.endpoint, &host.sandbox_url, queue]));
        let expected =
            ["http://host.docker.internal:4566", "http://host.docker.internal:4567", queue];
        assert_eq!(deployed.in_container(&host).0, variables(expected));
    }
}
