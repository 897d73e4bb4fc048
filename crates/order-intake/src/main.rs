//! The Lambda function behind the customers' HTTP API.

use jiff::{SignedDuration, Timestamp};
use lambda_runtime::{Error, LambdaEvent};
use order_intake::{handler::OrderIntake, store::DynamoDb};
use platform::{
    aws,
    cause::chain,
    function,
    http::{Problem, Request},
    log, settings,
    time_limit::{self, RESERVE},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    log::init(env!("CARGO_PKG_NAME"));
    let config = aws::config()?;
    let store =
        DynamoDb::new(&config, settings::text("ORDERS_TABLE")?, settings::text("MENU_TABLE")?);
    let intake = OrderIntake::new(
        store,
        SignedDuration::from_secs(settings::seconds("CONFIRM_WITHIN_SECONDS")?.into()),
        SignedDuration::from_secs(settings::seconds("MENU_CACHE_SECONDS")?.into()),
    );
    // Init runs on a full CPU before any request waits, so connect and read the menus here.
    intake.prepare(Timestamp::now()).await;
    function::run(async |event: LambdaEvent<Request>| {
        // Boxed, because the compiler gives up on the layout of a future that is nested this deep.
        let handled = Box::pin(intake.handle(event.payload, Timestamp::now()));
        let answer = time_limit::within(&event.context, RESERVE, handled).await;
        Ok(answer.unwrap_or_else(|error| {
            tracing::error!(error = chain(&error), "could not answer a request");
            Problem::unavailable().into()
        }))
    })
    .await
}
