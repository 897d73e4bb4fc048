//! The provider's API key, and the client that uses it.

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client;
use platform::cause::chain;
use shop::payment::IntentId;
use tokio::sync::Mutex;

use crate::provider::{
    Intent, KeyError, NewIntent, Patience, Provider, ProviderError, Refund, Stripe,
};

/// The provider, opened with a key from Secrets Manager. The key is fetched once; when the provider
/// refuses it, the next call fetches it anew, so that a mended secret is found without a
/// deployment.
#[derive(Debug)]
pub struct Vault {
    secrets: Client,
    secret: String,
    url: String,
    open: Mutex<Option<Stripe>>,
}

impl Vault {
    /// The provider at `url`, with the key in the secret of that ARN.
    #[must_use]
    pub fn new(config: &SdkConfig, secret: String, url: String) -> Self {
        Self { secrets: Client::new(config), secret, url, open: Mutex::default() }
    }

    /// Fetches the key and connects, ahead of the first charge. If it fails, the first charge will
    /// have to.
    pub async fn connect(&self) {
        match self.stripe().await {
            Ok(stripe) => stripe.connect().await,
            Err(error) => tracing::warn!(%error, "not connected yet"),
        }
    }

    async fn stripe(&self) -> Result<Stripe, KeyError> {
        let mut open = self.open.lock().await;
        if let Some(stripe) = &*open {
            return Ok(stripe.clone());
        }
        let secret = self.secrets.get_secret_value().secret_id(&self.secret).send().await;
        let secret = secret.map_err(|error| KeyError::Secret(chain(&error)))?;
        let stripe = Stripe::new(
            &self.url,
            secret.secret_string().unwrap_or_default(),
            Patience::default(),
        )?;
        *open = Some(stripe.clone());
        Ok(stripe)
    }

    async fn ask<T>(
        &self,
        question: impl AsyncFnOnce(Stripe) -> Result<T, ProviderError>,
    ) -> Result<T, ProviderError> {
        let answer = question(self.stripe().await?).await;
        if matches!(answer, Err(ProviderError::Unauthorized)) {
            *self.open.lock().await = None;
        }
        answer
    }
}

impl Provider for Vault {
    async fn create(&self, new: &NewIntent) -> Result<Intent, ProviderError> {
        self.ask(async |stripe| stripe.create(new).await).await
    }

    async fn find(&self, intent: &IntentId) -> Result<Intent, ProviderError> {
        self.ask(async |stripe| stripe.find(intent).await).await
    }

    async fn confirm(&self, intent: &IntentId) -> Result<Intent, ProviderError> {
        self.ask(async |stripe| stripe.confirm(intent).await).await
    }

    async fn cancel(&self, intent: &IntentId) -> Result<Intent, ProviderError> {
        self.ask(async |stripe| stripe.cancel(intent).await).await
    }

    async fn refund(&self, intent: &IntentId) -> Result<Refund, ProviderError> {
        self.ask(async |stripe| stripe.refund(intent).await).await
    }
}
