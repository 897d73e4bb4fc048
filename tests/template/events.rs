//! Which queue takes which event.

use std::collections::{BTreeMap, BTreeSet};

use resources::{Template, event_types};
use serde_json::json;

/// The queues that take each event. An event that no function acts on has none.
///
/// This is the decision that a new event needs. The rules in template.yaml carry it out.
const TAKEN_BY: [(&str, &[&str]); 23] = [
    ("order.placed", &["Stock", "Deadline"]),
    ("order.reserved", &["Charge"]),
    ("order.authentication_required", &[]),
    ("order.confirmed", &["Notice"]),
    ("order.preparing", &[]),
    ("order.ready", &["Notice"]),
    ("order.collected", &[]),
    ("order.rejected", &["Stock", "Refund", "Notice"]),
    ("order.cancelled", &["Stock", "Refund", "Notice"]),
    ("order.expired", &["Stock", "Refund", "Notice"]),
    ("order.refund_requested", &["Refund"]),
    ("order.payment_changed", &["Notice"]),
    ("order.dispute_changed", &[]),
    ("order.erased", &[]),
    ("inventory.reserved", &["Results"]),
    ("inventory.rejected", &["Results"]),
    ("payment.authentication_required", &["Results"]),
    ("payment.captured", &["Results"]),
    ("payment.declined", &["Results"]),
    ("payment.voided", &["Results"]),
    ("payment.refunded", &["Results"]),
    ("payment.refund_failed", &["Results"]),
    ("payment.changed", &["Results"]),
];

#[test]
fn every_event_has_a_decision_about_its_queues() {
    let decided: BTreeSet<_> = TAKEN_BY.iter().map(|(event, _)| (*event).to_owned()).collect();
    let published = event_types();
    let undecided: Vec<_> = published.difference(&decided).collect();
    assert!(undecided.is_empty(), "add to TAKEN_BY which queues take {undecided:?}");
    let unknown: Vec<_> = decided.difference(&published).collect();
    assert!(unknown.is_empty(), "TAKEN_BY has events that no schema has: {unknown:?}");
}

#[test]
fn the_rules_put_into_each_queue_the_events_that_it_takes() {
    let template = Template::on_aws();
    for queue in template.queues().into_iter().filter(|queue| *queue != OF_THE_PROVIDER) {
        let decided = TAKEN_BY.iter().filter(|(_, queues)| queues.contains(&queue));
        let decided: BTreeSet<_> = decided.map(|(event, _)| *event).collect();
        assert_eq!(template.events_of(queue), decided, "{queue}Queue");
    }
    let queues = template.queues();
    for (event, taken_by) in TAKEN_BY {
        let missing: Vec<_> = taken_by.iter().filter(|queue| !queues.contains(*queue)).collect();
        assert!(missing.is_empty(), "{event} goes to queues that do not exist: {missing:?}");
    }
}

#[test]
fn a_rule_names_the_sources_of_its_events() {
    let template = Template::on_aws();
    let rules = template.rules().into_iter();
    for (rule, properties) in rules.filter(|(id, _)| *id != format!("{OF_THE_PROVIDER}Rule")) {
        let pattern = &properties["EventPattern"];
        let mut by_source: BTreeMap<&str, &str> = BTreeMap::new();
        for event in resources::list(&pattern["detail-type"]).filter_map(|event| event.as_str()) {
            let domain = event.split('.').next().unwrap();
            let source = match domain {
                "order" => shop::event::ORDERS,
                "inventory" => shop::event::INVENTORY,
                "payment" => shop::event::PAYMENT,
                other => panic!("{rule}: say here which source publishes {other} events"),
            };
            by_source.insert(source, event);
        }
        let sources: Vec<_> = resources::list(&pattern["source"]).collect();
        assert_eq!(sources.len(), by_source.len(), "{rule}: {sources:?} for {by_source:?}");
        assert!(sources.iter().all(|source| by_source.contains_key(source.as_str().unwrap())));
    }
}

/// The queue for the events of the payment provider, and its rule.
const OF_THE_PROVIDER: &str = "Intent";

#[test]
fn of_the_providers_events_only_the_intent_of_a_refund_or_a_dispute_is_taken() {
    let template = Template::on_aws();
    let rule = template.properties("IntentRule");
    let pattern = &rule["EventPattern"];
    for event in resources::list(&pattern["detail-type"]).filter_map(|event| event.as_str()) {
        assert!(event.starts_with("refund.") || event.starts_with("charge.dispute."), "{event}");
    }
    let intents = json!({"data": {"object": {"payment_intent": [{"prefix": "pi_"}]}}});
    assert_eq!(pattern["detail"], intents);
    let reduced = &rule["Targets"][0]["InputTransformer"];
    let intent = json!({"intent": "$.detail.data.object.payment_intent"});
    assert_eq!(reduced["InputPathsMap"], intent);
    assert_eq!(reduced["InputTemplate"], r#"{"intent": <intent>}"#);
    // On AWS, they come by a bus of their own.
    let bus = &resources::section("Resources")["IntentRule"]["Properties"]["EventBusName"];
    let both = json!(["ProviderSendsEvents", {"Ref": "ProviderEventBus"}, {"Ref": "EventBus"}]);
    assert_eq!(bus["!If"].to_string().replace("!Ref", "Ref"), both.to_string());
}

#[test]
fn the_archive_keeps_every_event_but_those_with_which_somebody_could_pay() {
    for template in [Template::on_aws(), Template::local()] {
        let archive = template.properties("EventArchive");
        let confidential = ["order.reserved", "payment.authentication_required"];
        let pattern = json!({"detail-type": [{"anything-but": confidential}]});
        assert_eq!(archive["EventPattern"], pattern);
        assert_eq!(archive["RetentionDays"], 30);
    }
}
