//! `journal`: what operators have decided by hand.

use clap::Args;
use jiff::Timestamp;
use stack::{Deployment, time};

use crate::{
    error::Error,
    output::{count, line, moment},
    sources,
    verdict::Verdict,
};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Decided within this span before now, such as 10m, 2h or 3d, or since a time such as
    /// 2026-11-24T08:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time::since, default_value = "30d")]
    since: Timestamp,
}

pub(super) async fn run(deployment: &Deployment, arguments: &Arguments) -> Result<Verdict, Error> {
    let entries = sources::journal(deployment)?.entries(arguments.since).await?;
    entries.iter().try_for_each(line)?;
    let decisions = count(entries.len(), "decision");
    line(format!("{decisions} since {}; --since shows older ones", moment(arguments.since)))?;
    Ok(Verdict::Healthy)
}
