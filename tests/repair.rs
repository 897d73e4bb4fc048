//! `cargo ops`: failures are shown, explained and repaired.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use local::{
    Running,
    sandbox::{Fault, FaultyAnswer, IntentStatus, Route},
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{
    Customer, Output, System, changed_template, croissants, eventually, paid_with, stack,
};

/// How often a message is received before it is a dead letter.
const RECEIVES: usize = platform::queue::MAX_RECEIVES as usize;

/// The seconds until the deadline of an order of [`short_deadlines`].
const CONFIRM_WITHIN: u64 = 60;

/// A system whose orders expire after a minute, with an alarm that a test can let ring.
async fn short_deadlines() -> Running {
    let mut options = stack("repair");
    options.template = changed_template(&options, |template| {
        template["Resources"]["Rehearsal"] = yaml_serde::from_str(
            "{Type: AWS::CloudWatch::Alarm, Properties: {Namespace: Rehearsal, MetricName: Alarms, \
             Statistic: Sum, Period: 60, EvaluationPeriods: 1, Threshold: 1, \
             ComparisonOperator: GreaterThanThreshold}}",
        )
        .unwrap();
    });
    options.parameters.insert("ConfirmWithinSeconds".to_owned(), CONFIRM_WITHIN.to_string());
    Running::start(&options).await.unwrap()
}

/// Waits until the charge of an order is a dead letter.
async fn charge_is_dead_letter(system: &System, order: &str) {
    let dead_letters = system.queue("ChargeDeadLetters").await;
    let died = async || {
        dead_letters.messages().await.iter().any(|letter| letter.contains(order)).then_some(())
    };
    eventually(&format!("the charge of {order} among the dead letters"), died).await;
}

/// Lets an alarm ring. The embedded AWS does not do so by itself.
async fn ring(system: &System, alarm: &str) {
    let name = system.resource(alarm).await;
    let scope = format!("test/20261130/{}/monitoring/aws4_request", system.stack.region);
    let set = reqwest::Client::builder().no_proxy().build().unwrap();
    let set = set
        .post(&system.stack.embedded.endpoint)
        .header("authorization", format!("AWS4-HMAC-SHA256 Credential={scope}"))
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", "GraniteServiceVersion20100801.SetAlarmState")
        .body(
            json!({"AlarmName": name, "StateValue": "ALARM", "StateReason": "rehearsed"})
                .to_string(),
        );
    let answer = set.send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
}

async fn deadline(camille: &Customer<'_>, order: &str) -> Timestamp {
    let placed_at: Timestamp =
        camille.order(order).await["placed_at"].as_str().unwrap().parse().unwrap();
    placed_at + Duration::from_secs(CONFIRM_WITHIN)
}

async fn until(moment: Timestamp) {
    let left = Timestamp::now().duration_until(moment);
    tokio::time::sleep(left.try_into().unwrap_or_default()).await;
}

/// The number of dead letters that `dlq list` prints for a queue.
fn dead_letters(list: &Output, queue: &str) -> u64 {
    let row = list.text.lines().find(|line| line.split_whitespace().next() == Some(queue));
    row.unwrap_or_else(|| panic!("{queue} is not listed: {list:?}"))
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap()
}

