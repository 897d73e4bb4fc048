//! `order ID`: everything that is known about an order.

use books::{ledger::Bookings, rows::NoticeRow};
use futures::future::{join, join4, try_join, try_join5};
use jiff::Timestamp;
use serde_json::{Value, json};
use shop::{
    id::OrderId, money::Money, order::Order, payment_summary::PaymentSummary, stock::Reservation,
};
use stack::Deployment;
use tables::notices::Outcome;

use crate::{
    dead_letters::DeadLetterQueues,
    diagnosis::Diagnosis,
    error::Error,
    mappings::standing,
    output::{line, moment, name, table},
    sources,
    timeline::OrderReport,
    verdict::Verdict,
    words,
};

pub(super) async fn run(
    deployment: &Deployment,
    id: OrderId,
    as_json: bool,
) -> Result<Verdict, Error> {
    let journal = sources::journal(deployment)?;
    let settlements = async { Ok(journal.settlements().await?) };
    let (report, settlements) = try_join(gather(deployment, id), settlements).await?;
    let limits = sources::limits(deployment)?;
    let diagnosis = Diagnosis::of(&report, limits, &settlements, Timestamp::now());
    if as_json {
        line(json(&report, &diagnosis)?)?
    } else {
        print(&report, &diagnosis)?
    }
    Ok(Verdict::healthy_if(diagnosis.problems.is_empty()))
}

