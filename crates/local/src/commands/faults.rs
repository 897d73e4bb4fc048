//! Listing, setting and removing faults of the payment sandbox.

use clap::{Args, Subcommand};
use local::{
    Error, Stack,
    sandbox::{Control, Fault, FaultId, FaultyAnswer, Route},
};
use serde::{Deserialize, de::IntoDeserializer, de::value::Error as Unknown};

use crate::output;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Lists the faults that are not used up (default)
    List,
    /// Sets a fault; if several apply to a request, the oldest does
    ///
    /// A fault cannot be set by customer: like the real provider, the sandbox learns the id and the
    /// price of an order, and nothing about who placed it. For a fault that waits for one
    /// customer's order, choose an amount that no other order has, and set it by --amount.
    Set(New),
    /// Removes a fault, or all
    Remove {
        /// The fault's number in the list; all faults if absent
        id: Option<FaultId>,
    },
}

#[derive(Args, Debug)]
pub(super) struct New {
    /// Only requests of this route: create, retrieve, confirm, cancel, list, refund,
    /// list_refunds, dispute or list_disputes
    #[arg(long, value_parser = route)]
    route: Option<Route>,
    /// Only requests about this order
    #[arg(long, value_name = "ID")]
    order: Option<String>,
    /// Only requests about a payment of this many minor units, such as 380 for 3.80 EUR; the order
    /// may be placed later
    #[arg(long, value_name = "MINOR_UNITS")]
    amount: Option<u64>,
    /// Only this many requests
    #[arg(long, value_name = "N")]
    times: Option<u32>,
    /// Milliseconds to wait before the work
    #[arg(long, value_name = "MS", default_value_t = 0)]
    delay: u64,
    /// Answer with this status, and do not do the work
    #[arg(long, value_name = "STATUS", group = "answer")]
    fail: Option<u16>,
    /// Do the work, and answer with this status
    #[arg(long, value_name = "STATUS", group = "answer")]
    fail_after_work: Option<u16>,
    /// Do the work, and do not answer
    #[arg(long, group = "answer")]
    lose: bool,
}

/// Parses a route as JSON spells it.
fn route(text: &str) -> Result<Route, String> {
    Route::deserialize(text.into_deserializer()).map_err(|error: Unknown| error.to_string())
}

impl New {
    fn fault(self) -> Fault {
        let answer = match (self.fail, self.fail_after_work, self.lose) {
            (Some(status), ..) => FaultyAnswer::Fail(status),
            (None, Some(status), _) => FaultyAnswer::FailAfterWork(status),
            (None, None, true) => FaultyAnswer::Lose,
            (None, None, false) => FaultyAnswer::Normal,
        };
        Fault {
            route: self.route,
            order_id: self.order,
            amount: self.amount,
            times: self.times,
            delay_ms: self.delay,
            answer,
        }
    }
}

pub(super) async fn run(stack: &Stack, command: Option<Command>) -> Result<(), Error> {
    let control = Control::new(&stack.sandbox_url);
    let failed = |error: reqwest::Error| Error::Http {
        url: stack.sandbox_url.clone(),
        reason: error.to_string(),
    };
    let faults = control.faults().await.map_err(failed)?;
    match command.unwrap_or(Command::List) {
        Command::List => {
            if faults.is_empty() {
                output::message("no fault is set");
            }
            for (id, fault) in faults {
                output::line(format!("{id:>4}  {fault}"))?;
            }
        }
        Command::Set(new) => {
            let fault = new.fault();
            let id = control.set_fault(&fault).await.map_err(failed)?;
            output::line(format!("{id:>4}  {fault}"))?;
        }
        Command::Remove { id: Some(id) } => {
            let fault = faults.get(&id).ok_or(Error::NoSuchFault(id))?;
            control.remove_fault(id).await.map_err(failed)?;
            output::message(format!("removed: {fault}"));
        }
        Command::Remove { id: None } => {
            control.clear_faults().await.map_err(failed)?;
            output::message(match faults.len() {
                0 => "there was no fault to remove".to_owned(),
                1 => "1 fault removed".to_owned(),
                count => format!("{count} faults removed"),
            });
        }
    }
    Ok(())
}
