//! `health`: what is wrong now, worst first, each with its section of the runbook.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::future::{try_join, try_join3};
use jiff::{SignedDuration, Timestamp};
use stack::{Deployment, Selection};

use crate::{
    alarms::{over, ringing},
    checkup::{Finding, Left, OrdersNow, Section},
    dead_letters::{DeadLetterQueues, WorkQueue},
    error::Error,
    incidents::{Group, groups},
    mappings::{Standing, standing},
    output::{count, line},
    refunds,
    retries::open_failures,
    sources,
    verdict::Verdict,
};

/// How far back errors count.
const ERRORS_WITHIN: SignedDuration = SignedDuration::from_mins(10);

/// The least time between the two looks at the queues.
const BETWEEN_LOOKS: Duration = Duration::from_secs(3);

pub(super) async fn run(deployment: &Deployment) -> Result<Verdict, Error> {
    let now = Timestamp::now();
    let stored = try_join3(orders(deployment, now), unreadable(deployment), queues(deployment));
    let running =
        try_join3(ringing(deployment, now), mappings(deployment), errors(deployment, now));
    let ((orders, unreadable, queues), (ringing, mappings, (errors, open_messages))) =
        try_join(stored, running).await?;
    let left = Left {
        dead_letters: queues.iter().any(|finding| finding.section.is_of_dead_letters()),
        failed_refunds: orders.iter().any(|finding| finding.section == Section::RefundFailed),
        open_messages,
    };
    let errors = errors.iter().map(|group| Finding::errors(group, &left, now));
    let mut findings = [mappings, orders, unreadable, queues, errors.collect()].concat();
    let standing = findings.iter().filter(|finding| !finding.is_over);
    let over = over(&ringing, &standing.map(|finding| finding.section).collect());
    findings.extend(ringing.into_iter().map(|alarm| {
        let is_over = over.contains(&alarm.logical_id);
        Finding::alarm(alarm, is_over, now)
    }));
    findings.sort_by_key(|finding| (finding.is_over, finding.section));
    for Finding { what, link, .. } in &findings {
        line(what)?;
        line(format!("    {link}"))?;
    }
    let over = findings.iter().filter(|finding| finding.is_over).count();
    let found = findings.len() - over;
    let over = if over > 0 { format!(", and {over} over by now") } else { String::new() };
    line(format!(
        "{}{over}; alarms, orders, rows, queues, mappings and the errors of 10 minutes were \
         checked",
        count(found, "problem")
    ))?;
    Ok(Verdict::healthy_if(found == 0))
}

/// What the functions reported lately, and the messages that failed and did not get further since.
async fn errors(
    deployment: &Deployment,
    now: Timestamp,
) -> Result<(Vec<Group>, BTreeSet<String>), Error> {
    let errors = deployment.logs().errors(now - ERRORS_WITHIN).await?;
    let Some(first) = errors.first() else { return Ok(Default::default()) };
    let since_then = Selection { since: Some(first.at), ..Selection::default() };
    let lines = deployment.logs().only(since_then).written().await?;
    let open = open_failures(&lines).into_iter().map(|failure| failure.message_id);
    Ok((groups(&errors), open.collect()))
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
