//! The provider spoken to as Stripe has it: PaymentIntents and Refunds over HTTPS, cards only.
//!
//! Idempotency keys are used where repeating could leave something behind, which is the creation of
//! an intent alone. Confirming, cancelling and refunding what is left happen at most once by the
//! intent's own state, and a key would only replay an answered failure for a day.

mod books;

use std::time::Duration;

use reqwest::{
    Client, Method, RequestBuilder, StatusCode, Url,
    header::{HeaderMap, HeaderName, HeaderValue},
    redirect,
};
use serde::{Deserialize, de::DeserializeOwned};
use shop::payment::IntentId;
use tokio::time::{sleep, timeout};

use super::{Intent, IntentStatus, NewIntent, Provider, ProviderError, Refund, Trouble};
pub use books::{BookedIntent, BookedRefund, BookedRefundStatus};

/// The version of the API that this client was written for.
const API_VERSION: HeaderValue = HeaderValue::from_static("2025-10-29.clover");

/// Why an intent without a payment method is declined: the one that it was to have is unknown to
/// the provider, used up, or not the customer's.
const UNUSABLE: &str = "payment_method_unusable";

/// A client of Stripe's API, or of a server that speaks it. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Stripe {
    http: Client,
    base_url: Url,
    patience: Patience,
}

/// How long to wait for the provider within one call.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For one answer.
    pub request: Duration,
    /// For the whole call: attempts, pauses and questions together.
    pub call: Duration,
    /// How often a request is sent at most.
    pub attempts: u32,
    /// Before the second attempt; doubles with each further one. Half of it is random.
    pub first_pause: Duration,
}

impl Default for Patience {
    /// Outlasts a blip. More is for the queue, which can wait without being paid for it.
    fn default() -> Self {
        Self {
            request: Duration::from_secs(5),
            call: Duration::from_secs(10),
            attempts: 3,
            first_pause: Duration::from_millis(100),
        }
    }
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The base URL is none.
    #[error("the provider's URL must be an absolute one, such as https://api.stripe.com")]
    Url,
    /// The secret is no key.
    #[error(
        "the provider's secret must be its API key as plain text: visible ASCII characters alone"
    )]
    Secret,
    /// TLS is not to be had.
    #[error("no HTTPS client can be built")]
    Tls(#[source] reqwest::Error),
}

impl Stripe {
    /// A client that authenticates with `secret`, the provider's API key; white space around it
    /// does not matter.
    ///
    /// # Errors
    ///
    /// When URL or secret cannot be used, or the machine has no root certificates.
    pub fn new(base_url: &str, secret: &str, patience: Patience) -> Result<Self, ConfigError> {
        let base_url = Url::parse(base_url)
            .ok()
            .filter(|url| !url.cannot_be_a_base())
            .ok_or(ConfigError::Url)?;
        let secret =
            Some(secret.trim()).filter(|secret| !secret.is_empty()).ok_or(ConfigError::Secret)?;
        let mut key =
            HeaderValue::try_from(format!("Bearer {secret}")).map_err(|_| ConfigError::Secret)?;
        key.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert(reqwest::header::AUTHORIZATION, key);
        headers.insert(HeaderName::from_static("stripe-version"), API_VERSION);
        let http = Client::builder()
            .default_headers(headers)
            .user_agent(concat!("amelie-payment/", env!("CARGO_PKG_VERSION")))
            .timeout(patience.request)
            // The key goes to the configured host and nowhere else.
            .redirect(redirect::Policy::none())
            .build()
            .map_err(ConfigError::Tls)?;
        Ok(Self { http, base_url, patience })
    }

    /// Opens the connection that the first call will use: for init, where time is cheap. Whether
    /// that works shows when it is used.
    pub async fn connect(&self) {
        if let Err(error) = self.http.head(self.base_url.clone()).send().await {
            tracing::warn!(trouble = %Trouble::from(error), "could not connect to the payment provider in advance");
        }
    }

    async fn create_intent(&self, new: &NewIntent) -> Result<Intent, Failure> {
        let key = new.order_id.to_string();
        let amount = new.price.amount.to_string();
        let currency = new.price.currency.code().to_ascii_lowercase();
        let unpayable = [
            ("amount", amount.as_str()),
            ("currency", &currency),
            ("metadata[order_id]", &key),
            ("payment_method_types[]", "card"),
        ];
        let mut payable = unpayable.to_vec();
        payable.push(("payment_method", new.payment_method.expose()));

        let created = self.send(|| self.post("payment_intents").form(&payable), Some(&key)).await;
        match created {
            // The payment still needs an intent to be declined with: one that nobody can pay.
            Err(Failure::Refused(refusal)) if refusal.blames_payment_method() => {
                let key = format!("{key}-unpayable");
                self.send(|| self.post("payment_intents").form(&unpayable), Some(&key)).await
            }
            created => created,
        }
        .map(WireIntent::read)
    }

    async fn find_intent(&self, id: &IntentId) -> Result<Intent, Failure> {
        let path = format!("payment_intents/{}", id.as_str());
        self.send(|| self.request(Method::GET, &path), None).await.map(WireIntent::read)
    }

