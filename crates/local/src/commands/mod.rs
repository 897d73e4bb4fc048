//! The command line.

mod background;
mod dashboard;
mod faults;
mod order;
mod show;
mod up;

use std::{
    net::Ipv4Addr,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::{Args, Parser, Subcommand};
use jiff::Timestamp;
use local::{
    Error, Found, Host, Options, Progress, Stack,
    options::{DEFAULT_BIND, DEFAULT_PORT, DEFAULT_SANDBOX_PORT},
    shops,
};
use stack::{Level, Outputs, Selection, state_dir, time};

use crate::output;

/// Runs all of Amelie on this machine.
///
/// Builds the functions, deploys template.yaml to an embedded AWS, places an order, and shows the
/// events on the bus until Ctrl-C. Each command exits with status 0 when it has done its work and 1
/// when it has not, and with 2 for a wrong command line; what else 1 means, the command says.
#[derive(Debug, Parser)]
#[command(
    name = "cargo local",
    bin_name = "cargo local",
    version,
    subcommand_help_heading = "Commands"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Where the stack listens and keeps its files.
#[derive(Args, Debug)]
struct Place {
    /// Address to listen on. For `sam local` on Linux, choose the address of the Docker bridge;
    /// never choose one that other machines can reach
    #[arg(
        long,
        global = true,
        env = "AMELIE_BIND",
        value_name = "ADDRESS",
        default_value_t = DEFAULT_BIND,
        value_parser = one_address
    )]
    bind: Ipv4Addr,
    /// Port of the embedded AWS; 0 takes any free one
    #[arg(long, global = true, env = "AMELIE_PORT", default_value_t = DEFAULT_PORT)]
    port: u16,
    /// Port of the payment sandbox; 0 takes any free one
    #[arg(
        long,
        global = true,
        env = "AMELIE_SANDBOX_PORT",
        value_name = "PORT",
        default_value_t = DEFAULT_SANDBOX_PORT
    )]
    sandbox_port: u16,
    /// Directory of the stack's description, logs and events; each running stack needs its own
    /// [default: target/local]
    #[arg(long, global = true, env = "AMELIE_STATE_DIR", value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts a stack, or redeploys what has changed to a running one (default)
    Up {
        /// Leave the stack running in the background once the first order is confirmed
        #[arg(long)]
        detach: bool,
    },
    /// Stops the running stack; all of its data goes with it
    ///
    /// Orders, shops, customers, mails and queues live in the memory of the embedded AWS. Events
    /// and logs are files in the state directory, which name customers and are removed: also those
    /// of a stack that was killed or failed. The next stack starts with the demo's shops and
    /// customers, and under the same URLs. Exits with status 0 also if nothing was running.
    Down,
    /// Shows whether a stack is running, and where it listens
    ///
    /// Exits with status 0 if one is running or starting, and 1 if none is.
    Status,
    /// Prints the URL of the order API
    Url,
    /// Prints an access token for the order API
    Token {
        /// Name of the user, who is created if necessary [default: ada, or sam with --staff]
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        /// Make the user a member of staff
        #[arg(long)]
        staff: bool,
    },
    /// Places an order and follows it until it is confirmed or has ended
    ///
    /// Prints its id to standard output, and the rest to standard error. Exits with status 0 if it
    /// is confirmed, and 1 if it is refused, is rejected or has ended in another way.
    Order(order::Arguments),
    /// Cancels an order as its customer, and follows it until its money was given back
    ///
    /// Prints the order's state, and that of its payment. Exits with status 1 if the order cannot
    /// be cancelled.
    Cancel(order::Cancellation),
    /// Shows the logs of the functions
    Logs {
        /// Only this function, such as order-intake
        function: Option<String>,
        /// Only lines within this span before now, such as 10m, 2h or 3d, or since a time such as
        /// 2026-11-24T08:00:00Z
        #[arg(long, value_name = "TIME", value_parser = time::since)]
        since: Option<Timestamp>,
        /// Only lines that are at least this serious: error, warn, info, debug or trace
        #[arg(long)]
        level: Option<Level>,
        /// Only lines about this order
        #[arg(long, value_name = "ID")]
        order: Option<String>,
        /// Continue with new ones until Ctrl-C
        #[arg(long, short)]
        follow: bool,
    },
    /// Shows the events on the bus
    Events {
        /// Continue with new ones until Ctrl-C
        #[arg(long, short)]
        follow: bool,
    },
    /// Shows how the business and the system do, live
    ///
    /// The figures are those of the dashboards that the template has in CloudWatch, since the stack
    /// was started, and the alarms those that can be judged by them. Tab shows the other page, q
    /// ends it.
    Dashboard {
        /// Print both pages once and end; implied unless standard output is a terminal
        #[arg(long)]
        once: bool,
    },
    /// Shows the mail that the stack has sent
    Mail,
    /// Makes the payment sandbox slow, fail or lose its answers
    ///
    /// A fault holds until it is used up or removed, or until the stack stops.
    Faults {
        #[command(subcommand)]
        command: Option<faults::Command>,
    },
    /// Loads shops with their menus and bake plans from a file
    Load {
        /// A JSON file such as crates/local/demo/shops.json
        file: PathBuf,
        /// Load into this stack in your AWS account and region, not into the local one
        #[arg(long, value_name = "NAME")]
        stack: Option<String>,
    },
    /// Runs the host of a stack for `up --detach`
    #[command(hide = true)]
    Host,
}

