//! The payment provider: what this function asks of it, and what can come back.
//!
//! The provider's own state is the truth about money. An intent is made unconfirmed, which moves
//! nothing; confirming takes the money, once; whoever is in doubt asks for the intent. So every
//! call here may be repeated.

mod stripe;

use platform::queue::Retryable;
use shop::{id::OrderId, money::Money, order::PaymentMethod, payment::IntentId};

pub use stripe::{BookedIntent, BookedRefund, BookedRefundStatus, ConfigError, Patience, Stripe};

/// Takes and gives back money.
pub trait Provider {
    /// Makes an intent that has taken nothing yet. The order's own idempotency key spares a second
    /// intent when it is asked twice; should there be one nevertheless, it is harmless.
    ///
    /// A payment method that cannot be used at all gives an intent that is
    /// [`IntentStatus::Declined`] from the start.
    async fn create(&self, new: &NewIntent) -> Result<Intent, ProviderError>;

    /// The intent as it is now.
    async fn find(&self, intent: &IntentId) -> Result<Intent, ProviderError>;

    /// Takes the money. A declined card is no error; an intent that was confirmed or cancelled
    /// before comes back as it is.
    async fn confirm(&self, intent: &IntentId) -> Result<Intent, ProviderError>;

    /// Makes sure that an intent which has taken nothing never will. One that has succeeded comes
    /// back as it is.
    async fn cancel(&self, intent: &IntentId) -> Result<Intent, ProviderError>;

    /// Gives back all that is left of a succeeded intent; nothing left is success.
    async fn refund(&self, intent: &IntentId) -> Result<Refund, ProviderError>;
}

/// An order's payment, before the provider knows of it.
#[derive(Clone, Debug)]
pub struct NewIntent {
    /// Whose payment.
    pub order_id: OrderId,
    /// How much.
    pub price: Money,
    /// From where.
    pub payment_method: PaymentMethod,
}

/// A payment at the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// The provider's id.
    pub id: IntentId,
    /// Where it stands.
    pub status: IntentStatus,
}

/// Where an intent stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IntentStatus {
    /// Has taken nothing and waits to be confirmed.
    Unconfirmed,
    /// Has taken nothing and cannot be confirmed again. The reason is the provider's code, such as
    /// `insufficient_funds`; a card that asks for 3-D Secure is one of them
    /// (`authentication_required`).
    Declined(String),
    /// The provider does not know yet: ask again later.
    Processing,
    /// Has taken the money.
    Succeeded,
    /// Has taken nothing and never will.
    Cancelled,
}

/// What came of a refund.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refund {
    /// All was given back.
    Succeeded,
    /// On its way: ask again later.
    Pending,
    /// It could not be given back.
    Failed {
        /// The provider's code, such as `expired_or_canceled_card`.
        reason: String,
    },
}

/// Why the provider did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// Worth another try: whether it was done is not known, so the next one starts by asking.
    #[error("the payment provider gave no answer to go by; try again later")]
    Transient(#[from] Trouble),
    /// The provider refuses our key. Worth another try once the secret is mended, with the secret
    /// fetched anew.
    #[error(
        "the payment provider refuses our API key; put a valid one into the provider's secret, then redrive"
    )]
    Unauthorized,
    /// There is no key to ask it with. Worth another try once there is.
    #[error(transparent)]
    NoKey(#[from] KeyError),
    /// Can never succeed as it is: somebody has to look.
    #[error(
        "the payment provider refuses the request (status {status}, code {code:?}, parameter {param:?}); \
         look up {request_id:?} in its log"
    )]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The provider's code, such as `amount_too_small`.
        code: Option<String>,
        /// The parameter that it does not like.
        param: Option<String>,
        /// The provider's name for the request.
        request_id: Option<String>,
    },
}

impl Retryable for ProviderError {
    fn is_transient(&self) -> bool {
        match self {
            Self::Transient(_) | Self::Unauthorized | Self::NoKey(_) => true,
            Self::Refused { .. } => false,
        }
    }
}

/// Why there is no key to open the provider with.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Secrets Manager did not give it.
    #[error("the provider's secret cannot be read: {0}")]
    Secret(String),
    /// It is of no use.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// What kept an answer away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// None came in time.
    #[error("it took too long")]
    TimedOut,
    /// None came: the connection could not be opened, or broke.
    #[error("the connection failed")]
    Disconnected,
    /// It is overloaded, or busy with the same intent or key: 409 or 429.
    #[error("it is busy (status {0})")]
    Busy(u16),
    /// It failed: 5xx.
    #[error("it failed (status {0})")]
    Failed(u16),
    /// It answered, but not in words that we know.
    #[error("its answer cannot be read")]
    Unreadable,
}
