//! The mail that a stack has sent.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{Error, Stack, http};

/// A message that SES took.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Mail {
    /// The recipients' addresses.
    pub to: Vec<String>,
    /// The sender's address.
    #[serde(rename = "Source")]
    pub from: String,
    /// What it is about.
    pub subject: String,
    /// The message as plain text.
    #[serde(rename = "BodyText")]
    pub text: String,
}

/// What the emulator answers: the messages of each account.
#[derive(Deserialize)]
struct Sent {
    messages: BTreeMap<String, Vec<Mail>>,
}

impl Stack {
    /// Everything that was sent so far, in the order of sending.
    ///
    /// # Errors
    /// The emulator could not be asked.
    pub async fn mail(&self) -> Result<Vec<Mail>, Error> {
        let sent: Sent =
            http::get_json(&format!("{}/_ministack/ses/messages", self.endpoint)).await?;
        Ok(sent.messages.into_values().flatten().collect())
    }
}