impl Cli {
    pub(crate) async fn run(self) -> Result<ExitCode, Error> {
        let options = self.place.options();
        let stack = || Stack::find(&options.state_dir);
        let done = match self.command.unwrap_or(Command::Up { detach: false }) {
            Command::Status => return status(&options).await,
            Command::Order(arguments) => return order::run(&stack()?, &arguments).await,
            Command::Cancel(arguments) => order::cancel(&stack()?, &arguments).await,
            Command::Url => output::line(stack()?.api_url),
            Command::Up { detach } => up::run(&options, detach).await,
            Command::Down => down(&options).await,
            Command::Token { user, staff } => {
                let user = user.as_deref().unwrap_or(if staff { "sam" } else { order::CUSTOMER });
                output::line(stack()?.token(user, staff).await?)
            }
            Command::Logs { function, since, level, order, follow } => {
                let selection = Selection { since, level, phrase: order };
                show::logs(&stack()?, function.as_deref(), selection, follow).await
            }
            Command::Faults { command } => faults::run(&stack()?, command).await,
            Command::Events { follow } => show::events(&stack()?, follow).await,
            Command::Dashboard { once } => dashboard::run(&stack()?, once).await,
            Command::Mail => show::mail(&stack()?).await,
            Command::Load { file, stack: Some(name) } => {
                let shops = shops::read(&file)?;
                let config = stack::on_aws().await?;
                let outputs = Outputs::of(&config, &name).await?;
                shops::load(&config, &outputs, &shops).await?;
                loaded(shops.len(), &name);
                Ok(())
            }
            Command::Load { file, stack: None } => {
                let shops = shops::read(&file)?;
                let stack = stack()?;
                shops::load(&stack.aws(), &stack.outputs, &shops).await?;
                loaded(shops.len(), "the local stack");
                Ok(())
            }
            Command::Host => background::run(&options).await,
        };
        done.map(|()| ExitCode::SUCCESS)
    }
}

impl Place {
    fn options(&self) -> Options {
        let state_dir = self.state_dir.clone().unwrap_or_else(state_dir::default);
        Options {
            bind: self.bind,
            port: self.port,
            sandbox_port: self.sandbox_port,
            progress: Progress::Shown,
            ..Options::new(&state_dir)
        }
    }
}

/// Parses an address, but not 0.0.0.0: the stack could not be reached at that address, and every
/// machine could reach the stack.
fn one_address(text: &str) -> Result<Ipv4Addr, String> {
    match text.parse::<Ipv4Addr>() {
        Ok(address) if !address.is_unspecified() => Ok(address),
        _ => Err("give an IPv4 address of this machine, such as 172.17.0.1".to_owned()),
    }
}

fn loaded(shops: usize, stack: &str) {
    output::message(format!("{shops} shops loaded into {stack}"));
}

/// How long a host may take to end: it waits up to ten seconds for its functions.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);

/// Says that no stack runs with these options, and who may use its ports nevertheless.
async fn nothing_runs(options: &Options) -> String {
    let directory = options.state_dir.display();
    match Host::check_ports(options).await {
        Err(in_use) => format!("nothing is running in {directory}, but {in_use}"),
        Ok(()) => format!("nothing is running in {directory}"),
    }
}

async fn down(options: &Options) -> Result<(), Error> {
    let Some(found) = Found::in_directory(&options.state_dir) else {
        let found = Host::remove_data(&options.state_dir)?;
        let left = if found { "; what an earlier stack left is removed" } else { "" };
        output::message(format!("{}{left}", nothing_runs(options).await));
        return Ok(());
    };
    found.terminate()?;
    let started = Instant::now();
    while Found::in_directory(&options.state_dir) == Some(found) {
        if started.elapsed() > STOP_TIMEOUT {
            return Err(Error::Host(format!(
                "process {} does not end: end it with `kill -9 {0}`",
                found.process_id()
            )));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // In case it was killed meanwhile, or one of its parts had failed.
    Host::remove_data(&options.state_dir)?;
    output::message("stopped; its orders, shops, customers, mails, events and logs are gone");
    Ok(())
}

async fn status(options: &Options) -> Result<ExitCode, Error> {
    let Some(found) = Found::in_directory(&options.state_dir) else {
        output::line(nothing_runs(options).await)?;
        return Ok(ExitCode::FAILURE);
    };
    match Stack::find(&options.state_dir) {
        Ok(stack) => {
            output::line(format!(
                "stack {} is running in process {}",
                stack.embedded.stack_name,
                found.process_id()
            ))?;
            output::addresses(&stack)?;
        }
        Err(_) => output::line(format!("a stack is starting in process {}", found.process_id()))?,
    }
    Ok(ExitCode::SUCCESS)
}
