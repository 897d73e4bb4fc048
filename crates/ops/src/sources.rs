//! Where a stack keeps its books.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client as DynamoDb;
use books::{
    UnreadableRow,
    journal::Journal,
    ledger,
    reconciliation::Limits,
    rows::{TableNames, Tables},
};
use platform::bus::EventBridge;
use shop::event::ORDERS;
use stack::Deployment;
use tables::orders::OrdersTable;

use crate::error::Error;

/// The tables of a stack.
pub(crate) fn tables(deployment: &Deployment) -> Result<Tables, Error> {
    let name = |logical_id| deployment.resource(logical_id).map(str::to_owned);
    let names = TableNames {
        orders: name("OrdersTable")?,
        payments: name("PaymentsTable")?,
        stock: name("StockTable")?,
        menus: name("MenuTable")?,
        notices: name("NoticesTable")?,
    };
    Ok(Tables::new(&deployment.config, names))
}

/// The Orders table of a stack, for transitions.
pub(crate) fn orders_table(deployment: &Deployment) -> Result<OrdersTable, Error> {
    let name = deployment.resource("OrdersTable")?.to_owned();
    Ok(OrdersTable::new(DynamoDb::new(&deployment.config), name))
}

/// The row, unless it cannot be read: everything else is still worth knowing.
pub(crate) fn readable<T>(
    row: Result<Option<T>, books::Error>,
    unreadable: &mut Vec<UnreadableRow>,
) -> Result<Option<T>, Error> {
    match row {
        Err(books::Error::Row(row)) => {
            unreadable.push(row);
            Ok(None)
        }
        row => Ok(row?),
    }
}

/// The event bus of a stack, for the events of orders.
pub(crate) fn bus(deployment: &Deployment) -> Result<EventBridge, Error> {
    let name = deployment.resource("EventBus")?.to_owned();
    Ok(EventBridge::new(&deployment.config, name, ORDERS))
}

/// A client of a stack's payment provider, with the stack's own key.
pub(crate) async fn provider(deployment: &Deployment) -> Result<stripe::Client, Error> {
    let (config, secret, url): (&SdkConfig, _, _) = (
        &deployment.config,
        deployment.parameter("ProviderSecretName")?,
        deployment.parameter("ProviderUrl")?,
    );
    Ok(ledger::open(config, secret, url).await?)
}

/// How long things may take, by the parameters of a stack.
pub(crate) fn limits(deployment: &Deployment) -> Result<Limits, Error> {
    let seconds = |parameter| Ok(deployment.parameter(parameter)?.parse().unwrap_or_default());
    let seconds = |parameter| -> Result<i64, Error> { seconds(parameter) };
    Ok(Limits::new(
        seconds("ConfirmWithinSeconds")?,
        seconds("RefundRetryBudgetSeconds")?,
        seconds("RetryBudgetSeconds")?,
    ))
}

/// The journal of a stack.
pub(crate) fn journal(deployment: &Deployment) -> Result<Journal, Error> {
    Ok(Journal::new(&deployment.config, deployment.resource("Journal")?.to_owned()))
}
