//! The function behind the stream of the Orders table.

use lambda_runtime::{Error, LambdaEvent};
use order_relay::{dead_letters::Sqs, handler::Relay};
use platform::{
    aws,
    bus::EventBridge,
    function, log, settings,
    time_limit::{self, RESERVE},
};
use shop::event::ORDERS;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    log::init(env!("CARGO_PKG_NAME"));
    let config = aws::config()?;
    let relay = Relay {
        bus: EventBridge::new(&config, settings::text("EVENT_BUS")?, ORDERS),
        dead_letters: Sqs::new(&config, settings::text("DEAD_LETTER_QUEUE_URL")?),
    };
    function::run(async |event: LambdaEvent<_>| {
        let handled = relay.handle(event.payload);
        Ok(time_limit::within(&event.context, RESERVE, handled).await??)
    })
    .await
}