async fn gather(deployment: &Deployment, id: OrderId) -> Result<OrderReport, Error> {
    let read_at = Timestamp::now();
    let tables = sources::tables(deployment)?;
    let rows =
        join4(tables.order(id), tables.payment(id), tables.reservation(id), tables.notice(id));
    let (order, payment, reservation, notice) = rows.await;
    let placed_at = order?.ok_or(Error::NoOrder(id))?.placed_at;
    let mut unreadable = Vec::new();
    let payment = sources::readable(payment, &mut unreadable)?;
    let reservation = sources::readable(reservation, &mut unreadable)?;
    let notice = sources::readable(notice, &mut unreadable)?;
    let account = async {
        let Some(intent) = payment.as_ref().and_then(|row| row.payment.intent()) else {
            return Ok(None);
        };
        let provider = sources::provider(deployment).await?;
        Ok::<_, Error>(Some(Bookings::look_up(&provider, intent).await?))
    };
    let text = id.to_string();
    let letters = async {
        let queues = DeadLetterQueues::of(deployment).await?;
        let letters = queues.peek_all().await?.into_iter();
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
    let log = async { Ok(deployment.logs().containing(&text, placed_at).await?) };
    let discards = async {
        let mut entries = sources::journal(deployment)?.entries(placed_at).await?;
        entries.retain(|entry| entry.discards(id).is_some());
        Ok::<_, Error>(entries)
    };
    let records = try_join5(letters, events, log, discards, standing(deployment));
    let (account, records) = join(account, records).await;
    let (dead_letters, events, log, discards, standing) = records?;
    // Last, so that everything else is at least as far as the order says.
    let mut order = tables.order(id).await?.ok_or(Error::NoOrder(id))?;
    // Confidential: the payment method and the page can pay, and the note is the customer's own
    // words.
    order.payment_method = None;
    order.authentication_url = None;
    order.note = None;
    Ok(OrderReport {
        read_at,
        order,
        payment,
        reservation,
        notice,
        unreadable,
        account,
        dead_letters,
        discards,
        standing,
        events,
        log,
    })
}

fn print(report: &OrderReport, diagnosis: &Diagnosis) -> Result<(), Error> {
    let order = &report.order;
    line(format!("order {}", order.order_id))?;
    table(&facts(report).map(|(name, value)| [format!("  {name}"), value]))?;
    for row in &report.unreadable {
        line(row)?;
    }
    line("")?;
    let timeline = report.timeline().into_iter();
    table(&timeline.map(|entry| [moment(entry.at), entry.source, entry.text]).collect::<Vec<_>>())?;
    line("\nverdict")?;
    diagnosis.lines().into_iter().try_for_each(line)
}

/// The present state of everything that belongs to the order.
fn facts(report: &OrderReport) -> [(&'static str, String); 11] {
    let order = &report.order;
    let none = || "none".to_owned();
    // What cannot be read is not taken for missing.
    let is_unreadable = |table| report.unreadable.iter().any(|row| row.table == table);
    let missing = |table| {
        if is_unreadable(table) { "cannot be read, see below".to_owned() } else { none() }
    };
    let payment = report.payment.as_ref().map_or_else(
        || missing("PaymentsTable"),
        |row| {
            let intent = row
                .payment
                .intent()
                .map_or_else(String::new, |intent| format!(", intent {}", intent.as_str()));
            let meaning = row.payment.reason().unwrap_or_else(|| words::payment(&row.payment));
            format!("{} ({meaning}), {}{intent}", row.payment.name(), row.price)
        },
    );
    let provider = match &report.account {
        Ok(Some(bookings)) => bookings.account().to_string(),
        // The row of the payment names the intent.
        Ok(None) if is_unreadable("PaymentsTable") => {
            "unknown; `cargo ops reconcile` compares the provider's books".to_owned()
        }
        Ok(None) => none(),
        Err(error) => error.to_string(),
    };
    let notice = report.notice.as_ref().map_or_else(|| missing("NoticesTable"), notified);
    let reservation = report.reservation.as_ref().map_or_else(|| missing("StockTable"), reserved);
    let letters = report
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
                name(PaymentSummary::of(order))
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
        ("refunds", if order.refunds.is_empty() { none() } else { refunds(report) }),
        ("provider", provider),
        ("stock", reservation),
        ("notice", notice),
        ("dead letters", if letters.is_empty() { none() } else { letters.join(", ") }),
        (
            "trace",
            order.traceparent.as_ref().map_or_else(none, |trace| trace.trace_id().to_owned()),
        ),
    ]
}

/// What the shop has given back, each with how far it got at the provider.
fn refunds(report: &OrderReport) -> String {
    let order = &report.order;
    let entries = report.payment.iter().flat_map(|row| &row.refunds);
    let code = |id| entries.clone().find(|it| it.id == id).and_then(|it| it.reason.as_deref());
    let described = order.refunds.iter().map(|refund| {
        let amount = Money { amount: refund.amount, currency: order.currency };
        let code = code(refund.id).map_or_else(String::new, |code| format!(" ({code})"));
        let (state, reason) = (name(refund.state), refund.reason.as_str());
        format!("{}: {amount} {state}{code}, \"{reason}\"", refund.id)
    });
    described.collect::<Vec<_>>().join("; ")
}

fn notified(row: &NoticeRow) -> String {
    let NoticeRow { revision, outcome, claimed_until } = row;
    if claimed_until.is_some() {
        return format!("being sent for revision {revision}");
    }
    match outcome {
        None | Some(Outcome::Sent) => format!("sent for revision {revision}"),
        Some(Outcome::TooLate) => {
            format!("dropped for revision {revision}: it came too late to help")
        }
        Some(Outcome::Unverified) => {
            format!("dropped for revision {revision}: the address is not verified")
        }
        Some(Outcome::NoAddress) => {
            format!("dropped for revision {revision}: the customer has no address")
        }
    }
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
                "rejected, only {} left",
                shortages.iter().map(short).collect::<Vec<_>>().join(", ")
            )
        }
        Reservation::Released => "released, and none is held for it any more".to_owned(),
    }
}

fn json(report: &OrderReport, diagnosis: &Diagnosis) -> Result<Value, Error> {
    let letters = report.dead_letters.iter().map(|(queue, letter)| {
        json!({
            "queue": queue,
            "message_id": letter.id,
            "sent": letter.sent,
            "given_up_after": letter.given_up_after
        })
    });
    let account = match &report.account {
        Ok(Some(bookings)) => {
            let account = bookings.account();
            let intent = account.intent;
            json!({
                "intent": intent.id,
                "status": account.status(),
                "amount": intent.amount,
                "currency": intent.currency,
                "taken": intent.taken,
                "returned": account.returned(),
                "lost": account.lost(),
                "created": intent.created
            })
        }
        Ok(None) => Value::Null,
        Err(error) => json!({"error": error.to_string()}),
    };
    Ok(json!({
        "order": serde_json::to_value(&report.order)?,
        "payment": report.payment,
        "provider": account,
        "reservation": report.reservation,
        "notice": report.notice,
        "unreadable": report.unreadable.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "dead_letters": letters.collect::<Vec<_>>(),
        "events_recorded": report.events.is_some(),
        "timeline": report.timeline(),
        "verdict": diagnosis,
    }))
}
