//! Which notices are not sent: those that come too late to help, and those to an address that the
//! customer has not confirmed.

use serde_json::{Value, json};

use crate::harness::{Customer, System, croissants, eventually};

/// Waits until the notice about a revision of an order is settled, and returns its outcome.
async fn outcome(system: &System, order: &str, revision: u32) -> String {
    let settled = async || {
        let rows = system.rows("NoticesTableName").await;
        let row = rows.into_iter().find(|row| row["order_id"] == order)?;
        (row["revision"] == revision).then(|| row["outcome"].as_str().map(str::to_owned))?
    };
    eventually(&format!("the outcome of revision {revision} of {order}"), settled).await
}

/// A confirmed order with one notice, and the event that it is about.
async fn confirmed(camille: &Customer<'_>) -> (String, Value) {
    let id = camille.place(&croissants(&camille.system.shop().await, 2)).await;
    camille.confirmed(&id).await;
    assert_eq!(outcome(camille.system, &id, 3).await, "sent");
    let event = eventually("the event", async || {
        let events = camille.system.events(&id);
        events.into_iter().find(|event| event["detail-type"] == "order.confirmed")
    })
    .await;
    (id, event)
}

#[tokio::test]
async fn a_notice_is_dropped_when_the_pickup_day_is_over_unless_it_is_about_money() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let (id, event) = confirmed(&camille).await;
    // As if an operator redrove dead letters eight days after the pickup.
    let late = |detail_type: &str, data: Value| {
        let mut event = event.clone();
        event["detail-type"] = json!(detail_type);
        event["detail"]["data"]["pickup_at"] = json!("2026-01-05T10:00:00Z");
        event["detail"]["data"]["pickup_day"] = json!("2026-01-05");
        for (name, value) in data.as_object().unwrap() {
            event["detail"]["data"][name] = value.clone();
        }
        event.to_string()
    };
    let notices = system.queue("NoticeQueue").await;
    notices.send(&[late("order.ready", json!({"revision": 5, "status": "ready"}))]).await;
    assert_eq!(outcome(&system, &id, 5).await, "too_late");
    let shown = system.ops(&["order", &id]).await;
    let dropped = "dropped for revision 5: it came too late to help";
    assert_eq!(shown.lines(dropped).len(), 1, "{shown:?}");

    let refunded = json!({"revision": 7, "status": "cancelled", "payment": "refunded"});
    notices.send(&[late("order.payment_changed", refunded)]).await;
    assert_eq!(outcome(&system, &id, 7).await, "sent");
    let subjects: Vec<_> = camille.mail().await.into_iter().map(|mail| mail.subject).collect();
    assert_eq!(subjects, ["Your order is confirmed", "We have given your money back"]);
}

#[tokio::test]
async fn no_notice_goes_to_an_address_that_is_not_verified() {
    let system = System::shared().await;
    let camille = system.customer().await;
    camille.set_verified(false).await;
    let id = camille.place(&croissants(&system.shop().await, 2)).await;
    camille.confirmed(&id).await;
    assert_eq!(outcome(&system, &id, 3).await, "unverified");
    assert_eq!(camille.mail().await.len(), 0);
    let log = system.log("notifications").await;
    let dropped: Vec<_> = log.lines().filter(|line| line.contains(&id)).collect();
    assert!(
        dropped.iter().any(|line| line.contains("notice dropped: unverified address")),
        "{dropped:?}"
    );
    assert!(!log.contains(&camille.address));
    let shown = system.ops(&["order", &id]).await;
    let reason = "dropped for revision 3: the address is not verified";
    assert_eq!(shown.lines(reason).len(), 1, "{shown:?}");

    camille.set_verified(true).await;
    assert_eq!(camille.cancel(&id).await.status, 200);
    let mails = camille.mails(1).await;
    assert_eq!(mails[0].subject, "Your order is cancelled");
}
