//! `order ID publish`: publishes an order's last event again.

use platform::bus::{EventBridge, EventBus};
use shop::{
    event::{ORDERS, OrderEvent},
    id::OrderId,
};
use stack::Deployment;

use crate::{
    error::Error,
    output::{line, name},
    rows::Tables,
    verdict::Verdict,
};

pub(super) async fn run(deployment: &Deployment, id: OrderId) -> Result<Verdict, Error> {
    let order = Tables::of(deployment).order(id).await?.ok_or(Error::NoOrder(id))?;
    let event = OrderEvent::latest(order).ok_or(Error::NoHistory(id))?;
    let bus =
        EventBridge::new(&deployment.config, deployment.resource("EventBus")?.to_owned(), ORDERS);
    bus.publish(std::slice::from_ref(&event)).await?;
    line(format!(
        "{} published, revision {}, id {}",
        name(event.event_type),
        event.detail.data.revision,
        event.detail.metadata.event_id
    ))?;
    Ok(Verdict::Healthy)
}
