//! The configuration of the AWS SDK, shared by all clients of a function.

use std::time::Duration;

use aws_config::{
    BehaviorVersion, SdkConfig, retry::RetryConfig,
    stalled_stream_protection::StalledStreamProtectionConfig, timeout::TimeoutConfig,
};

/// Loads region and credentials from the environment, and sets time limits and retries.
///
/// An attempt that hangs is abandoned early enough that a second one fits into every function's
/// timeout. Three attempts outlast a short fault; after a longer one, the message is retried
/// through its queue.
pub async fn config() -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(1))
        .operation_attempt_timeout(Duration::from_secs(2))
        .operation_timeout(Duration::from_secs(5))
        .build();
    aws_config::defaults(BehaviorVersion::latest())
        .retry_config(RetryConfig::standard().with_max_attempts(3))
        .timeout_config(timeouts)
        // Bodies are a few kilobytes, and the timeout ends an attempt that stalls.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .load()
        .await
}
