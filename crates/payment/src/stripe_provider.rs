//! [`Provider`] with Stripe's API, and its key from Secrets Manager.

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client as SecretsManager;
use platform::cause::chain;
use shop::{
    id::OrderId,
    payment::{DisputeEntry, IntentId},
};
use stripe::{
    BookedDispute, BookedRefund, Client, Intent, NewIntent, NewRefund, Refund, RetrySettings,
};
use tokio::sync::Mutex;

use crate::provider::{KeyError, Provider, ProviderError};

/// Calls Stripe with the API key in a secret.
///
/// The secret is fetched once, and again after Stripe has rejected its key, so that a corrected
/// secret takes effect without a deployment.
#[derive(Debug)]
pub struct StripeProvider {
    secrets: SecretsManager,
    /// The name of the secret.
    secret: String,
    url: String,
    /// See [`Client::with_authentication`]; `None` without authentication.
    return_url: Option<String>,
    client: Mutex<Option<Client>>,
}

impl StripeProvider {
    /// Prepares calls of the API at `url`, with the key in the secret of that name. Customers who
    /// have authenticated a payment go on to `return_url`; without it, they cannot.
    #[must_use]
    pub fn new(
        config: &SdkConfig,
        secret: String,
        url: String,
        return_url: Option<String>,
    ) -> Self {
        let secrets = SecretsManager::new(config);
        Self { secrets, secret, url, return_url, client: Mutex::default() }
    }

    /// Fetches the key and opens a connection during initialization, where time is cheap. A failure
    /// is only logged, because the first call tries again.
    pub async fn connect(&self) {
        let connect = async || -> Result<(), ProviderError> {
            let client = self.client().await?;
            Ok(client.connect().await.map_err(stripe::Error::from)?)
        };
        if let Err(error) = connect().await {
            tracing::warn!(error = chain(&error), "not yet connected to the payment provider");
        }
    }

    async fn client(&self) -> Result<Client, KeyError> {
        let mut client = self.client.lock().await;
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        let secret = self.secrets.get_secret_value().secret_id(&self.secret).send().await;
        let secret = secret.map_err(|error| KeyError::Secret(chain(&error)))?;
        let api_key = secret.secret_string().unwrap_or_default();
        let mut new = Client::new(&self.url, api_key, RetrySettings::default())?;
        if let Some(return_url) = &self.return_url {
            new = new.with_authentication(return_url)?;
        }
        *client = Some(new.clone());
        Ok(new)
    }

    async fn call<T>(
        &self,
        call: impl AsyncFnOnce(Client) -> Result<T, stripe::Error>,
    ) -> Result<T, ProviderError> {
        let result = call(self.client().await?).await;
        if matches!(result, Err(stripe::Error::Unauthorized)) {
            *self.client.lock().await = None;
        }
        Ok(result?)
    }
}

impl Provider for StripeProvider {
    async fn create(&self, new: &NewIntent) -> Result<Intent, ProviderError> {
        self.call(async |client| client.create(new).await).await
    }

    async fn find(&self, intent: &IntentId) -> Result<Intent, ProviderError> {
        self.call(async |client| client.find(intent).await).await
    }

    async fn confirm(&self, intent: &IntentId) -> Result<Intent, ProviderError> {
        self.call(async |client| client.confirm(intent).await).await
    }

    async fn cancel(&self, intent: &IntentId) -> Result<Intent, ProviderError> {
        self.call(async |client| client.cancel(intent).await).await
    }

    async fn refund(&self, intent: &IntentId) -> Result<Refund, ProviderError> {
        self.call(async |client| client.refund(intent).await).await
    }

    async fn refund_part(&self, new: &NewRefund) -> Result<(), ProviderError> {
        self.call(async |client| client.refund_part(new).await).await
    }

    async fn refunds(&self, intent: &IntentId) -> Result<Vec<BookedRefund>, ProviderError> {
        self.call(async |client| client.refunds_of(intent).await).await
    }

    async fn disputes(&self, intent: &IntentId) -> Result<Vec<DisputeEntry>, ProviderError> {
        let disputes = self.call(async |client| client.disputes_of(intent).await).await?;
        let entry = |BookedDispute { id, dispute, .. }| DisputeEntry { id, dispute };
        Ok(disputes.into_iter().map(entry).collect())
    }

    async fn order_of(&self, intent: &IntentId) -> Result<Option<OrderId>, ProviderError> {
        match self.call(async |client| client.intent(intent).await).await {
            Ok(intent) => Ok(intent.order_id()),
            Err(ProviderError::Call(error)) if error.is_unknown() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests;
