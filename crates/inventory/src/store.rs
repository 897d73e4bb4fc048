//! The Stock table: bake plans, what is held per shop, day and item, and one row per order with
//! what was decided.

use std::{collections::HashMap, time::Duration};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::{
    Client,
    error::SdkError,
    operation::{put_item::PutItemError, transact_write_items::TransactWriteItemsError},
    types::{
        AttributeValue, CancellationReason, Put, ReturnValuesOnConditionCheckFailure,
        TransactWriteItem, Update,
        builders::{PutBuilder, UpdateBuilder},
    },
};
use jiff::{Timestamp, civil};
use platform::{decode, table::StoreError};
use shop::{
    id::{ItemId, LocationId, OrderId},
    stock::{BakePlan, Demand, Quantity, Reservation, Shortage},
    tombstone_expiry,
};

use crate::handler::{Hold, Stock};

/// How often a transaction that met another one on the same rows is tried. In a rush many orders
/// want the same croissants at once, and a conflict is over within milliseconds: sending the order
/// back to the queue would cost seconds.
const MAX_ATTEMPTS: u32 = 8;

/// The first pause after a conflict; each further one is up to twice as long, and a random part of
/// it is waited.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

const ALL_OLD: ReturnValuesOnConditionCheckFailure = ReturnValuesOnConditionCheckFailure::AllOld;

/// The Stock table in DynamoDB.
#[derive(Clone, Debug)]
pub struct DynamoDb {
    client: Client,
    table: String,
}

impl DynamoDb {
    /// The table of that name.
    #[must_use]
    pub fn new(config: &SdkConfig, table: String) -> Self {
        Self { client: Client::new(config), table }
    }

    async fn get(
        &self,
        key: AttributeValue,
    ) -> Result<Option<HashMap<String, AttributeValue>>, StoreError> {
        let get =
            self.client.get_item().table_name(&self.table).key("key", key).consistent_read(true);
        Ok(get.send().await.map_err(|error| StoreError::call("GetItem", error))?.item)
    }

    /// Writes all or nothing. `Err` holds why nothing was written: one reason per item, in their
    /// order.
    async fn transact(
        &self,
        items: Vec<TransactWriteItem>,
    ) -> Result<Result<(), Vec<CancellationReason>>, StoreError> {
        let mut attempt = 1;
        loop {
            let error = match self
                .client
                .transact_write_items()
                .set_transact_items(Some(items.clone()))
                .send()
                .await
            {
                Ok(_) => return Ok(Ok(())),
                Err(error) => error,
            };
            let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) =
                error.as_service_error()
            else {
                return Err(StoreError::call("TransactWriteItems", error));
            };
            let reasons = cancelled.cancellation_reasons();
            if reasons.iter().all(|reason| {
                matches!(reason.code(), None | Some("None" | "ConditionalCheckFailed"))
            }) {
                return Ok(Err(reasons.to_vec()));
            }
            if attempt == MAX_ATTEMPTS {
                return Err(StoreError::call("TransactWriteItems", error));
            }
            tokio::time::sleep((FIRST_PAUSE * 2_u32.pow(attempt - 1)).mul_f64(fastrand::f64()))
                .await;
            attempt += 1;
        }
    }

    /// A put of what is decided for an order.
    fn decision(
        &self,
        order: OrderId,
        decided: &Reservation,
        expires_at: Option<i64>,
    ) -> Result<PutBuilder, StoreError> {
        let mut row: HashMap<_, _> = serde_dynamo::to_item(decided)?;
        row.insert("key".to_owned(), order_key(order));
        if let Some(expires_at) = expires_at {
            row.insert("expires_at".to_owned(), AttributeValue::N(expires_at.to_string()));
        }
        Ok(Put::builder()
            .table_name(&self.table)
            .set_item(Some(row))
            .return_values_on_condition_check_failure(ALL_OLD))
    }

    /// An update of what is held of one item, by `change` pieces.
    fn held(&self, demand: &Demand, item: &ItemId, change: i64) -> UpdateBuilder {
        Update::builder()
            .table_name(&self.table)
            .key("key", held_key(&demand.location, demand.pickup_day, item))
            .update_expression("ADD held :change")
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
        // A row that does not exist holds nothing, which is room enough unless the plan itself is
        // too small.
        let condition =
            if room < 0 { "held <= :room" } else { "attribute_not_exists(held) OR held <= :room" };
        let update = self
            .held(demand, &needed.item, needed.quantity.into())
            .condition_expression(condition)
            .expression_attribute_values(":room", AttributeValue::N(room.to_string()));
        Ok(TransactWriteItem::builder()
            .update(update.build().map_err(|error| StoreError::call("TransactWriteItems", error))?)
            .build())
    }
}

