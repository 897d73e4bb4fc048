//! `reconcile`: compares all books with each other, and settles what was put right by other means.

use std::collections::{BTreeMap, BTreeSet};

use clap::{Args, Subcommand};
use futures::future::try_join;
use jiff::Timestamp;
use stack::Deployment;

use crate::{
    dead_letters::DeadLetterQueues,
    error::Error,
    journal::{Decision, Entry, Journal},
    ledger,
    output::{count, line, moment},
    reconciliation::{Books, Difference, Limits, Reconciliation},
    rows::Tables,
    verdict::Verdict,
};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Marks a difference as settled: it is put right by other means, and no longer counts
    ///
    /// Who settled it, when and why is kept in the stack's journal. If the difference changes, for
    /// example to another amount, it counts again. Exits with status 0 once it is settled, and 2 if
    /// there is no such difference.
    Settle {
        /// The difference's key, with which `reconcile` prints it
        key: String,
        /// How it was put right, for auditors
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

pub(super) async fn run(deployment: &Deployment, arguments: Arguments) -> Result<Verdict, Error> {
    let journal = Journal::of(deployment)?;
    let (books, settlements) = try_join(read(deployment), journal.settlements()).await?;
    let result = books.reconcile();
    match arguments.action {
        Some(Action::Settle { key, reason }) => settle(&journal, &result, key, &reason).await,
        None => print(&books, &result, &settlements),
    }
}

async fn settle(
    journal: &Journal<'_>,
    result: &Reconciliation,
    key: String,
    reason: &str,
) -> Result<Verdict, Error> {
    let Some(difference) = result.differences.iter().find(|difference| difference.key() == key)
    else {
        return Err(Error::NoDifference(key));
    };
    let difference = difference.to_string();
    let entry = journal.write(Decision::Settled { key, difference }, reason).await?;
    line(entry)?;
    Ok(Verdict::Healthy)
}

fn print(
    books: &Books,
    result: &Reconciliation,
    settlements: &BTreeMap<String, Entry>,
) -> Result<Verdict, Error> {
    let settled = |difference: &&Difference| settlements.contains_key(&difference.key());
    let (settled, open): (Vec<_>, Vec<_>) = result.differences.iter().partition(settled);
    for difference in &open {
        line(format!("{}  {difference}", difference.key()))?;
        line(format!("          do: {}", difference.remedy()))?;
    }
    for difference in &settled {
        let Entry { at, who, reason, .. } = &settlements[&difference.key()];
        line(format!("settled: {difference}; by {who} at {}: {reason}", moment(*at)))?;
    }
    for (order, reason) in &result.pending {
        line(format!("pending: order {order} {reason}"))?;
    }
    line(format!(
        "{} orders, {} payments, {} intents, {} refunds and {} holds compared: {}, {} settled, {} \
         pending",
        books.orders.len(),
        books.payments.len(),
        books.intents.len(),
        books.refunds.len(),
        books.stock.held.len(),
        count(open.len(), "difference"),
        settled.len(),
        result.pending.len()
    ))?;
    Ok(Verdict::healthy_if(open.is_empty()))
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
