//! Everything known of one order.

use futures::future::{join, try_join3, try_join4};
use serde_json::{Value, json};
use shop::{id::OrderId, order::Order, stock::Reservation};

use super::Verdict;
use crate::{
    dead_letters::DeadLetterQueues,
    deployment::Deployment,
    error::Error,
    ledger::{self, Account},
    logs,
    output::{line, moment, name, table},
    tables::Tables,
    timeline::Dossier,
};

pub(super) async fn run(
    deployment: &Deployment,
    id: OrderId,
    as_json: bool,
) -> Result<Verdict, Error> {
    let dossier = gather(deployment, id).await?;
    if as_json {
        line(json(&dossier)?)?
    } else {
        print(&dossier)?
    }
    Ok(Verdict::AllIsWell)
}

async fn gather(deployment: &Deployment, id: OrderId) -> Result<Dossier, Error> {
    let tables = Tables::of(deployment);
    let rows =
        try_join4(tables.order(id), tables.payment(id), tables.reservation(id), tables.notice(id));
    let (order, payment, reservation, notice) = rows.await?;
    let mut order = order.ok_or(Error::NoOrder(id))?;
    // Neither is for anybody's eyes: one pays, the other is the customer's own words.
    order.payment_method = None;
    order.note = None;

    let account = async {
        let Some(intent) = payment.as_ref().and_then(|row| row.payment.intent()) else {
            return Ok(None);
        };
        let provider = ledger::open(deployment).await?;
        Ok::<_, Error>(Some((
            provider.intent(intent).await?,
            provider.refunds(Some(intent)).await?,
        )))
    };
    let text = id.to_string();
    let letters = async {
        let queues = DeadLetterQueues::of(deployment).await?;
        let letters = queues.look_everywhere().await?.into_iter();
        let about = letters.filter(|(_, letter)| letter.order() == Some(&*text));
        Ok::<_, Error>(
            about.map(|(queue, letter)| (queue.name.clone(), letter)).collect::<Vec<_>>(),
        )
    };
    let events = async {
        let Some(stack) = &deployment.embedded else { return Ok(None) };
        let mut events = stack.events()?.recorded()?;
        events.retain(|event| event["detail"]["metadata"]["correlation_id"] == *text);
        Ok::<_, Error>(Some(events))
    };
    let told = try_join3(letters, events, logs::lines(deployment, &text, order.placed_at));
    let (account, told) = join(account, told).await;
    let (dead_letters, events, log) = told?;
    Ok(Dossier { order, payment, reservation, notice, account, dead_letters, events, log })
}

fn print(dossier: &Dossier) -> Result<(), Error> {
    let order = &dossier.order;
    line(format!("order {}", order.order_id))?;
    table(&facts(dossier).map(|(name, value)| [format!("  {name}"), value]))?;
    line("")?;
    let timeline = dossier.timeline().into_iter();
    table(&timeline.map(|entry| [moment(entry.at), entry.source, entry.text]).collect::<Vec<_>>())
}

/// Where everything stands now.
fn facts(dossier: &Dossier) -> [(&'static str, String); 9] {
    let order = &dossier.order;
    let none = || "none".to_owned();
    let payment = dossier.payment.as_ref().map_or_else(none, |row| {
        let intent = row
            .payment
            .intent()
            .map_or_else(String::new, |intent| format!(", intent {}", intent.as_str()));
        format!("{}, {}{intent}", row.payment.name(), row.price)
    });
    let provider = match &dossier.account {
        Ok(Some((intent, refunds))) => Account::of(intent, refunds).to_string(),
        Ok(None) => none(),
        Err(error) => error.to_string(),
    };
    let notice = dossier.notice.as_ref().map_or_else(none, |row| match row.claimed_until {
        None => format!("told of revision {}", row.revision),
        Some(_) => format!("being told of revision {}", row.revision),
    });
    let reservation = dossier.reservation.as_ref().map_or_else(none, reserved);
    let letters = dossier
        .dead_letters
        .iter()
        .map(|(queue, _)| format!("one in `{queue}`"))
        .collect::<Vec<_>>();
    [
        (
            "state",
            format!(
                "{} (revision {}), payment {}",
                name(order.status),
                order.revision,
                name(order.payment)
            ),
        ),
        ("items", items(order)),
        ("price", order.price().to_string()),
        (
            "pickup",
            format!(
                "{} at {}, deadline {}",
                moment(order.pickup_at),
                order.location,
                moment(order.deadline)
            ),
        ),
        ("payment", payment),
        ("provider", provider),
        ("stock", reservation),
        ("notice", notice),
        ("dead letters", if letters.is_empty() { none() } else { letters.join(", ") }),
    ]
}

fn items(order: &Order) -> String {
    order
        .lines
        .iter()
        .map(|line| format!("{} × {}", line.quantity, line.item))
        .collect::<Vec<_>>()
        .join(", ")
}

fn reserved(reservation: &Reservation) -> String {
    match reservation {
        Reservation::Held(demand) => format!("held for {}", demand.pickup_day),
        Reservation::Rejected { shortages } => {
            let short = |shortage: &shop::stock::Shortage| {
                format!("{} of {}", shortage.left, shortage.item)
            };
            format!(
                "rejected, left were {}",
                shortages.iter().map(short).collect::<Vec<_>>().join(", ")
            )
        }
        Reservation::Released => "released".to_owned(),
    }
}

fn json(dossier: &Dossier) -> Result<Value, Error> {
    let letters = dossier.dead_letters.iter().map(
        |(queue, letter)| json!({"queue": queue, "message_id": letter.id, "sent": letter.sent, "receives": letter.receives}),
    );
    let account = match &dossier.account {
        Ok(Some((intent, refunds))) => {
            let account = Account::of(intent, refunds);
            json!({
                "intent": intent.id, "status": account.status(), "amount": intent.amount, "currency": intent.currency,
                "taken": intent.taken, "returned": account.returned, "created": intent.created
            })
        }
        Ok(None) => Value::Null,
        Err(error) => json!({"error": error.to_string()}),
    };
    Ok(json!({
        "order": serde_json::to_value(&dossier.order)?,
        "payment": dossier.payment,
        "provider": account,
        "reservation": dossier.reservation,
        "notice": dossier.notice,
        "dead_letters": letters.collect::<Vec<_>>(),
        "events_recorded": dossier.events.is_some(),
        "timeline": dossier.timeline(),
    }))
}
