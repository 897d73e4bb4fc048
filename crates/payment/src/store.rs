//! The Payments table.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use jiff::Timestamp;
use platform::table::{Commit, StoreError, Table, Write};
use serde::{Deserialize, Serialize};
use serde_dynamo::to_attribute_value;
use shop::{
    id::{CustomerId, OrderId},
    money::Money,
    payment::{Payment, PaymentRecord},
    tombstone_expiry,
};
use tables::payments;

use crate::{
    handler::Payments,
    limit::{PlaceStore, Places},
};

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
    record: &'a PaymentRecord,
    #[serde(flatten)]
    price: Money,
    updated_at: Timestamp,
    /// Only a tombstone expires: every other row is the record of a customer's money.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
}

#[derive(Serialize)]
struct PlacesRow<'a> {
    order_id: String,
    #[serde(flatten)]
    places: &'a Places,
    expires_at: i64,
}

impl PlaceStore for DynamoDb {
    async fn places(&self, customer: &CustomerId) -> Result<Places, StoreError> {
        Ok(self.table.get(payments::places(customer)).await?.unwrap_or_default())
    }

    async fn write_places(
        &self,
        customer: &CustomerId,
        places: &Places,
        expires: Timestamp,
    ) -> Result<Write<Places>, StoreError> {
        let order_id = payments::places(customer);
        // A second later, since DynamoDB deletes by the second.
        let expires_at = expires.as_second() + 1;
        let row = PlacesRow { order_id, places, expires_at };
        let last = places.version - 1;
        if last == 0 {
            return self.table.put_if_absent(&row).await;
        }
        self.table
            .put(&row)?
            .condition_expression("#version = :version")
            .expression_attribute_names("#version", payments::VERSION)
            .expression_attribute_values(":version", to_attribute_value(last)?)
            .commit(&self.table)
            .await
    }
}

impl Payments for DynamoDb {
    async fn find(&self, order: OrderId) -> Result<Option<PaymentRecord>, StoreError> {
        self.table.get(order).await
    }

    async fn find_with_price(
        &self,
        order: OrderId,
    ) -> Result<Option<(PaymentRecord, Money)>, StoreError> {
        #[derive(Deserialize)]
        struct Priced {
            #[serde(flatten)]
            record: PaymentRecord,
            #[serde(flatten)]
            price: Money,
        }

        let found: Option<Priced> = self.table.get(order).await?;
        Ok(found.map(|Priced { record, price }| (record, price)))
    }

    async fn write(
        &self,
        order: OrderId,
        price: Money,
        from: Option<&PaymentRecord>,
        next: &PaymentRecord,
        now: Timestamp,
    ) -> Result<Write<PaymentRecord>, StoreError> {
        let is_tombstone = next.payment == Payment::Forbidden;
        let expires_at = is_tombstone.then(|| tombstone_expiry(now));
        let row = Row { order_id: order, record: next, price, updated_at: now, expires_at };
        let Some(from) = from else {
            return self.table.put_if_absent(&row).await;
        };
        let put = self.table.put(&row)?;
        let put = if from.version == 0 {
            // An order never changes its intent, so the state's name identifies such a row.
            put.condition_expression("attribute_not_exists(#version) AND #state = :state")
                .expression_attribute_names("#version", payments::VERSION)
                .expression_attribute_names("#state", payments::STATE)
                .expression_attribute_values(":state", to_attribute_value(from.payment.name())?)
        } else {
            put.condition_expression("#version = :version")
                .expression_attribute_names("#version", payments::VERSION)
                .expression_attribute_values(":version", to_attribute_value(from.version)?)
        };
        put.commit(&self.table).await
    }
}

#[cfg(test)]
mod tests {
    use fixtures::{ORDER, PLACED_AT, at};
    use platform::decode;
    use serde_json::{Value, json};
    use shop::{
        money::Currency,
        payment::{IntentId, Progress, RefundEntry},
        refund::RefundState,
    };

    use super::*;

    fn record(payment: Payment) -> PaymentRecord {
        PaymentRecord { version: 3, ..PaymentRecord::new(payment) }
    }

    fn stored(payment: &Payment, expires_at: Option<i64>) -> serde_dynamo::Item {
        stored_record(&record(payment.clone()), expires_at)
    }

    fn stored_record(record: &PaymentRecord, expires_at: Option<i64>) -> serde_dynamo::Item {
        let row = Row {
            order_id: ORDER.parse().unwrap(),
            record,
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
                "version": 3,
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
                "version": 3,
                "state": "refused",
                "reason": "amount_too_small",
                "amount": 380,
                "currency": "EUR",
                "updated_at": "2026-11-24T08:00:00Z",
            })
        );
    }

    #[test]
    fn a_refund_by_the_shop_is_kept_in_the_row() {
        let captured =
            Payment::Committed { intent: IntentId::new("pi_1"), progress: Progress::Captured };
        let refund = RefundEntry {
            id: 1,
            amount: 190,
            attempt: 2,
            name: 3,
            state: RefundState::Failed,
            reason: Some("expired_or_canceled_card".to_owned()),
        };
        let record = PaymentRecord { refunds: vec![refund], ..record(captured) };
        let row = stored_record(&record, None);
        assert_eq!(decode::item::<PaymentRecord>(row.clone()), Ok(record));
        assert_eq!(
            serde_dynamo::from_item::<_, Value>(row).unwrap()["refunds"],
            json!([{
                "id": 1,
                "amount": 190,
                "attempt": 2,
                "name": 3,
                "state": "failed",
                "reason": "expired_or_canceled_card",
            }])
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
