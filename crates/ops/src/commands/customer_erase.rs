//! `customer ID erase`: deletes what leads to a customer.

use books::journal::Decision;
use jiff::Timestamp;
use shop::{
    id::CustomerId,
    order::{Order, Trigger},
};
use stack::Deployment;
use tables::orders::{Outcome, apply_trigger};

use crate::{
    customers::{Account, Customers, forget_bounces, obstacle, orders_of},
    dead_letters::DeadLetterQueues,
    error::Error,
    output::{line, message, moment},
    sources,
    verdict::Verdict,
};

pub(super) async fn run(deployment: &Deployment, id: &str, wait: bool) -> Result<Verdict, Error> {
    let customers = Customers::of(deployment)?;
    let (customer, account) = customers.find(id).await?;
    if is_hindered(deployment, &customer).await? {
        return Ok(Verdict::Unhealthy);
    }
    if let Some(until) = shut_out(&customers, account.as_ref()).await? {
        line(format!(
            "the customer can no longer sign in; a token that they may have is valid until {}",
            moment(until)
        ))?;
        if !wait {
            line("nothing is erased yet: run the command again after that, or with --wait")?;
            return Ok(Verdict::Unhealthy);
        }
        let left = until.duration_since(Timestamp::now());
        tokio::time::sleep(left.try_into().unwrap_or_default()).await;
        // They may have ordered until then.
        if is_hindered(deployment, &customer).await? {
            return Ok(Verdict::Unhealthy);
        }
    }
    erase(deployment, &customers, &customer, account.as_ref()).await
}

/// Prints why the customer's data cannot be erased yet, if so.
///
/// Messages in the queues of functions are none of the reasons. They go by themselves, what
/// functions write because of them holds nothing personal, and a notice finds no address.
async fn is_hindered(deployment: &Deployment, customer: &CustomerId) -> Result<bool, Error> {
    let orders = orders_of(deployment, customer).await?;
    let mut obstacles = Vec::new();
    let now = Timestamp::now();
    for order in &orders {
        obstacles.extend(obstacle(deployment, order, now).await?);
    }
    let queues = DeadLetterQueues::of(deployment).await?;
    for (queue, letter) in queues.peek_all().await? {
        let about_order = |order: &Order| letter.mentions(&order.order_id.to_string());
        if letter.mentions(customer.as_str()) || orders.iter().any(about_order) {
            obstacles.push(format!(
                "message {} in the dead-letter queue {} is about the customer: `cargo ops dlq \
                 redrive {}`, or discard it",
                letter.id, queue.name, queue.name
            ));
        }
    }
    obstacles.iter().try_for_each(line)?;
    if !obstacles.is_empty() {
        line("nothing is erased: run the command again when that is over")?;
    }
    Ok(!obstacles.is_empty())
}

/// Lets the customer no longer sign in. Returns until when a token of theirs may be valid, if it
/// still may.
async fn shut_out(
    customers: &Customers,
    account: Option<&Account>,
) -> Result<Option<Timestamp>, Error> {
    let Some(account) = account else { return Ok(None) };
    let since = if account.enabled {
        customers.shut_out(&account.id).await?;
        Timestamp::now()
    } else {
        account.changed
    };
    let until = since + customers.token_life().await?;
    Ok(Some(until).filter(|until| *until > Timestamp::now()))
}

async fn erase(
    deployment: &Deployment,
    customers: &Customers,
    customer: &CustomerId,
    account: Option<&Account>,
) -> Result<Verdict, Error> {
    let orders = orders_of(deployment, customer).await?;
    if orders.is_empty() && account.is_none() {
        line(
            "nothing is stored about this customer: there is no account and no order under this id",
        )?;
        return Ok(Verdict::Healthy);
    }
    if account.is_none() {
        message(
            "there is no account: if it was deleted within the last hour, the customer may still \
             order; run the command again after that",
        );
    }
    // First the ledger, so that whatever is erased is erased again after a restore.
    let decision = Decision::Erased {
        customer: customer.pseudonym(),
        orders: orders.iter().map(|order| order.order_id).collect(),
    };
    line(sources::journal(deployment)?.write(decision, "the customer wants it").await?)?;
    let mut left = 0;
    for order in orders {
        left += usize::from(!erase_order(deployment, order).await?);
    }
    if left > 0 {
        message("the account stays for as long as there are such orders: run the command again");
        return Ok(Verdict::Unhealthy);
    }
    if let Some(address) = account.and_then(Account::address) {
        forget_bounces(deployment, address).await?;
    }
    customers.delete(customer).await?;
    line("what can be edited about the customer is erased; docs/privacy.md lists the rest")?;
    Ok(Verdict::Healthy)
}

/// Erases the customer from an order. Returns whether that is done.
pub(super) async fn erase_order(deployment: &Deployment, order: Order) -> Result<bool, Error> {
    let id = order.order_id;
    let now = Timestamp::now();
    if let Some(obstacle) = obstacle(deployment, &order, now).await? {
        line(format!("{obstacle}; it is not erased"))?;
        return Ok(false);
    }
    let orders = sources::orders_table(deployment)?;
    match apply_trigger(&orders, order, &Trigger::ErasureRequested, None, now).await? {
        Outcome::Changed(_) => line(format!("order {id} is erased"))?,
        // Somebody else has erased it meanwhile, since an order that has ended does not go on.
        Outcome::Unchanged(order) => line(format!(
            "order {id} is {}",
            if order.customer_id.is_erased() { "already erased" } else { "not erased" }
        ))?,
    }
    Ok(true)
}
