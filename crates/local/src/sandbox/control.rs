//! The types and the client of the control API under `/_sandbox`, for tests and tools.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    disputes::{Dispute, DisputeStatus},
    events::Bus,
    faults::{Fault, FaultId},
    ledger::{Intent, IntentStatus, Ledger, Refund, RefundStatus},
};
use crate::http;

/// An intent in the ledger. Amounts are in minor units of its currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// The `order_id` of the intent's metadata.
    pub order_id: Option<String>,
    pub intent: String,
    pub status: IntentStatus,
    /// The amount to charge.
    pub amount: u64,
    /// The ISO 4217 code in lower case.
    pub currency: String,
    /// The amount that was taken from the customer, before refunds.
    pub captured: u64,
    /// Its refunds, newest first.
    pub refunds: Vec<RefundEntry>,
    /// Its disputes, newest first.
    pub disputes: Vec<DisputeEntry>,
}

impl LedgerEntry {
    /// The amount that the customer has paid in the end: what was captured, less refunds that have
    /// not failed and disputes that are lost.
    #[must_use]
    pub fn net(&self) -> u64 {
        let returned = self.refunds.iter().filter(|refund| refund.status != RefundStatus::Failed);
        let lost = self.disputes.iter().filter(|dispute| dispute.status == DisputeStatus::Lost);
        let returned = returned.map(|refund| refund.amount);
        let back: u64 = returned.chain(lost.map(|dispute| dispute.amount)).sum();
        self.captured.saturating_sub(back)
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
            disputes: ledger.disputes_of(&intent.id).map(DisputeEntry::of).collect(),
        }
    }
}

/// A refund in the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundEntry {
    pub refund: String,
    /// The amount in minor units of the intent's currency.
    pub amount: u64,
    pub status: RefundStatus,
}

impl RefundEntry {
    fn of(refund: &Refund) -> Self {
        Self { refund: refund.id.clone(), amount: refund.amount, status: refund.status }
    }
}

/// A dispute in the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisputeEntry {
    pub dispute: String,
    /// The amount in minor units of the intent's currency.
    pub amount: u64,
    pub status: DisputeStatus,
}

impl DisputeEntry {
    fn of(dispute: &Dispute) -> Self {
        Self { dispute: dispute.id.clone(), amount: dispute.amount, status: dispute.status }
    }
}

/// A dispute that a customer begins.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewDispute {
    pub(super) intent: String,
    pub(super) status: DisputeStatus,
}

/// What a bank decides about a dispute.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Decision {
    pub(super) status: DisputeStatus,
}

/// What a bank does with a refund.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settlement {
    pub(super) status: RefundStatus,
}

/// A client of the control API.
#[derive(Clone, Debug)]
pub struct Control {
    http: reqwest::Client,
    base_url: String,
}

impl Control {
    /// A client of the sandbox at `base_url`, such as `http://127.0.0.1:4740`.
    #[must_use]
    pub fn new(base_url: impl Into<String>) -> Self {
        let base_url = base_url.into().trim_end_matches('/').to_owned();
        Self { http: http::client(), base_url }
    }

    /// Adds a fault. If several match a request, the first one applies.
    pub async fn set_fault(&self, fault: &Fault) -> reqwest::Result<FaultId> {
        self.call(self.http.post(self.url("faults")).json(fault)).await?.json().await
    }

    /// All faults that are not used up.
    pub async fn faults(&self) -> reqwest::Result<BTreeMap<FaultId, Fault>> {
        self.call(self.http.get(self.url("faults"))).await?.json().await
    }

    /// Removes a fault. Requests that are already affected are not changed.
    pub async fn remove_fault(&self, id: FaultId) -> reqwest::Result<()> {
        self.call(self.http.delete(self.url(&format!("faults/{id}")))).await?;
        Ok(())
    }

    /// Removes all faults. Requests that are already affected are not changed.
    pub async fn clear_faults(&self) -> reqwest::Result<()> {
        self.call(self.http.delete(self.url("faults"))).await?;
        Ok(())
    }

    /// Removes the faults of one order.
    pub async fn clear_faults_of(&self, order_id: &str) -> reqwest::Result<()> {
        self.call(self.http.delete(self.url("faults")).query(&[("order_id", order_id)])).await?;
        Ok(())
    }

    /// All intents with their refunds, oldest first.
    pub async fn ledger(&self) -> reqwest::Result<Vec<LedgerEntry>> {
        self.call(self.http.get(self.url("ledger"))).await?.json().await
    }

    /// Shows an object of the API with these fields from then on, whatever the ledger says: a state
    /// that is new, or a form that nobody can read.
    pub async fn disguise(&self, id: &str, fields: &Value) -> reqwest::Result<()> {
        self.call(self.http.put(self.url(&format!("objects/{id}"))).json(fields)).await?;
        Ok(())
    }

    /// The customer of a captured intent disputes all of it. Returns the dispute's id.
    pub async fn open_dispute(
        &self,
        intent: &str,
        status: DisputeStatus,
    ) -> reqwest::Result<String> {
        let new = NewDispute { intent: intent.to_owned(), status };
        self.call(self.http.post(self.url("disputes")).json(&new)).await?.json().await
    }

    /// The bank decides a dispute, or goes on with it.
    pub async fn decide_dispute(&self, id: &str, status: DisputeStatus) -> reqwest::Result<()> {
        let decided = self.http.post(self.url(&format!("disputes/{id}")));
        self.call(decided.json(&Decision { status })).await?;
        Ok(())
    }

    /// The bank sends back what was refunded, or takes what is pending.
    pub async fn settle_refund(&self, id: &str, status: RefundStatus) -> reqwest::Result<()> {
        let settled = self.http.post(self.url(&format!("refunds/{id}")));
        self.call(settled.json(&Settlement { status })).await?;
        Ok(())
    }

    /// Puts events on a bus from now on.
    pub async fn send_events_to(&self, endpoint: &str, bus: &str) -> reqwest::Result<()> {
        let bus = Bus { endpoint: endpoint.to_owned(), name: bus.to_owned() };
        self.call(self.http.put(self.url("event_bus")).json(&bus)).await?;
        Ok(())
    }

    /// Forgets all idempotency keys that are not in use, as Stripe may do after a day.
    pub async fn forget_keys(&self) -> reqwest::Result<()> {
        self.call(self.http.delete(self.url("idempotency_keys"))).await?;
        Ok(())
    }

    /// Forgets intents, refunds, disputes, faults and idempotency keys.
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
