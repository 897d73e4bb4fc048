//! What goes into the client's calls and comes out of them.

use shop::{
    authentication::AuthenticationUrl, id::OrderId, money::Money, order::PaymentMethod,
    payment::IntentId,
};

/// An order's charge before the provider knows of it.
#[derive(Clone, Debug)]
pub struct NewIntent {
    /// Stored in the intent's metadata; also the idempotency key.
    pub order_id: OrderId,
    pub price: Money,
    pub payment_method: PaymentMethod,
}

/// The provider's record of a charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    pub id: IntentId,
    pub status: IntentStatus,
}

/// How far the provider got with an intent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IntentStatus {
    /// No money was taken; the intent can be confirmed.
    Unconfirmed,
    /// No money was taken, and the intent cannot be confirmed again. Holds the provider's code,
    /// such as `insufficient_funds`.
    Declined(String),
    /// No money is taken before the customer has authenticated the payment on this page. The intent
    /// is then [`Self::Unconfirmed`] again.
    AuthenticationRequired(AuthenticationUrl),
    /// The provider does not know the outcome yet.
    Processing,
    /// The money was taken. A later refund does not change this.
    Succeeded,
    /// No money was taken, and none ever will be.
    Cancelled,
    /// A state that this client does not ask for or does not know, in the provider's words, such as
    /// `requires_capture`. What becomes of the money is open.
    Other(String),
}

/// A refund of a part of an intent, before the provider knows of it.
#[derive(Clone, Debug)]
pub struct NewRefund {
    pub intent: IntentId,
    pub order_id: OrderId,
    pub name: RefundName,
    /// At most what is left of the intent.
    pub amount: Money,
}

/// What a refund is called in its metadata. The provider makes at most one refund of a name, as
/// long as it remembers the idempotency key that is made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefundName {
    /// The number of the refund among those of its order.
    pub id: u32,
    /// How often it was asked for, from 1.
    pub attempt: u32,
}

/// The outcome of refunding an intent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refund {
    /// The full amount was refunded.
    Succeeded,
    /// The refund is on its way, and may still fail.
    Pending,
    /// The amount could not be refunded.
    Failed {
        /// The provider's code, such as `expired_or_canceled_card`.
        reason: String,
    },
}