impl Stock for DynamoDb {
    async fn plan(&self, location: &LocationId) -> Result<BakePlan, StoreError> {
        let row = self.get(AttributeValue::S(format!("plan#{location}"))).await?;
        Ok(row.map(decode::item).transpose()?.unwrap_or_default())
    }

    async fn decided(&self, order: OrderId) -> Result<Option<Reservation>, StoreError> {
        let row = self.get(order_key(order)).await?;
        Ok(row.map(decode::item).transpose()?)
    }

    async fn hold(
        &self,
        order: OrderId,
        demand: &Demand,
        plan: &BakePlan,
    ) -> Result<Hold, StoreError> {
        let first = self
            .decision(order, &Reservation::Held(demand.clone()), None)?
            .condition_expression(UNDECIDED);
        let mut items = vec![put(first.expression_attribute_names("#key", "key"))?];
        for needed in &demand.items {
            items.push(self.hold_item(demand, needed, plan.of(&needed.item))?);
        }
        let Err(reasons) = self.transact(items).await? else {
            return Ok(Hold::Held);
        };
        let [decision, lines @ ..] = &reasons[..] else {
            return Err(unexplained());
        };
        if failed(decision) {
            let row = decision.item().cloned().ok_or_else(unexplained)?;
            return Ok(Hold::Decided(decode::item(row)?));
        }
        let mut shortages = Vec::new();
        for (needed, reason) in demand.items.iter().zip(lines).filter(|(_, reason)| failed(reason))
        {
            let held: Held =
                reason.item().cloned().map(decode::item).transpose()?.unwrap_or_default();
            let left = plan.of(&needed.item).saturating_sub(held.held);
            shortages.push(Shortage {
                item: needed.item.clone(),
                requested: needed.quantity,
                left,
            });
        }
        Ok(Hold::Short(shortages))
    }

    async fn refuse(
        &self,
        order: OrderId,
        refusal: &Reservation,
        now: Timestamp,
    ) -> Result<Option<Reservation>, StoreError> {
        let put = self
            .decision(order, refusal, Some(tombstone_expiry(now)))?
            .build()
            .map_err(|error| StoreError::call("PutItem", error))?;
        let written = self
            .client
            .put_item()
            .table_name(put.table_name)
            .set_item(Some(put.item))
            .condition_expression(UNDECIDED)
            .expression_attribute_names("#key", "key")
            .return_values_on_condition_check_failure(ALL_OLD)
            .send()
            .await;
        match written.map_err(SdkError::into_service_error) {
            Ok(_) => Ok(None),
            Err(PutItemError::ConditionalCheckFailedException(first)) => {
                Ok(Some(decode::item(first.item.ok_or_else(unexplained)?)?))
            }
            Err(error) => Err(StoreError::call("PutItem", error)),
        }
    }

    async fn give_back(
        &self,
        order: OrderId,
        demand: &Demand,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let tombstone = self
            .decision(order, &Reservation::Released, Some(tombstone_expiry(now)))?
            .condition_expression("#state = :held")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":held", AttributeValue::S("held".into()));
        let mut items = vec![put(tombstone)?];
        for held in &demand.items {
            let update = self.held(demand, &held.item, -i64::from(held.quantity)).build();
            items.push(
                TransactWriteItem::builder()
                    .update(update.map_err(|error| StoreError::call("TransactWriteItems", error))?)
                    .build(),
            );
        }
        // The only condition is that the stock is still held: where it fails, somebody else has
        // given it back.
        self.transact(items).await.map(drop)
    }
}

/// Nothing was decided for the order yet.
const UNDECIDED: &str = "attribute_not_exists(#key)";

/// A row that counts what is held of one item.
#[derive(Default, serde::Deserialize)]
struct Held {
    held: u32,
}

fn order_key(order: OrderId) -> AttributeValue {
    AttributeValue::S(format!("order#{order}"))
}

fn held_key(location: &LocationId, day: civil::Date, item: &ItemId) -> AttributeValue {
    AttributeValue::S(format!("held#{location}#{day}#{item}"))
}

fn put(put: PutBuilder) -> Result<TransactWriteItem, StoreError> {
    let put = put.build().map_err(|error| StoreError::call("TransactWriteItems", error))?;
    Ok(TransactWriteItem::builder().put(put).build())
}

fn failed(reason: &CancellationReason) -> bool {
    reason.code() == Some("ConditionalCheckFailed")
}

fn unexplained() -> StoreError {
    StoreError::call(
        "TransactWriteItems",
        std::io::Error::other("a condition failed, but the answer holds no row"),
    )
}
