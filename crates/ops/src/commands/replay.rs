//! `replay`: delivers the events of a time again, from the archive of the bus.

use std::{collections::BTreeMap, time::Duration};

use aws_sdk_eventbridge::{
    Client as EventBridge,
    primitives::DateTime,
    types::{ReplayDestination, ReplayState},
};
use books::rows::OrderFilter;
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use shop::order::{Order, OrderEventType, PaymentStatus, Status};
use stack::{Deployment, error::aws, time};

use super::rows::publish_again;
use crate::{
    error::Error,
    output::{count, line, message, moment, name, table},
    sources,
    verdict::Verdict,
};

/// The pause between two looks at a replay.
const POLL: Duration = Duration::from_secs(1);

/// How long an event may take from the bus to the archive.
const ARCHIVING: SignedDuration = SignedDuration::from_mins(10);

/// The queue whose messages give money back.
const REFUNDS: &str = "refund";

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Deliver what passed the bus from then on: a span before now, such as 10m, 2h or 3d, or a
    /// time such as 2026-11-24T08:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time::since)]
    from: Timestamp,
    /// Deliver what passed the bus until then
    #[arg(long, value_name = "TIME", value_parser = time::since, default_value = "0s")]
    to: Timestamp,
    /// Deliver only to this queue, as `dlq list` names it, such as charge; may be repeated
    #[arg(long = "rule", value_name = "RULE")]
    rules: Vec<String>,
    /// Print what would be delivered, and deliver nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(deployment: &Deployment, arguments: &Arguments) -> Result<Verdict, Error> {
    let Arguments { from, to, dry_run, .. } = *arguments;
    if from >= to {
        return Err(Error::NoTime);
    }
    let client = EventBridge::new(&deployment.config);
    let rules = rules_of(&client, deployment).await?;
    let chosen = chosen(&rules, &arguments.rules)?;
    // The archive lacks it, because it carries the payment method.
    let reserved = name(OrderEventType::Reserved);
    let charges = chosen.iter().any(|rule| rule.event_types.contains(&reserved));
    let has_refunds = chosen.iter().any(|rule| rule.name == REFUNDS);
    let refunds = has_refunds && has_settled(deployment, from, to).await?;
    let mut archived = chosen;
    if refunds {
        // The archive delivers all orders or none.
        archived.retain(|rule| rule.name != REFUNDS);
    }
    let is_all = arguments.rules.is_empty() && !refunds;
    match &archived[..] {
        [] => {}
        archived if dry_run => foretell(deployment, archived, from, to).await?,
        _ if is_all => replay(&client, deployment, &[], from, to).await?,
        archived => replay(&client, deployment, archived, from, to).await?,
    }
    if !charges && !refunds {
        return Ok(Verdict::Healthy);
    }
    let status = (!refunds).then_some(Status::Reserved);
    let filter = OrderFilter { status, ..OrderFilter::default() };
    let wanted = |order: &Order| {
        (charges && waits_for_charge(order, from, to))
            || (refunds && may_wait_for_refund(order, from, to))
    };
    let published = publish_again(deployment, &filter, wanted, dry_run).await?;
    published.print(dry_run)?;
    Ok(published.verdict())
}

/// Whether something was settled by hand about an order that changed in that time: its money must
/// not go back a second time.
async fn has_settled(
    deployment: &Deployment,
    from: Timestamp,
    to: Timestamp,
) -> Result<bool, Error> {
    let settlements = sources::journal(deployment)?.settlements().await?;
    if settlements.is_empty() {
        return Ok(false);
    }
    let mut found = false;
    let visit = |row: Result<Order, _>| {
        let Ok(order) = row else { return };
        let has_changed = order.history.iter().any(|change| (from..=to).contains(&change.at));
        found |= has_changed && settlements.values().any(|entry| entry.settles(order.order_id));
    };
    sources::tables(deployment)?.every_order(visit).await?;
    Ok(found)
}

/// Whether an order was reserved in that time, and has not changed since.
fn waits_for_charge(order: &Order, from: Timestamp, to: Timestamp) -> bool {
    let last = order.history.last();
    order.status == Status::Reserved && last.is_some_and(|it| (from..=to).contains(&it.at))
}

