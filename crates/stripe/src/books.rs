//! The provider's books: all intents, refunds and disputes with their amounts, for tools that
//! compare them with the stack's own tables.

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use platform::decode::{self, DecodeError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use shop::{
    dispute::{Dispute, DisputeState},
    id::OrderId,
    payment::IntentId,
};

use crate::{
    amount,
    client::{Client, Key},
    error::{Error, Unavailable},
    intent::{Intent, IntentStatus, RefundName},
    wire::{self, WireIntent, WireRefundStatus},
};

/// The provider's maximum page size.
const PAGE_SIZE: &str = "100";

/// An intent in the provider's books. Amounts are in minor units of its currency by ISO 4217.
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

impl BookedIntent {
    /// The order of ours that it is for; `None` if it is another system's.
    #[must_use]
    pub fn order_id(&self) -> Option<OrderId> {
        self.order.as_deref()?.parse().ok()
    }
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
    /// The provider's code, such as `expired_or_canceled_card`; only for a failed refund.
    pub failure: Option<String>,
    /// What this client has called it; `None` if it refunds all that was left, or is not ours.
    pub name: Option<RefundName>,
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

/// A dispute in the provider's books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookedDispute {
    pub id: String,
    /// The disputed intent, or `None` if the charge was made without one.
    pub intent: Option<IntentId>,
    /// A state that this client does not know is taken for [`DisputeState::Open`], in which nothing
    /// is given back. The amount is in minor units of the intent's currency.
    pub dispute: Dispute,
    /// When it began, to the second.
    pub created: Timestamp,
}

/// An object in the provider's books that this version cannot read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("the provider's {kind} {id} cannot be read: {reason}")]
pub struct UnreadableObject {
    pub kind: ObjectKind,
    pub id: String,
    /// The intent that it is or belongs to, if that can be read.
    pub intent: Option<IntentId>,
    /// The order id in its metadata, verbatim, if that can be read.
    pub order: Option<String>,
    /// The first field that is wrong, without its value.
    pub reason: String,
}

/// A kind of objects in the provider's books.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum ObjectKind {
    Intent,
    Refund,
    Dispute,
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Intent => "intent",
            Self::Refund => "refund",
            Self::Dispute => "dispute",
        })
    }
}

impl UnreadableObject {
    fn new(kind: ObjectKind, json: &str, error: &DecodeError) -> Self {
        let object: Value = serde_json::from_str(json).unwrap_or_default();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let intent = match kind {
            ObjectKind::Intent => &object["id"],
            ObjectKind::Refund | ObjectKind::Dispute => &object["payment_intent"],
        };
        Self {
            kind,
            id: text(&object["id"]).unwrap_or_else(|| "without id".to_owned()),
            intent: text(intent).map(IntentId::new),
            order: text(&object["metadata"]["order_id"]),
            reason: error.to_string(),
        }
    }
}

impl Client {
    /// Lists the intents that were created since a time, or all, newest first, with one request
    /// per hundred.
    ///
    /// # Errors
    /// The provider is unavailable, or rejects the key.
    pub async fn intents(
        &self,
        since: Option<Timestamp>,
    ) -> Result<Vec<Result<BookedIntent, UnreadableObject>>, Error> {
        self.list("payment_intents", &[], since).await
    }

    /// Looks up one intent with its amounts.
    ///
    /// # Errors
    /// The provider is unavailable, or rejects the key, or does not know the intent.
    pub async fn intent(&self, id: &IntentId) -> Result<BookedIntent, Error> {
        let path = format!("payment_intents/{}", id.as_str());
        let intent = self.send::<Box<RawValue>>(|| self.get(&path), Key::None);
        let intent = self.limit_time(intent).await?;
        BookedIntent::decode(intent.get()).map_err(|_| Unavailable::Unreadable.into())
    }

    /// Lists the refunds that were created since a time, or all, newest first, with one request
    /// per hundred.
    ///
    /// # Errors
    /// The provider is unavailable, or rejects the key.
    pub async fn refunds(
        &self,
        since: Option<Timestamp>,
    ) -> Result<Vec<Result<BookedRefund, UnreadableObject>>, Error> {
        self.list("refunds", &[], since).await
    }

    /// Lists all refunds of an intent, newest first.
    ///
    /// # Errors
    /// The provider is unavailable, or rejects the key.
    pub async fn refunds_of(&self, intent: &IntentId) -> Result<Vec<BookedRefund>, Error> {
        self.list_of("refunds", intent).await
    }

    /// Lists the disputes that began since a time, or all, newest first, with one request per
    /// hundred.
    ///
    /// # Errors
    /// The provider is unavailable, or rejects the key.
    pub async fn disputes(
        &self,
        since: Option<Timestamp>,
    ) -> Result<Vec<Result<BookedDispute, UnreadableObject>>, Error> {
        self.list("disputes", &[], since).await
    }

    /// Lists all disputes of an intent, newest first.
    ///
    /// # Errors
    /// The provider is unavailable, or rejects the key.
    pub async fn disputes_of(&self, intent: &IntentId) -> Result<Vec<BookedDispute>, Error> {
        self.list_of("disputes", intent).await
    }

    /// Lists what belongs to an intent, all of which has to be readable.
    async fn list_of<T: Booked>(&self, path: &str, intent: &IntentId) -> Result<Vec<T>, Error> {
        let filter = [("payment_intent", intent.as_str())];
        let objects = self.list(path, &filter, None).await?.into_iter();
        objects.collect::<Result<_, _>>().map_err(|_| Unavailable::Unreadable.into())
    }

