//! `reapply-erasures`: erases again what a restored table has brought back.

use std::collections::BTreeSet;

use books::{UnreadableRow, rows::OrderFilter};
use clap::Args;
use shop::order::Order;
use stack::Deployment;

use super::customer_erase::erase_order;
use crate::{
    error::Error,
    output::{count, line},
    sources,
    verdict::Verdict,
};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Print which orders would be erased, and change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(deployment: &Deployment, arguments: &Arguments) -> Result<Verdict, Error> {
    let erased: BTreeSet<String> = sources::journal(deployment)?.erasures().await?;
    let (mut done, mut left) = (0, 0);
    let erase_again = async |rows: Vec<Result<Order, UnreadableRow>>| {
        for row in rows {
            match row {
                Ok(order) if !erased.contains(&order.customer_id.pseudonym()) => {}
                Ok(order) if arguments.dry_run => {
                    line(format!("order {} would be erased", order.order_id))?;
                    done += 1;
                }
                Ok(order) => {
                    let is_erased = erase_order(deployment, order).await?;
                    if is_erased { done += 1 } else { left += 1 }
                }
                Err(row) => {
                    line(row)?;
                    left += 1;
                }
            }
        }
        Ok::<_, Error>(())
    };
    sources::tables(deployment)?.order_pages(&OrderFilter::default(), erase_again).await?;
    let would = if arguments.dry_run { "would be " } else { "" };
    line(format!(
        "{} {would}erased again, {left} left, of {} who were erased before",
        count(done, "order"),
        count(erased.len(), "customer")
    ))?;
    Ok(Verdict::healthy_if(left == 0))
}
