//! The function that the charge queue, the refund queue and the queue of the provider's events
//! invoke.

use aws_lambda_events::sqs::SqsEvent;
use jiff::{SignedDuration, Timestamp};
use lambda_runtime::{Error, LambdaEvent};
use payment::{
    asking, handler::Cashier, limit::Limit, store::DynamoDb, stripe_provider::StripeProvider,
};
use platform::{
    aws,
    bus::EventBridge,
    function, log,
    queue::{Backoff, Queue},
    settings,
};
use shop::event::PAYMENT;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    log::init(env!("CARGO_PKG_NAME"));
    let config = aws::config()?;
    let outlasting = |name| settings::seconds(name).map(Backoff::outlasting);
    let charges = Queue::new(
        &config,
        settings::text("CHARGE_QUEUE_URL")?,
        outlasting("CHARGE_RETRY_BUDGET_SECONDS")?,
    );
    let refunds = Queue::new(
        &config,
        settings::text("REFUND_QUEUE_URL")?,
        outlasting("REFUND_RETRY_BUDGET_SECONDS")?,
    );
    let intents = Queue::new(
        &config,
        settings::text("INTENT_QUEUE_URL")?,
        outlasting("REFUND_RETRY_BUDGET_SECONDS")?,
    );
    let cashier = Cashier {
        payments: DynamoDb::new(&config, settings::text("PAYMENTS_TABLE")?),
        provider: StripeProvider::new(
            &config,
            settings::text("PROVIDER_SECRET")?,
            settings::text("PROVIDER_URL")?,
            settings::text("AUTHENTICATION_RETURN_URL").ok(),
        ),
        bus: EventBridge::new(&config, settings::text("EVENT_BUS")?, PAYMENT),
        limit: Limit {
            payments: settings::parsed("DECLINES_PER_CUSTOMER", "a whole number")?,
            window: SignedDuration::from_secs(settings::seconds("DECLINE_WINDOW_SECONDS")?.into()),
        },
    };
    cashier.provider.connect().await;
    function::run(async |event: LambdaEvent<SqsEvent>| {
        let batch = event.payload;
        Ok(if refunds.is_source_of(&batch) {
            let undo = async |event| asking::refund(&cashier, event, Timestamp::now()).await;
            refunds.process(&event.context, batch, undo).await
        } else if intents.is_source_of(&batch) {
            let follow = async |changed| asking::follow(&cashier, changed, Timestamp::now()).await;
            intents.process(&event.context, batch, follow).await
        } else {
            let charge = async |event| asking::charge(&cashier, event, Timestamp::now).await;
            charges.process(&event.context, batch, charge).await
        })
    })
    .await
}
