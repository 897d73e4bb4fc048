use std::thread;

use super::*;

#[test]
fn every_alarm_has_a_fault_and_every_fault_an_alarm() {
    let alarms = Alarms::read(&Template::on_aws()).expect("alarms");
    let alarms: BTreeSet<_> = alarms.metric.iter().map(|alarm| alarm.id.as_str()).collect();
    let faults: BTreeSet<_> = SCENARIOS.iter().map(|scenario| scenario.alarm).collect();
    assert_eq!(faults, alarms, "on the left: the scenarios");
}

#[test]
fn every_alarm_is_fired_by_its_fault_within_minutes_and_ends_after_it() {
    let outcomes = thread::scope(|scope| {
        let plays: Vec<_> = SCENARIOS.iter().map(|it| (it, scope.spawn(|| play(it)))).collect();
        let ends = plays.into_iter().map(|(it, play)| (it, play.join().expect("it panics")));
        ends.collect::<Vec<_>>()
    });
    let mut paged = BTreeSet::new();
    for (Scenario { alarm, title, sign, .. }, outcome) in outcomes {
        let noticed = outcome.noticed.unwrap_or_else(|| panic!("{alarm}: {title}: {outcome:?}"));
        assert!(noticed <= LIMIT, "{alarm} comes late: {title}: {outcome:?}");
        assert!(outcome.over.is_some(), "{alarm} never ends: {title}: {outcome:?}");
        assert!(outcome.pages.len() <= 1, "{alarm} pages twice: {title}: {outcome:?}");
        for (page, after) in outcome.pages {
            assert!(after <= *sign + LIMIT, "{page} comes late: {title}");
            paged.insert(page);
        }
    }
    let alarms = Alarms::read(&Template::on_aws()).expect("alarms");
    let composites: BTreeSet<_> = alarms.composite.into_iter().map(|alarm| alarm.id).collect();
    assert_eq!(paged, composites, "on the left: the composites that paged");
}

#[test]
fn no_alarm_fires_without_a_fault() {
    assert_eq!(fired_without_a_fault(SignedDuration::from_hours(6)), BTreeSet::new());
}
