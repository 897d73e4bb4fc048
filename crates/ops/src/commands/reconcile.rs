//! All books against each other.

use std::collections::BTreeSet;

use futures::future::try_join;
use jiff::{SignedDuration, Timestamp};

use super::Verdict;
use crate::{
    dead_letters::DeadLetterQueues, deployment::Deployment, error::Error, ledger, output::line,
    reconciliation::Books, tables::Tables,
};

/// What comes on top of all retries: queues and functions on the way.
const MARGIN: SignedDuration = SignedDuration::from_mins(5);

pub(super) async fn run(deployment: &Deployment) -> Result<Verdict, Error> {
    let books = read(deployment).await?;
    let result = books.reconcile();
    for difference in &result.differences {
        line(difference)?;
    }
    for (order, why) in &result.pending {
        line(format!("pending: order {order} {why}"))?;
    }
    line(format!(
        "{} orders, {} payments, {} intents, {} refunds and {} shelves compared: {} differences, {} pending",
        books.orders.len(),
        books.payments.len(),
        books.intents.len(),
        books.refunds.len(),
        books.stock.held.len(),
        result.differences.len(),
        result.pending.len()
    ))?;
    Ok(Verdict::well_if(result.differences.is_empty()))
}

/// Reads everything, in the order that [`crate::reconciliation`] wants.
async fn read(deployment: &Deployment) -> Result<Books, Error> {
    let undo_within = undo_within(deployment)?;
    let provider = ledger::open(deployment).await?;
    let tables = Tables::of(deployment);
    let read_at = Timestamp::now();
    let (stock, payments) = try_join(tables.stock(), tables.payments()).await?;
    let intents = provider.intents().await?;
    let refunds = provider.refunds(None).await?;
    let mut orders = tables.orders().await?;
    orders.rows.sort_by_key(|order| order.placed_at);
    let letters = DeadLetterQueues::of(deployment).await?;
    let letters = letters.look_everywhere().await?;
    let dead: BTreeSet<_> =
        letters.iter().filter_map(|(_, letter)| letter.order()?.parse().ok()).collect();
    Ok(Books {
        read_at,
        undo_within,
        orders: orders.rows,
        payments: payments.rows,
        intents,
        refunds,
        stock: stock.rows.into_iter().collect(),
        unreadable: [orders.unreadable, payments.unreadable, stock.unreadable].concat(),
        dead,
    })
}

/// How long an undo and the report of it are retried at most: each wait may be a quarter longer
/// than it has to be.
fn undo_within(deployment: &Deployment) -> Result<SignedDuration, Error> {
    let seconds =
        |name| Ok::<_, Error>(deployment.parameter(name)?.parse::<i64>().unwrap_or_default());
    let budgets = seconds("RefundRetryBudgetSeconds")? + seconds("RetryBudgetSeconds")?;
    Ok(SignedDuration::from_secs(budgets + budgets / 4) + MARGIN)
}
