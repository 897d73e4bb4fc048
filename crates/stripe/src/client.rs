//! The calls that charge, void and refund.

use std::time::Duration;

use reqwest::{
    Method, RequestBuilder, Url,
    header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue},
};
use serde::de::DeserializeOwned;
use shop::payment::IntentId;
use tokio::time::{sleep, timeout};

use crate::{
    amount,
    connections::Connections,
    error::{ConfigError, Error, Failure, Refusal, Unavailable},
    intent::{Intent, IntentStatus, NewIntent, NewRefund, Refund},
    wire::{ErrorDetail, WireError, WireIntent, WireRefund, WireRefunds},
};

/// The version of the API that this client was written for.
const API_VERSION: HeaderValue = HeaderValue::from_static("2025-10-29.clover");

/// The keys of a refund's name in its metadata, as a form has them.
const REFUND_ID: &str = "metadata[refund_id]";
const REFUND_ATTEMPT: &str = "metadata[refund_attempt]";

/// The idempotency key of a request, under which the provider repeats its first answer.
#[derive(Clone, Copy)]
pub(crate) enum Key<'a> {
    None,
    /// Replaced after a failure that the provider would repeat. The failed request may have had its
    /// effect, which must then be harmless.
    Renewed(&'a str),
    /// The same in all attempts. After a failure that the provider would repeat, there are no more.
    Kept(&'a str),
}

/// A client of the provider's API. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    connections: Connections,
    base_url: Url,
    /// Where customers go on after they have authenticated a payment; `None` declines payments that
    /// need it.
    return_url: Option<Url>,
    retries: RetrySettings,
}

/// Timeouts and retries within one call, for failures that pass within a second or so.
///
/// Anything longer is left to the queue that the call was made for. Its `platform::queue::Backoff`
/// hides the message for seconds to hours, during which no function runs and waits.
#[derive(Clone, Copy, Debug)]
pub struct RetrySettings {
    /// Timeout of one attempt.
    pub attempt_timeout: Duration,
    /// Timeout of the whole call: all attempts, the delays between them, and follow-up requests.
    pub call_timeout: Duration,
    /// Limit on the attempts of each request, the first included. One is always made.
    pub max_attempts: u32,
    /// Delay before the second attempt. It doubles with each further attempt, and up to half of it
    /// is taken off at random.
    pub first_delay: Duration,
}

impl Default for RetrySettings {
    /// Fits the payment function, whose invocations end after 30 seconds.
    fn default() -> Self {
        Self {
            attempt_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_secs(10),
            max_attempts: 3,
            first_delay: Duration::from_millis(100),
        }
    }
}

impl RetrySettings {
    /// The delay after the failure of an attempt, counted from 1. `jitter` is between 0 and 1.
    fn delay(&self, attempt: u32, jitter: f64) -> Duration {
        let full = self.first_delay.saturating_mul(2_u32.saturating_pow(attempt - 1));
        full.mul_f64(1.0 - jitter / 2.0)
    }
}

