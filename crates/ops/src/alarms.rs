//! The alarms of a stack that ring, and those of which only the ringing is left.

use std::collections::BTreeSet;

use dashboard::{Dashboard, Depth, PAST, Ringing};
use jiff::Timestamp;
use monitor::CompositeAlarm;
use resources::Template;
use stack::{Alarm, Deployment, Embedded, Selection};

use crate::{checkup::Section, dead_letters::DeadLetterQueues, error::Error};

/// What else is found as long as the cause of an alarm is there; `None` if that is not looked for.
fn causes(alarm: &str) -> Option<&'static [Section]> {
    use Section::{
        DeadLettered, DeadOrders, DeadOthers, DeadRefunds, OrdersWaiting, OthersWaiting,
        RecordsFailing, RefundFailed, StreamBehind, Unconfirmed,
    };
    Some(match alarm {
        "StreamBehind" => &[StreamBehind, RecordsFailing],
        "OrdersWaiting" => &[OrdersWaiting],
        "OthersWaiting" => &[OthersWaiting],
        "RecordsFailing" => &[RecordsFailing],
        "DeadLettered" => &[DeadLettered, DeadOrders, DeadRefunds, DeadOthers],
        "Undelivered" | "DeadOrders" => &[DeadOrders],
        "DeadRefunds" => &[DeadRefunds],
        "DeadOthers" => &[DeadOthers],
        "Unconfirmed" | "Expired" => {
            &[StreamBehind, Unconfirmed, OrdersWaiting, DeadOrders, DeadLettered, RecordsFailing]
        }
        "RefundFailed" => &[RefundFailed],
        _ => return None,
    })
}

/// Those of the alarms that ring of whose causes nothing is left, if these sections are all in
/// which something is found. A composite is over with the alarms that it gathers.
pub(crate) fn over(ringing: &[Alarm], found: &BTreeSet<Section>) -> BTreeSet<String> {
    let is_over = |alarm: &Alarm| {
        causes(&alarm.logical_id).is_some_and(|causes| causes.iter().all(|it| !found.contains(it)))
    };
    let ids = ringing.iter().filter(|alarm| is_over(alarm)).map(|alarm| alarm.logical_id.clone());
    let mut over: BTreeSet<String> = ids.collect();
    let rings = |id: &str| ringing.iter().any(|alarm| alarm.logical_id == id);
    for composite in composites().iter().filter(|composite| rings(&composite.id)) {
        if composite.alarms().into_iter().all(|part| !rings(part) || over.contains(part)) {
            over.insert(composite.id.clone());
        }
    }
    over
}

fn composites() -> Vec<CompositeAlarm> {
    monitor::Alarms::read(&Template::on_aws()).expect("the template's alarms").composite
}

/// The alarms that ring: those of CloudWatch, and of an embedded stack, which CloudWatch does not
/// watch, those of the template that can be judged by its logs and queues.
pub(crate) async fn ringing(deployment: &Deployment, now: Timestamp) -> Result<Vec<Alarm>, Error> {
    let mut ringing = deployment.ringing_alarms().await?;
    if let Some(embedded) = &deployment.embedded {
        ringing.extend(judged(deployment, embedded, now).await?);
    }
    Ok(ringing)
}

/// What the template's alarms make of the logs of the last hours and of the queues as they are.
async fn judged(
    deployment: &Deployment,
    embedded: &Embedded,
    now: Timestamp,
) -> Result<Vec<Alarm>, Error> {
    let mut dashboard = Dashboard::new(&embedded.stack_name, now);
    let recent = Selection { since: Some(now - PAST), ..Selection::default() };
    for line in deployment.logs().only(recent).written().await? {
        dashboard.add(&line);
    }
    for (id, waiting) in DeadLetterQueues::of(deployment).await?.waiting() {
        dashboard.measure(id, Depth { waiting, ..Depth::default() });
    }
    dashboard.advance_to(now);
    // The queues were measured now, which was taken for the minute that has just ended: since when
    // an alarm rings that went off by that is not known.
    let measured = whole_minute(now);
    let alarm = |it: Ringing<'_>| Alarm {
        logical_id: it.alarm.to_owned(),
        since: Some(it.since).filter(|since| *since < measured),
        reason: it.description.to_owned(),
    };
    Ok(dashboard.ringing().into_iter().map(alarm).collect())
}

