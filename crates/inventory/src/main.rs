//! The function behind the stock queue.

use inventory::{handler::Inventory, store::DynamoDb};
use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use platform::{
    aws,
    bus::EventBridge,
    log,
    queue::{Backoff, Queue},
    settings,
};
use shop::event::{INVENTORY, OrderEvent};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    log::init();
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
    run(service_fn(async |event: LambdaEvent<_>| {
        let handle = async |event: OrderEvent| inventory.handle(event, Timestamp::now()).await;
        Ok::<_, Error>(
            queue.process(&event.context, event.payload, OrderEvent::correlation_id, handle).await,
        )
    }))
    .await
}
