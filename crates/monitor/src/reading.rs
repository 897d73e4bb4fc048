//! Properties of an alarm in the template, and why they are refused.

use resources::section;
use serde_json::Value;

use crate::{expression::ExpressionError, rule::RuleError};

/// A definition that CloudWatch refuses, or that this crate cannot evaluate.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("{alarm}, {field}: {refusal}")]
pub struct DefinitionError {
    /// The alarm's logical id.
    pub alarm: String,
    /// The property.
    pub field: &'static str,
    /// Why it is refused.
    #[source]
    pub refusal: Refusal,
}

/// Why a property is refused.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// It has to be there.
    #[error("it is missing")]
    Missing,
    /// It contradicts another property.
    #[error("it cannot stand beside {0}")]
    Beside(&'static str),
    /// CloudWatch knows no such value, or this crate does not evaluate it.
    #[error("{0} cannot be evaluated")]
    Value(Value),
    /// A whole number out of its limits.
    #[error("{value} is not between {least} and {most}")]
    Limits {
        /// The number.
        value: u64,
        /// The least number.
        least: u64,
        /// The most.
        most: u64,
    },
    /// Seconds that are no period.
    #[error("{0} seconds are not a multiple of 60")]
    Period(u64),
    /// All metrics of an expression need the same period.
    #[error("the metrics have different periods")]
    Periods,
    /// CloudWatch takes up to ten metrics in an expression.
    #[error("{0} metrics are more than the ten that CloudWatch takes")]
    Metrics(usize),
    /// An alarm watches one series.
    #[error("{0} metrics or expressions return data, and not one")]
    Returned(usize),
    /// An id does not begin with a lower-case letter, or stands twice.
    #[error("{0:?} is not an id of its own that begins with a lower-case letter")]
    Id(String),
    /// An expression is refused.
    #[error("{id}: {error}")]
    Expression {
        /// The expression's id.
        id: String,
        /// Why.
        error: ExpressionError,
    },
    /// A rule is refused.
    #[error(transparent)]
    Rule(RuleError),
    /// A rule names an alarm that does not exist, or the alarm itself.
    #[error("there is no alarm {0} before this one")]
    Alarm(String),
}

/// The properties of an alarm.
#[derive(Clone, Copy)]
pub(crate) struct Properties<'a> {
    pub(crate) alarm: &'a str,
    pub(crate) values: &'a Value,
}

impl<'a> Properties<'a> {
    pub(crate) fn refuse(self, field: &'static str, refusal: Refusal) -> DefinitionError {
        DefinitionError { alarm: self.alarm.to_owned(), field, refusal }
    }

    /// A property, unless it is absent.
    pub(crate) fn get(self, field: &'static str) -> Option<&'a Value> {
        Some(&self.values[field]).filter(|value| !value.is_null())
    }

    pub(crate) fn require(self, field: &'static str) -> Result<&'a Value, DefinitionError> {
        self.get(field).ok_or_else(|| self.refuse(field, Refusal::Missing))
    }

    /// A property that is text, in which references are logical ids or the values of parameters.
    pub(crate) fn text(self, field: &'static str) -> Result<String, DefinitionError> {
        let value = self.require(field)?;
        text(value).ok_or_else(|| self.refuse(field, Refusal::Value(value.clone())))
    }

    /// A property that is one of several names.
    pub(crate) fn named<T>(
        self,
        field: &'static str,
        name: impl Fn(&str) -> Option<T>,
    ) -> Result<T, DefinitionError> {
        let text = self.text(field)?;
        name(&text).ok_or_else(|| self.refuse(field, Refusal::Value(text.into())))
    }

    pub(crate) fn whole(
        self,
        field: &'static str,
        least: u64,
        most: u64,
    ) -> Result<u64, DefinitionError> {
        let value = self.require(field)?;
        let Some(whole) = value.as_u64() else {
            return Err(self.refuse(field, Refusal::Value(value.clone())));
        };
        if !(least..=most).contains(&whole) {
            return Err(self.refuse(field, Refusal::Limits { value: whole, least, most }));
        }
        Ok(whole)
    }

    pub(crate) fn number(self, field: &'static str) -> Result<f64, DefinitionError> {
        let value = self.require(field)?;
        value.as_f64().ok_or_else(|| self.refuse(field, Refusal::Value(value.clone())))
    }
}

/// A text of the template. What refers to a resource becomes its logical id, what refers to a
/// parameter its default.
fn text(value: &Value) -> Option<String> {
    if let Some(text) = value.as_str() {
        return Some(text.to_owned());
    }
    if let Some(id) = value["!Ref"].as_str() {
        return Some(referred(id));
    }
    if let Some(id) = value["!GetAtt"].as_str() {
        return Some(referred(id));
    }
    let mut rest = value["!Sub"].as_str()?;
    let mut text = String::new();
    while let Some((before, reference)) = rest.split_once("${") {
        let (id, after) = reference.split_once('}')?;
        text += before;
        text += &referred(id);
        rest = after;
    }
    Some(text + rest)
}

fn referred(id: &str) -> String {
    match &section("Parameters")[id]["Default"] {
        Value::Null => id.split('.').next().unwrap_or(id).to_owned(),
        Value::String(default) => default.clone(),
        default => default.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_become_logical_ids_and_parameters_their_defaults() {
        let read = |value: Value| text(&value);
        assert_eq!(read(json!("$default")).as_deref(), Some("$default"));
        assert_eq!(read(json!({"!Ref": "OrderIntake"})).as_deref(), Some("OrderIntake"));
        assert_eq!(read(json!({"!GetAtt": "StockQueue.QueueName"})).as_deref(), Some("StockQueue"));
        assert_eq!(read(json!({"!Ref": "AWS::StackName"})).as_deref(), Some("AWS::StackName"));
        let sub = json!({"!Sub": "d > ${ConfirmWithinSeconds} OR ALARM(\"${StreamBehind}\")"});
        assert_eq!(read(sub).as_deref(), Some("d > 900 OR ALARM(\"StreamBehind\")"));
        assert_eq!(read(json!({"!Sub": ["${A}", {}]})), None);
    }
}