#[tokio::test]
async fn charges_that_the_provider_refused_are_redriven_and_the_books_agree_again() {
    let running = short_deadlines().await;
    let system = System::connect(&running.stack);
    let camille = system.customer().await;
    let shop = system.shop().await;
    let list = system.ops(&["dlq", "list"]).await;
    assert_eq!((list.status, list.text.lines().count()), (0, 10), "{list:?}");

    for route in [Route::Confirm, Route::List] {
        let answer = FaultyAnswer::Fail(400);
        let refusing = Fault { route: Some(route), answer, ..Fault::default() };
        system.provider.set_fault(&refusing).await.unwrap();
    }
    let early = camille.place(&croissants(&shop, 2)).await;
    charge_is_dead_letter(&system, &early).await;
    let list = system.ops(&["dlq", "list"]).await;
    assert_eq!(
        (list.status, dead_letters(&list, "charge"), dead_letters(&list, "refund")),
        (1, 1, 0),
        "{list:?}"
    );
    let show = system.ops(&["dlq", "show", "charge"]).await;
    assert_eq!(
        (show.status, show.lines(&format!("order.reserved  order {early}")).len()),
        (0, 1),
        "{show:?}"
    );
    assert_eq!(show.lines("the payment provider refuses the request").len(), 1, "{show:?}");
    let shown = system.ops(&["order", &early]).await;
    assert!(shown.status == 1 && shown.text.contains("one in `charge`"), "{shown:?}");
    let advice = format!("`cargo ops dlq redrive charge --order {early} --local ");
    assert_eq!(shown.lines(&advice).len(), 1, "{shown:?}");
    assert!(
        shown.lines("record failed").iter().all(|line| line.contains("refuses the request")),
        "{shown:?}"
    );
    assert_eq!(shown.lines("record failed").len(), RECEIVES, "{shown:?}");
    assert_eq!(system.ops(&["reconcile"]).await.status, 2, "the provider cannot be asked");
    ring(&system, "Rehearsal").await;
    let health = system.ops(&["health"]).await;
    let at = |text: &str| health.text.find(text).unwrap_or_else(|| panic!("{text}: {health:?}"));
    let stands_first =
        ["1 dead letter in `charge`", "payment reported", "the alarm Rehearsal rings"];
    assert!(stands_first.map(at).is_sorted(), "{health:?}");
    // Nobody knows for how long the letter has been there.
    assert_eq!(health.lines("the alarm DeadOrders rings: ").len(), 1, "{health:?}");
    for (found, section) in [
        ("1 dead letter in `charge`", "docs/runbook.md#dead-orders"),
        ("payment reported 16 errors", "docs/runbook.md#dead-lettered"),
    ] {
        assert_eq!((health.status, health.lines(found).len()), (1, 1), "{health:?}");
        assert!(!health.lines(section).is_empty(), "{health:?}");
    }

    // Its charge is given up shortly before the deadline of the early order, and long before its
    // own.
    until(deadline(&camille, &early).await - Duration::from_secs(10)).await;
    let late = camille.place(&croissants(&shop, 3)).await;
    charge_is_dead_letter(&system, &late).await;
    until(deadline(&camille, &early).await).await;
    system.provider.clear_faults().await.unwrap();
    let dead_letters = system.queue("ChargeDeadLetters").await;
    let before = dead_letters.messages().await;
    let dry = system.ops(&["dlq", "redrive", "charge", "--dry-run"]).await;
    assert_eq!((dry.status, dry.lines("would be sent to").len()), (0, 2), "{dry:?}");
    assert_eq!(dead_letters.messages().await, before);
    let redrive = system.ops(&["dlq", "redrive", "charge", "--order", &late]).await;
    assert!(
        redrive.text.contains("1 sent back") && redrive.text.contains("1 about other orders"),
        "{redrive:?}"
    );
    assert_eq!(camille.confirmed(&late).await["payment"], "captured");
    let redrive = system.ops(&["dlq", "redrive", "charge"]).await;
    assert!(redrive.status == 0 && redrive.text.contains("1 sent back"), "{redrive:?}");

    let expired = camille.outcome(&early).await;
    assert_eq!((&expired["status"], &expired["payment"]), (&json!("expired"), &json!("voided")));
    assert_eq!((system.net_paid(&early).await, system.net_paid(&late).await), (0, 570));
    let settled = async || {
        let reconcile = system.ops(&["reconcile"]).await;
        assert!(reconcile.status == 0, "{reconcile:?}");
        reconcile.text.contains("0 differences, 0 settled, 0 pending").then_some(())
    };
    eventually("the books to agree", settled).await;
    let list = system.ops(&["dlq", "list"]).await;
    assert_eq!(list.status, 0, "{list:?}");
    // The embedded CloudWatch evaluates no alarm: this is what the template's makes of the log.
    let rings = async || {
        let health = system.ops(&["health"]).await;
        (!health.lines("over: the alarm DeadLettered rings").is_empty()).then_some(health)
    };
    let health = eventually("the end of the minute of the last dead letter", rings).await;
    assert!(!health.lines("docs/runbook.md#dead-lettered").is_empty(), "{health:?}");
    let summary = health.text.lines().last().unwrap();
    assert!(summary.contains("over by now; alarms, orders"), "{health:?}");
}

