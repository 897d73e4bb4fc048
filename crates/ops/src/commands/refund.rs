//! `order ID refund`: gives a part of a paid order back, or all that is left of it.

use books::journal::Decision;
use clap::Args;
use jiff::Timestamp;
use shop::{
    id::OrderId,
    money::Money,
    order::{MAX_REFUNDS, Order, Trigger},
    reason::Reason,
    refund::Refund,
};
use stack::Deployment;
use tables::orders::{Outcome, apply_trigger};

use crate::{
    error::Error,
    mappings,
    output::{line, message},
    sources,
    verdict::Verdict,
};

#[derive(Args, Clone, Debug)]
pub(super) struct Arguments {
    /// How much, in the order's currency, such as 1.90
    #[arg(long, value_name = "AMOUNT", required_unless_present = "all")]
    amount: Option<String>,
    /// All that is left of what the customer has paid
    #[arg(long, conflicts_with = "amount")]
    all: bool,
    /// Why, for the customer, whom a mail tells the amount and the reason
    #[arg(long, value_name = "TEXT")]
    reason: Reason,
    /// Give it back although the order has a refund of the same amount for the same reason
    #[arg(long)]
    again: bool,
}

pub(super) async fn run(
    deployment: &Deployment,
    id: OrderId,
    arguments: Arguments,
) -> Result<Verdict, Error> {
    let order = sources::tables(deployment)?.order(id).await?.ok_or(Error::NoOrder(id))?;
    let amount = arguments.amount(&order)?;
    for queue in mappings::standing(deployment).await? {
        if ["refund", "results", mappings::RELAY].contains(&queue.queue.as_str()) {
            message(queue.warning());
        }
    }
    // First the journal, so that no refund is without somebody who wanted it.
    let decision = Decision::Refunded { order: id, amount };
    line(sources::journal(deployment)?.write(decision, arguments.reason.as_str()).await?)?;
    let trigger =
        Trigger::RefundRequested { amount: amount.amount, reason: arguments.reason.clone() };
    let orders = sources::orders_table(deployment)?;
    match apply_trigger(&orders, order, &trigger, None, Timestamp::now()).await? {
        Outcome::Changed(order) => {
            let refund = order.refunds.last().map_or(0, |refund| refund.id);
            line(format!(
                "refund {refund} of {amount} is asked for; `cargo ops order {id}` shows what comes \
                 of it"
            ))?;
            Ok(Verdict::Healthy)
        }
        Outcome::Unchanged(order) => Err(refused(&order, amount)),
    }
}

impl Arguments {
    /// How much to give back.
    fn amount(&self, order: &Order) -> Result<Money, Error> {
        let left = Money { amount: order.refundable(), currency: order.currency };
        let amount = match &self.amount {
            None => left,
            Some(text) => Money::parse(text, order.currency)?,
        };
        if amount.amount == 0 || amount.amount > left.amount {
            return Err(refused(order, amount));
        }
        let is_same = |refund: &&Refund| {
            refund.amount == amount.amount && refund.reason == self.reason && refund.state.is_live()
        };
        match order.refunds.iter().find(is_same) {
            Some(same) if !self.again => {
                Err(Error::RefundRepeated { order: order.order_id, refund: same.id })
            }
            _ => Ok(amount),
        }
    }
}

/// Why an order gives nothing back.
fn refused(order: &Order, amount: Money) -> Error {
    let left = Money { amount: order.refundable(), currency: order.currency };
    if order.refunds.len() >= MAX_REFUNDS {
        return Error::TooManyRefunds(order.order_id);
    }
    if order.is_disputed() {
        return Error::Disputed(order.order_id);
    }
    Error::NotRefundable { order: order.order_id, status: order.status, amount, left }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use shop::order::{PaymentStatus, Status};

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn amount(order: &Order, arguments: &[&str]) -> Result<u64, String> {
        let arguments = [&["ops", "--reason", "One croissant was burnt"], arguments].concat();
        let Cli { arguments } = Cli::try_parse_from(arguments).unwrap();
        arguments.amount(order).map(|money| money.amount).map_err(|error| error.to_string())
    }

    #[test]
    fn an_amount_is_at_most_what_is_left_and_not_given_back_twice_by_mistake() {
        let paid = fixtures::order_with(Status::Confirmed, PaymentStatus::Captured);
        assert_eq!(amount(&paid, &["--amount", "1.90"]), Ok(190));
        assert_eq!(amount(&paid, &["--all"]), Ok(380));
        let too_much = amount(&paid, &["--amount", "3.81"]).unwrap_err();
        assert!(too_much.contains("3.80 EUR"), "{too_much}");
        assert!(amount(&paid, &["--amount", "0"]).is_err());
        assert!(amount(&paid, &["--amount", "1.905"]).is_err());

        let reason = "One croissant was burnt".parse().unwrap();
        let refund = Trigger::RefundRequested { amount: 190, reason };
        let once = fixtures::after(paid, &[refund]);
        assert_eq!(amount(&once, &["--all", "--again"]), Ok(190));
        assert!(amount(&once, &["--amount", "1.90"]).unwrap_err().contains("--again"));
        assert_eq!(amount(&once, &["--amount", "1.00"]), Ok(100));
        let ended = fixtures::order_with(Status::Cancelled, PaymentStatus::Captured);
        assert!(amount(&ended, &["--all"]).unwrap_err().contains("cancelled"));
    }

    #[test]
    fn a_reason_is_required_and_not_blank() {
        assert!(Cli::try_parse_from(["ops", "--all"]).is_err());
        assert!(Cli::try_parse_from(["ops", "--all", "--reason", " "]).is_err());
        assert!(Cli::try_parse_from(["ops", "--reason", "burnt"]).is_err());
    }
}
