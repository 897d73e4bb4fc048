//! The payment provider's books, opened with the stack's own key.

use aws_sdk_secretsmanager::Client as SecretsManager;
use local::error::aws;
use payment::provider::{Patience, Stripe};

use crate::{deployment::Deployment, error::Error};

/// A client of the provider that the stack pays through.
pub(crate) async fn open(deployment: &Deployment) -> Result<Stripe, Error> {
    let client = SecretsManager::new(&deployment.config);
    let secret = client.get_secret_value().secret_id(deployment.resource("ProviderKey")?).send();
    let secret = secret.await.map_err(aws("secretsmanager:GetSecretValue"))?.secret_string.unwrap_or_default();
    Ok(Stripe::new(deployment.parameter("ProviderUrl")?, &secret, Patience::default())?)
}