    /// Fetches the pages of a list, which is sorted from new to old. Each page has the timeout of a
    /// call.
    async fn list<T: Booked>(
        &self,
        path: &str,
        filter: &[(&str, &str)],
        since: Option<Timestamp>,
    ) -> Result<Vec<Result<T, UnreadableObject>>, Error> {
        let since = since.map(|since| since.as_second().to_string());
        let mut all = Vec::new();
        let mut last: Option<String> = None;
        loop {
            let mut query = filter.to_vec();
            query.push(("limit", PAGE_SIZE));
            query.extend(since.as_deref().map(|since| ("created[gte]", since)));
            query.extend(last.as_deref().map(|last| ("starting_after", last)));
            let page = self.send(|| self.get(path).query(&query), Key::None);
            let Page { data, has_more } = self.limit_time(page).await?;
            all.extend(data.iter().map(|object| {
                T::decode(object.get())
                    .map_err(|error| UnreadableObject::new(T::KIND, object.get(), &error))
            }));
            let Some(object) = data.last().filter(|_| has_more) else { return Ok(all) };
            let Cursor { id } =
                decode::json(object.get()).map_err(|_| Error::from(Unavailable::Unreadable))?;
            last = Some(id);
        }
    }
}

/// A page of a list, whose objects are read one by one.
#[derive(Deserialize)]
struct Page {
    data: Vec<Box<RawValue>>,
    has_more: bool,
}

/// The object after which the next page begins.
#[derive(Deserialize)]
struct Cursor {
    id: String,
}

/// An object of the provider's books.
trait Booked: Sized {
    const KIND: ObjectKind;

    fn decode(json: &str) -> Result<Self, DecodeError>;
}

#[derive(Deserialize)]
struct WireBookedIntent {
    amount: u64,
    amount_received: u64,
    currency: String,
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    created: Timestamp,
    metadata: BTreeMap<String, String>,
}

impl Booked for BookedIntent {
    const KIND: ObjectKind = ObjectKind::Intent;

    fn decode(json: &str) -> Result<Self, DecodeError> {
        let Intent { id, status } = decode::json::<WireIntent>(json)?.into();
        let mut booked: WireBookedIntent = decode::json(json)?;
        Ok(Self {
            id,
            order: booked.metadata.remove("order_id"),
            status,
            amount: amount::from_wire(booked.amount, &booked.currency),
            taken: amount::from_wire(booked.amount_received, &booked.currency),
            currency: booked.currency,
            created: booked.created,
        })
    }
}

#[derive(Deserialize)]
struct WireBookedRefund {
    id: String,
    payment_intent: Option<IntentId>,
    amount: u64,
    currency: String,
    status: WireRefundStatus,
    #[serde(default, deserialize_with = "wire::code")]
    failure_reason: Option<String>,
    #[serde(default)]
    metadata: Option<BTreeMap<String, String>>,
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    created: Timestamp,
}

impl Booked for BookedRefund {
    const KIND: ObjectKind = ObjectKind::Refund;

    fn decode(json: &str) -> Result<Self, DecodeError> {
        let booked: WireBookedRefund = decode::json(json)?;
        let status = match booked.status {
            WireRefundStatus::Pending | WireRefundStatus::RequiresAction => {
                BookedRefundStatus::Pending
            }
            WireRefundStatus::Succeeded => BookedRefundStatus::Succeeded,
            WireRefundStatus::Failed | WireRefundStatus::Canceled => BookedRefundStatus::Failed,
        };
        Ok(Self {
            id: booked.id,
            intent: booked.payment_intent,
            amount: amount::from_wire(booked.amount, &booked.currency),
            status,
            failure: booked.failure_reason,
            name: refund_name(&booked.metadata.unwrap_or_default()),
            created: booked.created,
        })
    }
}

#[derive(Deserialize)]
struct WireBookedDispute {
    id: String,
    payment_intent: Option<IntentId>,
    amount: u64,
    currency: String,
    status: WireDisputeStatus,
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    created: Timestamp,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum WireDisputeStatus {
    WarningNeedsResponse,
    WarningUnderReview,
    WarningClosed,
    NeedsResponse,
    UnderReview,
    Won,
    Lost,
    /// It was settled before it began.
    Prevented,
    #[serde(other)]
    Other,
}

impl Booked for BookedDispute {
    const KIND: ObjectKind = ObjectKind::Dispute;

    fn decode(json: &str) -> Result<Self, DecodeError> {
        use WireDisputeStatus as Wire;
        let booked: WireBookedDispute = decode::json(json)?;
        let state = match booked.status {
            Wire::WarningNeedsResponse | Wire::WarningUnderReview => DisputeState::Inquiry,
            Wire::WarningClosed | Wire::Prevented => DisputeState::Closed,
            Wire::NeedsResponse | Wire::UnderReview | Wire::Other => DisputeState::Open,
            Wire::Won => DisputeState::Won,
            Wire::Lost => DisputeState::Lost,
        };
        let amount = amount::from_wire(booked.amount, &booked.currency);
        Ok(Self {
            id: booked.id,
            intent: booked.payment_intent,
            dispute: Dispute { state, amount },
            created: booked.created,
        })
    }
}

fn refund_name(metadata: &BTreeMap<String, String>) -> Option<RefundName> {
    let number = |key| metadata.get(key)?.parse().ok();
    Some(RefundName { id: number("refund_id")?, attempt: number("refund_attempt")? })
}