#[tokio::test]
async fn a_refund_outside_the_system_is_a_difference() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let id = camille.place(&croissants(&system.shop().await, 2)).await;
    camille.confirmed(&id).await;
    // Orders are compared once they are older than clocks may differ.
    let agree = async || {
        let reconcile = system.ops(&["reconcile"]).await;
        reconcile.lines(&id).is_empty().then_some(())
    };
    eventually("the books to agree about the order", agree).await;

    let intent = &system.ledger(&id).await[0].intent;
    system.at_provider("refunds", &[("payment_intent", intent), ("amount", "100")]).await;

    let reconcile = system.ops(&["reconcile"]).await;
    assert_eq!(reconcile.status, 1, "{reconcile:?}");
    let found = reconcile.lines(&id);
    let named = "is confirmed, but the provider has kept 2.80 EUR instead of 3.80 EUR: of the 3.80 \
                 EUR that it took, a part of 1.00 EUR was refunded in its dashboard";
    assert!(found[0].contains(named) && found.len() == 2, "{found:?}");
    assert!(found[1].contains("do: find out who gave money back"), "{found:?}");
    assert!(found[1].contains(&format!("`cargo ops reconcile settle {id} --reason")), "{found:?}");
}

#[tokio::test]
async fn all_of_an_order_is_settled_at_once_and_a_refund_after_that_stands_out() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let id = camille.place(&croissants(&system.shop().await, 2)).await;
    camille.confirmed(&id).await;
    let second = [
        ("amount", "380"),
        ("currency", "eur"),
        ("payment_method_types[]", "card"),
        ("payment_method", "pm_card_visa"),
        ("metadata[order_id]", &id),
        ("confirm", "true"),
    ];
    let second = system.at_provider("payment_intents", &second).await;
    let intent = second["id"].as_str().unwrap();
    let charged_twice = async || {
        let found = system.ops(&["reconcile"]).await;
        (found.lines(&id).len() == 3).then_some(found)
    };
    let found = eventually("the second charge in the books", charged_twice).await;
    let found = found.lines(&id);
    assert!(found[0].contains("has kept 7.60 EUR instead of 3.80 EUR"), "{found:?}");
    assert!(found[1].contains(&format!("the intent {intent} for order {id}")), "{found:?}");
    assert!(found[2].contains("do: refund 3.80 EUR in the provider's dashboard"), "{found:?}");

    let settle = ["reconcile", "settle", &id, "--reason", "paid back by bank transfer"];
    let settled = system.ops(&settle).await;
    assert!(settled.status == 0 && settled.lines(&id).len() == 2, "{settled:?}");
    let known = system.ops(&["reconcile"]).await;
    let about = known.lines(&id);
    assert!(about.len() == 2 && about.iter().all(|it| it.starts_with("settled: ")), "{known:?}");
    settled_by_mistake(&system, &id, &settle).await;

    system.at_provider("refunds", &[("payment_intent", intent)]).await;
    let twice = system.ops(&["reconcile"]).await;
    let stands_out = twice.lines(&format!("order {id} was settled by hand and refunded"));
    assert!(twice.status == 1 && stands_out.len() == 1, "{twice:?}");
    assert!(stands_out[0].contains("3.80 EUR"), "{twice:?}");
    let remedies = twice.lines("do: find out whether the customer got the money twice");
    assert_eq!(remedies.iter().filter(|line| line.contains(&id)).count(), 1, "{twice:?}");
}

