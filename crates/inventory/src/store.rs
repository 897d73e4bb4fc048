//! The Stock table: bake plans, held pieces per shop, day and item, and one reservation per order.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::{
    Client,
    error::BuildError,
    operation::transact_write_items::TransactWriteItemsError,
    types::{
        AttributeValue, CancellationReason, Put, ReturnValuesOnConditionCheckFailure,
        TransactWriteItem, Update,
        builders::{PutBuilder, UpdateBuilder},
    },
};
use jiff::Timestamp;
use platform::table::{StoreError, Table, Write};
use serde::{Deserialize, Serialize};
use shop::{
    id::{ItemId, LocationId, OrderId},
    stock::{BakePlan, Demand, Quantity, Reservation, Shortage, stock_expiry},
    tombstone_expiry,
};
use tables::{
    EXPIRES_AT,
    stock::{self, Key},
};

use crate::handler::{Hold, Stock};

/// The Stock table in DynamoDB.
#[derive(Clone, Debug)]
pub struct DynamoDb {
    table: Table,
}

impl DynamoDb {
    /// The Stock table that is called `name`.
    #[must_use]
    pub fn new(config: &SdkConfig, name: String) -> Self {
        Self { table: Table::new(Client::new(config), name, stock::KEY) }
    }
}

/// A reservation as its row stores it.
#[derive(Serialize)]
struct ReservationRow<'a> {
    key: String,
    #[serde(flatten)]
    reservation: &'a Reservation,
    expires_at: i64,
}

impl<'a> ReservationRow<'a> {
    fn new(order: OrderId, reservation: &'a Reservation, expires_at: i64) -> Self {
        Self { key: Key::Reservation(order).to_string(), reservation, expires_at }
    }
}

/// The row that counts the held pieces of one item.
#[derive(Default, Deserialize)]
struct HeldRow {
    held: u32,
}

impl Stock for DynamoDb {
    async fn plan(&self, location: &LocationId) -> Result<BakePlan, StoreError> {
        Ok(self.table.get(Key::Plan(location.clone())).await?.unwrap_or_default())
    }

    async fn find(&self, order: OrderId) -> Result<Option<Reservation>, StoreError> {
        self.table.get(Key::Reservation(order)).await
    }

    async fn hold(
        &self,
        order: OrderId,
        demand: &Demand,
        plan: &BakePlan,
    ) -> Result<Hold, StoreError> {
        let reservation = Reservation::Held(demand.clone());
        let row = self
            .put(&ReservationRow::new(order, &reservation, stock_expiry(demand.pickup_day)))?
            .condition_expression("attribute_not_exists(#key)")
            .expression_attribute_names("#key", stock::KEY);
        let mut items = vec![put_item(row)?];
        for needed in &demand.items {
            items.push(self.hold_item(demand, needed, plan.of(&needed.item))?);
        }
        let Transaction::Cancelled(reasons) = self.transact(items).await? else {
            return Ok(Hold::Held);
        };
        let [reservation, lines @ ..] = &reasons[..] else {
            return Err(StoreError::MissingRow);
        };
        if condition_failed(reservation) {
            return Ok(Hold::Decided(self.row_of(reservation)?));
        }
        let mut shortages = Vec::new();
        for (needed, reason) in demand.items.iter().zip(lines) {
            if !condition_failed(reason) {
                continue;
            }
            // An item without a row has no held pieces; its condition fails if the plan alone is
            // too small.
            let row = reason.item().cloned().map(|row| self.table.decode(row));
            let row: HeldRow = row.transpose()?.unwrap_or_default();
            shortages.push(Shortage {
                item: needed.item.clone(),
                requested: needed.quantity,
                left: plan.of(&needed.item).saturating_sub(row.held),
            });
        }
        Ok(Hold::Short(shortages))
    }

    async fn refuse(
        &self,
        order: OrderId,
        refusal: &Reservation,
        now: Timestamp,
    ) -> Result<Write<Reservation>, StoreError> {
        let row = ReservationRow::new(order, refusal, tombstone_expiry(now));
        self.table.put_if_absent(&row).await
    }

