//! The commands. Each has its arguments and what it does with a stack.

mod announce;
mod dlq_list;
mod dlq_redrive;
mod dlq_show;
mod order;
mod reconcile;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use local::Options;
use shop::id::OrderId;

use crate::{deployment::Deployment, error::Error};

/// Sees, explains and repairs what went wrong in a running stack.
///
/// Ends with status 0 when all is well, 1 when something is wrong that the command has printed, and
/// 2 when it could not tell.
#[derive(Debug, Parser)]
#[command(
    name = "cargo ops",
    bin_name = "cargo ops",
    version,
    subcommand_help_heading = "Commands"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    target: Target,
    #[command(subcommand)]
    command: Command,
}

/// Which stack is meant.
#[derive(Args, Debug)]
struct Target {
    /// The stack of that name, in the AWS account and region of your environment
    #[arg(
        long,
        global = true,
        default_value = "amelie",
        value_name = "NAME",
        conflicts_with = "local"
    )]
    stack: String,
    /// The stack that `cargo local` runs
    #[arg(long, global = true)]
    local: bool,
    /// Where that keeps its state [default: target/local]
    #[arg(long, global = true, env = "AMELIE_STATE_DIR", value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Dead-letter queues: what could not be handled, why, and back with it
    #[command(subcommand)]
    Dlq(DlqCommand),
    /// Tells everything known of one order, in the order of time
    Order(OrderArguments),
    /// Compares orders, payments, the provider's books and stock, and prints every difference
    ///
    /// Orders that are still under way are no difference; they are listed as pending. Ends with
    /// status 0 when there is no difference, 1 when there are some, and 2 when it could not tell.
    Reconcile,
}

#[derive(Debug, Subcommand)]
enum DlqCommand {
    /// Lists all dead-letter queues with what feeds them, how many records they hold and since when
    ///
    /// Ends with status 0 when all are empty, 1 when some are not, and 2 when it could not tell.
    List,
    /// Shows the records of a dead-letter queue, each with the last error that was logged for it
    ///
    /// Nothing is taken out of the queue. Looking hides its records from others for the moment that
    /// it takes.
    Show(dlq_show::Arguments),
    /// Sends records back to where they come from, and takes them out of the dead-letter queue
    ///
    /// Mend first what they failed for. Every record is sent before it is taken out, so that none
    /// is lost; one that comes twice does no harm. Ends with status 1 when records have to stay,
    /// each with what is to be done about it.
    Redrive(dlq_redrive::Arguments),
}

#[derive(Args, Debug)]
struct OrderArguments {
    /// The order's id
    id: OrderId,
    /// As one JSON object, for machines
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    action: Option<OrderAction>,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum OrderAction {
    /// Puts the order's last event on the bus again, as its row has it and under the same id
    ///
    /// Whoever has handled it ignores it. For what the bus has lost: an order that stays where it
    /// is without a dead letter.
    Announce,
}

/// What a command has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing to be done.
    AllIsWell,
    /// Something, which was printed.
    SomethingIsWrong,
}

impl Verdict {
    /// Fine if nothing is wrong.
    fn well_if(well: bool) -> Self {
        if well { Self::AllIsWell } else { Self::SomethingIsWrong }
    }
}

impl Cli {
    pub(crate) async fn run(self) -> Result<Verdict, Error> {
        let deployment = &self.target.deployment().await?;
        match self.command {
            Command::Dlq(DlqCommand::List) => dlq_list::run(deployment).await,
            Command::Dlq(DlqCommand::Show(arguments)) => {
                dlq_show::run(deployment, &arguments).await
            }
            Command::Dlq(DlqCommand::Redrive(arguments)) => {
                dlq_redrive::run(deployment, &arguments).await
            }
            Command::Order(OrderArguments { id, action: Some(OrderAction::Announce), .. }) => {
                announce::run(deployment, id).await
            }
            Command::Order(OrderArguments { id, json, action: None }) => {
                order::run(deployment, id, json).await
            }
            Command::Reconcile => reconcile::run(deployment).await,
        }
    }
}

impl Target {
    async fn deployment(&self) -> Result<Deployment, Error> {
        if self.local {
            let state_dir = self.state_dir.clone().unwrap_or_else(Options::default_state_dir);
            Deployment::embedded(&state_dir).await
        } else {
            Deployment::on_aws(&self.stack).await
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_order_is_told_of_unless_something_is_to_be_done_with_it() {
        let action = |arguments: &[&str]| {
            let id = "0b7c55f2-9d4e-4c6b-8a1f-3e2d7c9014aa";
            let cli = Cli::try_parse_from([&["ops", "--local", "order", id], arguments].concat())
                .unwrap();
            let Command::Order(arguments) = cli.command else { panic!("no order") };
            arguments.action
        };
        assert!(action(&["--json"]).is_none());
        assert!(matches!(action(&["announce"]), Some(OrderAction::Announce)));
    }

    #[test]
    fn a_stack_is_on_aws_or_here() {
        assert!(Cli::try_parse_from(["ops", "--local", "--stack", "amelie", "reconcile"]).is_err());
    }
}
