//! The configuration of the AWS SDK, shared by all clients of a function.

use std::{env, time::Duration};

use aws_config::{
    BehaviorVersion, Region, SdkConfig, environment::EnvironmentVariableCredentialsProvider,
    retry::RetryConfig, stalled_stream_protection::StalledStreamProtectionConfig,
    timeout::TimeoutConfig,
};
use aws_sdk_sqs::config::SharedCredentialsProvider;

use crate::{
    connections,
    settings::{self, SettingError},
};

/// The longest time for one attempt of an operation. An attempt that hangs, as on a connection that
/// died while the function was frozen, is abandoned early enough for a second one.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(1_500);

/// The longest time for an operation with all its attempts. It is shorter than any function's
/// timeout, so that the function can say what failed.
pub const OPERATION_TIMEOUT: Duration = Duration::from_secs(4);

/// Reads region, credentials and endpoint from the variables that Lambda sets, and sets time limits
/// and retries. Three attempts outlast a short fault; after a longer one, the message is retried
/// through its queue.
///
/// The SDK's own loader would also link everything that finds the credentials of people, such as
/// profiles and single sign-on, which a function never uses.
///
/// # Errors
/// The region is not set.
pub fn config() -> Result<SdkConfig, SettingError> {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(1))
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build();
    let credentials = EnvironmentVariableCredentialsProvider::new();
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(settings::text("AWS_REGION")?))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(connections::kept())
        .retry_config(RetryConfig::standard().with_max_attempts(3))
        .timeout_config(timeouts)
        // Bodies are a few kilobytes, and the timeout ends an attempt that stalls.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    config.set_endpoint_url(env::var("AWS_ENDPOINT_URL").ok().filter(|url| !url.is_empty()));
    Ok(config.build())
}