    async fn release(
        &self,
        order: OrderId,
        demand: &Demand,
        now: Timestamp,
    ) -> Result<Write<Reservation>, StoreError> {
        let row = self
            .put(&ReservationRow::new(order, &Reservation::Released, tombstone_expiry(now)))?
            .condition_expression("#state = :held")
            .expression_attribute_names("#state", stock::STATE)
            .expression_attribute_values(":held", AttributeValue::S("held".into()));
        let released = put_item(row)?;
        let mut counted: Vec<_> = demand.items.iter().collect();
        loop {
            let mut items = vec![released.clone()];
            for held in &counted {
                items.push(self.release_item(demand, held)?);
            }
            let Transaction::Cancelled(reasons) = self.transact(items).await? else {
                return Ok(Write::Committed);
            };
            let [reservation, lines @ ..] = &reasons[..] else {
                return Err(StoreError::MissingRow);
            };
            if condition_failed(reservation) {
                return Ok(Write::Conflict(self.row_of(reservation)?));
            }
            // Each round leaves at least one line out, since nothing but conditions has failed.
            counted = counted
                .into_iter()
                .zip(lines)
                .filter(|(held, line)| {
                    if condition_failed(line) {
                        tracing::warn!(
                            day = %demand.pickup_day, item = %held.item,
                            "the released pieces are no longer counted: their row has expired"
                        );
                    }
                    !condition_failed(line)
                })
                .map(|(held, _)| held)
                .collect();
        }
    }
}

/// The outcome of a transaction that did not fail.
enum Transaction {
    Committed,
    /// A condition failed, and nothing was written: one reason per item, in the items' order.
    Cancelled(Vec<CancellationReason>),
}

/// The most attempts of a transaction that conflicts with others on the same rows. In a rush many
/// orders want the same croissants at once, and a conflict is over within milliseconds: a retry
/// through the queue would take seconds.
const MAX_ATTEMPTS: u32 = 8;

/// The longest pause after the first conflict. The limit doubles with each further conflict, and
/// each pause is a random part of it.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

const ALL_OLD: ReturnValuesOnConditionCheckFailure = ReturnValuesOnConditionCheckFailure::AllOld;

impl DynamoDb {
    async fn transact(&self, items: Vec<TransactWriteItem>) -> Result<Transaction, StoreError> {
        let mut attempt = 1;
        loop {
            let transaction = self.table.client().transact_write_items();
            let error = match transaction.set_transact_items(Some(items.clone())).send().await {
                Ok(_) => return Ok(Transaction::Committed),
                Err(error) => error,
            };
            let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) =
                error.as_service_error()
            else {
                return Err(StoreError::call("TransactWriteItems", error));
            };
            let reasons = cancelled.cancellation_reasons();
            if only_conditions_failed(reasons) {
                return Ok(Transaction::Cancelled(reasons.to_vec()));
            }
            if attempt == MAX_ATTEMPTS {
                return Err(StoreError::call("TransactWriteItems", error));
            }
            tokio::time::sleep((FIRST_PAUSE * 2_u32.pow(attempt - 1)).mul_f64(fastrand::f64()))
                .await;
            attempt += 1;
        }
    }

    /// The reservation that a failed condition found.
    fn row_of(&self, reason: &CancellationReason) -> Result<Reservation, StoreError> {
        self.table.decode(reason.item().cloned().ok_or(StoreError::MissingRow)?)
    }

    fn put(&self, row: &ReservationRow) -> Result<PutBuilder, StoreError> {
        Ok(Put::builder()
            .table_name(self.table.name())
            .set_item(Some(serde_dynamo::to_item(row)?))
            .return_values_on_condition_check_failure(ALL_OLD))
    }

    /// An update that adds `change` to the held pieces of one item, and says when the row expires.
    fn add(&self, demand: &Demand, item: &ItemId, change: i64) -> UpdateBuilder {
        let key = Key::Held {
            location: demand.location.clone(),
            day: demand.pickup_day,
            item: item.clone(),
        };
        Update::builder()
            .table_name(self.table.name())
            .key(stock::KEY, AttributeValue::S(key.to_string()))
            .update_expression("SET #expires_at = :expires_at ADD #held :change")
            .expression_attribute_names("#expires_at", EXPIRES_AT)
            .expression_attribute_values(
                ":expires_at",
                AttributeValue::N(stock_expiry(demand.pickup_day).to_string()),
            )
            .expression_attribute_names("#held", stock::HELD)
            .expression_attribute_values(":change", AttributeValue::N(change.to_string()))
            .return_values_on_condition_check_failure(ALL_OLD)
    }

    fn hold_item(
        &self,
        demand: &Demand,
        needed: &Quantity,
        capacity: u32,
    ) -> Result<TransactWriteItem, StoreError> {
        let room = i64::from(capacity) - i64::from(needed.quantity);
        // An item without a row has no held pieces, which is room enough unless the plan itself is
        // too small.
        let condition = if room < 0 {
            "#held <= :room"
        } else {
            "attribute_not_exists(#held) OR #held <= :room"
        };
        let update = self
            .add(demand, &needed.item, needed.quantity.into())
            .condition_expression(condition)
            .expression_attribute_values(":room", AttributeValue::N(room.to_string()));
        update_item(update)
    }

    /// Takes released pieces from what is held, unless the row has expired: it would come back with
    /// a negative number, and sell the pieces again.
    fn release_item(
        &self,
        demand: &Demand,
        held: &Quantity,
    ) -> Result<TransactWriteItem, StoreError> {
        let update = self
            .add(demand, &held.item, -i64::from(held.quantity))
            .condition_expression("#held >= :released")
            .expression_attribute_values(":released", AttributeValue::N(held.quantity.to_string()));
        update_item(update)
    }
}

