//! `reconcile`: compares all books with each other, and settles what was put right by other means.

use books::{
    journal::{Decision, Entry, Journal},
    reconciliation::{Books, Difference, Group, Pending, Reconciliation},
};
use clap::{Args, Subcommand};
use futures::future::try_join;
use stack::Deployment;

use super::reason::reason;
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
    /// Marks differences as settled: they are put right by other means, and no longer count
    ///
    /// Who settled them, when and why is kept in the stack's journal. If a difference changes, for
    /// example to another amount, it counts again. What the provider has refunded meanwhile can be
    /// settled too, and is then a difference: the money was given back twice. Money that is still
    /// being given back is refused, since paying it by hand would pay it twice. Exits with status 0
    /// once all are settled, and 2 if there is no such difference or if it is settled already.
    Settle {
        /// The id of an order, for all of its differences, or the key of one, with which
        /// `reconcile` prints it
        #[arg(value_name = "ORDER|KEY")]
        what: String,
        /// How that was put right, for auditors
        #[arg(long, value_name = "TEXT", value_parser = reason)]
        reason: String,
    },
    /// Withdraws settlements that were mistakes: their differences count again
    ///
    /// What could pay twice because of it, such as a retry or a redrive, is possible again. Who
    /// withdrew them, when and why is kept in the stack's journal, and so is the settlement. Exits
    /// with status 0 once all are withdrawn, and 2 if nothing of that name is settled.
    Unsettle {
        /// The id of an order, for everything that was settled about it, or the key of one
        /// difference
        #[arg(value_name = "ORDER|KEY")]
        what: String,
        /// Why it was a mistake, for auditors
        #[arg(long, value_name = "TEXT", value_parser = reason)]
        reason: String,
    },
}

pub(super) async fn run(deployment: &Deployment, arguments: Arguments) -> Result<Verdict, Error> {
    let journal = sources::journal(deployment)?;
    let settlements = async { Ok(journal.settlements().await?) };
    let books = async {
        let (books, settlements) = try_join(read(deployment), settlements).await?;
        Ok::<_, Error>(Books { settlements, ..books })
    };
    match arguments.action {
        Some(Action::Settle { what, reason }) => {
            settle(&journal, &books.await?, what, &reason).await
        }
        Some(Action::Unsettle { what, reason }) => unsettle(&journal, what, &reason).await,
        None => print(&books.await?),
    }
}

async fn settle(
    journal: &Journal,
    books: &Books,
    what: String,
    reason: &str,
) -> Result<Verdict, Error> {
    let is_meant = |difference: &Difference| {
        difference.key() == what || difference.order().is_some_and(|it| it.to_string() == what)
    };
    let Reconciliation { differences: mut meant, pending, .. } = books.reconcile();
    meant.retain(is_meant);
    if meant.is_empty() {
        let under_way = pending.into_iter().find(|(order, _)| order.to_string() == what);
        match under_way {
            Some((order, Pending::Undoing(until))) => {
                return Err(Error::RefundUnderWay { order, until });
            }
            Some((order, Pending::AtBank)) => return Err(Error::RefundAtBank(order)),
            Some((order, Pending::Disputed)) => return Err(Error::Disputed(order)),
            _ => {}
        }
        meant = books.refunded().into_iter().rfind(is_meant).into_iter().collect();
    }
    meant.retain(|difference| !books.settlements.contains_key(&difference.key()));
    if meant.is_empty() {
        return Err(match books.settlements.values().find(|entry| entry.settles_what(&what)) {
            Some(entry) => Error::SettledAlready { what, entry: entry.to_string() },
            None => Error::NoDifference(what),
        });
    }
    for difference in meant {
        let (key, difference) = (difference.key(), difference.to_string());
        line(journal.write(Decision::Settled { key, difference }, reason).await?)?;
    }
    Ok(Verdict::Healthy)
}

async fn unsettle(journal: &Journal, what: String, reason: &str) -> Result<Verdict, Error> {
    let mut settled = journal.settlements().await?;
    settled.retain(|_, entry| entry.settles_what(&what));
    if settled.is_empty() {
        return Err(Error::NotSettled(what));
    }
    for (key, entry) in settled {
        let Decision::Settled { difference, .. } = entry.decision else { continue };
        line(journal.write(Decision::Withdrawn { key, difference }, reason).await?)?;
    }
    Ok(Verdict::Healthy)
}

fn print(books: &Books) -> Result<Verdict, Error> {
    let result = books.reconcile();
    let groups = Group::all(&result.differences, &books.settlements);
    for group in &groups {
        for difference in &group.open {
            line(format!("{}  {difference}", difference.key()))?;
        }
        if let Some(remedy) = group.remedy() {
            line(format!("          do: {remedy}"))?;
        }
    }
    for (difference, Entry { at, who, reason, .. }) in groups.iter().flat_map(|it| &it.settled) {
        line(format!("settled: {difference}; by {who} at {}: {reason}", moment(*at)))?;
    }
    let open = groups.iter().map(|group| group.open.len()).sum();
    for (order, reason) in &result.pending {
        line(format!("pending: order {order} {reason}"))?;
    }
    line(format!(
        "{} orders, {} payments, {} intents, {} refunds and {} holds compared: {}, {} settled, {} \
         pending; {} of others",
        books.orders.len(),
        books.payments.len(),
        books.ours().count(),
        books.refunds.len(),
        books.stock.held.len(),
        count(open, "difference"),
        result.differences.len() - open,
        result.pending.len(),
        count(result.others, "intent")
    ))?;
    Ok(Verdict::healthy_if(open == 0))
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