/// A settlement is not made twice. It can be withdrawn, and made again.
async fn settled_by_mistake(system: &System, id: &str, settle: &[&str]) {
    let again = system.ops(settle).await;
    let says_why = again.errors.contains("arn:aws:")
        && again.errors.contains("paid back by bank transfer")
        && again.errors.contains(&format!("`cargo ops reconcile unsettle {id} --reason"));
    assert!(again.status == 2 && says_why, "{again:?}");

    for blank in ["", "  "] {
        let unsettle = system.ops(&["reconcile", "unsettle", id, "--reason", blank]).await;
        let is_refused = unsettle.errors.contains("say in words why");
        assert!(unsettle.status == 2 && is_refused, "{unsettle:?}");
    }
    let unsettle = ["reconcile", "unsettle", id, "--reason", "the transfer came back"];
    let withdrawn = system.ops(&unsettle).await;
    assert!(withdrawn.status == 0 && withdrawn.lines("withdrew").len() == 2, "{withdrawn:?}");
    let open = system.ops(&["reconcile"]).await;
    assert!(open.status == 1 && open.lines(id).len() == 3, "{open:?}");
    let about = open.lines(id);
    assert!(about[2].contains("do: refund 3.80 EUR"), "{about:?}");
    let nothing = system.ops(&unsettle).await;
    assert!(nothing.status == 2 && nothing.errors.contains("nothing is settled"), "{nothing:?}");
    let journal = system.ops(&["journal"]).await;
    for decision in [" settled ", " withdrew "] {
        let found = journal.lines(id).into_iter().filter(|line| line.contains(decision)).count();
        assert_eq!(found, 2, "{decision}: {journal:?}");
    }
    let settled = system.ops(settle).await;
    assert!(settled.status == 0 && settled.lines(id).len() == 2, "{settled:?}");
}

#[tokio::test]
async fn what_the_provider_refunded_before_it_was_settled_by_hand_stands_out_too() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let id = camille.place(&croissants(&system.shop().await, 2)).await;
    camille.confirmed(&id).await;
    let unpaid = system.ops(&["reconcile", "settle", &id, "--reason", "nothing to settle"]).await;
    assert!(unpaid.status == 2 && unpaid.errors.contains(&format!("no difference {id}")));
    assert_eq!(camille.cancel(&id).await.status, 200);
    let refunded = async || (camille.order(&id).await["payment"] == "refunded").then_some(());
    eventually("the refund", refunded).await;

    let settled = system.ops(&["reconcile", "settle", &id, "--reason", "paid in cash"]).await;
    assert_eq!(settled.status, 0, "{settled:?}");
    let twice = async || {
        let found = system.ops(&["reconcile"]).await;
        (found.lines(&format!("order {id} was settled by hand and refunded")).len() == 1)
            .then_some(())
    };
    eventually("the money that was given back twice", twice).await;
    let shown = system.ops(&["order", &id]).await;
    assert_eq!(shown.lines("problem: order").len(), 1, "{shown:?}");

    // Nor does a redrive give the money back again.
    let events = system.events(&id).into_iter();
    let cancelled = events.filter(|event| event["detail-type"] == "order.cancelled");
    let letters: Vec<_> = cancelled.map(|event| event.to_string()).collect();
    let dead_letters = system.queue("RefundDeadLetters").await;
    dead_letters.send(&letters).await;
    let redrive = ["dlq", "redrive", "refund", "--order", &id];
    let kept = system.ops(&redrive).await;
    assert_eq!((kept.status, kept.lines("was settled by hand").len()), (1, 1), "{kept:?}");
    assert!(dead_letters.messages().await.iter().any(|letter| letter.contains(&id)));
    let forced = system.ops(&[&redrive[..], &["--force"]].concat()).await;
    assert_eq!((forced.status, forced.lines("sent to").len()), (0, 1), "{forced:?}");
}

