//! `health`: what is wrong now, worst first, each with its section of the runbook.

use std::{collections::BTreeMap, time::Duration};

use futures::future::{try_join, try_join3};
use jiff::{SignedDuration, Timestamp};
use stack::Deployment;

use crate::{
    alarms::ringing,
    checkup::{Finding, OrdersNow, Section},
    dead_letters::{DeadLetterQueues, WorkQueue},
    error::Error,
    incidents::{Group, groups},
    mappings::{Standing, standing},
    output::{age, count, line},
    refunds, sources,
    verdict::Verdict,
};

/// How far back errors count.
const ERRORS_WITHIN: SignedDuration = SignedDuration::from_mins(10);

/// The least time between the two looks at the queues.
const BETWEEN_LOOKS: Duration = Duration::from_secs(3);

pub(super) async fn run(deployment: &Deployment) -> Result<Verdict, Error> {
    let now = Timestamp::now();
    let stored = try_join3(orders(deployment, now), unreadable(deployment), queues(deployment));
    let running = try_join3(alarms(deployment, now), mappings(deployment), errors(deployment, now));
    let ((orders, unreadable, queues), (alarms, mappings, errors)) =
        try_join(stored, running).await?;
    let mut findings = [alarms, mappings, orders, unreadable, queues, errors].concat();
    findings.sort_by_key(|finding| finding.section);
    for Finding { what, link, .. } in &findings {
        line(what)?;
        line(format!("    {link}"))?;
    }
    let found = count(findings.len(), "problem");
    line(format!(
        "{found}; alarms, orders, rows, queues, mappings and the errors of 10 minutes were checked"
    ))?;
    Ok(Verdict::healthy_if(findings.is_empty()))
}

/// Alarms that ring.
async fn alarms(deployment: &Deployment, now: Timestamp) -> Result<Vec<Finding>, Error> {
    let ringing = ringing(deployment, now).await?.into_iter();
    Ok(ringing.map(|alarm| Finding::alarm(alarm, now)).collect())
}

/// Queues from which nothing is taken.
async fn mappings(deployment: &Deployment) -> Result<Vec<Finding>, Error> {
    let standing = standing(deployment).await?.into_iter();
    let finding = |Standing { queue, what, remedy }: Standing| {
        Finding::new(Section::waiting(&queue), format!("{what}; {remedy}"))
    };
    Ok(standing.map(finding).collect())
}

/// Orders that wait too long, and refunds that failed.
async fn orders(deployment: &Deployment, now: Timestamp) -> Result<Vec<Finding>, Error> {
    let mut orders = OrdersNow::new(now, sources::limits(deployment)?);
    let tables = sources::tables(deployment)?;
    tables.every_order(|row| orders.add(row)).await?;
    if !orders.refund_failed.is_empty() {
        orders.refund_failed = refunds::still_open(deployment, &orders.refund_failed).await?;
    }
    Ok(orders.findings())
}

/// Rows of the other tables that cannot be read.
async fn unreadable(deployment: &Deployment) -> Result<Vec<Finding>, Error> {
    let tables = sources::tables(deployment)?;
    let (owned, others) =
        try_join(tables.unreadable_payments_and_stock(), tables.unreadable_menus_and_notices())
            .await?;
    Ok(owned.into_iter().chain(others).map(Finding::unreadable).collect())
}

/// Dead letters, and queues whose messages wait and do not become fewer.
async fn queues(deployment: &Deployment) -> Result<Vec<Finding>, Error> {
    let first = DeadLetterQueues::of(deployment).await?;
    let dead = first.all().iter().filter(|queue| queue.depth > 0).map(|queue| {
        let (name, depth) = (&queue.name, usize::try_from(queue.depth).unwrap_or(usize::MAX));
        let letters = count(depth, "dead letter");
        let what = format!("{letters} in `{name}`: see `cargo ops dlq show {name}`");
        Finding::new(Section::dead(name), what)
    });
    let mut findings: Vec<_> = dead.collect();
    if first.work().iter().all(|queue| queue.waiting == 0) {
        return Ok(findings);
    }
    tokio::time::sleep(BETWEEN_LOOKS).await;
    let second = DeadLetterQueues::of(deployment).await?;
    let before: BTreeMap<&str, u64> =
        first.work().iter().map(|queue| (&*queue.name, queue.waiting)).collect();
    findings.extend(second.work().iter().filter_map(|WorkQueue { name, waiting, .. }| {
        let before = before.get(&**name).copied().unwrap_or_default();
        let stands = before > 0 && *waiting >= before;
        stands.then(|| {
            let waiting = usize::try_from(*waiting).unwrap_or(usize::MAX);
            let messages = count(waiting, "message");
            let what = format!("{messages} in the queue `{name}`, which does not become shorter");
            Finding::new(Section::waiting(name), what)
        })
    }));
    Ok(findings)
}

/// What functions have reported as errors lately, a finding for each function; and another one for
/// what no retry helps.
async fn errors(deployment: &Deployment, now: Timestamp) -> Result<Vec<Finding>, Error> {
    let lines = deployment.logs().errors(now - ERRORS_WITHIN).await?;
    let mut kinds: BTreeMap<(String, bool), Vec<Group>> = BTreeMap::new();
    for group in groups(&lines) {
        kinds.entry((group.function.clone(), group.is_lasting)).or_default().push(group);
    }
    let findings = kinds.into_iter().filter_map(|((function, is_lasting), groups)| {
        let most = groups.first()?;
        let all: usize = groups.iter().map(|group| group.count).sum();
        let last = groups.iter().map(|group| group.last).max()?;
        let (all, ago, cause) = (count(all, "error"), age(last, now), &most.cause);
        let becomes = if is_lasting { " of records that no retry helps" } else { "" };
        let what = format!(
            "{function} reported {all}{becomes} in 10 minutes, the last one {ago} ago, most often: \
             {cause}"
        );
        Some(Finding::new(Section::errors(&function, is_lasting), what))
    });
    Ok(findings.collect())
}
