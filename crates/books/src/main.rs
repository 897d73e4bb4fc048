//! The function that compares the books on a schedule.

use aws_config::SdkConfig;
use books::{
    journal::Journal,
    ledger, metrics,
    reconciliation::{Books, Group, Limits},
    rows::{TableNames, Tables},
};
use jiff::{SignedDuration, Timestamp};
use lambda_runtime::{Error, LambdaEvent};
use platform::{
    aws, function, log,
    settings::{self, SettingError},
};
use serde::de::IgnoredAny;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    log::init(env!("CARGO_PKG_NAME"));
    let config = aws::config()?;
    let reconciler = Reconciler::new(config)?;
    function::run(async |_: LambdaEvent<IgnoredAny>| reconciler.reconcile().await).await
}

/// Orders placed within this time are compared; `cargo ops reconcile` compares older ones too. The
/// provider lists a hundred intents per request: 850 requests for eight days of 320,000 orders a
/// month, which leaves the timeout of 15 minutes far away.
const WINDOW: SignedDuration = SignedDuration::from_hours(8 * 24);

struct Reconciler {
    tables: Tables,
    journal: Journal,
    limits: Limits,
    provider_secret: String,
    provider_url: String,
    config: SdkConfig,
}

impl Reconciler {
    fn new(config: SdkConfig) -> Result<Self, SettingError> {
        let names = TableNames {
            orders: settings::text("ORDERS_TABLE")?,
            payments: settings::text("PAYMENTS_TABLE")?,
            stock: settings::text("STOCK_TABLE")?,
            menus: settings::text("MENU_TABLE")?,
            notices: settings::text("NOTICES_TABLE")?,
        };
        let seconds = |name| settings::seconds(name).map(i64::from);
        Ok(Self {
            tables: Tables::new(&config, names),
            journal: Journal::new(&config, settings::text("JOURNAL")?),
            limits: Limits::new(
                seconds("CONFIRM_WITHIN_SECONDS")?,
                seconds("REFUND_RETRY_BUDGET_SECONDS")?,
                seconds("RETRY_BUDGET_SECONDS")?,
            ),
            provider_secret: settings::text("PROVIDER_SECRET")?,
            provider_url: settings::text("PROVIDER_URL")?,
            config,
        })
    }

    /// Reads the books and reports what is different and not settled.
    async fn reconcile(&self) -> Result<(), Error> {
        let provider =
            ledger::open(&self.config, &self.provider_secret, &self.provider_url).await?;
        let since = Timestamp::now() - WINDOW;
        let mut books = Books::read(&self.tables, &provider, self.limits, Some(since)).await?;
        books.settlements = self.journal.settlements().await?;
        let result = books.reconcile();
        let groups = Group::all(&result.differences, &books.settlements);
        for group in &groups {
            let remedy = group.remedy().unwrap_or_default();
            for difference in &group.open {
                tracing::error!(key = difference.key(), %difference, remedy, "the books differ");
            }
        }
        let open = groups.iter().map(|group| group.open.len()).sum();
        tracing::info!(
            orders = books.orders.len(),
            intents = books.ours().count(),
            others = result.others,
            differences = open,
            settled = result.differences.len() - open,
            pending = result.pending.len(),
            "books compared"
        );
        metrics::record(open);
        Ok(())
    }
}
