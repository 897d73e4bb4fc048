//! The stack that the commands are about, and what it is made of.

use std::{collections::BTreeMap, path::Path};

use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_cloudformation::Client as CloudFormation;
use local::{Stack, error::aws};

use crate::error::Error;

/// A deployed stack.
pub(crate) struct Deployment {
    /// For any SDK client.
    pub(crate) config: SdkConfig,
    /// The embedded stack, if it is one.
    pub(crate) embedded: Option<Stack>,
    /// By logical id.
    resources: BTreeMap<String, Resource>,
    parameters: BTreeMap<String, String>,
}

struct Resource {
    kind: String,
    physical_id: String,
}

impl Deployment {
    /// The stack of that name, in the account and region of the environment.
    pub(crate) async fn on_aws(name: &str) -> Result<Self, Error> {
        let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
        Self::describe(config, name, None).await
    }

    /// The stack that `cargo local` runs in that state directory.
    pub(crate) async fn embedded(state_dir: &Path) -> Result<Self, Error> {
        let stack = Stack::find(state_dir)?;
        Self::describe(stack.aws(), &stack.stack_name.clone(), Some(stack)).await
    }

    async fn describe(
        config: SdkConfig,
        name: &str,
        embedded: Option<Stack>,
    ) -> Result<Self, Error> {
        let client = CloudFormation::new(&config);
        let parameters = parameters(&client, name).await?;
        let resources =
            client.list_stack_resources().stack_name(name).into_paginator().items().send();
        let resources: Vec<_> =
            resources.try_collect().await.map_err(aws("cloudformation:ListStackResources"))?;
        let named = resources.into_iter().filter_map(|resource| {
            let found = Resource {
                kind: resource.resource_type?,
                physical_id: resource.physical_resource_id?,
            };
            Some((resource.logical_resource_id?, found))
        });
        Ok(Self { config, embedded, resources: named.collect(), parameters })
    }

    /// The name, ARN or URL of a resource, whatever CloudFormation identifies its kind by.
    pub(crate) fn resource(&self, logical_id: &str) -> Result<&str, Error> {
        let resource = self.resources.get(logical_id);
        resource
            .map(|resource| &*resource.physical_id)
            .ok_or_else(|| Error::NoResource(logical_id.to_owned()))
    }

    /// Logical and physical ids of all resources of a kind, such as `AWS::SQS::Queue`.
    pub(crate) fn resources(&self, kind: &str) -> impl Iterator<Item = (&str, &str)> {
        let of_kind = self.resources.iter().filter(move |(_, resource)| resource.kind == kind);
        of_kind.map(|(logical_id, resource)| (&**logical_id, &*resource.physical_id))
    }

    /// The value that the stack was deployed with.
    pub(crate) fn parameter(&self, name: &'static str) -> Result<&str, Error> {
        self.parameters.get(name).map(String::as_str).ok_or(Error::NoParameter(name))
    }
}

async fn parameters(
    client: &CloudFormation,
    stack: &str,
) -> Result<BTreeMap<String, String>, Error> {
    let described = client.describe_stacks().stack_name(stack).send().await;
    let described =
        described.map_err(aws("cloudformation:DescribeStacks"))?.stacks.unwrap_or_default().pop();
    let described = described.ok_or_else(|| local::Error::NoStack(stack.to_owned()))?;
    let pairs = described.parameters.unwrap_or_default().into_iter();
    Ok(pairs
        .filter_map(|parameter| Some((parameter.parameter_key?, parameter.parameter_value?)))
        .collect())
}
