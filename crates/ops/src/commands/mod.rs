//! The command line.

mod announce;
mod cancel;
mod customer_erase;
mod customer_export;
mod dlq_discard;
mod dlq_list;
mod dlq_redrive;
mod dlq_show;
mod erasures;
mod errors;
mod health;
mod import;
mod journal;
mod letters;
mod logs;
mod mapping;
mod order;
mod orders;
mod reason;
mod reconcile;
mod refund;
mod replay;
mod retry;
mod rows;
mod stock;

use std::path::PathBuf;

use aws_config::SdkConfig;
use clap::{Args, Parser, Subcommand};
use shop::id::OrderId;
use stack::{Deployment, Embedded, on_aws, state_dir};

use crate::{error::Error, output::name_stack_in_hints, verdict::Verdict};

/// Finds, explains and repairs failures in a running stack.
///
/// Exits with status 0 if nothing needs attention, 1 if something does, and 2 if the command itself
/// failed.
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

/// The name that a stack has unless its deployment gives it another.
const DEFAULT_STACK: &str = "amelie";

/// The stack to work on.
#[derive(Args, Debug)]
struct Target {
    /// The stack's name in the AWS account and region of your environment
    #[arg(
        long,
        global = true,
        default_value = DEFAULT_STACK,
        value_name = "NAME",
        conflicts_with = "local"
    )]
    stack: String,
    /// Work on the stack that `cargo local` runs
    #[arg(long, global = true)]
    local: bool,
    /// The state directory of `cargo local` [default: target/local]
    #[arg(long, global = true, env = "AMELIE_STATE_DIR", value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Says what is wrong now, worst first, each with its section of the runbook
    ///
    /// Checks orders, rows, queues with their mappings, dead letters, the errors of the last ten
    /// minutes, each cause by itself, and alarms. What is over by now is listed last and does not
    /// count: errors that were not repeated for two minutes and whose messages have come through
    /// since, and alarms of whose causes nothing is left. Reads all tables, which costs about five
    /// cents for a month of 320,000 orders. Exits with status 0 if nothing is wrong, 1 if something
    /// is, and 2 if the command itself failed.
    Health,
    /// Lists, shows, redrives and discards dead letters
    #[command(subcommand)]
    Dlq(DlqCommand),
    /// Lets Lambda take messages from a queue again
    #[command(subcommand)]
    Mapping(MappingCommand),
    /// Shows everything that is known about an order, what happened to it in order of time, and
    /// what to do
    ///
    /// Exits with status 0 if the order needs nobody, 1 if it does (it is stuck, its refund failed,
    /// it has a dead letter, what it waits for was discarded or is taken by nobody, one of its rows
    /// cannot be read, or its books differ), and 2 if the command itself failed.
    Order(OrderArguments),
    /// Lists the orders that were placed lately, the newest first
    ///
    /// Those of the last day, unless --since is given. Reads the whole table of orders, which costs
    /// about two cents for a month of 320,000. Exits with status 0, 1 if rows cannot be read, and 2
    /// if the command itself failed.
    Orders(orders::Arguments),
    /// Lists the errors that the functions reported lately, by function and cause
    ///
    /// Those of the last 15 minutes, unless --since is given. Exits with status 0 if no error was
    /// reported, 1 if any was, and 2 if the command itself failed.
    Errors(errors::Arguments),
    /// Shows what the functions logged lately
    ///
    /// In the last ten minutes, unless --since is given. Exits with status 0, and 2 if the command
    /// itself failed.
    Logs(logs::Arguments),
    /// Shows how many pieces of each item a shop bakes, holds for orders and has left for a day
    ///
    /// Exits with status 0, 1 if more is held than baked, and 2 if the command itself failed.
    Stock(stock::Arguments),
    /// Compares orders, payments, the provider's books and stock, and prints every difference
    ///
    /// Each difference is printed with its key and with what to do about it. Orders that are still
    /// changing are not differences; they are listed as pending. What was settled by hand is listed
    /// and does not count. Exits with status 0 if there is no difference, 1 if there are some, and
    /// 2 if the command itself failed.
    Reconcile(reconcile::Arguments),
    /// Exports or erases what is stored about a customer
    Customer(CustomerArguments),
    /// Erases again what a restored table has brought back, by the journal
    ///
    /// Reads the whole table of orders, page by page. Exits with status 0 once everything is
    /// erased, 1 if something has to wait or cannot be read (the command prints what), and 2 if the
    /// command itself failed. Repeating it changes nothing.
    ReapplyErasures(erasures::Arguments),
    /// Delivers what passed the bus in a time again, from its archive
    ///
    /// For queues that have lost messages. order.reserved, which the archive lacks because it
    /// carries the payment method, is then published from the rows for orders that wait for their
    /// charge. If something was settled by hand about an order of that time, so are the refunds of
    /// all others. Consumers that have handled an event before ignore it. Exits with status 0 once
    /// everything is delivered, 1 if rows cannot be read, and 2 if the command itself failed.
    Replay(replay::Arguments),
    /// Publishes the last event of each order that has changed lately again, from the rows
    ///
    /// For a bus that took nothing for so long that the stream gave events up. Of an order that
    /// went on meanwhile, the events before the last one do not come back: nothing waits for them
    /// any longer, and a mail that says that an order is confirmed does not help who can collect
    /// it. Reads the whole table of orders, page by page, which costs about two cents for a month
    /// of 320,000. The events have the same ids as before, and consumers that have handled them
    /// ignore them. Exits
    /// with status 0 once they are published, 1 if rows cannot be read, and 2 if the command itself
    /// failed; it may then be repeated.
    Announce(announce::Arguments),
    /// Lists what operators have decided by hand: discarded dead letters, differences that were
    /// settled or whose settlement was withdrawn, and erased customers
    ///
    /// Those of the last 30 days, unless --since is given. Exits with status 0, and 2 if the
    /// command itself failed.
    Journal(journal::Arguments),
    /// Takes the tables, the user pool and the journal of a deleted stack into a new one
    ///
    /// Deleting a stack keeps them. This creates a stack of the same name out of them and changes
    /// nothing in them; `sam deploy` then adds everything else to it. Exits with status 0, and 2 if
    /// something is missing or ambiguous.
    Import(import::Arguments),
}

