//! How states are written for people.

use serde::Serialize;

/// The name of a value without fields, such as a state, as serde spells it.
#[must_use]
pub fn name(value: impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_named_as_serde_spells_it() {
        assert_eq!(name(shop::order::PaymentStatus::RefundFailed), "refund_failed");
    }
}