fn put_item(put: PutBuilder) -> Result<TransactWriteItem, StoreError> {
    Ok(TransactWriteItem::builder().put(put.build().map_err(incomplete)?).build())
}

fn update_item(update: UpdateBuilder) -> Result<TransactWriteItem, StoreError> {
    Ok(TransactWriteItem::builder().update(update.build().map_err(incomplete)?).build())
}

fn incomplete(error: BuildError) -> StoreError {
    StoreError::call("TransactWriteItems", error)
}

/// False if the transaction conflicted with another one, or was throttled: neither is a shortage.
fn only_conditions_failed(reasons: &[CancellationReason]) -> bool {
    let fine = |code: Option<&str>| matches!(code, None | Some("None" | "ConditionalCheckFailed"));
    reasons.iter().all(|reason| fine(reason.code()))
}

fn condition_failed(reason: &CancellationReason) -> bool {
    reason.code() == Some("ConditionalCheckFailed")
}

#[cfg(test)]
mod tests {
    use aws_config::BehaviorVersion;
    use serde_json::json;

    use super::*;

    fn reason(code: &str) -> CancellationReason {
        CancellationReason::builder().code(code).build()
    }

    #[test]
    fn a_transaction_conflict_is_not_a_failed_condition() {
        for (codes, expected) in [
            (&["ConditionalCheckFailed", "None"][..], true),
            (&["None", "ConditionalCheckFailed"], true),
            (&["ConditionalCheckFailed", "TransactionConflict"], false),
            (&["ThrottlingError"], false),
        ] {
            let reasons: Vec<_> = codes.iter().copied().map(reason).collect();
            assert_eq!(only_conditions_failed(&reasons), expected, "{codes:?}");
        }
    }

    #[test]
    fn a_failed_condition_without_its_row_is_a_missing_row() {
        let config = SdkConfig::builder().behavior_version(BehaviorVersion::latest()).build();
        let stock = DynamoDb::new(&config, "stock".to_owned());
        let error = stock.row_of(&reason("ConditionalCheckFailed")).unwrap_err();
        assert!(matches!(error, StoreError::MissingRow), "{error}");
    }

    #[test]
    fn a_row_has_the_names_that_the_table_uses() {
        let order = "0b7c55f2-9d4e-4c6b-8a1f-3e2d7c9014aa".parse().unwrap();
        let row = ReservationRow::new(order, &Reservation::Released, 7);
        let expected = json!({
            stock::KEY: Key::Reservation(order).to_string(),
            stock::STATE: "released",
            EXPIRES_AT: 7
        });
        assert_eq!(serde_json::to_value(row).unwrap(), expected);
    }
}