#[derive(Debug, Subcommand)]
enum DlqCommand {
    /// Lists all dead-letter queues: how many letters they hold, since when, and what feeds them
    ///
    /// Exits with status 0 if all are empty, 1 if some are not, and 2 if the command itself failed.
    List,
    /// Shows the letters of a queue, each with the last error that was logged for it and its record
    ///
    /// The queue is unchanged afterwards. While the command runs, other consumers do not see the
    /// letters. Payment methods, secrets and customers' notes are left out. Exits with status 0,
    /// and 2 if the command itself failed.
    Show(dlq_show::Arguments),
    /// Sends the letters of a queue back to where they come from, and deletes them
    ///
    /// Correct first what made them fail. Every letter is sent before it is deleted, so none is
    /// lost, and receiving one twice does no harm. What nobody reads is kept, and what was settled
    /// by hand, unless --force is given. Exits with status 0, 1 if letters have to be kept (the
    /// command prints what to do about each), and 2 if the command itself failed.
    Redrive(dlq_redrive::Arguments),
    /// Deletes one letter for good
    ///
    /// Who deleted it, when and why is kept in the stack's journal. Exits with status 0 once it is
    /// deleted, and 2 if there is no such letter.
    Discard(dlq_discard::Arguments),
}

#[derive(Debug, Subcommand)]
enum MappingCommand {
    /// Enables the mapping of a queue, or of the stream of orders, that somebody has disabled
    ///
    /// Exits with status 0 if it is enabled or was before, and 2 if there is no such mapping or it
    /// was deleted.
    Enable(mapping::Arguments),
}

#[derive(Args, Debug)]
struct OrderArguments {
    /// The order's id
    id: OrderId,
    /// Print one JSON object, for other programs
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    action: Option<OrderAction>,
}

