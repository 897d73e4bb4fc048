//! The configuration of a person who works on a stack in an AWS account.

use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_cloudformation::config::{ProvideCredentials, SharedCredentialsProvider};
use platform::cause::chain;

use crate::Error;

/// Region and credentials from wherever the AWS CLI takes them: environment variables, or a profile
/// with keys, single sign-on, an assumed role or a credential process.
///
/// The credentials are fetched once, and not renewed while a command runs.
///
/// # Errors
/// There is no region, or there are no credentials.
pub async fn on_aws() -> Result<SdkConfig, Error> {
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    if config.region().is_none() {
        return Err(Error::NoRegion);
    }
    let provider =
        config.credentials_provider().ok_or_else(|| Error::NoCredentials(String::new()))?;
    let credentials = provider.provide_credentials().await;
    let credentials = credentials.map_err(|error| Error::NoCredentials(chain(&error)))?;
    let provider = SharedCredentialsProvider::new(credentials);
    Ok(config.into_builder().credentials_provider(provider).build())
}
