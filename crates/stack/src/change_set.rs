//! Changing a stack through a CloudFormation change set.

use std::time::{Duration, Instant};

use aws_sdk_cloudformation::{
    Client as CloudFormation,
    operation::create_change_set::builders::CreateChangeSetFluentBuilder,
    types::{
        Capability, ChangeSetStatus, ChangeSetType, Parameter, ResourceToImport, StackEvent,
        StackStatus,
    },
};
use uuid::Uuid;

use crate::{Error, deployment::describe, error::aws};

/// What a deployment changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It created the stack.
    Created,
    /// It added, changed or removed the resources with these logical ids.
    Updated(Vec<String>),
    /// It changed nothing.
    Nothing,
}

/// Creates or updates the stack by the template at an S3 URL, and waits until CloudFormation has
/// finished. In a request, a template may have 51,200 bytes, and ours has more.
///
/// # Errors
/// CloudFormation refuses the template, rolls the change back, or does not answer.
pub async fn deploy(
    client: &CloudFormation,
    stack: &str,
    template_url: String,
    parameters: Vec<Parameter>,
) -> Result<Change, Error> {
    let kind = match describe(client, stack).await {
        Ok(_) => ChangeSetType::Update,
        Err(Error::NoStack(_)) => ChangeSetType::Create,
        Err(error) => return Err(error),
    };
    let change_set = client
        .create_change_set()
        .change_set_type(kind)
        .template_url(template_url)
        .set_parameters(Some(parameters))
        .capabilities(Capability::CapabilityIam)
        .capabilities(Capability::CapabilityAutoExpand);
    Ok(match apply(client, stack, change_set).await? {
        Some((StackStatus::CreateComplete, _)) => Change::Created,
        Some((_, changes)) => Change::Updated(changes),
        None => Change::Nothing,
    })
}

/// Creates the stack out of resources that exist already, and waits until CloudFormation has
/// finished. The resources themselves stay as they are.
///
/// # Errors
/// CloudFormation refuses the template or a resource, or does not answer.
pub async fn import(
    client: &CloudFormation,
    stack: &str,
    template: String,
    resources: Vec<ResourceToImport>,
) -> Result<(), Error> {
    let change_set = client
        .create_change_set()
        .change_set_type(ChangeSetType::Import)
        .template_body(template)
        .set_resources_to_import(Some(resources));
    apply(client, stack, change_set).await.map(drop)
}

/// Creates and executes a change set. Returns the stack's status and what was changed, or `None` if
/// there was nothing to change.
async fn apply(
    client: &CloudFormation,
    stack: &str,
    change_set: CreateChangeSetFluentBuilder,
) -> Result<Option<(StackStatus, Vec<String>)>, Error> {
    // Names the change set, and distinguishes the events of this deployment from earlier ones.
    let token = format!("cargo-{}", Uuid::new_v4());
    let created = change_set.stack_name(stack).change_set_name(&token).send().await;
    created.map_err(aws("cloudformation:CreateChangeSet"))?;
    let changes = changes(client, stack, &token).await?;
    if changes.is_empty() {
        return Ok(None);
    }

    let execution = client
        .execute_change_set()
        .stack_name(stack)
        .change_set_name(&token)
        .client_request_token(&token);
    execution.send().await.map_err(aws("cloudformation:ExecuteChangeSet"))?;
    let pause = Pause::new();
    let status = loop {
        match describe(client, stack).await?.stack_status {
            Some(status) if !status.as_str().ends_with("_IN_PROGRESS") => break status,
            _ => pause.sleep().await,
        }
    };
    match status {
        StackStatus::CreateComplete | StackStatus::UpdateComplete | StackStatus::ImportComplete => {
            Ok(Some((status, changes)))
        }
        status => Err(rolled_back(stack, &status, &events(client, stack, &token).await?)),
    }
}

/// Waits until a change set is ready, and returns the resources that it changes.
async fn changes(
    client: &CloudFormation,
    stack: &str,
    change_set: &str,
) -> Result<Vec<String>, Error> {
    let pause = Pause::new();
    let description = loop {
        let description =
            client.describe_change_set().stack_name(stack).change_set_name(change_set).send().await;
        let description = description.map_err(aws("cloudformation:DescribeChangeSet"))?;
        match description.status {
            Some(ChangeSetStatus::CreateComplete | ChangeSetStatus::Failed) => break description,
            _ => pause.sleep().await,
        }
    };
    let reason = description.status_reason.unwrap_or_default();
    if description.status == Some(ChangeSetStatus::Failed)
        && !reason.contains("didn't contain changes")
    {
        return Err(Error::Aws { operation: "cloudformation:CreateChangeSet", reason });
    }
    let changes = description.changes.unwrap_or_default().into_iter();
    Ok(changes.filter_map(|change| change.resource_change?.logical_resource_id).collect())
}

/// The pause between two looks: short for the embedded AWS, which is done in a moment, and longer
/// the longer it takes, since AWS limits the calls of an account.
struct Pause(Instant);

impl Pause {
    fn new() -> Self {
        Self(Instant::now())
    }

    async fn sleep(&self) {
        let tenth = self.0.elapsed() / 10;
        tokio::time::sleep(tenth.clamp(Duration::from_millis(50), Duration::from_secs(5))).await;
    }
}

/// The events of one deployment, oldest first.
async fn events(
    client: &CloudFormation,
    stack: &str,
    token: &str,
) -> Result<Vec<StackEvent>, Error> {
    let pages = client.describe_stack_events().stack_name(stack).into_paginator().items().send();
    let mut events: Vec<StackEvent> =
        pages.try_collect().await.map_err(aws("cloudformation:DescribeStackEvents"))?;
    events.retain(|event| event.client_request_token() == Some(token));
    events.reverse();
    Ok(events)
}

/// The error of a failed deployment. It names the first failure, because the others follow from it.
fn rolled_back(stack: &str, status: &StackStatus, events: &[StackEvent]) -> Error {
    let failed = |event: &&StackEvent| {
        event.resource_status().is_some_and(|status| status.as_str().ends_with("_FAILED"))
    };
    let first = events.iter().find(failed);
    let field = |value: Option<&str>, unknown: &str| value.unwrap_or(unknown).to_owned();
    Error::RolledBack {
        resource: field(first.and_then(StackEvent::logical_resource_id), stack),
        kind: field(first.and_then(StackEvent::resource_type), "AWS::CloudFormation::Stack"),
        reason: field(first.and_then(StackEvent::resource_status_reason), status.as_str()),
    }
}
