//! The Payments table.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::{Client, types::AttributeValue};
use jiff::Timestamp;
use platform::table::{Commit, StoreError, Table, Write};
use serde::Serialize;
use shop::{id::OrderId, money::Money, payment::Payment, tombstone_expiry};
use tables::payments;

use crate::handler::Payments;

/// The Payments table in DynamoDB.
#[derive(Clone, Debug)]
pub struct DynamoDb {
    table: Table,
}

impl DynamoDb {
    /// The table of that name.
    #[must_use]
    pub fn new(config: &SdkConfig, name: String) -> Self {
        Self { table: Table::new(Client::new(config), name, payments::KEY) }
    }
}

#[derive(Serialize)]
struct Row<'a> {
    order_id: OrderId,
    #[serde(flatten)]
    payment: &'a Payment,
    #[serde(flatten)]
    price: Money,
    updated_at: Timestamp,
    /// Only a tombstone expires: every other row is the record of a customer's money.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
}

impl Payments for DynamoDb {
    async fn find(&self, order: OrderId) -> Result<Option<Payment>, StoreError> {
        self.table.get(order).await
    }

    async fn write(
        &self,
        order: OrderId,
        price: Money,
        from: Option<&Payment>,
        next: &Payment,
        now: Timestamp,
    ) -> Result<Write<Payment>, StoreError> {
        let expires_at = matches!(next, Payment::Forbidden).then(|| tombstone_expiry(now));
        let row = Row { order_id: order, payment: next, price, updated_at: now, expires_at };
        let Some(from) = from else {
            return self.table.put_if_absent(&row).await;
        };
        // An order never changes its intent, so the state's name identifies the row.
        self.table
            .put(&row)?
            .condition_expression("#state = :from")
            .expression_attribute_names("#state", payments::STATE)
            .expression_attribute_values(":from", AttributeValue::S(from.name().to_owned()))
            .commit(&self.table)
            .await
    }
}

#[cfg(test)]
mod tests {
    use fixtures::{ORDER, PLACED_AT, at};
    use platform::decode;
    use serde_json::{Value, json};
    use shop::{
        money::Currency,
        payment::{IntentId, Progress},
    };

    use super::*;

    fn stored(payment: &Payment, expires_at: Option<i64>) -> serde_dynamo::Item {
        let row = Row {
            order_id: ORDER.parse().unwrap(),
            payment,
            price: Money { amount: 380, currency: Currency::Eur },
            updated_at: at(PLACED_AT),
            expires_at,
        };
        serde_dynamo::to_item(row).unwrap()
    }

    #[test]
    fn a_row_holds_the_payment_next_to_the_price_and_the_time() {
        let payment = Payment::Committed {
            intent: IntentId::new("pi_1"),
            progress: Progress::Declined { reason: "insufficient_funds".to_owned() },
        };
        let row = stored(&payment, None);
        assert_eq!(decode::item::<Payment>(row.clone()), Ok(payment));
        assert_eq!(
            serde_dynamo::from_item::<_, Value>(row).unwrap(),
            json!({
                "order_id": ORDER,
                "state": "declined",
                "intent": "pi_1",
                "reason": "insufficient_funds",
                "amount": 380,
                "currency": "EUR",
                "updated_at": "2026-11-24T08:00:00Z",
            })
        );
    }

    #[test]
    fn a_refusal_is_kept_with_its_reason_and_without_an_intent() {
        let refused = Payment::Refused { reason: "amount_too_small".to_owned() };
        let row = stored(&refused, None);
        assert_eq!(decode::item::<Payment>(row.clone()), Ok(refused));
        assert_eq!(
            serde_dynamo::from_item::<_, Value>(row).unwrap(),
            json!({
                "order_id": ORDER,
                "state": "refused",
                "reason": "amount_too_small",
                "amount": 380,
                "currency": "EUR",
                "updated_at": "2026-11-24T08:00:00Z",
            })
        );
    }

    #[test]
    fn a_tombstone_expires() {
        let row = stored(&Payment::Forbidden, Some(tombstone_expiry(at(PLACED_AT))));
        assert_eq!(decode::item::<Payment>(row.clone()), Ok(Payment::Forbidden));
        let row = serde_dynamo::from_item::<_, Value>(row).unwrap();
        // 35 days after it was written.
        assert_eq!(row["expires_at"], json!(at("2026-12-29T08:00:00Z").as_second()));
        assert_eq!(row["state"], "forbidden");
    }

    #[test]
    fn an_error_names_the_field_of_the_row_that_is_missing_or_wrong() {
        let declined = Payment::Committed {
            intent: IntentId::new("pi_1"),
            progress: Progress::Declined { reason: "insufficient_funds".to_owned() },
        };
        for field in ["state", "intent", "reason"] {
            let place = format!("`{field}` is missing or not what it should be");
            let mut row = stored(&declined, None).into_inner();
            row.insert(field.to_owned(), serde_dynamo::AttributeValue::N("7".to_owned()));
            assert_eq!(decode::item::<Payment>(row.clone()).unwrap_err().to_string(), place);
            row.remove(field);
            assert_eq!(decode::item::<Payment>(row).unwrap_err().to_string(), place);
        }
    }
}
