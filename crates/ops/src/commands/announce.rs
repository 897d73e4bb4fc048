//! An order's last event, once more.

use platform::bus::{EventBridge, EventBus};
use shop::{
    event::{ORDERS, OrderEvent},
    id::OrderId,
};

use super::Verdict;
use crate::{
    deployment::Deployment,
    error::Error,
    output::{line, name},
    tables::Tables,
};

pub(super) async fn run(deployment: &Deployment, id: OrderId) -> Result<Verdict, Error> {
    let order = Tables::of(deployment).order(id).await?.ok_or(Error::NoOrder(id))?;
    let event = OrderEvent::latest(order).ok_or(Error::NoHistory(id))?;
    let bus =
        EventBridge::new(&deployment.config, deployment.resource("EventBus")?.to_owned(), ORDERS);
    bus.publish(std::slice::from_ref(&event)).await?;
    let metadata = &event.detail.metadata;
    line(format!(
        "{} announced, revision {}, id {}",
        name(event.event_type),
        event.detail.data.revision,
        metadata.event_id
    ))?;
    Ok(Verdict::AllIsWell)
}
