//! The Lambda function behind the customers' HTTP API.

use jiff::{SignedDuration, Timestamp};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use order_intake::{handler::OrderIntake, store::DynamoDb};
use platform::{aws, http::Request, log, settings};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    log::init();
    let config = aws::config().await;
    let store =
        DynamoDb::new(&config, settings::text("ORDERS_TABLE")?, settings::text("MENU_TABLE")?);
    let intake = OrderIntake::new(
        store,
        SignedDuration::from_secs(settings::seconds("CONFIRM_WITHIN_SECONDS")?.into()),
        SignedDuration::from_secs(settings::seconds("MENU_CACHE_SECONDS")?.into()),
    );
    // Init runs on a full CPU before any request waits, so connect and read the menus here.
    intake.prepare(Timestamp::now()).await;
    run(service_fn(async |event: LambdaEvent<Request>| {
        Ok::<_, Error>(intake.handle(event.payload, Timestamp::now()).await)
    }))
    .await
}
