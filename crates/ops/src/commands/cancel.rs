//! `order ID cancel`: cancels an order for its shop.

use books::journal::Decision;
use clap::Args;
use jiff::Timestamp;
use shop::{
    id::OrderId,
    money::Money,
    order::{Order, PaymentStatus, Trigger},
    reason::Reason,
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
    /// Why, for the customer, whom a mail tells the reason
    #[arg(long, value_name = "TEXT")]
    reason: Reason,
}

pub(super) async fn run(
    deployment: &Deployment,
    id: OrderId,
    Arguments { reason }: Arguments,
) -> Result<Verdict, Error> {
    let order = sources::tables(deployment)?.order(id).await?.ok_or(Error::NoOrder(id))?;
    let trigger = Trigger::CancelledByShop(reason.clone());
    if order.transition(trigger.clone(), Timestamp::now(), None).is_none() {
        return Err(refused(&order));
    }
    for queue in mappings::standing(deployment).await? {
        if ["stock", "refund", "results", mappings::RELAY].contains(&queue.queue.as_str()) {
            message(queue.warning());
        }
    }
    // First the journal, so that no order is cancelled without somebody who wanted it.
    let decision = Decision::Cancelled { order: id };
    line(sources::journal(deployment)?.write(decision, reason.as_str()).await?)?;
    let orders = sources::orders_table(deployment)?;
    match apply_trigger(&orders, order, &trigger, None, Timestamp::now()).await? {
        Outcome::Changed(order) => {
            line(format!("order {id} is cancelled, and its customer is told; {}", money(&order)))?;
            Ok(Verdict::Healthy)
        }
        Outcome::Unchanged(order) => Err(refused(&order)),
    }
}

/// What becomes of the money of a cancelled order.
fn money(order: &Order) -> String {
    let id = order.order_id;
    match order.payment {
        PaymentStatus::Captured if order.is_disputed() => {
            "nothing goes back to them before the bank has decided their dispute of the payment"
                .to_owned()
        }
        PaymentStatus::Captured => {
            let given = order.refunds.iter().filter(|refund| refund.state.is_live());
            let given: u64 = given.map(|refund| refund.amount).sum();
            let left = Money { amount: order.total - given, currency: order.currency };
            format!("{left} goes back to them: `cargo ops order {id}` shows what comes of that")
        }
        _ => "they do not pay for it: a charge that is under way is stopped or refunded".to_owned(),
    }
}

fn refused(order: &Order) -> Error {
    Error::NotCancellable { order: order.order_id, status: order.status }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use shop::{
        dispute::{Dispute, DisputeState},
        order::Status,
        refund::{RefundReport, RefundState},
    };

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        arguments: Arguments,
    }

    #[test]
    fn a_reason_is_required_and_not_blank() {
        assert!(Cli::try_parse_from(["ops"]).is_err());
        assert!(Cli::try_parse_from(["ops", "--reason", " "]).is_err());
        let cli = Cli::try_parse_from(["ops", "--reason", "The oven is broken"]).unwrap();
        assert_eq!(cli.arguments.reason.as_str(), "The oven is broken");
    }

    #[test]
    fn what_is_left_after_earlier_refunds_goes_back() {
        let paid = fixtures::order_with(Status::Ready, PaymentStatus::Captured);
        assert!(money(&paid).starts_with("3.80 EUR goes back"));
        let reason = "One croissant was burnt".parse().unwrap();
        let report = RefundReport { id: 1, attempt: 1, state: RefundState::Succeeded };
        let refunded = fixtures::after(
            paid,
            &[
                Trigger::RefundRequested { amount: 190, reason },
                Trigger::PaymentChanged { version: 3, refunds: vec![report], dispute: None },
            ],
        );
        assert!(money(&refunded).starts_with("1.90 EUR goes back"));
        let dispute = Some(Dispute { state: DisputeState::Open, amount: 380 });
        let disputed = Order { dispute, ..refunded };
        assert!(money(&disputed).starts_with("nothing goes back"));
        let unpaid = fixtures::order_with(Status::Reserved, PaymentStatus::None);
        assert!(money(&unpaid).starts_with("they do not pay"));
    }
}
