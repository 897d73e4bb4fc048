//! The events for a function: its sample event with a new identity each time.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::fixtures::Fixtures;

/// A function and its sample event.
#[derive(Debug)]
pub(crate) struct Function {
    /// The name of its binary.
    pub(crate) name: &'static str,
    /// Its logical id in `template.yaml`, which also names its directory after `sam build`.
    pub(crate) logical_id: &'static str,
    event: &'static str,
    /// The field that identifies the event's subject.
    identity: &'static str,
}

pub(crate) const FUNCTIONS: [Function; 7] = [
    Function {
        name: "order-intake",
        logical_id: "OrderIntake",
        event: "order-intake-post-order.json",
        identity: "idempotency-key",
    },
    Function {
        name: "order-relay",
        logical_id: "OrderRelay",
        event: PLACED_ORDER,
        identity: "order_id",
    },
    Function {
        name: "inventory",
        logical_id: "Inventory",
        event: "inventory-stock-queue.json",
        identity: "order_id",
    },
    Function {
        name: "payment",
        logical_id: "Payment",
        event: "payment-charge-queue.json",
        identity: "order_id",
    },
    Function {
        name: "order-status",
        logical_id: "OrderStatus",
        event: "order-status-results-queue.json",
        identity: "order_id",
    },
    Function {
        name: "notifications",
        logical_id: "Notifications",
        event: "notifications-notice-queue.json",
        identity: "order_id",
    },
    Function { name: "books", logical_id: "Books", event: "books-schedule.json", identity: "id" },
];

/// The sample whose first record is the row of a placed order.
const PLACED_ORDER: &str = "order-relay-orders-stream.json";

/// Events for one function.
pub(crate) struct Workload<'a> {
    sample: Sample,
    identity: &'static str,
    /// The order to create for each event, for the function that updates orders.
    order: Option<Sample>,
    fixtures: &'a Fixtures,
}

impl<'a> Workload<'a> {
    /// The function's sample from the directory `events`, reduced to its first record, and for an
    /// existing customer.
    pub(crate) fn of(function: &Function, events: &Path, fixtures: &'a Fixtures) -> Result<Self> {
        let read = |file| {
            anyhow::Ok(Sample::read(&events.join(file))?.with("customer_id", fixtures.customer()))
        };
        let order = if function.name == "order-status" { Some(read(PLACED_ORDER)?) } else { None };
        Ok(Self { sample: read(function.event)?, identity: function.identity, order, fixtures })
    }

    /// Creates what the next event needs, and returns the event.
    pub(crate) async fn next(&self) -> Result<String> {
        let identity = Uuid::new_v4().to_string();
        if let Some(order) = &self.order {
            let order = order.with(self.identity, &identity);
            let row = order
                .event
                .pointer("/Records/0/dynamodb/NewImage")
                .context("the sample contains no order")?;
            self.fixtures.put("orders", row).await?;
        }
        Ok(self.sample.with(self.identity, &identity).event.to_string())
    }
}

#[derive(Debug, Clone)]
struct Sample {
    event: Value,
}

impl Sample {
    fn read(path: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        let mut event: Value = serde_json::from_str(&text)
            .with_context(|| format!("{} is not JSON", path.display()))?;
        if let Some(records) = event.get_mut("Records").and_then(Value::as_array_mut) {
            records.truncate(1);
        }
        Ok(Self { event })
    }

    /// The same event with another value in every field of a name. This includes attributes of
    /// DynamoDB items, and JSON text in fields.
    fn with(&self, field: &str, value: &str) -> Self {
        let mut event = self.event.clone();
        replace(&mut event, field, value);
        Self { event }
    }
}

fn replace(event: &mut Value, field: &str, value: &str) {
    match event {
        Value::Object(fields) => {
            for (name, inner) in fields {
                match inner {
                    Value::String(text) if name == field => value.clone_into(text),
                    Value::Object(attribute) if name == field && attribute.contains_key("S") => {
                        *inner = json!({"S": value})
                    }
                    inner => replace(inner, field, value),
                }
            }
        }
        Value::Array(elements) => {
            elements.iter_mut().for_each(|element| replace(element, field, value))
        }
        Value::String(text) => {
            if let Ok(mut inner @ Value::Object(_)) = serde_json::from_str(text) {
                replace(&mut inner, field, value);
                *text = inner.to_string();
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_replaced_in_a_queued_message() {
        let body = json!({"detail": {"data": {"order_id": "old", "total": 380}}}).to_string();
        let queued = Sample { event: json!({"Records": [{"messageId": "1", "body": body}]}) };
        let renewed = queued.with("order_id", "new");
        let body: Value =
            serde_json::from_str(renewed.event["Records"][0]["body"].as_str().unwrap()).unwrap();
        assert_eq!(body, json!({"detail": {"data": {"order_id": "new", "total": 380}}}));
        assert_eq!(renewed.event["Records"][0]["messageId"], "1");
    }

    #[test]
    fn a_field_is_replaced_in_a_row() {
        let row = json!({"order_id": {"S": "old"}});
        let record = json!({"dynamodb": {"Keys": row, "NewImage": row}});
        let renewed = Sample { event: record }.with("order_id", "new");
        assert_eq!(renewed.event["dynamodb"]["Keys"], json!({"order_id": {"S": "new"}}));
        assert_eq!(renewed.event["dynamodb"]["NewImage"], json!({"order_id": {"S": "new"}}));
    }
}
