//! The function behind the stream of the Orders table.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use order_relay::{dead_letters::Sqs, handler::Relay};
use platform::{
    aws,
    bus::EventBridge,
    log, settings,
    time_limit::{self, RESERVE},
};
use shop::event::ORDERS;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    log::init();
    let config = aws::config()?;
    let relay = Relay {
        bus: EventBridge::new(&config, settings::text("EVENT_BUS")?, ORDERS),
        dead_letters: Sqs::new(&config, settings::text("DEAD_LETTER_QUEUE_URL")?),
    };
    run(service_fn(async |event: LambdaEvent<_>| {
        let handled = relay.handle(event.payload);
        Ok::<_, Error>(time_limit::within(&event.context, RESERVE, handled).await??)
    }))
    .await
}
