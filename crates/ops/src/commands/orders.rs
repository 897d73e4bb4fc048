//! `orders`: the orders that were placed lately.

use std::{cmp::Reverse, collections::BTreeMap};

use books::rows::OrderFilter;
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use shop::{
    id::{LocationId, OrderId},
    order::{Order, Status},
    payment_summary::PaymentSummary,
};
use stack::{Deployment, time};

use crate::{
    error::Error,
    output::{age, count, line, moment, name, table},
    sources,
    verdict::Verdict,
};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Placed within this span before now, such as 10m, 2h or 3d, or since a time such as
    /// 2026-11-24T08:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time::since, default_value = "1d")]
    since: Timestamp,
    /// Only orders in this state, such as reserved
    #[arg(long, value_parser = status)]
    status: Option<Status>,
    /// Only orders whose payment is in this state, as customers see it, such as refund_failed
    #[arg(long, value_name = "STATUS", value_parser = payment)]
    payment: Option<PaymentSummary>,
    /// Only orders of this shop, such as paris-marais
    #[arg(long, value_name = "SHOP")]
    location: Option<LocationId>,
    /// The most orders to show, the newest first
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    limit: usize,
}

/// Parses the state of an order as rows spell it.
fn status(text: &str) -> Result<Status, String> {
    let other = format!("; --payment takes {}", PaymentSummary::ALL.map(name).join(", "));
    one_of(Status::ALL, text).map_err(|error| error + &other)
}

/// Parses the state of a payment as rows spell it.
fn payment(text: &str) -> Result<PaymentSummary, String> {
    one_of(PaymentSummary::ALL, text)
}

fn one_of<T: Copy + Serialize, const N: usize>(known: [T; N], text: &str) -> Result<T, String> {
    let wanted = known.into_iter().find(|known| name(known) == text);
    wanted.ok_or_else(|| format!("must be one of {}", known.map(name).join(", ")))
}

/// The newest orders that were visited, by the time of placing.
struct Newest {
    limit: usize,
    orders: BTreeMap<Reverse<(Timestamp, OrderId)>, Order>,
    /// How many orders were left out.
    older: usize,
}

impl Newest {
    fn add(&mut self, order: Order) {
        self.orders.insert(Reverse((order.placed_at, order.order_id)), order);
        if self.orders.len() > self.limit {
            self.orders.pop_last();
            self.older += 1;
        }
    }
}

pub(super) async fn run(deployment: &Deployment, arguments: Arguments) -> Result<Verdict, Error> {
    let Arguments { since, status, payment, location, limit } = arguments;
    let mut newest = Newest { limit, orders: BTreeMap::new(), older: 0 };
    let mut unreadable = Vec::new();
    let visit = |row| match row {
        Ok(order) if payment.is_none_or(|wanted| PaymentSummary::of(&order) == wanted) => {
            newest.add(order);
        }
        Ok(_) => {}
        Err(row) => unreadable.push(row),
    };
    let filter = OrderFilter { since, status, location };
    sources::tables(deployment)?.each_order(&filter, visit).await?;

    let now = Timestamp::now();
    let mut rows =
        vec![["ORDER", "STATE", "PAYMENT", "SHOP", "PICKUP", "TOTAL", "AGE"].map(str::to_owned)];
    rows.extend(newest.orders.values().map(|order| row(order, now)));
    table(&rows)?;
    let shown = count(newest.orders.len(), "order");
    if newest.older > 0 {
        line(format!("{shown}, and {} older ones: raise --limit", newest.older))?;
    } else {
        line(format!("{shown} since {}; --since shows older ones", moment(since)))?;
    }
    for row in &unreadable {
        line(row)?;
    }
    Ok(Verdict::healthy_if(unreadable.is_empty()))
}

fn row(order: &Order, now: Timestamp) -> [String; 7] {
    [
        order.order_id.to_string(),
        name(order.status),
        name(PaymentSummary::of(order)),
        order.location.to_string(),
        moment(order.pickup_at),
        order.price().to_string(),
        age(order.placed_at, now),
    ]
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn the_newest_orders_are_kept_and_the_others_counted() {
        let mut newest = Newest { limit: 2, orders: BTreeMap::new(), older: 0 };
        for (number, minute) in [(1, 3), (2, 1), (3, 4), (4, 2)] {
            let mut order = fixtures::numbered_order(number);
            order.placed_at += SignedDuration::from_mins(minute);
            newest.add(order);
        }
        let kept: Vec<_> = newest.orders.values().map(|order| order.order_id).collect();
        assert_eq!(kept, [3, 1].map(|number| fixtures::numbered_order(number).order_id));
        assert_eq!(newest.older, 2);
    }

    #[test]
    fn a_state_is_parsed_as_rows_spell_it() {
        assert_eq!(status("cancelled"), Ok(Status::Cancelled));
        assert!(status("canceled").unwrap_err().contains("placed, reserved, confirmed"));
        assert_eq!(payment("refund_failed"), Ok(PaymentSummary::RefundFailed));
        let elsewhere = status("refund_failed").unwrap_err();
        let named = "; --payment takes none, authentication_required, captured, voided, \
                     partly_refunded, refunded, refund_failed, disputed, charged_back";
        assert!(elsewhere.ends_with(named), "{elsewhere}");
    }
}
