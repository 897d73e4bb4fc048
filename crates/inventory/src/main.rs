//! The function behind the stock queue.

use inventory::{handler::Inventory, store::DynamoDb};
use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent};
use platform::{
    aws,
    bus::EventBridge,
    function, log,
    queue::{Backoff, Queue},
    settings,
};
use shop::event::{INVENTORY, OrderEvent};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    log::init(env!("CARGO_PKG_NAME"));
    let config = aws::config()?;
    let queue = Queue::new(
        &config,
        settings::text("STOCK_QUEUE_URL")?,
        Backoff::outlasting(settings::seconds("RETRY_BUDGET_SECONDS")?),
    );
    let inventory = Inventory {
        stock: DynamoDb::new(&config, settings::text("STOCK_TABLE")?),
        bus: EventBridge::new(&config, settings::text("EVENT_BUS")?, INVENTORY),
    };
    function::run(async |event: LambdaEvent<_>| {
        let handle = async |event: OrderEvent| inventory.handle(event, Timestamp::now()).await;
        Ok(queue.process(&event.context, event.payload, handle).await)
    })
    .await
}
