//! A stack as CloudFormation describes it: outputs, resources and parameters.

use std::{collections::BTreeMap, path::Path};

use aws_config::SdkConfig;
use aws_sdk_cloudformation::{
    Client as CloudFormation, error::ProvideErrorMetadata, types::Stack as Description,
};
use serde::{Deserialize, Serialize};

use crate::{Embedded, Error, credentials::on_aws, error::aws};

/// A deployed stack.
#[derive(Debug)]
pub struct Deployment {
    /// The configuration of any SDK client.
    pub config: SdkConfig,
    /// The embedded stack, unless the stack is on AWS.
    pub embedded: Option<Embedded>,
    /// The resources by logical id.
    resources: BTreeMap<String, Resource>,
    parameters: BTreeMap<String, String>,
}

#[derive(Debug)]
struct Resource {
    kind: String,
    physical_id: String,
}

impl Deployment {
    /// The stack of that name, in the account and region of the environment.
    ///
    /// # Errors
    /// There are no credentials, there is no such stack, or CloudFormation does not answer.
    pub async fn on_aws(name: &str) -> Result<Self, Error> {
        Self::of(on_aws().await?, name).await
    }

    /// The stack that `cargo local` runs in the state directory.
    ///
    /// # Errors
    /// No stack is running there, or CloudFormation does not answer.
    pub async fn embedded(state_dir: &Path) -> Result<Self, Error> {
        let embedded = Embedded::find(state_dir)?;
        let deployment = Self::of(embedded.config(), &embedded.stack_name).await?;
        Ok(Self { embedded: Some(embedded), ..deployment })
    }

    /// The stack of that name, in the account and region of a configuration.
    ///
    /// # Errors
    /// There is no such stack, or CloudFormation does not answer.
    pub async fn of(config: SdkConfig, name: &str) -> Result<Self, Error> {
        let client = CloudFormation::new(&config);
        let description = describe(&client, name).await?;
        let parameters = description.parameters.unwrap_or_default().into_iter();
        let parameters = parameters
            .filter_map(|parameter| Some((parameter.parameter_key?, parameter.parameter_value?)))
            .collect();
        let resources = resources(&client, name).await?;
        Ok(Self { config, embedded: None, resources, parameters })
    }

    /// The physical id of a resource: its name, ARN or URL, depending on its type.
    ///
    /// # Errors
    /// The stack has no such resource.
    pub fn resource(&self, logical_id: &str) -> Result<&str, Error> {
        let resource = self.resources.get(logical_id);
        resource
            .map(|resource| &*resource.physical_id)
            .ok_or_else(|| Error::NoResource(logical_id.to_owned()))
    }

    /// Logical and physical ids of all resources of a type, such as `AWS::SQS::Queue`.
    pub fn resources(&self, kind: &str) -> impl Iterator<Item = (&str, &str)> {
        let of_kind = self.resources.iter().filter(move |(_, resource)| resource.kind == kind);
        of_kind.map(|(logical_id, resource)| (&**logical_id, &*resource.physical_id))
    }

    /// The value of a parameter.
    ///
    /// # Errors
    /// The template has no such parameter.
    pub fn parameter(&self, name: &str) -> Result<&str, Error> {
        let value = self.parameters.get(name).map(String::as_str);
        value.ok_or_else(|| Error::NoParameter(name.to_owned()))
    }
}

/// The outputs of a stack, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Outputs(BTreeMap<String, String>);

impl Outputs {
    /// The outputs of the stack of that name.
    ///
    /// # Errors
    /// There is no such stack, or CloudFormation does not answer.
    pub async fn of(config: &SdkConfig, stack: &str) -> Result<Self, Error> {
        let description = describe(&CloudFormation::new(config), stack).await?;
        let outputs = description.outputs.unwrap_or_default().into_iter();
        Ok(Self(
            outputs.filter_map(|output| Some((output.output_key?, output.output_value?))).collect(),
        ))
    }

    /// The value of an output.
    ///
    /// # Errors
    /// The template has no such output.
    pub fn get(&self, name: &str) -> Result<&str, Error> {
        self.0.get(name).map(String::as_str).ok_or_else(|| Error::NoOutput(name.to_owned()))
    }
}

/// CloudFormation's description of a stack.
///
/// # Errors
/// There is no such stack, or CloudFormation does not answer.
pub async fn describe(client: &CloudFormation, stack: &str) -> Result<Description, Error> {
    let missing = || Error::NoStack(stack.to_owned());
    match client.describe_stacks().stack_name(stack).send().await {
        Ok(answer) => answer.stacks.unwrap_or_default().pop().ok_or_else(missing),
        Err(error) if error.message().is_some_and(|message| message.contains("does not exist")) => {
            Err(missing())
        }
        Err(error) => Err(aws("cloudformation:DescribeStacks")(error)),
    }
}

async fn resources(
    client: &CloudFormation,
    stack: &str,
) -> Result<BTreeMap<String, Resource>, Error> {
    let pages = client.list_stack_resources().stack_name(stack).into_paginator().items().send();
    let listed: Vec<_> =
        pages.try_collect().await.map_err(aws("cloudformation:ListStackResources"))?;
    let named = listed.into_iter().filter_map(|resource| {
        let (kind, physical_id) = (resource.resource_type?, resource.physical_resource_id?);
        Some((resource.logical_resource_id?, Resource { kind, physical_id }))
    });
    Ok(named.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_part_of_a_stack_is_named() {
        let config = crate::embedded::config("http://127.0.0.1:1");
        let resource =
            Resource { kind: "AWS::SQS::Queue".to_owned(), physical_id: "charge".to_owned() };
        let deployment = Deployment {
            config,
            embedded: None,
            resources: [("ChargeQueue".to_owned(), resource)].into(),
            parameters: [("Stage".to_owned(), "local".to_owned())].into(),
        };
        assert_eq!(deployment.resource("ChargeQueue").unwrap(), "charge");
        assert_eq!(deployment.resources("AWS::SQS::Queue").count(), 1);
        assert_eq!(deployment.resources("AWS::SNS::Topic").count(), 0);
        assert_eq!(deployment.parameter("Stage").unwrap(), "local");

        let ends_well = "deploy this repository's template to it";
        assert_eq!(
            deployment.resource("Bus").unwrap_err().to_string(),
            format!("the stack has no resource Bus: {ends_well}")
        );
        assert_eq!(
            deployment.parameter("Bus").unwrap_err().to_string(),
            format!("the stack has no parameter Bus: {ends_well}")
        );
        assert_eq!(
            Outputs::default().get("ApiUrl").unwrap_err().to_string(),
            format!("the stack has no output ApiUrl: {ends_well}")
        );
    }
}
