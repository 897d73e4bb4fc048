//! The provider's books: all intents and refunds with their amounts, for tools that compare them
//! with the stack's own tables.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, de::DeserializeOwned};
use shop::payment::IntentId;

use crate::{
    client::Client,
    error::Error,
    intent::{Intent, IntentStatus},
    wire::{WireIntent, WireRefundStatus},
};

/// The provider's maximum page size.
const PAGE_SIZE: &str = "100";

/// An intent in the provider's books. Amounts are in minor units of its currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookedIntent {
    pub id: IntentId,
    /// The order id in the intent's metadata, verbatim.
    pub order: Option<String>,
    pub status: IntentStatus,
    /// The amount that the intent was created for.
    pub amount: u64,
    /// ISO 4217 code in lower case.
    pub currency: String,
    /// The amount taken from the customer. Refunds are not deducted.
    pub taken: u64,
    /// When the intent was created, to the second.
    pub created: Timestamp,
}

/// A refund in the provider's books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookedRefund {
    pub id: String,
    /// The refunded intent, or `None` if the charge was made without one.
    pub intent: Option<IntentId>,
    /// In minor units of the intent's currency.
    pub amount: u64,
    pub status: BookedRefundStatus,
    /// When the refund was requested, to the second.
    pub created: Timestamp,
}

/// How far a refund got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BookedRefundStatus {
    /// On its way to the customer.
    Pending,
    /// The customer has the money.
    Succeeded,
    /// Failed or cancelled: the money is back on our account.
    Failed,
}

impl Client {
    /// Lists the intents that were created since a time, or all, newest first, with one request
    /// per hundred.
    ///
    /// # Errors
    /// The provider is unavailable, or rejects the key.
    pub async fn intents(&self, since: Option<Timestamp>) -> Result<Vec<BookedIntent>, Error> {
        let intents: Vec<WireBookedIntent> = self.list("payment_intents", &[], since).await?;
        Ok(intents.into_iter().map(BookedIntent::from).collect())
    }

    /// Looks up one intent with its amounts.
    ///
    /// # Errors
    /// The provider is unavailable, or rejects the key, or does not know the intent.
    pub async fn intent(&self, id: &IntentId) -> Result<BookedIntent, Error> {
        let path = format!("payment_intents/{}", id.as_str());
        let intent = self.send::<WireBookedIntent>(|| self.get(&path), None);
        Ok(self.limit_time(intent).await?.into())
    }

    /// Lists the refunds that were created since a time, or all, newest first, with one request
    /// per hundred.
    ///
    /// # Errors
    /// The provider is unavailable, or rejects the key.
    pub async fn refunds(&self, since: Option<Timestamp>) -> Result<Vec<BookedRefund>, Error> {
        let refunds: Vec<WireBookedRefund> = self.list("refunds", &[], since).await?;
        Ok(refunds.into_iter().map(BookedRefund::from).collect())
    }

    /// Lists all refunds of an intent, newest first.
    ///
    /// # Errors
    /// The provider is unavailable, or rejects the key.
    pub async fn refunds_of(&self, intent: &IntentId) -> Result<Vec<BookedRefund>, Error> {
        let filter = [("payment_intent", intent.as_str())];
        let refunds: Vec<WireBookedRefund> = self.list("refunds", &filter, None).await?;
        Ok(refunds.into_iter().map(BookedRefund::from).collect())
    }

    /// Fetches the pages of a list, which is sorted from new to old, back to `since`. Each page has
    /// the timeout of a call.
    async fn list<T: DeserializeOwned + Listed>(
        &self,
        path: &str,
        filter: &[(&str, &str)],
        since: Option<Timestamp>,
    ) -> Result<Vec<T>, Error> {
        let is_wanted = |object: &T| since.is_none_or(|since| object.created() >= since);
        let mut all: Vec<T> = Vec::new();
        loop {
            let mut query = filter.to_vec();
            query.push(("limit", PAGE_SIZE));
            query.extend(all.last().map(|last| ("starting_after", last.id())));
            let page = self.send(|| self.get(path).query(&query), None);
            let Page { data, has_more }: Page<T> = self.limit_time(page).await?;
            let empty = data.is_empty();
            all.extend(data);
            let goes_on = all.last().is_some_and(is_wanted);
            if empty || !has_more || !goes_on {
                all.retain(is_wanted);
                return Ok(all);
            }
        }
    }
}

#[derive(Deserialize)]
struct Page<T> {
    data: Vec<T>,
    has_more: bool,
}

/// An object whose id serves as a cursor.
trait Listed {
    fn id(&self) -> &str;
    fn created(&self) -> Timestamp;
}

#[derive(Deserialize)]
struct WireBookedIntent {
    #[serde(flatten)]
    intent: WireIntent,
    amount: u64,
    amount_received: u64,
    currency: String,
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    created: Timestamp,
    metadata: BTreeMap<String, String>,
}

impl Listed for WireBookedIntent {
    fn id(&self) -> &str {
        self.intent.id.as_str()
    }

    fn created(&self) -> Timestamp {
        self.created
    }
}

impl From<WireBookedIntent> for BookedIntent {
    fn from(mut wire: WireBookedIntent) -> Self {
        let Intent { id, status } = wire.intent.into();
        Self {
            id,
            order: wire.metadata.remove("order_id"),
            status,
            amount: wire.amount,
            currency: wire.currency,
            taken: wire.amount_received,
            created: wire.created,
        }
    }
}

#[derive(Deserialize)]
struct WireBookedRefund {
    id: String,
    payment_intent: Option<IntentId>,
    amount: u64,
    status: WireRefundStatus,
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    created: Timestamp,
}

impl Listed for WireBookedRefund {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> Timestamp {
        self.created
    }
}

impl From<WireBookedRefund> for BookedRefund {
    fn from(wire: WireBookedRefund) -> Self {
        let status = match wire.status {
            WireRefundStatus::Pending | WireRefundStatus::RequiresAction => {
                BookedRefundStatus::Pending
            }
            WireRefundStatus::Succeeded => BookedRefundStatus::Succeeded,
            WireRefundStatus::Failed | WireRefundStatus::Canceled => BookedRefundStatus::Failed,
        };
        Self {
            id: wire.id,
            intent: wire.payment_intent,
            amount: wire.amount,
            status,
            created: wire.created,
        }
    }
}
