//! Idempotency keys that behave like Stripe's: the same request under the same key gets the first
//! answer again.

use std::collections::HashMap;

use serde_json::Value;

/// An HTTP status and a body.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Value,
}

/// How a request with a key is to be treated.
#[derive(Debug, PartialEq)]
pub(super) enum Claim {
    /// The key is new: do the work, then [`Keys::keep`] the answer or [`Keys::release`] the key.
    New,
    /// The request was answered before, with this.
    Replay(Answer),
    /// The first request is still being worked on.
    InUse,
    /// The key was first used for another request.
    Misused,
}

#[derive(Debug, Default)]
pub(super) struct Keys(HashMap<String, Use>);

#[derive(Debug)]
struct Use {
    /// The request with its parameters.
    request: String,
    answer: Option<Answer>,
}

impl Keys {
    pub(super) fn claim(&mut self, key: &str, request: &str) -> Claim {
        match self.0.get(key) {
            None => {
                self.0.insert(key.to_owned(), Use { request: request.to_owned(), answer: None });
                Claim::New
            }
            Some(used) if used.request != request => Claim::Misused,
            Some(Use { answer: None, .. }) => Claim::InUse,
            Some(Use { answer: Some(answer), .. }) => Claim::Replay(answer.clone()),
        }
    }

    pub(super) fn keep(&mut self, key: &str, answer: &Answer) {
        if let Some(used) = self.0.get_mut(key) {
            used.answer = Some(answer.clone());
        }
    }

    pub(super) fn release(&mut self, key: &str) {
        self.0.remove(key);
    }

    /// Forgets all answers, as Stripe may do after a day. Keys in use are kept.
    pub(super) fn forget(&mut self) {
        self.0.retain(|_, used| used.answer.is_none());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn failure() -> Answer {
        Answer { status: 500, body: json!({"error": {"type": "api_error"}}) }
    }

    #[test]
    fn the_first_answer_is_replayed_even_if_it_was_a_failure() {
        let mut keys = Keys::default();
        assert_eq!(keys.claim("k", "a=1"), Claim::New);
        keys.keep("k", &failure());
        assert_eq!(keys.claim("k", "a=1"), Claim::Replay(failure()));
    }

    #[test]
    fn a_key_is_in_use_until_it_is_answered_or_released() {
        let mut keys = Keys::default();
        keys.claim("k", "a=1");
        assert_eq!(keys.claim("k", "a=1"), Claim::InUse);
        keys.release("k");
        assert_eq!(keys.claim("k", "a=1"), Claim::New);
    }

    #[test]
    fn a_key_cannot_be_used_for_another_request() {
        let mut keys = Keys::default();
        keys.claim("k", "a=1");
        assert_eq!(keys.claim("k", "a=2"), Claim::Misused);
    }

    #[test]
    fn keys_can_be_forgotten_unless_they_are_in_use() {
        let mut keys = Keys::default();
        keys.claim("done", "a=1");
        keys.keep("done", &failure());
        keys.claim("busy", "a=1");
        keys.forget();
        assert_eq!(keys.claim("done", "a=1"), Claim::New);
        assert_eq!(keys.claim("busy", "a=1"), Claim::InUse);
    }
}
