//! The message that others have done something with a payment, as the payment function gets it from
//! the provider's events.

use serde::{Deserialize, Serialize};

use crate::payment::IntentId;

/// The message that something has happened to an intent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Message")]
pub struct IntentChanged {
    intent: ForeignId,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Message {
    /// What the rule makes of an event.
    Reduced { intent: ForeignId },
    /// The event itself, which a rule's dead letter may hold.
    Whole { detail: EventDetail },
}

#[derive(Deserialize)]
struct EventDetail {
    data: EventData,
}

#[derive(Deserialize)]
struct EventData {
    object: EventObject,
}

/// A refund or a dispute.
#[derive(Deserialize)]
struct EventObject {
    payment_intent: ForeignId,
}

impl IntentChanged {
    /// The message about an intent.
    #[must_use]
    pub const fn new(intent: IntentId) -> Self {
        Self { intent: ForeignId(intent) }
    }

    /// The provider's id of the intent.
    #[must_use]
    pub const fn intent(&self) -> &IntentId {
        &self.intent.0
    }
}

impl From<Message> for IntentChanged {
    fn from(message: Message) -> Self {
        let intent = match message {
            Message::Reduced { intent } => intent,
            Message::Whole { detail } => detail.data.object.payment_intent,
        };
        Self { intent }
    }
}

/// An id from outside, which is safe in a URL: `pi_` and up to 250 letters, digits and underscores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
struct ForeignId(IntentId);

#[derive(Debug, thiserror::Error)]
#[error("an intent's id is `pi_` with up to 250 letters, digits and underscores")]
struct NoIntentId;

impl TryFrom<String> for ForeignId {
    type Error = NoIntentId;

    fn try_from(id: String) -> Result<Self, Self::Error> {
        let rest = id.strip_prefix("pi_").ok_or(NoIntentId)?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let is_id = (1..=250).contains(&rest.len()) && rest.bytes().all(is_plain);
        if is_id { Ok(Self(IntentId::new(id))) } else { Err(NoIntentId) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_from_outside_is_one_of_an_intent() {
        let read = |id: &str| {
            serde_json::from_value::<IntentChanged>(serde_json::json!({ "intent": id })).is_ok()
        };
        let object = serde_json::json!({"id": "dp_1", "payment_intent": "pi_1"});
        let event = serde_json::json!({"detail": {"id": "evt_1", "data": {"object": object}}});
        let whole: IntentChanged = serde_json::from_value(event).unwrap();
        assert_eq!(whole.intent().as_str(), "pi_1");
        assert!(read("pi_3MtwBwLkdIwHu7ix28a3tqPa") && read(&format!("pi_{}", "a".repeat(250))));
        for forged in
            ["", "pi_", "ch_1", "pi_1/confirm", "pi_1?expand[]=customer", "pi_ü", "pi_1\n"]
        {
            assert!(!read(forged), "{forged}");
        }
        assert!(!read(&format!("pi_{}", "a".repeat(251))));
    }
}
