//! Refunds that the provider has refused, and what has become of them since.

use books::ledger::Bookings;
use shop::id::OrderId;
use stack::Deployment;

use crate::{error::Error, sources};

/// Those of these orders, whose refunds failed, whose money was neither given back by hand since,
/// nor settled.
pub(crate) async fn still_open(
    deployment: &Deployment,
    failed: &[OrderId],
) -> Result<Vec<OrderId>, Error> {
    let tables = sources::tables(deployment)?;
    let settlements = sources::journal(deployment)?.settlements().await?;
    let provider = sources::provider(deployment).await?;
    let mut open = Vec::new();
    for order in failed {
        if settlements.values().any(|entry| entry.settles(*order)) {
            continue;
        }
        // A refund that cannot be looked up is taken for open.
        let due = tables.order(*order).await.ok().flatten().map_or(0, |order| order.due());
        let payment = tables.payment(*order).await.ok().flatten();
        let Some(intent) = payment.as_ref().and_then(|row| row.payment.intent()) else {
            open.push(*order);
            continue;
        };
        let bookings = Bookings::look_up(&provider, intent).await;
        let given_back =
            bookings.is_ok_and(|bookings| bookings.account().kept() <= i128::from(due));
        if !given_back {
            open.push(*order);
        }
    }
    Ok(open)
}
