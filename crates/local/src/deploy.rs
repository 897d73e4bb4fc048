//! Deploying a template to the embedded AWS with CloudFormation.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use aws_config::SdkConfig;
use aws_sdk_cloudformation::{
    Client as CloudFormation,
    types::{Capability, ChangeSetStatus, ChangeSetType, Parameter, StackEvent, StackStatus},
};
use aws_sdk_s3::{
    Client as S3,
    config::RequestChecksumCalculation,
    types::{BucketLocationConstraint, CreateBucketConfiguration},
};
use futures::future::try_join_all;
use stack::{describe, embedded::REGION};
use uuid::Uuid;

use crate::{
    Error,
    build::Binaries,
    error::{aws, failed, io},
    package::Package,
    template::{CodeLocation, Template},
};

/// The bucket for the functions' packages.
const BUCKET: &str = "deployment-packages";

/// How often CloudFormation is asked whether it has finished.
const POLL: Duration = Duration::from_millis(50);

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

/// Uploads the functions' packages that are not there yet, and creates or updates the stack.
pub(crate) async fn deploy(
    config: &SdkConfig,
    stack: &str,
    mut template: Template,
    binaries: &Binaries,
    parameters: &BTreeMap<String, String>,
) -> Result<Change, Error> {
    let s3 = S3::from_conf(
        aws_sdk_s3::config::Builder::from(config)
            .force_path_style(true)
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .build(),
    );
    create_bucket(&s3).await?;
    let functions = template.functions().into_iter();
    let uploads = functions.map(|(function, binary)| {
        let path = binaries.path(&binary).map(Path::to_owned);
        let s3 = &s3;
        async move {
            let path = path.ok_or_else(|| Error::NoSuchBinary {
                function: function.clone(),
                binary: binary.clone(),
            })?;
            Ok::<_, Error>((function, upload(s3, binary, path).await?))
        }
    });
    for (function, key) in try_join_all(uploads).await? {
        template.locate(&function, CodeLocation { bucket: BUCKET.to_owned(), key });
    }

    let parameters = parameters
        .iter()
        .map(|(name, value)| {
            Parameter::builder().parameter_key(name).parameter_value(value).build()
        })
        .collect();
    apply(&CloudFormation::new(config), stack, template.body(), parameters).await
}

async fn create_bucket(s3: &S3) -> Result<(), Error> {
    let place = CreateBucketConfiguration::builder()
        .location_constraint(BucketLocationConstraint::from(REGION))
        .build();
    match s3.create_bucket().bucket(BUCKET).create_bucket_configuration(place).send().await {
        Err(error)
            if error
                .as_service_error()
                .is_some_and(|error| error.is_bucket_already_owned_by_you()) =>
        {
            Ok(())
        }
        created => created.map(|_| ()).map_err(aws("s3:CreateBucket")),
    }
}

/// Uploads a function's package unless it is already there, and returns its key.
async fn upload(s3: &S3, name: String, binary: PathBuf) -> Result<String, Error> {
    let package = tokio::task::spawn_blocking(move || Package::read(&name, &binary))
        .await
        .map_err(std::io::Error::other)
        .map_err(io("reading a binary"))??;
    let key = package.key().to_owned();
    if s3.head_object().bucket(BUCKET).key(&key).send().await.is_err() {
        // Neither signed nor checksummed: the package does not leave this machine, and hashing it
        // takes seconds in a development build.
        let put = s3
            .put_object()
            .bucket(BUCKET)
            .key(&key)
            .body(package.zip()?.into())
            .customize()
            .disable_payload_signing();
        put.send().await.map_err(aws("s3:PutObject"))?;
    }
    Ok(key)
}

