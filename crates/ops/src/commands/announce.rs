//! `announce`: publishes what the bus did not take, from the rows.

use books::rows::OrderFilter;
use clap::Args;
use jiff::Timestamp;
use shop::{id::LocationId, order::Order};
use stack::{Deployment, time};

use super::rows::publish_again;
use crate::{error::Error, verdict::Verdict};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Changed within this span before now, such as 10m, 2h or 3d, or since a time such as
    /// 2026-11-24T08:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time::since)]
    since: Timestamp,
    /// Only orders of this shop, such as paris-marais
    #[arg(long, value_name = "SHOP")]
    location: Option<LocationId>,
    /// Print what would be published, and publish nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(deployment: &Deployment, arguments: Arguments) -> Result<Verdict, Error> {
    let Arguments { since, location, dry_run } = arguments;
    let filter = OrderFilter { location, ..OrderFilter::default() };
    let has_changed = |order: &Order| order.history.last().is_some_and(|change| change.at >= since);
    let published = publish_again(deployment, &filter, has_changed, dry_run).await?;
    published.print(dry_run)?;
    Ok(published.verdict())
}
