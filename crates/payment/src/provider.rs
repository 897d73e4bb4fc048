//! The payment provider as the use cases see it.

use platform::queue::Retryable;
use shop::{
    id::OrderId,
    payment::{DisputeEntry, IntentId},
};
use stripe::{BookedRefund, ConfigError, Intent, NewIntent, NewRefund, Refund};

/// The calls that charge, void and refund. [`stripe::Client`] describes what each does; all but
/// [`Self::refund_part`] can be repeated safely.
pub trait Provider {
    /// Creates an unconfirmed intent.
    async fn create(&self, new: &NewIntent) -> Result<Intent, ProviderError>;

    /// Looks up an intent.
    async fn find(&self, intent: &IntentId) -> Result<Intent, ProviderError>;

    /// Takes the money, unless the customer has to authenticate first, or the intent was confirmed
    /// or cancelled before.
    async fn confirm(&self, intent: &IntentId) -> Result<Intent, ProviderError>;

    /// Cancels an intent, unless it has succeeded.
    async fn cancel(&self, intent: &IntentId) -> Result<Intent, ProviderError>;

    /// Refunds whatever remains of a succeeded intent.
    async fn refund(&self, intent: &IntentId) -> Result<Refund, ProviderError>;

    /// Refunds a part of a succeeded intent. Before it is repeated, [`Self::refunds`] must show
    /// that it is still to be made.
    async fn refund_part(&self, new: &NewRefund) -> Result<(), ProviderError>;

    /// Lists all refunds of an intent, newest first.
    async fn refunds(&self, intent: &IntentId) -> Result<Vec<BookedRefund>, ProviderError>;

    /// Lists all disputes of an intent.
    async fn disputes(&self, intent: &IntentId) -> Result<Vec<DisputeEntry>, ProviderError>;

    /// The order that an intent was created for. `None` if it was not created by this system, or
    /// if the provider does not know it.
    async fn order_of(&self, intent: &IntentId) -> Result<Option<OrderId>, ProviderError>;
}

/// Why a call of the provider failed.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    #[error(transparent)]
    Call(#[from] stripe::Error),
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl ProviderError {
    /// Why the provider will never create an intent: [`stripe::Error::unchargeable`].
    pub(crate) fn unchargeable(&self) -> Option<&'static str> {
        match self {
            Self::Call(error) => error.unchargeable(),
            Self::Key(_) => None,
        }
    }

    /// Why the provider will never make a refund: [`stripe::Error::unrefundable`].
    pub(crate) fn unrefundable(&self) -> Option<&'static str> {
        match self {
            Self::Call(error) => error.unrefundable(),
            Self::Key(_) => None,
        }
    }

    /// Whether the customer disputes the payment: [`stripe::Error::is_dispute`].
    pub(crate) fn is_dispute(&self) -> bool {
        matches!(self, Self::Call(error) if error.is_dispute())
    }

    /// Whether our account has too little money for a refund: [`stripe::Error::awaits_balance`].
    pub(crate) fn awaits_balance(&self) -> bool {
        matches!(self, Self::Call(error) if error.awaits_balance())
    }

    /// Whether a refund needs another name: [`stripe::Error::sticks_to_name`].
    pub(crate) const fn sticks_to_name(&self) -> bool {
        matches!(self, Self::Call(error) if error.sticks_to_name())
    }
}

impl Retryable for ProviderError {
    fn is_transient(&self) -> bool {
        match self {
            Self::Call(error) => error.is_transient(),
            Self::Key(error) => error.is_transient(),
        }
    }
}

/// Why there is no client to call the provider with.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Secrets Manager failed or refused. Holds the error with its causes, without the secret.
    #[error(
        "the payment provider's secret cannot be read; \
         check that PROVIDER_SECRET names it and that the function may read it: {0}"
    )]
    Secret(String),
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl Retryable for KeyError {
    /// Always true: the secret is fetched anew for every call until it works.
    fn is_transient(&self) -> bool {
        match self {
            Self::Secret(_) | Self::Config(_) => true,
        }
    }
}
