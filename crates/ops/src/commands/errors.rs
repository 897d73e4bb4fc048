//! `errors`: what the functions report as errors, by function and cause.

use clap::Args;
use jiff::Timestamp;
use stack::{Deployment, time};

use crate::{
    error::Error,
    incidents::groups,
    output::{count, line, moment, table},
    verdict::Verdict,
};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Reported within this span before now, such as 10m, 2h or 3d, or since a time such as
    /// 2026-11-24T08:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time::since, default_value = "15m")]
    since: Timestamp,
    /// Only those about this order
    #[arg(long, value_name = "ID")]
    order: Option<String>,
}

pub(super) async fn run(deployment: &Deployment, arguments: &Arguments) -> Result<Verdict, Error> {
    let mut lines = deployment.logs().errors(arguments.since).await?;
    if let Some(order) = &arguments.order {
        lines.retain(|line| line.message.contains(order));
    }
    let groups = groups(&lines);
    let mut rows =
        vec![["COUNT", "FUNCTION", "FIRST", "LAST", "ORDER", "ERROR"].map(str::to_owned)];
    rows.extend(groups.iter().map(|group| {
        [
            group.count.to_string(),
            group.function.clone(),
            moment(group.first),
            moment(group.last),
            group.order.clone().unwrap_or_else(|| "-".to_owned()),
            group.cause.clone(),
        ]
    }));
    table(&rows)?;
    let errors = count(lines.len(), "error");
    line(format!("{errors} since {}; --since shows older ones", moment(arguments.since)))?;
    Ok(Verdict::healthy_if(lines.is_empty()))
}
