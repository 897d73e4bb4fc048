//! The provider's books, for people who compare them with ours. No function asks for them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use reqwest::Method;
use serde::{Deserialize, de::DeserializeOwned};
use shop::payment::IntentId;

use super::{Stripe, WireIntent, WireRefundStatus};
use crate::provider::{IntentStatus, ProviderError};

/// As many as the provider puts on a page at most.
const PAGE: &str = "100";

/// An intent as the provider has it in its books. Amounts are in minor units of its currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookedIntent {
    /// The provider's id.
    pub id: IntentId,
    /// The order in its metadata, as it was written there.
    pub order: Option<String>,
    /// Where it stands.
    pub status: IntentStatus,
    /// What it was made for.
    pub amount: u64,
    /// ISO 4217, lower case.
    pub currency: String,
    /// What was taken from the customer, refunds not deducted.
    pub taken: u64,
    /// When it was made, to the second.
    pub created: Timestamp,
}

/// A refund as the provider has it in its books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookedRefund {
    /// The provider's id.
    pub id: String,
    /// What it gives back of; none where something other than an intent was charged.
    pub intent: Option<IntentId>,
    /// In minor units of the intent's currency.
    pub amount: u64,
    /// Where it stands.
    pub status: BookedRefundStatus,
    /// When it was asked for, to the second.
    pub created: Timestamp,
}

/// Where a refund stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BookedRefundStatus {
    /// On its way to the customer.
    Pending,
    /// The customer has the money.
    Succeeded,
    /// It came back, or was called off: the money is ours again.
    Failed,
}

impl Stripe {
    /// All intents, newest first: a request for every hundred.
    ///
    /// # Errors
    /// The provider refuses, or does not answer in time.
    pub async fn intents(&self) -> Result<Vec<BookedIntent>, ProviderError> {
        let intents = self.list::<WireBookedIntent>("payment_intents", &[]).await?;
        Ok(intents.into_iter().map(WireBookedIntent::read).collect())
    }

    /// One intent.
    ///
    /// # Errors
    /// There is none of that id, or the provider refuses, or does not answer in time.
    pub async fn intent(&self, id: &IntentId) -> Result<BookedIntent, ProviderError> {
        let path = format!("payment_intents/{}", id.as_str());
        let intent = self.send::<WireBookedIntent>(|| self.request(Method::GET, &path), None);
        Ok(self.within_patience(intent).await?.read())
    }

    /// All refunds, or those of one intent, newest first: a request for every hundred.
    ///
    /// # Errors
    /// The provider refuses, or does not answer in time.
    pub async fn refunds(&self, of: Option<&IntentId>) -> Result<Vec<BookedRefund>, ProviderError> {
        let only: Vec<_> =
            of.map(|intent| ("payment_intent", intent.as_str())).into_iter().collect();
        let refunds = self.list::<WireBookedRefund>("refunds", &only).await?;
        Ok(refunds.into_iter().map(WireBookedRefund::read).collect())
    }

    /// All pages of a list. Each has the patience of a call.
    async fn list<T: DeserializeOwned + Listed>(
        &self,
        path: &str,
        only: &[(&str, &str)],
    ) -> Result<Vec<T>, ProviderError> {
        let mut all: Vec<T> = Vec::new();
        loop {
            let mut query = only.to_vec();
            query.push(("limit", PAGE));
            query.extend(all.last().map(|last| ("starting_after", last.id())));
            let page = self.send(|| self.request(Method::GET, path).query(&query), None);
            let Page { data, has_more }: Page<T> = self.within_patience(page).await?;
            let empty = data.is_empty();
            all.extend(data);
            if empty || !has_more {
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

/// What lists have in common.
trait Listed {
    fn id(&self) -> &str;
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
}

impl WireBookedIntent {
    fn read(mut self) -> BookedIntent {
        let intent = self.intent.read();
        BookedIntent {
            id: intent.id,
            order: self.metadata.remove("order_id"),
            status: intent.status,
            amount: self.amount,
            currency: self.currency,
            taken: self.amount_received,
            created: self.created,
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
}

impl WireBookedRefund {
    fn read(self) -> BookedRefund {
        let status = match self.status {
            WireRefundStatus::Pending | WireRefundStatus::RequiresAction => {
                BookedRefundStatus::Pending
            }
            WireRefundStatus::Succeeded => BookedRefundStatus::Succeeded,
            WireRefundStatus::Failed | WireRefundStatus::Canceled => BookedRefundStatus::Failed,
        };
        BookedRefund {
            id: self.id,
            intent: self.payment_intent,
            amount: self.amount,
            status,
            created: self.created,
        }
    }
}