/// Whether an order ended early in that time, and no money is known to have come back since.
fn may_wait_for_refund(order: &Order, from: Timestamp, to: Timestamp) -> bool {
    let mut ends = order.history.iter().filter(|change| change.status.ended_early());
    let is_undone = matches!(order.payment, PaymentStatus::Voided | PaymentStatus::Refunded);
    !is_undone && ends.next().is_some_and(|end| (from..=to).contains(&end.at))
}

/// A rule of the bus, which feeds a queue.
#[derive(Debug)]
struct Rule {
    /// The name of its queue in this tool, such as `charge`.
    name: String,
    arn: String,
    /// The detail types that it delivers.
    event_types: Vec<String>,
}

async fn rules_of(client: &EventBridge, deployment: &Deployment) -> Result<Vec<Rule>, Error> {
    let bus = deployment.resource("EventBus")?;
    // The physical id of a rule is `bus|name`.
    let names: BTreeMap<&str, &str> = deployment
        .resources("AWS::Events::Rule")
        .filter_map(|(logical_id, id)| {
            Some((id.rsplit('|').next()?, logical_id.strip_suffix("Rule")?))
        })
        .collect();
    let listed = client.list_rules().event_bus_name(bus).limit(100).send().await;
    let listed = listed.map_err(aws("events:ListRules"))?.rules.unwrap_or_default();
    let rules = listed.into_iter().filter_map(|rule| {
        let pattern: Value = rule.event_pattern?.parse().ok()?;
        let types = pattern["detail-type"].as_array()?.iter();
        Some(Rule {
            name: names.get(&*rule.name?)?.to_lowercase(),
            arn: rule.arn?,
            event_types: types.filter_map(|it| it.as_str().map(str::to_owned)).collect(),
        })
    });
    Ok(rules.collect())
}

/// The rules with these names, or all of them.
fn chosen<'a>(rules: &'a [Rule], names: &[String]) -> Result<Vec<&'a Rule>, Error> {
    if names.is_empty() {
        return Ok(rules.iter().collect());
    }
    let named = |name: &String| {
        rules.iter().find(|rule| rule.name == *name).ok_or_else(|| {
            let known = rules.iter().map(|rule| &*rule.name).collect::<Vec<_>>().join(", ");
            Error::NoRule { rule: name.clone(), known }
        })
    };
    names.iter().map(named).collect()
}

/// Prints how many changes of orders there were in that time, and which rules deliver each.
async fn foretell(
    deployment: &Deployment,
    rules: &[&Rule],
    from: Timestamp,
    to: Timestamp,
) -> Result<(), Error> {
    let mut changes: BTreeMap<String, usize> = BTreeMap::new();
    let mut unreadable = 0;
    let visit = |row: Result<Order, _>| {
        unreadable += usize::from(row.is_err());
        let history = row.map(|order| order.history).unwrap_or_default();
        for change in history.iter().filter(|change| (from..=to).contains(&change.at)) {
            *changes.entry(name(change.event)).or_default() += 1;
        }
    };
    sources::tables(deployment)?.every_order(visit).await?;
    // The archive lacks those that carry the payment method.
    changes.remove(&name(OrderEventType::Reserved));
    let mut rows = vec![["EVENT", "CHANGES", "DELIVERED TO"].map(str::to_owned)];
    rows.extend(changes.iter().map(|(event, number)| {
        let to = rules.iter().filter(|rule| rule.event_types.contains(event));
        let to = to.map(|rule| &*rule.name).collect::<Vec<_>>().join(", ");
        [event.clone(), number.to_string(), if to.is_empty() { "nobody".to_owned() } else { to }]
    }));
    table(&rows)?;
    if unreadable > 0 {
        let rows = count(unreadable, "row");
        message(format!("{rows} cannot be read and are not counted: `cargo ops reconcile`"));
    }
    let names = rules.iter().map(|rule| &*rule.name).collect::<Vec<_>>().join(", ");
    line(format!(
        "{} of orders from {} to {} would be delivered again to {names} from the archive {}, with \
         what inventory and payment reported",
        count(changes.values().sum(), "change"),
        moment(from),
        moment(to),
        deployment.resource("EventArchive")?
    ))
}

