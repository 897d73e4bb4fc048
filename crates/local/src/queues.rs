//! What lies in the queues of a stack, and whether somebody takes it.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_lambda::Client as Lambda;
use dashboard::Depth;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use stack::Deployment;

use crate::{Error, error::aws, http, local_stack::Stack};

/// The state of a mapping that somebody has disabled.
const DISABLED: &str = "Disabled";

/// The emulator's answer: the messages by account, region and URL of the queue.
#[derive(Deserialize)]
struct Messages {
    messages: BTreeMap<String, BTreeMap<String, BTreeMap<String, Vec<Message>>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Message {
    /// In seconds since the epoch.
    sent_timestamp: i64,
    is_visible: bool,
    receive_count: u32,
}

impl Stack {
    /// What the messages of all queues wait for, by the queues' URLs. No message is received.
    ///
    /// # Errors
    /// The emulator does not answer.
    pub async fn queues(&self) -> Result<BTreeMap<String, Depth>, Error> {
        let url = format!("{}/_ministack/sqs/messages", self.embedded.endpoint);
        let Messages { messages } = http::get_json(&url).await?;
        let now = Timestamp::now().as_second();
        let queues = messages.into_values().flat_map(BTreeMap::into_values).flatten();
        let depths = queues.map(|(url, messages)| {
            let mut depth = Depth::default();
            for Message { sent_timestamp, is_visible, receive_count } in messages {
                let age = SignedDuration::from_secs((now - sent_timestamp).max(0));
                depth.add(age, is_visible, receive_count);
            }
            (url, depth)
        });
        Ok(depths.collect())
    }
    /// The logical ids of the mappings that take nothing from their queue or stream.
    ///
    /// # Errors
    /// Lambda does not answer.
    pub async fn disabled_mappings(
        &self,
        deployment: &Deployment,
    ) -> Result<BTreeSet<String>, Error> {
        let pages = Lambda::new(&self.aws()).list_event_source_mappings().into_paginator().send();
        let pages: Vec<_> =
            pages.try_collect().await.map_err(aws("lambda:ListEventSourceMappings"))?;
        let mappings =
            pages.into_iter().flat_map(|page| page.event_source_mappings.unwrap_or_default());
        let disabled: BTreeSet<_> = mappings
            .filter(|mapping| mapping.state.as_deref() == Some(DISABLED))
            .filter_map(|mapping| mapping.uuid)
            .collect();
        let all = deployment.resources("AWS::Lambda::EventSourceMapping");
        let disabled = all.filter(|(_, uuid)| disabled.contains(*uuid));
        Ok(disabled.map(|(id, _)| id.to_owned()).collect())
    }
}
