//! `reconcile`: compares all books with each other, and settles what was put right by other means.

use std::collections::BTreeMap;

use books::{
    journal::{Decision, Entry, Journal},
    reconciliation::{Books, Difference, Reconciliation},
};
use clap::{Args, Subcommand};
use futures::future::try_join;
use stack::Deployment;

use crate::{
    dead_letters::DeadLetterQueues,
    error::Error,
    output::{count, line, moment},
    sources,
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
    let journal = sources::journal(deployment)?;
    let settlements = async { Ok(journal.settlements().await?) };
    let (books, settlements) = try_join(read(deployment), settlements).await?;
    let result = books.reconcile();
    match arguments.action {
        Some(Action::Settle { key, reason }) => settle(&journal, &result, key, &reason).await,
        None => print(&books, &result, &settlements),
    }
}

async fn settle(
    journal: &Journal,
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

async fn read(deployment: &Deployment) -> Result<Books, Error> {
    let provider = sources::provider(deployment).await?;
    let tables = sources::tables(deployment)?;
    let mut books = Books::read(&tables, &provider, sources::limits(deployment)?, None).await?;
    let queues = DeadLetterQueues::of(deployment).await?;
    let letters = queues.peek_all().await?;
    books.dead = letters.iter().filter_map(|(_, letter)| letter.order()?.parse().ok()).collect();
    Ok(books)
}