/// Replays the archive, and follows that until its end.
async fn replay(
    client: &EventBridge,
    deployment: &Deployment,
    rules: &[&Rule],
    from: Timestamp,
    to: Timestamp,
) -> Result<(), Error> {
    if deployment.embedded.is_none() && to > Timestamp::now() - ARCHIVING {
        message("the archive may still lack events of the last ten minutes");
    }
    let archive = client.describe_archive().archive_name(deployment.resource("EventArchive")?);
    let archive = archive.send().await.map_err(aws("events:DescribeArchive"))?;
    let arns = rules.iter().map(|rule| rule.arn.clone()).collect::<Vec<_>>();
    let destination = ReplayDestination::builder()
        .arn(archive.event_source_arn.unwrap_or_default())
        .set_filter_arns((!arns.is_empty()).then_some(arns))
        .build()
        .expect("a destination has an ARN");
    let replay = format!("ops-{}", Timestamp::now().as_millisecond());
    client
        .start_replay()
        .replay_name(&replay)
        .event_source_arn(archive.archive_arn.unwrap_or_default())
        .event_start_time(date_time(from))
        .event_end_time(date_time(to))
        .destination(destination)
        .send()
        .await
        .map_err(aws("events:StartReplay"))?;
    let mut reached = None;
    loop {
        let state = client.describe_replay().replay_name(&replay).send().await;
        let state = state.map_err(aws("events:DescribeReplay"))?;
        let last = state.event_last_replayed_time.and_then(|at| at.to_millis().ok());
        if last > reached {
            reached = last;
            let at = last.and_then(|at| Timestamp::from_millisecond(at).ok()).unwrap_or(from);
            message(format!("delivered what passed the bus until {}", moment(at)));
        }
        match state.state {
            Some(ReplayState::Starting | ReplayState::Running) | None => {}
            Some(ReplayState::Completed) => break,
            Some(ended) => {
                let reason = state.state_reason.unwrap_or_default();
                let state = ended.as_str().to_lowercase();
                return Err(Error::ReplayEnded { replay, state, reason });
            }
        }
        tokio::time::sleep(POLL).await;
    }
    line(format!(
        "what passed the bus from {} to {} was delivered again, by the replay {replay}",
        moment(from),
        moment(to)
    ))
}

fn date_time(at: Timestamp) -> DateTime {
    DateTime::from_millis(at.as_millisecond())
}

#[cfg(test)]
mod tests {
    use shop::order::Trigger;

    use super::*;

    fn rule(name: &str) -> Rule {
        Rule { name: name.to_owned(), arn: String::new(), event_types: vec![] }
    }

    #[test]
    fn orders_that_ended_in_the_time_are_published_for_their_refund_until_it_has_come() {
        use Trigger::{Cancelled, PaymentCaptured, PaymentRefunded, RefundFailed, StockReserved};
        let paid = [StockReserved, PaymentCaptured];
        let is_wanted = |more: &[Trigger], minutes: i64| {
            let order = fixtures::after(fixtures::order(), &[&paid[..], more].concat());
            let from = order.placed_at + SignedDuration::from_mins(minutes);
            may_wait_for_refund(&order, from, from + SignedDuration::from_mins(10))
        };
        assert!(is_wanted(&[Cancelled], -1) && is_wanted(&[Cancelled, RefundFailed(0)], -1));
        assert!(!is_wanted(&[Cancelled], 5), "it ended earlier");
        assert!(!is_wanted(&[], -1), "it has not ended");
        assert!(!is_wanted(&[Cancelled, PaymentRefunded(0)], -1), "it was refunded");
    }

    #[test]
    fn rules_are_chosen_by_the_names_of_their_queues_and_all_of_them_without_a_name() {
        let rules = ["stock", "charge"].map(rule);
        let names = |wanted: &[&str]| {
            let wanted: Vec<_> = wanted.iter().map(|name| (*name).to_owned()).collect();
            let chosen = chosen(&rules, &wanted);
            chosen.map(|rules| rules.iter().map(|it| it.name.clone()).collect::<Vec<_>>())
        };
        assert_eq!(names(&[]).unwrap(), ["stock", "charge"]);
        assert_eq!(names(&["charge"]).unwrap(), ["charge"]);
        let unknown = names(&["mail"]).unwrap_err().to_string();
        assert!(unknown.contains("no rule for the queue mail; choose one of stock, charge"));
    }
}