#[derive(Args, Debug)]
struct CustomerArguments {
    /// The customer's id, which is the `sub` of their tokens, or the address of their account
    id: String,
    #[command(subcommand)]
    action: CustomerAction,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum CustomerAction {
    /// Prints everything that is stored about the customer
    ///
    /// Exits with status 0, 1 if rows cannot be read, and 2 if the command itself failed.
    Export {
        /// Print one JSON object, with every field
        #[arg(long)]
        json: bool,
    },
    /// Deletes the account and what leads from orders to the customer; what the books need stays
    ///
    /// Changes nothing as long as an order is under way, the customer is owed a refund that failed,
    /// or a dead letter is about them: the command prints which, and what to do. Then lets the
    /// customer no longer sign in, waits until their tokens have expired, and erases. Exits with
    /// status 0 once everything is erased, 1 if it has to be run again later, and 2 if the command
    /// itself failed. Repeating it changes nothing.
    Erase {
        /// Wait until the customer's tokens have expired, which takes up to an hour
        #[arg(long)]
        wait: bool,
    },
}

#[derive(Clone, Debug, Subcommand)]
enum OrderAction {
    /// Gives a part of a paid order back to its customer, or all that is left of it
    ///
    /// For an order that goes on or was collected: one that has ended early gives all back by
    /// itself. The provider is asked at once, and the customer is told by mail. Who wanted it is
    /// kept in the stack's journal. Exits with status 0 once it is asked for, and 2 if it was not.
    Refund(refund::Arguments),
    /// Cancels an order for its shop, which cannot make it
    ///
    /// Until the order is collected, also after its pickup time, for at most a week. What the
    /// customer has paid goes back, its stock is released, and the customer is told the reason by
    /// mail. Who wanted it is kept in the stack's journal. Exits with status 0 once the order is
    /// cancelled, and 2 if it was not.
    Cancel(cancel::Arguments),
    /// Tries again what the order waits for: publishes its last event from its row
    ///
    /// Use this if the order makes no progress and there is no dead letter about it, or to try
    /// refunds again that have failed. The event has the same id as before, and consumers that have
    /// handled it ignore it. The payment of an order that is decided is looked up at the provider
    /// as well. Exits with status 0 once the event is published, 2 if it was not.
    Retry,
}

impl Cli {
    pub(crate) async fn run(self) -> Result<Verdict, Error> {
        name_stack_in_hints(self.target.options());
        let deployment = self.target.deployment();
        match self.command {
            Command::Dlq(command) => command.run(&deployment.await?).await,
            Command::Order(OrderArguments { id, action: Some(OrderAction::Retry), .. }) => {
                retry::run(&deployment.await?, id).await
            }
            Command::Order(OrderArguments {
                id,
                action: Some(OrderAction::Refund(arguments)),
                ..
            }) => refund::run(&deployment.await?, id, arguments).await,
            Command::Order(OrderArguments {
                id,
                action: Some(OrderAction::Cancel(arguments)),
                ..
            }) => cancel::run(&deployment.await?, id, arguments).await,
            Command::Order(OrderArguments { id, json, action: None }) => {
                order::run(&deployment.await?, id, json).await
            }
            Command::Health => health::run(&deployment.await?).await,
            Command::Mapping(MappingCommand::Enable(arguments)) => {
                mapping::run(&deployment.await?, &arguments).await
            }
            Command::Orders(arguments) => orders::run(&deployment.await?, arguments).await,
            Command::Errors(arguments) => errors::run(&deployment.await?, &arguments).await,
            Command::Logs(arguments) => logs::run(&deployment.await?, arguments).await,
            Command::Stock(arguments) => stock::run(&deployment.await?, &arguments).await,
            Command::Reconcile(arguments) => reconcile::run(&deployment.await?, arguments).await,
            Command::Journal(arguments) => journal::run(&deployment.await?, &arguments).await,
            Command::Customer(arguments) => arguments.run(&deployment.await?).await,
            Command::ReapplyErasures(arguments) => {
                erasures::run(&deployment.await?, &arguments).await
            }
            Command::Replay(arguments) => replay::run(&deployment.await?, &arguments).await,
            Command::Announce(arguments) => announce::run(&deployment.await?, arguments).await,
            Command::Import(arguments) => {
                import::run(&self.target.config().await?, &self.target.stack, &arguments).await
            }
        }
    }
}

impl CustomerArguments {
    async fn run(self, deployment: &Deployment) -> Result<Verdict, Error> {
        match self.action {
            CustomerAction::Export { json } => {
                customer_export::run(deployment, &self.id, json).await
            }
            CustomerAction::Erase { wait } => customer_erase::run(deployment, &self.id, wait).await,
        }
    }
}

impl DlqCommand {
    async fn run(self, deployment: &Deployment) -> Result<Verdict, Error> {
        match self {
            Self::List => dlq_list::run(deployment).await,
            Self::Show(arguments) => dlq_show::run(deployment, &arguments).await,
            Self::Discard(arguments) => dlq_discard::run(deployment, &arguments).await,
            Self::Redrive(arguments) => dlq_redrive::run(deployment, &arguments).await,
        }
    }
}

impl Target {
    async fn deployment(&self) -> Result<Deployment, Error> {
        Ok(if self.local {
            Deployment::embedded(&self.state_dir()).await?
        } else {
            Deployment::on_aws(&self.stack).await?
        })
    }

    /// The options that lead to the same stack, each after a space.
    fn options(&self) -> String {
        match &self.state_dir {
            Some(directory) if self.local => {
                format!(" --local --state-dir {}", directory.display())
            }
            _ if self.local => " --local".to_owned(),
            _ if self.stack != DEFAULT_STACK => format!(" --stack {}", self.stack),
            _ => String::new(),
        }
    }

    /// How to reach the account, whether or not the stack exists there.
    async fn config(&self) -> Result<SdkConfig, Error> {
        Ok(if self.local { Embedded::find(&self.state_dir())?.config() } else { on_aws().await? })
    }

    fn state_dir(&self) -> PathBuf {
        self.state_dir.clone().unwrap_or_else(state_dir::default)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_order_is_shown_unless_an_action_is_given() {
        let action = |arguments: &[&str]| {
            let id = "0b7c55f2-9d4e-4c6b-8a1f-3e2d7c9014aa";
            let cli = Cli::try_parse_from([&["ops", "--local", "order", id], arguments].concat())
                .unwrap();
            let Command::Order(arguments) = cli.command else { panic!("not an order") };
            arguments.action
        };
        assert!(action(&["--json"]).is_none());
        assert!(matches!(action(&["retry"]), Some(OrderAction::Retry)));
    }

    #[test]
    fn hints_name_the_stack_as_the_command_line_did() {
        let options = |arguments: &[&str]| {
            let arguments = [&["ops", "health"], arguments].concat();
            Cli::try_parse_from(arguments).unwrap().target.options()
        };
        assert_eq!(options(&["--local", "--state-dir", "s"]), " --local --state-dir s");
        assert_eq!(options(&["--stack", "amelie-test"]), " --stack amelie-test");
        assert_eq!(options(&[]), "");
    }

    #[test]
    fn a_stack_is_either_local_or_on_aws() {
        assert!(Cli::try_parse_from(["ops", "--local", "--stack", "amelie", "reconcile"]).is_err());
    }
}