fn whole_minute(at: Timestamp) -> Timestamp {
    let second = at.as_second();
    Timestamp::from_second(second - second.rem_euclid(60)).expect("a second in range")
}

#[cfg(test)]
mod tests {
    use fixtures::at;
    use jiff::SignedDuration;
    use monitor::{Change, Figures, Monitor, State};

    use super::*;

    fn ring(alarms: &[&str]) -> Vec<Alarm> {
        let ring = |id: &&str| Alarm {
            logical_id: (*id).to_owned(),
            since: None,
            reason: "threshold crossed".to_owned(),
        };
        alarms.iter().map(ring).collect()
    }

    #[test]
    fn an_alarm_is_over_if_nothing_of_its_cause_is_found() {
        let ringing = ring(&["DeadLettered", "RecordsFailing", "BooksDiffer"]);
        let over = |found: &[Section]| over(&ringing, &found.iter().copied().collect());
        let names = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect();
        assert_eq!(over(&[]), names(&["DeadLettered", "RecordsFailing"]));
        assert_eq!(over(&[Section::DeadRefunds]), names(&["RecordsFailing"]));
        assert_eq!(over(&[Section::RecordsFailing]), names(&["DeadLettered"]));
        assert_eq!(over(&[Section::UnreadableRow]), over(&[]));
    }

    #[test]
    fn a_composite_is_over_with_all_that_ring_of_its_alarms() {
        let is_over = |alarms: &[&str], found: &[Section]| {
            over(&ring(alarms), &found.iter().copied().collect()).contains(alarms[0])
        };
        assert!(is_over(&["OrderStuck", "DeadLettered"], &[]));
        assert!(!is_over(&["OrderStuck", "DeadLettered"], &[Section::DeadOrders]));
        let both = &["OrderStuck", "DeadLettered", "Unconfirmed"];
        assert!(is_over(both, &[]) && !is_over(both, &[Section::Unconfirmed]));
        assert!(!is_over(&["MoneyWrong", "BooksDiffer"], &[]));
    }

    #[test]
    fn alarms_of_the_template_are_judged() {
        let template = Template::on_aws();
        let alarms = template.ids("AWS::CloudWatch::Alarm");
        let judged: Vec<_> = alarms.iter().filter(|alarm| causes(alarm).is_some()).collect();
        // As many as `causes` names.
        assert_eq!(judged.len(), 12, "{judged:?}");
    }

    #[test]
    fn alarms_of_what_happened_once_end_by_themselves_three_to_four_minutes_later() {
        let first = at("2026-11-24T09:00:00Z");
        for (id, second) in [("DeadLettered", 0), ("DeadLettered", 59), ("RefundFailed", 30)] {
            let mut alarms = monitor::Alarms::read(&Template::on_aws()).unwrap();
            alarms.metric.retain(|alarm| alarm.id == id);
            alarms.composite.clear();
            let metric = alarms.metric[0].metrics().next().unwrap().clone();
            let happened = first + SignedDuration::from_secs(second);
            let mut figures = Figures::default();
            figures.publish(metric, happened, 1.0, happened);
            let mut monitor = Monitor::new(alarms);
            let minutes = (1..=6).map(|minute| first + SignedDuration::from_mins(minute));
            let changes = Vec::from_iter(minutes.flat_map(|at| monitor.evaluate(&figures, at)));
            let [rings, ends] = &changes[..] else { panic!("{changes:?}") };
            assert_eq!((rings.to, ends.to), (State::Alarm, State::Ok));
            let after = |change: &Change| change.at.duration_since(happened).as_secs();
            assert!(after(rings) <= 60 && (180..=240).contains(&after(ends)), "{changes:?}");
        }
    }
}