impl Client {
    /// Creates a client that authenticates with `api_key`. White space around the key is ignored.
    ///
    /// # Errors
    /// The URL or the key cannot be used, or the machine has no root certificates.
    pub fn new(base_url: &str, api_key: &str, retries: RetrySettings) -> Result<Self, ConfigError> {
        let base_url = Url::parse(base_url)
            .ok()
            .filter(|url| !url.cannot_be_a_base())
            .ok_or(ConfigError::Url)?;
        let api_key = Some(api_key.trim()).filter(|key| !key.is_empty());
        let api_key = api_key.ok_or(ConfigError::ApiKey)?;
        let mut authorization =
            HeaderValue::try_from(format!("Bearer {api_key}")).map_err(|_| ConfigError::ApiKey)?;
        authorization.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, authorization);
        headers.insert(HeaderName::from_static("stripe-version"), API_VERSION);
        let connections = Connections::new(headers, retries.attempt_timeout);
        let connections = connections.map_err(ConfigError::Tls)?;
        Ok(Self { connections, base_url, return_url: None, retries })
    }

    /// The same client, which lets customers authenticate payments, and sends them to this page of
    /// the shop's own afterwards. Without it, a payment that needs that is declined with
    /// `authentication_required`.
    ///
    /// # Errors
    /// The URL cannot be used.
    pub fn with_authentication(self, return_url: &str) -> Result<Self, ConfigError> {
        let return_url = Url::parse(return_url).map_err(|_| ConfigError::ReturnUrl)?;
        Ok(Self { return_url: Some(return_url), ..self })
    }

    /// Opens the connection that the first call will use, so that the handshake happens during
    /// initialization.
    ///
    /// # Errors
    /// The provider cannot be reached. Later calls try again on their own.
    pub async fn connect(&self) -> Result<(), Unavailable> {
        self.connections.current().http.head(self.base_url.clone()).send().await?;
        Ok(())
    }

    /// Creates an unconfirmed intent, or finds the one that was created for the same order before.
    ///
    /// A second intent may exist after a failure, or once the provider has forgotten the
    /// idempotency key. It is harmless until it is confirmed. An unusable payment method
    /// yields an intent that is [`IntentStatus::Declined`] from the start.
    ///
    /// # Errors
    /// The provider is unavailable, or rejects the key or the request, some for good:
    /// [`Error::unchargeable`].
    pub async fn create(&self, new: &NewIntent) -> Result<Intent, Error> {
        self.limit_time(self.create_intent(new)).await
    }

    /// Looks up an intent.
    ///
    /// # Errors
    /// The provider is unavailable, or rejects the key, or does not know the intent.
    pub async fn find(&self, intent: &IntentId) -> Result<Intent, Error> {
        self.limit_time(self.find_intent(intent)).await
    }

    /// Takes the money, unless the customer has to authenticate first. An intent that was confirmed
    /// or cancelled before is returned as it stands, and a declined charge is a result rather than
    /// an error.
    ///
    /// # Errors
    /// The provider is unavailable, or rejects the key, or does not know the intent.
    pub async fn confirm(&self, intent: &IntentId) -> Result<Intent, Error> {
        self.limit_time(self.confirm_intent(intent)).await
    }

    /// Cancels an intent, so that it never takes any money. One that has already succeeded is
    /// returned as it stands.
    ///
    /// # Errors
    /// The provider is unavailable, or rejects the key, or does not know the intent.
    pub async fn cancel(&self, intent: &IntentId) -> Result<Intent, Error> {
        self.limit_time(self.cancel_intent(intent)).await
    }

    /// Refunds whatever remains of a succeeded intent. If nothing remains, the outcome of the
    /// earlier refund is returned.
    ///
    /// # Errors
    /// The provider is unavailable, or rejects the key, or the intent has taken no money.
    pub async fn refund(&self, intent: &IntentId) -> Result<Refund, Error> {
        self.limit_time(self.refund_intent(intent)).await
    }

    /// Refunds a part of a succeeded intent. [`Self::refunds_of`] shows what has become of it; an
    /// answer of this call would show its first state alone.
    ///
    /// Repeated under the same name, the provider repeats its answer for a day, also a failure
    /// ([`Error::sticks_to_name`]). Later it refunds once more: look for the name first.
    ///
    /// # Errors
    /// The provider is unavailable, or rejects the key, or refuses the refund, some for good:
    /// [`Error::unrefundable`].
    pub async fn refund_part(&self, new: &NewRefund) -> Result<(), Error> {
        self.limit_time(self.refund_part_of_intent(new)).await
    }

    async fn create_intent(&self, new: &NewIntent) -> Result<Intent, Failure> {
        let key = new.order_id.to_string();
        let (amount, currency) = amount::to_wire(new.price);
        let amount = amount.to_string();
        let without_method = [
            ("amount", amount.as_str()),
            ("currency", &currency),
            ("metadata[order_id]", &key),
            ("payment_method_types[]", "card"),
            // The customer gets the intent's client secret to authenticate with. By default, it
            // could pay an intent that we have declined or given up.
            ("confirmation_method", "manual"),
        ];
        let mut form = without_method.to_vec();
        form.push(("payment_method", new.payment_method.expose()));

        let created =
            self.send(|| self.post("payment_intents").form(&form), Key::Renewed(&key)).await;
        let created: WireIntent = match created {
            // The order still needs an intent to commit to: one that cannot be confirmed.
            Err(Failure::Refused(refusal)) if refusal.blames_payment_method() => {
                let key = format!("{key}-unpayable");
                self.send(|| self.post("payment_intents").form(&without_method), Key::Renewed(&key))
                    .await
            }
            created => created,
        }?;
        Ok(created.into())
    }

    async fn find_intent(&self, id: &IntentId) -> Result<Intent, Failure> {
        let path = format!("payment_intents/{}", id.as_str());
        let found: WireIntent = self.send(|| self.get(&path), Key::None).await?;
        Ok(found.into())
    }

    async fn confirm_intent(&self, id: &IntentId) -> Result<Intent, Failure> {
        let path = format!("payment_intents/{}/confirm", id.as_str());
        let form = match &self.return_url {
            Some(return_url) => [("return_url", return_url.as_str())],
            None => [("error_on_requires_action", "true")],
        };
        match self.send::<WireIntent>(|| self.post(&path).form(&form), Key::None).await {
            Ok(confirmed) => Ok(confirmed.into()),
            Err(Failure::Refused(refusal)) if refusal.is_unexpected_state() => {
                self.find_intent(id).await
            }
            Err(Failure::Refused(refusal)) if refusal.blames_payment_method() => Ok(Intent {
                id: id.clone(),
                status: IntentStatus::Declined(refusal.error.decline_reason()),
            }),
            Err(failure) => Err(failure),
        }
    }

    async fn cancel_intent(&self, id: &IntentId) -> Result<Intent, Failure> {
        let path = format!("payment_intents/{}/cancel", id.as_str());
        match self.send::<WireIntent>(|| self.post(&path), Key::None).await {
            Ok(cancelled) => Ok(cancelled.into()),
            Err(Failure::Refused(refusal)) if refusal.is_unexpected_state() => {
                self.find_intent(id).await
            }
            Err(failure) => Err(failure),
        }
    }

    async fn refund_intent(&self, id: &IntentId) -> Result<Refund, Failure> {
        // Without an amount, Stripe refunds all that remains.
        let form = [("payment_intent", id.as_str())];
        match self.send::<WireRefund>(|| self.post("refunds").form(&form), Key::None).await {
            Ok(_) => {}
            Err(Failure::Refused(refusal)) if refusal.is_already_refunded() => {}
            Err(failure) => return Err(failure),
        }
        // The answer shows only the refund's first status; the list shows its current one.
        let query = [("payment_intent", id.as_str()), ("limit", "100")];
        let refunds: WireRefunds =
            self.send(|| self.get("refunds").query(&query), Key::None).await?;
        refunds.outcome().ok_or(Failure::Unanswered(Unavailable::Unreadable))
    }

    async fn refund_part_of_intent(&self, new: &NewRefund) -> Result<(), Failure> {
        let NewRefund { intent, order_id, name, amount } = new;
        let key = format!("{order_id}-refund-{}-{}", name.id, name.attempt);
        let (amount, _) = amount::to_wire(*amount);
        let form = [
            ("payment_intent", intent.as_str()),
            ("amount", &amount.to_string()),
            ("metadata[order_id]", &order_id.to_string()),
            (REFUND_ID, &name.id.to_string()),
            (REFUND_ATTEMPT, &name.attempt.to_string()),
        ];
        let post = || self.post("refunds").form(&form);
        self.send::<WireRefund>(post, Key::Kept(&key)).await.map(drop)
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    fn post(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, path)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut url = self.base_url.clone();
        url.set_path(&format!("{}/v1/{path}", self.base_url.path().trim_end_matches('/')));
        self.connections.current().http.request(method, url)
    }

    /// Applies the timeout of a whole call.
    pub(crate) async fn limit_time<T>(
        &self,
        call: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Error> {
        match timeout(self.retries.call_timeout, call).await {
            Ok(result) => Ok(result?),
            Err(_) => Err(Unavailable::TimedOut.into()),
        }
    }

    /// Sends a request until it succeeds, fails for good, or runs out of attempts.
    pub(crate) async fn send<T: DeserializeOwned>(
        &self,
        request: impl Fn() -> RequestBuilder,
        key: Key<'_>,
    ) -> Result<T, Failure> {
        let (mut key, is_kept) = match key {
            Key::None => (None, false),
            Key::Renewed(key) => (Some(key.to_owned()), false),
            Key::Kept(key) => (Some(key.to_owned()), true),
        };
        for attempt in 1..self.retries.max_attempts {
            let failure = match self.attempt(&request, key.as_deref()).await {
                Err(failure) if failure.is_retryable() => failure,
                result => return result,
            };
            if failure.invalidates_key() {
                if is_kept {
                    return Err(failure);
                }
                key = key.map(|key| format!("{key}-{:016x}", fastrand::u64(..)));
            }
            sleep(self.retries.delay(attempt, fastrand::f64())).await;
        }
        self.attempt(&request, key.as_deref()).await
    }

    /// Sends a request once. If the connection may be dead, later requests use another.
    async fn attempt<T: DeserializeOwned>(
        &self,
        request: impl Fn() -> RequestBuilder,
        idempotency_key: Option<&str>,
    ) -> Result<T, Failure> {
        let used = self.connections.current().number;
        let result = self.send_once(request(), idempotency_key).await;
        if result.as_ref().is_err_and(Failure::blames_connection) {
            self.connections.replace(used);
        }
        result
    }

    async fn send_once<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
        idempotency_key: Option<&str>,
    ) -> Result<T, Failure> {
        let request = match idempotency_key {
            Some(key) => request.header("idempotency-key", key),
            None => request,
        };
        let response = request.send().await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response.json().await?);
        }
        let request_id =
            response.headers().get("request-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
        let error = match response.json().await {
            Ok(WireError { error }) => error,
            // Not Stripe's own answer but, for example, a proxy's: only the status is known.
            Err(error) if error.is_decode() => ErrorDetail::default(),
            Err(error) => return Err(error.into()),
        };
        Err(Failure::Refused(Refusal { status, error, request_id }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_and_jitter_takes_off_up_to_half() {
        let retries =
            RetrySettings { first_delay: Duration::from_millis(100), ..RetrySettings::default() };
        for (attempt, jitter, milliseconds) in [
            (1, 0.0, 100),
            (1, 1.0, 50),
            (2, 0.0, 200),
            (2, 0.5, 150),
            (3, 0.0, 400),
            (3, 1.0, 200),
        ] {
            let expected = Duration::from_millis(milliseconds);
            assert_eq!(retries.delay(attempt, jitter), expected, "{attempt}, {jitter}");
        }
    }
}
