//! `order ID retry`: publishes the event again that the order waits for, and has its payment looked
//! at.

use aws_sdk_sqs::Client as Sqs;
use jiff::Timestamp;
use platform::bus::EventBus;
use resources::Template;
use shop::{
    event::OrderEvent,
    id::OrderId,
    intent_changed::IntentChanged,
    order::{Order, OrderEventType, Status, Trigger},
    refund::RefundState,
};
use stack::{Deployment, error::aws};
use tables::orders::{Outcome, apply_trigger};

use crate::{
    error::Error,
    mappings::standing,
    output::{line, message, name},
    refunds, sources,
    verdict::Verdict,
};

pub(super) async fn run(deployment: &Deployment, id: OrderId) -> Result<Verdict, Error> {
    let order = sources::tables(deployment)?.order(id).await?.ok_or(Error::NoOrder(id))?;
    let settlements = sources::journal(deployment)?.settlements().await?;
    if settlements.values().any(|entry| entry.settles(id)) {
        return Err(Error::Settled(id));
    }
    let failed: Vec<_> = order
        .refunds
        .iter()
        .filter(|refund| refund.state == RefundState::Failed)
        .map(|refund| refund.id)
        .collect();
    if !failed.is_empty() {
        return retry_refunds(deployment, order, failed).await;
    }
    let is_decided = !matches!(order.status, Status::Placed | Status::Reserved);
    let event = OrderEvent::repeated(order).ok_or(Error::NoHistory(id))?;
    let mut needed = queues_of(event.event_type);
    if is_decided {
        needed.push("intent".to_owned());
    }
    for queue in standing(deployment).await?.iter().filter(|it| needed.contains(&it.queue)) {
        message(queue.warning());
    }
    sources::bus(deployment)?.publish(std::slice::from_ref(&event)).await?;
    line(format!(
        "{} published again, revision {}, id {}; `cargo ops order {id}` shows what comes of it",
        name(event.event_type),
        event.detail.data.revision,
        event.detail.metadata.event_id
    ))?;
    if is_decided {
        look_at_payment(deployment, id).await?;
    }
    Ok(Verdict::Healthy)
}

/// Has the payment function look up what others have done at the provider, as an event of the
/// provider does.
async fn look_at_payment(deployment: &Deployment, id: OrderId) -> Result<(), Error> {
    let payment = sources::tables(deployment)?.payment(id).await?;
    let Some(intent) = payment.as_ref().and_then(|row| row.payment.intent()) else {
        return Ok(());
    };
    let queue = deployment.resource("IntentQueue")?;
    let changed = serde_json::to_string(&IntentChanged::new(intent.clone()))?;
    let send = Sqs::new(&deployment.config).send_message().queue_url(queue).message_body(changed);
    send.send().await.map_err(aws("sqs:SendMessage"))?;
    line(format!("{} is looked at once more", intent.as_str()))
}

/// Asks for refunds again that have failed. That is a change of the order, which the relay
/// publishes.
async fn retry_refunds(
    deployment: &Deployment,
    mut order: Order,
    failed: Vec<u32>,
) -> Result<Verdict, Error> {
    let (id, orders) = (order.order_id, sources::orders_table(deployment)?);
    if refunds::still_open(deployment, &[id]).await?.is_empty() {
        return Err(Error::RefundedByHand(id));
    }
    for refund in failed {
        let trigger = Trigger::RefundRetried(refund);
        let outcome = apply_trigger(&orders, order, &trigger, None, Timestamp::now()).await?;
        order = match outcome {
            Outcome::Changed(order) => {
                line(format!("refund {refund} of order {id} is asked for again"))?;
                order
            }
            Outcome::Unchanged(order) => {
                line(format!(
                    "refund {refund} of order {id} is left as it is: somebody was faster"
                ))?;
                order
            }
        };
    }
    line(format!("`cargo ops order {id}` shows what comes of it"))?;
    Ok(Verdict::Healthy)
}

/// The queues that get an event, and the one through which the functions report.
fn queues_of(event: OrderEventType) -> Vec<String> {
    let template = Template::on_aws();
    let (event, results) = (name(event), "results".to_owned());
    let mut queues = template.queues();
    queues.retain(|queue| template.events_of(queue).contains(&*event));
    queues.into_iter().map(str::to_lowercase).chain([results]).collect()
}

#[cfg(test)]
mod tests {
    use shop::order::Trigger;

    use super::*;

    fn after(triggers: &[Trigger]) -> Option<OrderEventType> {
        let order = fixtures::after(fixtures::order(), triggers);
        OrderEvent::repeated(order).map(|event| event.event_type)
    }

    #[test]
    fn an_event_needs_the_queues_that_the_template_puts_it_into() {
        assert_eq!(queues_of(OrderEventType::Reserved), ["charge", "results"]);
        assert_eq!(queues_of(OrderEventType::Cancelled), ["notice", "refund", "stock", "results"]);
    }

    #[test]
    fn the_last_event_is_published_again() {
        assert_eq!(after(&[]), Some(OrderEventType::Placed));
        assert_eq!(after(&[Trigger::StockReserved]), Some(OrderEventType::Reserved));
    }

    #[test]
    fn after_a_failed_refund_the_event_is_published_for_which_a_refund_is_tried() {
        let paid = [Trigger::StockReserved, Trigger::PaymentCaptured, Trigger::Cancelled];
        let failed = [&paid[..], &[Trigger::RefundFailed(0)]].concat();
        assert_eq!(after(&failed), Some(OrderEventType::Cancelled));
        let refunded = [&failed[..], &[Trigger::PaymentRefunded(0)]].concat();
        assert_eq!(after(&refunded), Some(OrderEventType::PaymentChanged));
    }
}
