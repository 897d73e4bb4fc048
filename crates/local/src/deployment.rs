//! A template, brought to the embedded AWS with CloudFormation.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use aws_config::SdkConfig;
use aws_sdk_cloudformation::{
    Client as CloudFormation,
    error::ProvideErrorMetadata,
    types::{
        Capability, ChangeSetStatus, ChangeSetType, Parameter, Stack as Description, StackEvent,
        StackStatus,
    },
};
use aws_sdk_s3::{
    Client as S3,
    config::RequestChecksumCalculation,
    types::{BucketLocationConstraint, CreateBucketConfiguration},
};
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Error,
    aws::REGION,
    build::Binaries,
    error::{aws, io},
    package::Package,
    template::{CodeLocation, Template},
};

/// Where the functions' packages are uploaded to.
const BUCKET: &str = "deployment-packages";

/// How often CloudFormation is asked whether it is done.
const POLL: Duration = Duration::from_millis(50);

/// What a deployment did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// There was no stack before.
    Created,
    /// These resources, by their logical ids, were added, changed or removed.
    Updated(Vec<String>),
    /// Everything was as it should be.
    Nothing,
}

/// What a stack says of itself: the outputs of its template, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Outputs(BTreeMap<String, String>);

impl Outputs {
    /// The value of an output.
    ///
    /// # Errors
    /// The template has no such output.
    pub fn get(&self, name: &str) -> Result<&str, Error> {
        self.0.get(name).map(String::as_str).ok_or_else(|| Error::NoOutput(name.to_owned()))
    }

    /// The outputs of a deployed stack, here or in an AWS account.
    ///
    /// # Errors
    /// There is no such stack, or CloudFormation could not be asked.
    pub async fn of(config: &SdkConfig, stack: &str) -> Result<Self, Error> {
        let description = describe(&CloudFormation::new(config), stack).await?;
        let description = description.ok_or_else(|| Error::NoStack(stack.to_owned()))?;
        let pairs = description.outputs.unwrap_or_default().into_iter();
        Ok(Self(
            pairs.filter_map(|output| Some((output.output_key?, output.output_value?))).collect(),
        ))
    }
}

/// Uploads what is new of the functions' code and creates or updates the stack.
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

/// Uploads a function's package unless it is there already, and returns its key.
async fn upload(s3: &S3, name: String, binary: PathBuf) -> Result<String, Error> {
    let package = tokio::task::spawn_blocking(move || Package::read(&name, &binary))
        .await
        .map_err(std::io::Error::other)
        .map_err(io("reading a binary"))??;
    let key = package.key().to_owned();
    if s3.head_object().bucket(BUCKET).key(&key).send().await.is_err() {
        // Neither hashed nor checksummed: it does not leave this machine, and in a development
        // build that takes seconds.
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

/// Creates or updates the stack and waits until that is over.
async fn apply(
    client: &CloudFormation,
    stack: &str,
    body: String,
    parameters: Vec<Parameter>,
) -> Result<Change, Error> {
    let creation = describe(client, stack).await?.is_none();
    // Names the change set, and marks the events of this deployment among those of earlier ones.
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
        let description =
            describe(client, stack).await?.ok_or_else(|| Error::NoStack(stack.to_owned()))?;
        match description.stack_status {
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

/// The resources that a change set touches, once it is ready.
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
        return Err(Error::Aws { operation: "cloudformation:CreateChangeSet", reason });
    }
    let changes = description.changes.unwrap_or_default().into_iter();
    Ok(changes.filter_map(|change| change.resource_change?.logical_resource_id).collect())
}

async fn describe(client: &CloudFormation, stack: &str) -> Result<Option<Description>, Error> {
    match client.describe_stacks().stack_name(stack).send().await {
        Ok(answer) => Ok(answer.stacks.unwrap_or_default().pop()),
        Err(error) if error.message().is_some_and(|message| message.contains("does not exist")) => {
            Ok(None)
        }
        Err(error) => Err(aws("cloudformation:DescribeStacks")(error)),
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

/// The failure that the others follow from is the first.
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
    use crate::{Host, Options, aws, workspace::scratch};

    fn template(queue: Value) -> String {
        let resources = json!({
            "Topic": {"Type": "AWS::SNS::Topic"},
            "Queue": {"Type": "AWS::SQS::Queue", "Properties": queue}
        });
        let outputs = json!({"QueueName": {"Value": {"Fn::GetAtt": ["Queue", "QueueName"]}}});
        json!({"Resources": resources, "Outputs": outputs}).to_string()
    }

    #[tokio::test]
    async fn a_deployment_tells_what_it_changed_and_one_that_fails_tells_why() {
        let host = Host::start(&Options::new(&scratch("deployment"))).await.unwrap();
        let config = aws::config(&host.address().endpoint);
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
    async fn a_stack_or_an_output_that_is_not_there_is_named() {
        let host = Host::start(&Options::new(&scratch("no-stack"))).await.unwrap();
        let error = Outputs::of(&aws::config(&host.address().endpoint), "nowhere")
            .await
            .unwrap_err()
            .to_string();
        assert_eq!(error, "there is no stack nowhere in this account and region");
        let error = Outputs::default().get("ApiUrl").unwrap_err().to_string();
        assert_eq!(error, "the stack has no output ApiUrl: is it this repository's template?");
    }
}
