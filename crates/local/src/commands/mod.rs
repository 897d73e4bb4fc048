//! The command line.

mod background;
mod order;
mod show;
mod up;

use std::{
    net::Ipv4Addr,
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::{Args, Parser, Subcommand};
use local::{
    Error, Found, Options, Progress, Stack,
    options::{DEFAULT_BIND, DEFAULT_PORT, DEFAULT_SANDBOX_PORT},
    shops,
};
use stack::{Outputs, state_dir};

use crate::output;

/// Runs all of Amelie on this machine.
///
/// Builds the functions, deploys template.yaml to an embedded AWS, places an order, and shows the
/// events on the bus until Ctrl-C.
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
    /// Stops the running stack
    Down,
    /// Shows whether a stack is running, and where it listens
    Status,
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
    Order(order::Arguments),
    /// Shows the logs of the functions
    Logs {
        /// Only this function, such as order-intake
        function: Option<String>,
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
    /// Shows the mail that the stack has sent
    Mail,
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
    pub(crate) async fn run(self) -> Result<(), Error> {
        let options = self.place.options();
        let stack = || Stack::find(&options.state_dir);
        match self.command.unwrap_or(Command::Up { detach: false }) {
            Command::Up { detach } => up::run(&options, detach).await,
            Command::Down => down(&options).await,
            Command::Status => status(&options),
            Command::Token { user, staff } => {
                let user = user.as_deref().unwrap_or(if staff { "sam" } else { order::CUSTOMER });
                output::line(stack()?.token(user, staff).await?)
            }
            Command::Order(arguments) => order::run(&stack()?, &arguments).await,
            Command::Logs { function, follow } => {
                show::logs(&stack()?, function.as_deref(), follow).await
            }
            Command::Events { follow } => show::events(&stack()?, follow).await,
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
        }
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

async fn down(options: &Options) -> Result<(), Error> {
    let Some(found) = Found::in_directory(&options.state_dir) else {
        output::message("nothing is running");
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
    output::message("stopped");
    Ok(())
}

fn status(options: &Options) -> Result<(), Error> {
    let Some(found) = Found::in_directory(&options.state_dir) else {
        return output::line("nothing is running");
    };
    match Stack::find(&options.state_dir) {
        Ok(stack) => {
            output::line(format!(
                "stack {} is running in process {}",
                stack.embedded.stack_name,
                found.process_id()
            ))?;
            output::addresses(&stack)
        }
        Err(_) => output::line(format!("a stack is starting in process {}", found.process_id())),
    }
}
