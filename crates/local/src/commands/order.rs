//! Placing an order and following it.

use std::{process::ExitCode, time::Instant};

use clap::Args;
use jiff::Timestamp;
use local::{Error, Stack, order::name};
use serde_json::{Value, json};
use shop::order::{OrderEventType, Status};

use crate::output;

/// The customer unless another is given.
pub(super) const CUSTOMER: &str = "ada";

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Id of the shop, such as paris-marais
    #[arg(long)]
    location: String,
    /// An item and its quantity, such as croissant=2; repeat the option for more items
    #[arg(long = "item", value_name = "SKU=N", required = true, value_parser = parse_item)]
    items: Vec<(String, u64)>,
    /// When to pick the order up, such as 2030-01-31T10:00:00+01:00; as soon as possible if absent
    #[arg(long, value_name = "TIME")]
    pickup_at: Option<Timestamp>,
    /// A test payment method of Stripe, such as pm_card_chargeDeclined
    #[arg(long, default_value = "pm_card_visa", value_name = "TOKEN")]
    payment_method: String,
    /// Name of the customer, who is created if necessary
    #[arg(long, default_value = CUSTOMER, value_name = "NAME")]
    user: String,
}

fn parse_item(text: &str) -> Result<(String, u64), String> {
    let (sku, quantity) = text.split_once('=').ok_or("expected SKU=N, such as croissant=2")?;
    let quantity = quantity.parse().map_err(|_| format!("`{quantity}` is not a quantity"))?;
    Ok((sku.to_owned(), quantity))
}

pub(super) async fn run(stack: &Stack, arguments: &Arguments) -> Result<ExitCode, Error> {
    let lines: Vec<Value> = arguments
        .items
        .iter()
        .map(|(item, quantity)| json!({"item": item, "quantity": quantity}))
        .collect();
    let order = json!({
        "location": arguments.location,
        "lines": lines,
        "payment_method": arguments.payment_method,
        "pickup_at": arguments.pickup_at
    });
    let token = stack.token(&arguments.user, false).await?;
    let id = place(stack, &token, &order).await?;
    // At once, since the order stays whatever becomes of this command.
    output::line(&id)?;
    Ok(match follow(stack, &token, &id).await? {
        Status::Rejected | Status::Cancelled | Status::Expired => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    })
}

/// Places an order and reports how long that took. Returns its id.
pub(super) async fn place(stack: &Stack, token: &str, order: &Value) -> Result<String, Error> {
    let started = Instant::now();
    let id = stack.place(token, order).await?;
    output::message(format!("order answered after {} ms", started.elapsed().as_millis()));
    Ok(id)
}

/// Reports each state of an order with the milliseconds since it was placed, and returns the last.
pub(super) async fn follow(stack: &Stack, token: &str, id: &str) -> Result<Status, Error> {
    let mut placed_at = None;
    let order = stack.follow(token, id, |order, entry| {
        let placed_at = *placed_at.get_or_insert(entry.at);
        let milliseconds = entry.at.duration_since(placed_at).as_millis();
        let page = order.authentication_url.as_deref();
        let what = match page.filter(|_| entry.event == OrderEventType::AuthenticationRequired) {
            Some(page) => format!(
                "the bank asks the customer to authenticate: open {page} in a browser, or run \
                 `curl {page} --data outcome=complete`"
            ),
            None => name(&entry.status),
        };
        output::message(format!("{milliseconds:>7} ms  {what}"));
    });
    let order = order.await?;
    if let Some(reason) = &order.rejection {
        output::message(format!("            {reason}"));
    }
    Ok(order.status)
}

#[derive(Args, Debug)]
pub(super) struct Cancellation {
    /// Id of the order, which `cargo local order` prints
    id: String,
    /// Name of the customer who placed it
    #[arg(long, default_value = CUSTOMER, value_name = "NAME")]
    user: String,
}

/// Cancels an order, and prints what becomes of it and of its money.
pub(super) async fn cancel(stack: &Stack, arguments: &Cancellation) -> Result<(), Error> {
    let Cancellation { id, user } = arguments;
    let token = stack.token(user, false).await?;
    let order = stack.cancel(&token, id).await?;
    output::line(name(&order.status))?;
    let order = stack.follow_refund(&token, id).await?;
    output::line(format!("payment: {}", order.payment))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_parsed_with_its_quantity() {
        assert_eq!(parse_item("croissant=2"), Ok(("croissant".to_owned(), 2)));
        assert_eq!(parse_item("croissant").unwrap_err(), "expected SKU=N, such as croissant=2");
        assert_eq!(parse_item("croissant=two").unwrap_err(), "`two` is not a quantity");
    }
}
