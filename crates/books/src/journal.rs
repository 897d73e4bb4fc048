//! The journal of what operators decide by hand, with who and why. It is a log group of the stack,
//! so that every operator sees it and nobody can change an entry.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use aws_config::SdkConfig;
use aws_sdk_cloudwatchlogs::{Client as CloudWatchLogs, types::InputLogEvent};
use aws_sdk_sts::Client as Sts;
use jiff::Timestamp;
use platform::time::moment;
use serde::{Deserialize, Serialize};
use shop::{id::OrderId, money::Money};

use crate::error::{Error, aws};

/// The log stream of all entries.
const STREAM: &str = "operators";

/// The journal of a stack.
#[derive(Debug)]
pub struct Journal {
    logs: CloudWatchLogs,
    sts: Sts,
    group: String,
}

/// Something that was decided by hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub at: Timestamp,
    /// The ARN of the AWS identity.
    pub who: String,
    #[serde(flatten)]
    pub decision: Decision,
    pub reason: String,
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "decision", rename_all = "snake_case")]
pub enum Decision {
    /// A dead letter was deleted.
    Discarded {
        queue: String,
        message_id: String,
        /// What it was about, without its contents.
        summary: String,
    },
    /// A difference of the books was settled by other means.
    Settled {
        /// See [`crate::reconciliation::Difference::key`].
        key: String,
        difference: String,
    },
    /// A settlement was a mistake: the difference counts again.
    Withdrawn { key: String, difference: String },
    /// The provider was asked to give a part of a paid order back.
    Refunded { order: OrderId, amount: Money },
    /// An order was cancelled for its shop.
    Cancelled { order: OrderId },
    /// A customer's data was erased. Such entries are the ledger that is applied again after a
    /// restore.
    Erased {
        /// The customer's [pseudonym](shop::id::CustomerId::pseudonym).
        customer: String,
        /// The orders that led to the customer.
        orders: Vec<OrderId>,
    },
}

/// The last settlement of each difference, by the difference's key.
pub type Settlements = BTreeMap<String, Entry>;

impl Entry {
    /// The queue of which it discards a message about an order, if it does.
    pub fn discards(&self, order: OrderId) -> Option<&str> {
        let Decision::Discarded { queue, summary, .. } = &self.decision else { return None };
        summary.contains(&order.to_string()).then_some(queue)
    }

    /// Whether it settles something about an order.
    pub fn settles(&self, order: OrderId) -> bool {
        let Decision::Settled { difference, .. } = &self.decision else { return false };
        difference.contains(&order.to_string())
    }

    /// Whether it settles the difference with a key, or something about an order with an id.
    pub fn settles_what(&self, key_or_order: &str) -> bool {
        let Decision::Settled { key, .. } = &self.decision else { return false };
        key == key_or_order || key_or_order.parse().is_ok_and(|order| self.settles(order))
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, who, decision, reason } = self;
        write!(f, "{}  {who} ", moment(*at))?;
        match decision {
            Decision::Discarded { queue, message_id, summary } => {
                write!(f, "discarded {message_id} of {queue} ({summary})")?;
            }
            Decision::Settled { key, difference } => write!(f, "settled {key} ({difference})")?,
            Decision::Withdrawn { key, difference } => {
                write!(f, "withdrew the settlement of {key} ({difference})")?;
            }
            Decision::Refunded { order, amount } => {
                write!(f, "asked for {amount} of order {order} to be given back")?
            }
            Decision::Cancelled { order } => write!(f, "cancelled order {order}")?,
            Decision::Erased { customer, orders } => {
                let s = if orders.len() == 1 { "" } else { "s" };
                write!(f, "erased the customer {customer} from {} order{s}", orders.len())?;
            }
        }
        write!(f, ": {reason}")
    }
}

impl Journal {
    /// The journal in a log group.
    #[must_use]
    pub fn new(config: &SdkConfig, group: String) -> Self {
        Self { logs: CloudWatchLogs::new(config), sts: Sts::new(config), group }
    }

    /// Writes what the caller decides. Returns once the entry is stored.
    pub async fn write(&self, decision: Decision, reason: &str) -> Result<Entry, Error> {
        let caller = self.sts.get_caller_identity().send().await;
        let who = caller.map_err(aws("sts:GetCallerIdentity"))?.arn.unwrap_or_default();
        let entry = Entry { at: Timestamp::now(), who, decision, reason: reason.to_owned() };
        self.create_stream().await?;
        let event = InputLogEvent::builder()
            .timestamp(entry.at.as_millisecond())
            .message(serde_json::to_string(&entry).expect("an entry is JSON"))
            .build()
            .expect("an event has a time and a message");
        let put = self.logs.put_log_events().log_group_name(&self.group).log_stream_name(STREAM);
        put.log_events(event).send().await.map_err(aws("logs:PutLogEvents"))?;
        Ok(entry)
    }

