//! `logs`: what the functions have logged.

use clap::Args;
use jiff::Timestamp;
use stack::{Deployment, Level, Selection, time};

use crate::{
    error::Error,
    output::{line, moment},
    verdict::Verdict,
};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Only this function, such as payment
    function: Option<String>,
    /// Logged within this span before now, such as 10m, 2h or 3d, or since a time such as
    /// 2026-11-24T08:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time::since, default_value = "10m")]
    since: Timestamp,
    /// Only lines that are at least this serious: error, warn, info, debug or trace
    #[arg(long)]
    level: Option<Level>,
    /// Only lines about this order
    #[arg(long, value_name = "ID")]
    order: Option<String>,
}

pub(super) async fn run(deployment: &Deployment, arguments: Arguments) -> Result<Verdict, Error> {
    let Arguments { function, since, level, order } = arguments;
    let logs = deployment.logs();
    let logs = match &function {
        Some(function) => logs.of(function)?,
        None => logs,
    };
    let mut logs = logs.only(Selection { since: Some(since), level, phrase: order });
    for written in logs.written().await? {
        let (at, message) = (moment(written.at), written.message.trim_end());
        line(format!("{at}  {:<13}  {message}", written.function))?;
    }
    Ok(Verdict::Healthy)
}
