//! Deploying a template to the embedded AWS with CloudFormation.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use aws_config::SdkConfig;
use aws_sdk_cloudformation::{Client as CloudFormation, types::Parameter};
use aws_sdk_s3::{
    Client as S3,
    config::RequestChecksumCalculation,
    types::{BucketLocationConstraint, CreateBucketConfiguration},
};
use futures::future::try_join_all;
use stack::{
    change_set::{self, Change},
    embedded::REGION,
};

use crate::{
    Error,
    build::Binaries,
    error::{aws, io},
    package::Package,
    template::{CodeLocation, Template},
};

/// The bucket for the functions' packages and the templates.
const BUCKET: &str = "deployment-packages";

/// Uploads the functions' packages that are not there yet, and creates or updates the stack.
pub(crate) async fn deploy(
    config: &SdkConfig,
    stack: &str,
    mut template: Template,
    binaries: &Binaries,
    parameters: &BTreeMap<String, String>,
) -> Result<Change, Error> {
    let s3 = bucket(config).await?;
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
    let client = CloudFormation::new(config);
    let template = upload_template(&s3, stack, template.body()).await?;
    Ok(change_set::deploy(&client, stack, template, parameters).await?)
}

/// A client of S3, with the bucket in place.
async fn bucket(config: &SdkConfig) -> Result<S3, Error> {
    let s3 = S3::from_conf(
        aws_sdk_s3::config::Builder::from(config)
            .force_path_style(true)
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .build(),
    );
    create_bucket(&s3).await?;
    Ok(s3)
}

/// Uploads the template of a stack, and returns its URL.
async fn upload_template(s3: &S3, stack: &str, template: String) -> Result<String, Error> {
    let key = format!("{stack}/template.yaml");
    let put = s3.put_object().bucket(BUCKET).key(&key).body(template.into_bytes().into());
    put.send().await.map_err(aws("s3:PutObject"))?;
    Ok(format!("https://s3.{REGION}.amazonaws.com/{BUCKET}/{key}"))
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
        let s3 = bucket(&config).await.unwrap();
        let deploy = async |queue| {
            let template = upload_template(&s3, "stack", template(queue)).await.unwrap();
            change_set::deploy(&client, "stack", template, Vec::new()).await
        };

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
