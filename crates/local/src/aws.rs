//! How the embedded AWS is called.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_http_client::Builder;

/// The region that the embedded AWS plays.
pub const REGION: &str = "eu-central-1";

/// A configuration for any SDK client. Its credentials are the root user's, whom no policy
/// restricts.
#[must_use]
pub(crate) fn config(endpoint: &str) -> SdkConfig {
    SdkConfig::builder()
        // Without TLS, which nobody speaks here: reading the system's certificates takes each
        // client a while.
        .http_client(Builder::new().build_http())
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
            "test", "test", None, None, "embedded",
        )))
        .build()
}
