//! The control API under `/_sandbox`, for tests and tools: its shapes and its client.

use serde::{Deserialize, Serialize};

use super::{
    faults::Fault,
    ledger::{Intent, IntentStatus, Ledger, Refund, RefundStatus},
};
use crate::http;

/// What the ledger says about one intent. Amounts are in minor units of the currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// The `order_id` of the intent's metadata.
    pub order_id: Option<String>,
    /// The intent's id.
    pub intent: String,
    /// Where it stands.
    pub status: IntentStatus,
    /// What it was made for.
    pub amount: u64,
    /// ISO 4217, lower case.
    pub currency: String,
    /// What was taken from the customer, refunds not deducted.
    pub captured: u64,
    /// Newest first.
    pub refunds: Vec<RefundEntry>,
}

impl LedgerEntry {
    /// What the customer has paid in the end: captured, less what was given back or is on its way
    /// back.
    #[must_use]
    pub fn net(&self) -> u64 {
        let returned = self.refunds.iter().filter(|refund| refund.status != RefundStatus::Failed);
        self.captured - returned.map(|refund| refund.amount).sum::<u64>()
    }

    pub(super) fn of(intent: &Intent, ledger: &Ledger) -> Self {
        Self {
            order_id: intent.order_id().map(str::to_owned),
            intent: intent.id.clone(),
            status: intent.status,
            amount: intent.amount,
            currency: intent.currency.clone(),
            captured: intent.captured(),
            refunds: ledger.refunds_of(&intent.id).map(RefundEntry::of).collect(),
        }
    }
}

/// What the ledger says about one refund.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundEntry {
    /// The refund's id.
    pub refund: String,
    /// Minor units of the intent's currency.
    pub amount: u64,
    /// Where it stands.
    pub status: RefundStatus,
}

impl RefundEntry {
    fn of(refund: &Refund) -> Self {
        Self { refund: refund.id.clone(), amount: refund.amount, status: refund.status }
    }
}

/// A client of the control API.
#[derive(Clone, Debug)]
pub struct Control {
    http: reqwest::Client,
    base_url: String,
}

impl Control {
    /// A client of the sandbox that listens at `base_url`, such as `http://127.0.0.1:4740`.
    #[must_use]
    pub fn new(base_url: impl Into<String>) -> Self {
        let base_url = base_url.into().trim_end_matches('/').to_owned();
        Self { http: http::client(), base_url }
    }

    /// Adds a fault to those already set; the first that fits a request is the one that hits it.
    pub async fn set_fault(&self, fault: &Fault) -> reqwest::Result<()> {
        self.call(self.http.post(self.url("faults")).json(fault)).await?;
        Ok(())
    }

    /// Ends all faults. A request that one has hit already goes on as it was told.
    pub async fn clear_faults(&self) -> reqwest::Result<()> {
        self.call(self.http.delete(self.url("faults"))).await?;
        Ok(())
    }

    /// Ends the faults that were set for one order.
    pub async fn clear_faults_of(&self, order_id: &str) -> reqwest::Result<()> {
        self.call(self.http.delete(self.url("faults")).query(&[("order_id", order_id)])).await?;
        Ok(())
    }

    /// All intents with their refunds, oldest first.
    pub async fn ledger(&self) -> reqwest::Result<Vec<LedgerEntry>> {
        self.call(self.http.get(self.url("ledger"))).await?.json().await
    }

    /// Makes every idempotency key new again that is not in use, as Stripe may after a day.
    pub async fn forget_keys(&self) -> reqwest::Result<()> {
        self.call(self.http.delete(self.url("idempotency_keys"))).await?;
        Ok(())
    }

    /// Forgets intents, refunds, faults and idempotency keys.
    pub async fn reset(&self) -> reqwest::Result<()> {
        self.call(self.http.post(self.url("reset"))).await?;
        Ok(())
    }

    fn url(&self, what: &str) -> String {
        format!("{}/_sandbox/{what}", self.base_url)
    }

    async fn call(&self, request: reqwest::RequestBuilder) -> reqwest::Result<reqwest::Response> {
        request.send().await?.error_for_status()
    }
}
