//! What the functions of a deployed stack are told, for running one of them in a container.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_sdk_cloudformation::Client as CloudFormation;
use aws_sdk_lambda::Client as Lambda;
use futures::future::try_join_all;
use serde::Serialize;

use crate::{Address, Error, error::aws};

/// The environment variables of each function by its logical id, in the form of `sam local invoke
/// --env-vars`.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Environments(BTreeMap<String, BTreeMap<String, String>>);

impl Environments {
    /// What the functions of a stack are told where they are deployed.
    pub(crate) async fn of(config: &SdkConfig, stack: &str) -> Result<Self, Error> {
        let resources = CloudFormation::new(config)
            .list_stack_resources()
            .stack_name(stack)
            .into_paginator()
            .items()
            .send();
        let resources: Vec<_> =
            resources.try_collect().await.map_err(aws("cloudformation:ListStackResources"))?;
        let functions = resources
            .into_iter()
            .filter(|resource| resource.resource_type() == Some("AWS::Lambda::Function"));
        let lambda = Lambda::new(config);
        let environments = functions.map(async |function| {
            let configuration = lambda
                .get_function_configuration()
                .set_function_name(function.physical_resource_id);
            let configuration =
                configuration.send().await.map_err(aws("lambda:GetFunctionConfiguration"))?;
            let variables = configuration
                .environment
                .and_then(|environment| environment.variables)
                .unwrap_or_default();
            Ok::<_, Error>((
                function.logical_resource_id.unwrap_or_default(),
                variables.into_iter().collect(),
            ))
        });
        Ok(Self(try_join_all(environments).await?.into_iter().collect()))
    }

    /// The same for containers, which reach a host's parts by another name. The URLs of queues
    /// stay: they name queues.
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
