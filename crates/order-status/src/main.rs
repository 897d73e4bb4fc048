//! The function behind the results queue and the deadline queue.

use aws_lambda_events::sqs::SqsEvent;
use aws_sdk_dynamodb::Client;
use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent};
use order_status::handler::{OrderStatus, Report};
use platform::{
    aws, function, log,
    queue::{Backoff, Queue},
    settings,
};
use shop::event::OrderEvent;
use tables::orders::OrdersTable;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    log::init(env!("CARGO_PKG_NAME"));
    let config = aws::config()?;
    let backoff = Backoff::outlasting(settings::seconds("RETRY_BUDGET_SECONDS")?);
    let results = Queue::new(&config, settings::text("RESULTS_QUEUE_URL")?, backoff);
    let deadlines = Queue::new(&config, settings::text("DEADLINE_QUEUE_URL")?, backoff);
    let status = OrderStatus {
        orders: OrdersTable::new(Client::new(&config), settings::text("ORDERS_TABLE")?),
    };
    function::run(async |event: LambdaEvent<SqsEvent>| {
        let batch = event.payload;
        let now = Timestamp::now();
        let response = if deadlines.is_source_of(&batch) {
            let handle = async |placed: OrderEvent| status.expire(placed, now).await;
            deadlines.process(&event.context, batch, handle).await
        } else {
            let handle = async |report: Report| status.apply(report, now).await;
            results.process(&event.context, batch, handle).await
        };
        Ok(response)
    })
    .await
}
