//! The mail that a stack has sent.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{Error, http, local_stack::Stack};

/// A message that SES has accepted.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Mail {
    pub to: Vec<String>,
    #[serde(rename = "Source")]
    pub from: String,
    pub subject: String,
    /// The message as plain text.
    #[serde(rename = "BodyText")]
    pub text: String,
}

/// The emulator's answer: the messages by account.
#[derive(Deserialize)]
struct Sent {
    messages: BTreeMap<String, Vec<Mail>>,
}

impl Stack {
    /// All mail so far, in the order of sending.
    ///
    /// # Errors
    /// The emulator does not answer.
    pub async fn mail(&self) -> Result<Vec<Mail>, Error> {
        let sent: Sent =
            http::get_json(&format!("{}/_ministack/ses/messages", self.embedded.endpoint)).await?;
        Ok(sent.messages.into_values().flatten().collect())
    }
}