    async fn confirm_intent(&self, id: &IntentId) -> Result<Intent, Failure> {
        let path = format!("payment_intents/{}/confirm", id.as_str());
        let form = [("error_on_requires_action", "true")];
        match self.send(|| self.post(&path).form(&form), None).await.map(WireIntent::read) {
            Err(Failure::Refused(refusal)) if refusal.is_unexpected_state() => {
                self.find_intent(id).await
            }
            Err(Failure::Refused(refusal)) if refusal.blames_payment_method() => Ok(Intent {
                id: id.clone(),
                status: IntentStatus::Declined(refusal.error.reason()),
            }),
            confirmed => confirmed,
        }
    }

    async fn cancel_intent(&self, id: &IntentId) -> Result<Intent, Failure> {
        let path = format!("payment_intents/{}/cancel", id.as_str());
        match self.send(|| self.post(&path), None).await.map(WireIntent::read) {
            Err(Failure::Refused(refusal)) if refusal.is_unexpected_state() => {
                self.find_intent(id).await
            }
            cancelled => cancelled,
        }
    }

    async fn refund_intent(&self, id: &IntentId) -> Result<Refund, Failure> {
        // Without an amount: all that is left.
        let form = [("payment_intent", id.as_str())];
        match self.send::<WireRefund>(|| self.post("refunds").form(&form), None).await {
            Ok(_) => {}
            Err(Failure::Refused(refusal)) if refusal.is_already_refunded() => {}
            Err(failure) => return Err(failure),
        }
        // The answer to a refund is its first state only; what it came to is in the list.
        let newest = [("payment_intent", id.as_str()), ("limit", "100")];
        let list: WireList =
            self.send(|| self.request(Method::GET, "refunds").query(&newest), None).await?;
        list.read().ok_or(Failure::Unanswered(Trouble::Unreadable))
    }

    fn post(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, path)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut url = self.base_url.clone();
        url.set_path(&format!("{}/v1/{path}", self.base_url.path().trim_end_matches('/')));
        self.http.request(method, url)
    }

    /// Sends a request, and sends it again while what keeps the answer away may be a blip.
    async fn send<T: DeserializeOwned>(
        &self,
        request: impl Fn() -> RequestBuilder,
        key: Option<&str>,
    ) -> Result<T, Failure> {
        let mut key = key.map(str::to_owned);
        let mut pause = self.patience.first_pause;
        for _ in 1..self.patience.attempts {
            let failure = match self.send_once(request(), key.as_deref()).await {
                Err(failure) if failure.may_pass() => failure,
                result => return result,
            };
            // A lost answer is what a key is for; an answered failure would be replayed.
            if failure.spends_the_key() {
                key = key.map(|key| format!("{key}-{:016x}", fastrand::u64(..)));
            }
            sleep(pause.mul_f64(0.5 + 0.5 * fastrand::f64())).await;
            pause *= 2;
        }
        self.send_once(request(), key.as_deref()).await
    }

    async fn send_once<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
        key: Option<&str>,
    ) -> Result<T, Failure> {
        let request = match key {
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
            Ok(Envelope { error }) => error,
            // Not the provider itself but something in front of it: the status has to do.
            Err(error) if error.is_decode() => ErrorDetail::default(),
            Err(error) => return Err(error.into()),
        };
        Err(Failure::Refused(Refusal { status, error, request_id }))
    }

    async fn within_patience<T>(
        &self,
        call: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, ProviderError> {
        match timeout(self.patience.call, call).await {
            Ok(result) => Ok(result?),
            Err(_) => Err(Trouble::TimedOut.into()),
        }
    }
}

impl Provider for Stripe {
    async fn create(&self, new: &NewIntent) -> Result<Intent, ProviderError> {
        self.within_patience(self.create_intent(new)).await
    }

    async fn find(&self, intent: &IntentId) -> Result<Intent, ProviderError> {
        self.within_patience(self.find_intent(intent)).await
    }

    async fn confirm(&self, intent: &IntentId) -> Result<Intent, ProviderError> {
        self.within_patience(self.confirm_intent(intent)).await
    }

    async fn cancel(&self, intent: &IntentId) -> Result<Intent, ProviderError> {
        self.within_patience(self.cancel_intent(intent)).await
    }

    async fn refund(&self, intent: &IntentId) -> Result<Refund, ProviderError> {
        self.within_patience(self.refund_intent(intent)).await
    }
}

/// Why a request has no result.
enum Failure {
    Unanswered(Trouble),
    Refused(Refusal),
}

/// An answer that says no, or not now.
struct Refusal {
    status: StatusCode,
    error: ErrorDetail,
    request_id: Option<String>,
}

impl Failure {
    fn may_pass(&self) -> bool {
        match self {
            Self::Unanswered(_) => true,
            Self::Refused(refusal) => refusal.trouble().is_some() || refusal.is_misused_key(),
        }
    }

    fn spends_the_key(&self) -> bool {
        match self {
            Self::Unanswered(_) => false,
            Self::Refused(refusal) => refusal.status.is_server_error() || refusal.is_misused_key(),
        }
    }
}