    async fn create_stream(&self) -> Result<(), Error> {
        let create = self.logs.create_log_stream().log_group_name(&self.group);
        match create.log_stream_name(STREAM).send().await {
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_resource_already_exists_exception()) =>
            {
                Ok(())
            }
            created => Ok(created.map(drop).map_err(aws("logs:CreateLogStream"))?),
        }
    }

    /// The entries since a time, oldest first. CloudWatch may take a few seconds to find a new one.
    pub async fn entries(&self, since: Timestamp) -> Result<Vec<Entry>, Error> {
        let events = self
            .logs
            .filter_log_events()
            .log_group_name(&self.group)
            .start_time(since.as_millisecond());
        let mut entries = Vec::new();
        let mut pages = events.into_paginator().send();
        while let Some(page) = pages.next().await {
            let events = page.map_err(aws("logs:FilterLogEvents"))?.events.unwrap_or_default();
            let read = events.into_iter().filter_map(|event| event.message);
            entries.extend(read.filter_map(|entry| serde_json::from_str::<Entry>(&entry).ok()));
        }
        entries.sort_by_key(|entry| entry.at);
        Ok(entries)
    }

    /// What is settled by hand, and was not withdrawn since.
    pub async fn settlements(&self) -> Result<Settlements, Error> {
        Ok(settled(self.entries(Timestamp::UNIX_EPOCH).await?))
    }

    /// The [pseudonyms](shop::id::CustomerId::pseudonym) of all customers whose data was erased.
    pub async fn erasures(&self) -> Result<BTreeSet<String>, Error> {
        let entries = self.entries(Timestamp::UNIX_EPOCH).await?.into_iter();
        Ok(entries
            .filter_map(|entry| match entry.decision {
                Decision::Erased { customer, .. } => Some(customer),
                Decision::Discarded { .. }
                | Decision::Settled { .. }
                | Decision::Withdrawn { .. }
                | Decision::Refunded { .. }
                | Decision::Cancelled { .. } => None,
            })
            .collect())
    }
}

/// The settlements that stand after entries, of which the oldest comes first.
fn settled(entries: Vec<Entry>) -> Settlements {
    let mut settlements = Settlements::new();
    for entry in entries {
        match &entry.decision {
            Decision::Settled { key, .. } => drop(settlements.insert(key.clone(), entry)),
            Decision::Withdrawn { key, .. } => drop(settlements.remove(key)),
            Decision::Discarded { .. }
            | Decision::Refunded { .. }
            | Decision::Cancelled { .. }
            | Decision::Erased { .. } => {}
        }
    }
    settlements
}

#[cfg(test)]
mod tests {
    use fixtures::at;
    use shop::id::CustomerId;

    use super::*;

    #[test]
    fn an_entry_is_read_as_it_was_written_and_says_who_decided_what_and_why() {
        let entry = Entry {
            at: at("2026-11-24T08:00:00Z"),
            who: "arn:aws:iam::1:user/camille".to_owned(),
            decision: Decision::Discarded {
                queue: "charge".to_owned(),
                message_id: "m".to_owned(),
                summary: "7 bytes that are not an event".to_owned(),
            },
            reason: "sent by a test".to_owned(),
        };
        let text = serde_json::to_string(&entry).unwrap();
        assert_eq!(serde_json::from_str::<Entry>(&text).unwrap(), entry);
        assert_eq!(
            entry.to_string(),
            "2026-11-24 08:00:00.000Z  arn:aws:iam::1:user/camille discarded m of charge (7 bytes \
             that are not an event): sent by a test"
        );
    }

    #[test]
    fn a_settlement_stands_until_it_is_withdrawn_and_may_be_made_again() {
        let order = fixtures::order().order_id;
        let (key, difference) = ("1a2b3c4d", format!("order {order} is cancelled"));
        let settlement = Decision::Settled { key: key.to_owned(), difference: difference.clone() };
        let withdrawal = Decision::Withdrawn { key: key.to_owned(), difference };
        let entry = |decision: &Decision| Entry {
            at: at("2026-11-24T08:00:00Z"),
            who: "camille".to_owned(),
            decision: decision.clone(),
            reason: "the transfer came back".to_owned(),
        };
        let standing = |decisions: &[&Decision]| {
            settled(decisions.iter().map(|decision| entry(decision)).collect())
        };
        assert!(standing(&[&settlement])[key].settles_what(key));
        assert!(standing(&[&settlement])[key].settles_what(&order.to_string()));
        assert!(!standing(&[&settlement])[key].settles_what("00000000"));
        assert!(standing(&[&settlement, &withdrawal]).is_empty());
        assert_eq!(standing(&[&settlement, &withdrawal, &settlement]).len(), 1);
        let withdrawn = entry(&withdrawal).to_string();
        assert!(withdrawn.contains("withdrew the settlement of 1a2b3c4d (order "), "{withdrawn}");
    }

    #[test]
    fn an_erasure_is_known_by_the_hash_of_the_customers_id_and_does_not_show_it() {
        let customer = CustomerId::new("5ad7c1e0-8e4b-4c7b-9d0f-2f1a6b3c4d5e");
        let other = CustomerId::new("5ad7c1e0-8e4b-4c7b-9d0f-2f1a6b3c4d5f");
        assert_eq!(customer.pseudonym(), customer.pseudonym());
        assert_ne!(customer.pseudonym(), other.pseudonym());
        let entry = Entry {
            at: at("2026-11-24T08:00:00Z"),
            who: "arn:aws:iam::1:user/camille".to_owned(),
            decision: Decision::Erased {
                customer: customer.pseudonym(),
                orders: vec![fixtures::order().order_id],
            },
            reason: "the customer wants it".to_owned(),
        };
        let text = serde_json::to_string(&entry).unwrap();
        assert_eq!(serde_json::from_str::<Entry>(&text).unwrap(), entry);
        assert!(!text.contains(customer.as_str()) && text.contains(&customer.pseudonym()));
        assert!(entry.to_string().contains("erased the customer"), "{entry}");
        assert!(entry.to_string().contains("from 1 order: the"), "{entry}");
    }
}
