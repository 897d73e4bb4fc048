//! `mapping enable`: lets Lambda take messages from a queue again.

use clap::Args;
use stack::Deployment;

use crate::{
    error::Error,
    mappings::{Enabling, enable},
    output::line,
    verdict::Verdict,
};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The queue's name in `dlq list`, such as charge, or relay for the stream of orders
    queue: String,
}

pub(super) async fn run(deployment: &Deployment, arguments: &Arguments) -> Result<Verdict, Error> {
    line(match enable(deployment, &arguments.queue).await? {
        Enabling::Begun { mapping } => format!(
            "the mapping {mapping} is being enabled, which takes up to a minute: `cargo ops \
             health` no longer names it then"
        ),
        Enabling::Unneeded { mapping } => {
            format!("the mapping {mapping} was enabled before, and nothing was changed")
        }
    })?;
    Ok(Verdict::Healthy)
}
