//! `stock LOCATION DAY`: what a shop bakes, holds and has left.

use std::collections::{BTreeMap, BTreeSet};

use books::rows::{StockRow, Tables};
use clap::Args;
use jiff::civil;
use shop::{
    id::{ItemId, LocationId, OrderId},
    stock::{BakePlan, Reservation},
};
use stack::Deployment;

use crate::{
    error::Error,
    output::{line, table},
    sources,
    verdict::Verdict,
};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The shop's id, such as paris-marais
    location: LocationId,
    /// The pickup day in the shop's calendar, such as 2026-11-24
    day: civil::Date,
    /// Also show for which orders each item is held; reads the whole table of stock
    #[arg(long)]
    orders: bool,
}

/// The orders for which an item is held, each with the number of pieces.
type Holders = BTreeMap<ItemId, Vec<(OrderId, u32)>>;

pub(super) async fn run(deployment: &Deployment, arguments: &Arguments) -> Result<Verdict, Error> {
    let Arguments { location, day, orders } = arguments;
    let tables = sources::tables(deployment)?;
    let (plan, menu) = (tables.plan(location).await?, tables.menu(location).await?);
    if plan.is_none() && menu.is_none() {
        return Err(Error::NoShop(location.clone()));
    }
    let plan = plan.unwrap_or_default();
    let holders = if *orders { Some(holders(&tables, location, *day).await?) } else { None };
    // What was taken off the plan may still be held.
    let items: BTreeSet<ItemId> = plan
        .capacity
        .keys()
        .chain(holders.iter().flat_map(BTreeMap::keys))
        .cloned()
        .chain(menu.into_iter().flat_map(|menu| menu.items).map(|item| item.sku))
        .collect();
    let held = tables.held(location, *day, items).await?;
    print(&plan, &held, holders.as_ref())?;
    Ok(Verdict::healthy_if(held.iter().all(|(item, held)| *held <= i64::from(plan.of(item)))))
}

/// The orders with a hold of a shop and a day.
async fn holders(
    tables: &Tables,
    location: &LocationId,
    day: civil::Date,
) -> Result<Holders, Error> {
    let mut holders = Holders::new();
    let visit = |row| {
        let Ok(StockRow::Reservation(order, Reservation::Held(demand))) = row else { return };
        if demand.location != *location || demand.pickup_day != day {
            return;
        }
        for needed in demand.items {
            holders.entry(needed.item).or_default().push((order, needed.quantity));
        }
    };
    tables.every_stock_row(visit).await?;
    Ok(holders)
}

fn print(plan: &BakePlan, held: &[(ItemId, i64)], holders: Option<&Holders>) -> Result<(), Error> {
    let mut rows = vec![["ITEM", "BAKED", "HELD", "LEFT"].map(str::to_owned)];
    rows.extend(held.iter().map(|(item, held)| {
        let baked = i64::from(plan.of(item));
        [item.to_string(), baked.to_string(), held.to_string(), (baked - held).to_string()]
    }));
    table(&rows)?;
    let Some(holders) = holders else { return Ok(()) };
    for (item, orders) in holders {
        line(format!("\n{item} is held for"))?;
        for (order, quantity) in orders {
            line(format!("  {order}  {quantity}"))?;
        }
    }
    Ok(())
}
