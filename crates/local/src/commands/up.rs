//! Starting a stack, here or in the background, and keeping a running one up to date.

use local::{Binaries, Error, Found, Options, Running, Stack, order};
use shop::order::Status;

use super::{background::Background, order as orders, show};
use crate::{interrupted, output};

pub(super) async fn run(options: &Options, detach: bool) -> Result<(), Error> {
    if Found::in_directory(&options.state_dir).is_some() {
        let running = Stack::find(&options.state_dir)?;
        let binaries = Binaries::build(&[], options.progress).await?;
        Stack::deploy(&running.address(), &binaries, options).await?;
        return Ok(());
    }
    if detach { detached(options).await } else { attached(options).await }
}

async fn attached(options: &Options) -> Result<(), Error> {
    let Running { stack, mut host } = Running::start(options).await?;
    if let Err(error) = first_order(&stack).await {
        // To find out why, one needs the stack.
        output::say(format!("error: {error}"));
    }
    introduce(&stack).await?;
    tokio::select! {
        shown = show::events(&stack, true) => shown,
        error = host.failure() => Err(error),
        () = interrupted() => Ok(()),
    }
}

async fn detached(options: &Options) -> Result<(), Error> {
    // Before the background process needs it, so that its progress is seen.
    local::prepare(options.progress).await?;
    let binaries = Binaries::build(&[], options.progress).await?;
    let background = Background::start(options).await?;
    let stack = match Stack::deploy(background.address(), &binaries, options).await {
        Ok((stack, _)) => stack,
        Err(error) => {
            background.end().await;
            return Err(error);
        }
    };
    // Even if the order fails: to find out why, one needs the stack.
    background.stay().await?;
    first_order(&stack).await?;
    output::addresses(&stack)
}

async fn first_order(stack: &Stack) -> Result<(), Error> {
    match orders::place(stack, orders::CUSTOMER, &order::sample()?).await? {
        Status::Confirmed => Ok(()),
        status => Err(Error::NotConfirmed(output::status(status))),
    }
}

/// Says where everything is and how to begin.
async fn introduce(stack: &Stack) -> Result<(), Error> {
    output::addresses(stack)?;
    let token = stack.token(orders::CUSTOMER, false).await?;
    output::line(format!(
        "\ncurl -i {}/orders -H 'content-type: application/json' -H \"idempotency-key: $(date +%s)\" \\\n  \
         -H 'authorization: Bearer {token}' \\\n  -d '{}'\n\nCtrl-C stops everything. What passes on the event bus:",
        stack.api_url,
        order::sample()?
    ))
}