impl Refusal {
    fn trouble(&self) -> Option<Trouble> {
        match self.status.as_u16() {
            status @ (409 | 429) => Some(Trouble::Busy(status)),
            status @ 500.. => Some(Trouble::Failed(status)),
            _ => None,
        }
    }

    /// The key was first used with other parameters, which is what another version of this function
    /// sent.
    fn is_misused_key(&self) -> bool {
        self.error.kind.as_deref() == Some("idempotency_error")
    }

    fn is_unexpected_state(&self) -> bool {
        self.error.code.as_deref() == Some("payment_intent_unexpected_state")
    }

    fn is_already_refunded(&self) -> bool {
        self.error.code.as_deref() == Some("charge_already_refunded")
    }

    /// The card was declined, or the payment method is unknown, used up or otherwise unfit.
    fn blames_payment_method(&self) -> bool {
        let ErrorDetail { kind, code, param, .. } = &self.error;
        self.status.is_client_error()
            && (kind.as_deref() == Some("card_error")
                || param.as_deref() == Some("payment_method")
                || code.as_deref().is_some_and(|code| code.starts_with("payment_method_")))
    }
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        Self::Unanswered(error.into())
    }
}

/// Keeps the kind of the error alone: its text would name the URL.
impl From<reqwest::Error> for Trouble {
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            Self::TimedOut
        } else if error.is_decode() {
            Self::Unreadable
        } else {
            Self::Disconnected
        }
    }
}

impl From<Failure> for ProviderError {
    fn from(failure: Failure) -> Self {
        let refusal = match failure {
            Failure::Unanswered(trouble) => return trouble.into(),
            Failure::Refused(refusal) => refusal,
        };
        if let Some(trouble) = refusal.trouble() {
            return trouble.into();
        }
        match refusal.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Self::Unauthorized,
            status => Self::Refused {
                status: status.as_u16(),
                code: refusal.error.code,
                param: refusal.error.param,
                request_id: refusal.request_id,
            },
        }
    }
}

/// An intent on the wire, as far as it matters here.
#[derive(Deserialize)]
struct WireIntent {
    id: IntentId,
    status: WireStatus,
    last_payment_error: Option<ErrorDetail>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum WireStatus {
    RequiresPaymentMethod,
    RequiresConfirmation,
    RequiresAction,
    Processing,
    Succeeded,
    Canceled,
}

impl WireIntent {
    fn read(self) -> Intent {
        let status = match self.status {
            WireStatus::RequiresPaymentMethod => {
                let reason = self
                    .last_payment_error
                    .map_or_else(|| UNUSABLE.to_owned(), ErrorDetail::reason);
                IntentStatus::Declined(reason)
            }
            WireStatus::RequiresConfirmation => IntentStatus::Unconfirmed,
            WireStatus::RequiresAction => {
                IntentStatus::Declined("authentication_required".to_owned())
            }
            WireStatus::Processing => IntentStatus::Processing,
            WireStatus::Succeeded => IntentStatus::Succeeded,
            WireStatus::Canceled => IntentStatus::Cancelled,
        };
        Intent { id: self.id, status }
    }
}

#[derive(Deserialize)]
struct WireList {
    /// Newest first.
    data: Vec<WireRefund>,
}

#[derive(Deserialize)]
struct WireRefund {
    status: WireRefundStatus,
    failure_reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum WireRefundStatus {
    Pending,
    RequiresAction,
    Succeeded,
    Failed,
    Canceled,
}

impl WireList {
    /// What came of giving everything back. The newest refund decides: one that failed gave its
    /// money back to us, and whatever came after it tried again.
    fn read(self) -> Option<Refund> {
        use WireRefundStatus::{Canceled, Failed, Pending, RequiresAction, Succeeded};
        if self.data.iter().any(|refund| matches!(refund.status, Pending | RequiresAction)) {
            return Some(Refund::Pending);
        }
        let newest = self.data.into_iter().next()?;
        Some(match newest.status {
            Pending | RequiresAction => Refund::Pending,
            Succeeded => Refund::Succeeded,
            Failed | Canceled => Refund::Failed {
                reason: newest.failure_reason.unwrap_or_else(|| "unknown".to_owned()),
            },
        })
    }
}

#[derive(Deserialize)]
struct Envelope {
    error: ErrorDetail,
}

/// Stripe's error, without its message: that may repeat what was sent, a payment method for one.
#[derive(Default, Deserialize)]
struct ErrorDetail {
    #[serde(rename = "type")]
    kind: Option<String>,
    code: Option<String>,
    decline_code: Option<String>,
    param: Option<String>,
}

impl ErrorDetail {
    /// Why a card was declined: the bank's reason where it is only said that it declined.
    fn reason(self) -> String {
        match (self.code.as_deref(), self.decline_code) {
            (Some("resource_missing"), _) => UNUSABLE.to_owned(),
            (Some("card_declined") | None, Some(reason)) => reason,
            (Some(code), _) => code.to_owned(),
            (None, None) => UNUSABLE.to_owned(),
        }
    }
}
