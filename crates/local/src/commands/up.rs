//! Starting a stack, in this process or in the background, and updating a running one.

use local::{Binaries, Error, Found, Host, Options, Running, Stack, order};
use shop::order::Status;

use super::{background::Background, order as orders, show};
use crate::{output, signals::interrupted};

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
        // The stack keeps running, so that the reason can be found.
        output::message(format!("error: {error}"));
    }
    introduce(&stack).await?;
    let shown = tokio::select! {
        shown = show::events(&stack, true) => shown,
        // What it left may say why.
        error = host.failure() => return Err(error),
        () = interrupted() => Ok(()),
    };
    drop(host);
    Host::remove_data(&options.state_dir)?;
    shown
}

async fn detached(options: &Options) -> Result<(), Error> {
    Host::check_ports(options).await?;
    // Here rather than in the background process, so that the progress is shown.
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
    // Before the first order: if that fails, the stack keeps running, so that the reason can be
    // found.
    background.stay().await?;
    first_order(&stack).await?;
    output::addresses(&stack)
}

async fn first_order(stack: &Stack) -> Result<(), Error> {
    let token = stack.token(orders::CUSTOMER, false).await?;
    let id = orders::place(stack, &token, &order::sample()?).await?;
    match orders::follow(stack, &token, &id).await? {
        Status::Confirmed => Ok(()),
        status => Err(Error::NotConfirmed(order::name(&status))),
    }
}

/// Prints where the stack listens and how to place an order.
async fn introduce(stack: &Stack) -> Result<(), Error> {
    output::addresses(stack)?;
    let token = stack.token(orders::CUSTOMER, false).await?;
    output::line(format!(
        "\n\
         curl -i {}/orders -H 'content-type: application/json' \\\n  \
         -H \"idempotency-key: $(date +%s)\" -H 'authorization: Bearer {token}' \\\n  \
         -d '{}'\n\n\
         Ctrl-C stops the stack. Events on the bus:",
        stack.api_url,
        order::sample()?
    ))
}
