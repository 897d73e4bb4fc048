//! `reconcile`: compares all books with each other.

use std::collections::BTreeSet;

use futures::future::try_join;
use jiff::Timestamp;
use stack::Deployment;

use crate::{
    dead_letters::DeadLetterQueues,
    error::Error,
    ledger,
    output::line,
    reconciliation::{Books, Limits},
    rows::Tables,
    verdict::Verdict,
};

pub(super) async fn run(deployment: &Deployment) -> Result<Verdict, Error> {
    let books = read(deployment).await?;
    let result = books.reconcile();
    for difference in &result.differences {
        line(difference)?;
    }
    for (order, reason) in &result.pending {
        line(format!("pending: order {order} {reason}"))?;
    }
    line(format!(
        "{} orders, {} payments, {} intents, {} refunds and {} holds compared: {} differences, \
         {} pending",
        books.orders.len(),
        books.payments.len(),
        books.intents.len(),
        books.refunds.len(),
        books.stock.held.len(),
        result.differences.len(),
        result.pending.len()
    ))?;
    Ok(Verdict::healthy_if(result.differences.is_empty()))
}

/// Reads everything, in the order that [`crate::reconciliation`] requires.
async fn read(deployment: &Deployment) -> Result<Books, Error> {
    let limits = Limits::of(deployment)?;
    let provider = ledger::open(deployment).await?;
    let tables = Tables::of(deployment);
    let read_at = Timestamp::now();
    let (stock, payments) = try_join(tables.stock(), tables.payments()).await?;
    // Nothing is compared with these. Only rows that cannot be read are of interest.
    let others = tables.unreadable_menus_and_notices().await?;
    let intents = provider.intents().await?;
    let refunds = provider.refunds(None).await?;
    let mut orders = tables.orders().await?;
    orders.rows.sort_by_key(|order| order.placed_at);
    let letters = DeadLetterQueues::of(deployment).await?;
    let letters = letters.peek_all().await?;
    let dead: BTreeSet<_> =
        letters.iter().filter_map(|(_, letter)| letter.order()?.parse().ok()).collect();
    Ok(Books {
        read_at,
        limits,
        orders: orders.rows,
        payments: payments.rows,
        intents,
        refunds,
        stock: stock.rows.into_iter().collect(),
        unreadable: [orders.unreadable, payments.unreadable, stock.unreadable, others].concat(),
        dead,
    })
}