#[tokio::test]
async fn an_orders_timeline_shows_everything_that_happened_and_no_secrets() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let mut order =
        paid_with("pm_card_chargeDeclinedInsufficientFunds", croissants(&system.shop().await, 2));
    order["note"] = json!(format!("Please write to {}", camille.address));
    let id = camille.place(&order).await;
    camille.outcome(&id).await;
    camille.mails(1).await;
    eventually("the intent to be closed", async || {
        (system.ledger(&id).await[0].status == IntentStatus::Canceled).then_some(())
    })
    .await;

    let shown = system.ops(&["order", &id]).await;
    assert_eq!(shown.status, 0, "{shown:?}");
    let story = [
        "order.placed, revision 1, by the customer",
        "order.reserved, revision 2, because of inventory.reserved",
        "order.rejected, revision 3, because of payment.declined",
    ];
    let places = story.map(|transition| {
        shown.text.find(transition).unwrap_or_else(|| panic!("no {transition}: {shown:?}"))
    });
    assert!(places.is_sorted(), "{shown:?}");
    let intent = &system.ledger(&id).await[0].intent;
    for fact in [
        "declined (insufficient_funds), 3.80 EUR",
        "with `insufficient_funds`: the account has too little money",
        "nothing needs to be done",
        "stands at cancelled, with 0.00 EUR taken and 0.00 EUR given back",
        intent,
        "released",
        "sent for revision 3",
        "order-relay",
        "notifications",
        "inventory.reserved",
    ] {
        assert!(shown.text.contains(fact), "no {fact}: {shown:?}");
    }

    let machine = system.ops(&["order", &id, "--json"]).await;
    let json: Value = serde_json::from_str(&machine.text).unwrap();
    assert_eq!(
        (&json["order"]["status"], &json["payment"]["state"]),
        (&json!("rejected"), &json!("declined"))
    );
    assert!(
        json["timeline"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["at"].as_str().unwrap().parse::<Timestamp>().unwrap())
            .is_sorted()
    );
    for secret in ["pm_card", "@example.com", "sk_test", "Please write"] {
        assert!(
            !shown.text.contains(secret) && !machine.text.contains(secret),
            "the output contains {secret}"
        );
    }

    let elsewhere = system.ops_by_name(&["order", &id]).await;
    assert_eq!(
        (elsewhere.status, elsewhere.lines("(from the history").len()),
        (0, 3),
        "{elsewhere:?}"
    );

    let unknown_id = Uuid::new_v4().to_string();
    let unknown = system.ops(&["order", &unknown_id]).await;
    assert_eq!(
        (unknown.status, &*unknown.errors),
        (2, &*format!("error: there is no order {unknown_id} in this stack\n"))
    );
}

#[tokio::test]
async fn an_event_published_again_has_the_same_id_and_reaches_consumers_that_missed_it() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let id = camille.place(&croissants(&system.shop().await, 1)).await;
    let confirmed = camille.confirmed(&id).await;
    camille.mails(1).await;
    // As if the notice had never been sent.
    let notices = system.stack.outputs.get("NoticesTableName").unwrap();
    let forget = system
        .dynamodb
        .delete_item()
        .table_name(notices)
        .key("order_id", AttributeValue::S(id.clone()));
    let shown = async || {
        system
            .rows("NoticesTableName")
            .await
            .iter()
            .any(|row| row["order_id"] == *id && row["claimed_until"].is_null())
            .then_some(())
    };
    eventually("the notice to be settled", shown).await;
    forget.send().await.unwrap();

    let published = system.ops(&["order", &id, "retry"]).await;
    assert!(
        published.status == 0 && published.text.contains("order.confirmed published again"),
        "{published:?}"
    );
    camille.mails(2).await;
    let copies = async || {
        let events = system.events(&id);
        let ids: Vec<_> = events
            .iter()
            .filter(|event| event["detail-type"] == "order.confirmed")
            .map(|event| event["detail"]["metadata"]["event_id"].clone())
            .collect();
        (ids.len() == 2).then_some(ids)
    };
    let ids = eventually("the event to pass twice", copies).await;
    assert_eq!(ids[0], ids[1]);
    assert_eq!(camille.order(&id).await, confirmed);
    let shown = system.ops(&["order", &id]).await;
    assert_eq!(shown.lines("order.confirmed, repeated").len(), 1, "{shown:?}");
}