/// Creates or updates the stack, and waits until CloudFormation has finished.
async fn apply(
    client: &CloudFormation,
    stack: &str,
    body: String,
    parameters: Vec<Parameter>,
) -> Result<Change, Error> {
    let creation = match describe(client, stack).await {
        Ok(_) => false,
        Err(stack::Error::NoStack(_)) => true,
        Err(error) => return Err(error.into()),
    };
    // Names the change set, and distinguishes the events of this deployment from earlier ones.
    let token = format!("local-{}", Uuid::new_v4());
    let change_set = client
        .create_change_set()
        .stack_name(stack)
        .change_set_name(&token)
        .change_set_type(if creation { ChangeSetType::Create } else { ChangeSetType::Update })
        .template_body(body)
        .set_parameters(Some(parameters))
        .capabilities(Capability::CapabilityIam)
        .capabilities(Capability::CapabilityAutoExpand);
    change_set.send().await.map_err(aws("cloudformation:CreateChangeSet"))?;
    let changes = changes(client, stack, &token).await?;
    if changes.is_empty() {
        return Ok(Change::Nothing);
    }

    let execution = client
        .execute_change_set()
        .stack_name(stack)
        .change_set_name(&token)
        .client_request_token(&token);
    execution.send().await.map_err(aws("cloudformation:ExecuteChangeSet"))?;
    let status = loop {
        match describe(client, stack).await?.stack_status {
            Some(status) if !status.as_str().ends_with("_IN_PROGRESS") => break status,
            _ => tokio::time::sleep(POLL).await,
        }
    };
    match status {
        StackStatus::CreateComplete => Ok(Change::Created),
        StackStatus::UpdateComplete => Ok(Change::Updated(changes)),
        status => Err(rolled_back(stack, &status, &events(client, stack, &token).await?)),
    }
}

/// Waits until a change set is ready, and returns the resources that it changes.
async fn changes(
    client: &CloudFormation,
    stack: &str,
    change_set: &str,
) -> Result<Vec<String>, Error> {
    let description = loop {
        let description =
            client.describe_change_set().stack_name(stack).change_set_name(change_set).send().await;
        let description = description.map_err(aws("cloudformation:DescribeChangeSet"))?;
        match description.status {
            Some(ChangeSetStatus::CreateComplete | ChangeSetStatus::Failed) => break description,
            _ => tokio::time::sleep(POLL).await,
        }
    };
    let reason = description.status_reason.unwrap_or_default();
    if description.status == Some(ChangeSetStatus::Failed)
        && !reason.contains("didn't contain changes")
    {
        return Err(failed("cloudformation:CreateChangeSet", reason));
    }
    let changes = description.changes.unwrap_or_default().into_iter();
    Ok(changes.filter_map(|change| change.resource_change?.logical_resource_id).collect())
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use stack::{Outputs, embedded};

    use crate::{Host, Options, scratch::scratch};

    fn template(queue: Value) -> String {
        let resources = json!({
            "Topic": {"Type": "AWS::SNS::Topic"},
            "Queue": {"Type": "AWS::SQS::Queue", "Properties": queue}
        });
        let outputs = json!({"QueueName": {"Value": {"Fn::GetAtt": ["Queue", "QueueName"]}}});
        json!({"Resources": resources, "Outputs": outputs}).to_string()
    }

    #[tokio::test]
    async fn a_deployment_returns_its_changes_or_the_first_failure() {
        let host = Host::start(&Options::new(&scratch("deployment"))).await.unwrap();
        let config = embedded::config(&host.address().endpoint);
        let client = CloudFormation::new(&config);
        let deploy = |queue| apply(&client, "stack", template(queue), Vec::new());

        assert_eq!(deploy(json!({"QueueName": "a"})).await.unwrap(), Change::Created);
        assert_eq!(Outputs::of(&config, "stack").await.unwrap().get("QueueName").unwrap(), "a");
        assert_eq!(deploy(json!({"QueueName": "a"})).await.unwrap(), Change::Nothing);
        assert_eq!(
            deploy(json!({"QueueName": "a", "DelaySeconds": 1})).await.unwrap(),
            Change::Updated(vec!["Queue".to_owned()])
        );

        let error = deploy(json!({"QueueName": "a", "DelaySeconds": 100000}))
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("the deployment was rolled back: Queue (AWS::SQS::Queue): "),
            "{error}"
        );
        assert!(error.contains("DelaySeconds"), "{error}");
    }

    #[tokio::test]
    async fn an_unknown_stack_is_named() {
        let host = Host::start(&Options::new(&scratch("no-stack"))).await.unwrap();
        let config = embedded::config(&host.address().endpoint);
        let error = Outputs::of(&config, "nowhere").await.unwrap_err().to_string();
        assert!(error.starts_with("there is no stack nowhere in this account"), "{error}");
    }
}
