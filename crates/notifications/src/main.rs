//! The function behind the notice queue.

use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent};
use notifications::{
    cognito::UserPool, handler::Notifications, notice::Templates, ses::Ses, store::DynamoDb,
};
use platform::{
    aws, function, log,
    queue::{Backoff, Queue},
    settings,
};
use shop::event::OrderEvent;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    log::init(env!("CARGO_PKG_NAME"));
    let config = aws::config()?;
    let backoff = Backoff::outlasting(settings::seconds("RETRY_BUDGET_SECONDS")?);
    let queue = Queue::new(&config, settings::text("NOTICE_QUEUE_URL")?, backoff);
    let notifications = Notifications {
        notices: DynamoDb::new(&config, settings::text("NOTICES_TABLE")?),
        customers: UserPool::new(&config, settings::text("USER_POOL_ID")?),
        mailer: Ses::new(
            &config,
            settings::text("SENDER_ADDRESS")?,
            settings::text("CONFIGURATION_SET")?,
        ),
        templates: Templates::new()?,
    };
    function::run(async |event: LambdaEvent<_>| {
        // Lambda ends the invocation at its deadline.
        let until = Timestamp::try_from(event.context.deadline())?;
        let handle =
            async |event: OrderEvent| notifications.handle(&event, Timestamp::now(), until).await;
        Ok(queue.process(&event.context, event.payload, handle).await)
    })
    .await
}
