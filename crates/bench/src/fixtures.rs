//! Everything that the functions need in AWS: tables with the demo shops, an event bus, a customer
//! and the provider's key.

use std::{fs, future::pending, net::Ipv4Addr, path::Path};

use anyhow::{Context, Result};
use local::sandbox;
use serde_json::{Value, json};
use stack::embedded::REGION;
use tables::{menus, notices, orders, payments, stock};
use tokio::net::TcpListener;

use crate::aws::Aws;

/// The number of pieces per day in the bake plan: so many that no measured order is out of stock.
const PLENTY: u32 = 1_000_000_000;

const PROVIDER_KEY: &str = "sk_test_bench";

/// The name of the event bus, of the user pool and of the provider's secret.
const NAME: &str = "bench";

/// The tables' names and keys. Their indexes and streams do not affect calls.
const TABLES: [(&str, &str); 5] = [
    ("orders", orders::KEY),
    ("menu", menus::KEY),
    ("stock", stock::KEY),
    ("payments", payments::KEY),
    ("notices", notices::KEY),
];

/// An emulator with everything that the functions need.
pub(crate) struct Fixtures {
    aws: Aws,
    customer: String,
    settings: Vec<(&'static str, String)>,
}

impl Fixtures {
    /// Creates everything in an empty emulator. `shops` is a file such as that of the demo shops.
    pub(crate) async fn create(aws: Aws, shops: &Path) -> Result<Self> {
        for (table, key) in TABLES {
            let table = json!({
                "TableName": table,
                "KeySchema": [{"AttributeName": key, "KeyType": "HASH"}],
                "AttributeDefinitions": [{"AttributeName": key, "AttributeType": "S"}],
                "BillingMode": "PAY_PER_REQUEST",
            });
            aws.call("DynamoDB_20120810.CreateTable", &table).await?;
        }
        aws.call("AWSEvents.CreateEventBus", &json!({"Name": NAME})).await?;
        let (pool, customer) = create_customer(&aws).await?;
        // The identity of both the sender and the recipient.
        aws.post("/v2/email/identities", &json!({"EmailIdentity": "example.com"})).await?;
        let secret = json!({"Name": NAME, "SecretString": PROVIDER_KEY});
        aws.call("secretsmanager.CreateSecret", &secret).await?;

        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let provider = format!("http://{}", listener.local_addr()?);
        tokio::spawn(sandbox::serve(listener, PROVIDER_KEY.to_owned(), pending()));

        let journal = json!({"logGroupName": NAME});
        aws.call("Logs_20140328.CreateLogGroup", &journal).await?;
        let settings = settings(&aws, pool, provider)?;
        let fixtures = Self { aws, customer, settings };
        fixtures.open(shops).await?;
        Ok(fixtures)
    }

    /// The `sub` of a customer with a mail address.
    pub(crate) fn customer(&self) -> &str {
        &self.customer
    }

    /// The environment variables of all functions. Each function ignores those of the others.
    pub(crate) fn settings(&self) -> &[(&'static str, String)] {
        &self.settings
    }

    /// The services of the emulator.
    pub(crate) fn aws(&self) -> &Aws {
        &self.aws
    }

    /// Puts a row, in DynamoDB's JSON, into a table.
    pub(crate) async fn put(&self, table: &str, row: &Value) -> Result<()> {
        self.aws
            .call("DynamoDB_20120810.PutItem", &json!({"TableName": table, "Item": row}))
            .await?;
        Ok(())
    }

    /// Puts the menus and bake plans of the shops into their tables.
    async fn open(&self, shops: &Path) -> Result<()> {
        let text =
            fs::read_to_string(shops).with_context(|| format!("reading {}", shops.display()))?;
        let shops: Vec<Value> = serde_json::from_str(&text)
            .with_context(|| format!("{} is not JSON", shops.display()))?;
        for shop in shops {
            let location = shop["menu"]["location"].as_str().context("a shop has no location")?;
            let items = shop["bake_plan"].as_object().context("a shop has no bake plan")?;
            let capacity: Value = items.keys().map(|item| (item.clone(), json!(PLENTY))).collect();
            let key = stock::Key::Plan(location.parse()?).to_string();
            let plan = json!({stock::KEY: key, "capacity": capacity});
            self.put("menu", &attribute(&shop["menu"])["M"]).await?;
            self.put("stock", &attribute(&plan)["M"]).await?;
        }
        Ok(())
    }
}

/// Creates a customer. Returns the ids of the user pool and of the customer.
async fn create_customer(aws: &Aws) -> Result<(String, String)> {
    let pool = json!({"PoolName": NAME});
    let pool = aws.call("AWSCognitoIdentityProviderService.CreateUserPool", &pool).await?;
    let pool = text(&pool, "/UserPool/Id")?.to_owned();
    let address = "customer@example.com";
    let user = json!({
        "UserPoolId": pool,
        "Username": address,
        "UserAttributes": [
            {"Name": "email", "Value": address},
            {"Name": "email_verified", "Value": "true"}
        ],
    });
    let user = aws.call("AWSCognitoIdentityProviderService.AdminCreateUser", &user).await?;
    let attributes = user["User"]["Attributes"].as_array().context("the user has no attributes")?;
    let sub = attributes
        .iter()
        .find(|attribute| attribute["Name"] == "sub")
        .context("the user has no sub")?;
    Ok((pool, text(sub, "/Value")?.to_owned()))
}

/// The environment variables of all functions.
fn settings(aws: &Aws, user_pool: String, provider: String) -> Result<Vec<(&'static str, String)>> {
    let certificate = aws.certificate().context("the emulator does not use TLS")?;
    let queue = |name: &str| format!("{}/000000000000/{name}", aws.endpoint());
    Ok(vec![
        ("AWS_REGION", REGION.to_owned()),
        ("AWS_ACCESS_KEY_ID", "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
        ("AWS_ENDPOINT_URL", aws.endpoint().to_owned()),
        ("SSL_CERT_FILE", certificate.display().to_string()),
        ("ORDERS_TABLE", "orders".to_owned()),
        ("MENU_TABLE", "menu".to_owned()),
        ("STOCK_TABLE", "stock".to_owned()),
        ("PAYMENTS_TABLE", "payments".to_owned()),
        ("NOTICES_TABLE", "notices".to_owned()),
        ("EVENT_BUS", NAME.to_owned()),
        ("METRICS_NAMESPACE", NAME.to_owned()),
        ("JOURNAL", NAME.to_owned()),
        ("USER_POOL_ID", user_pool),
        ("SENDER_ADDRESS", "orders@example.com".to_owned()),
        ("CONFIGURATION_SET", NAME.to_owned()),
        ("PROVIDER_SECRET", NAME.to_owned()),
        ("PROVIDER_URL", provider),
        ("DECLINES_PER_CUSTOMER", "5".to_owned()),
        ("DECLINE_WINDOW_SECONDS", "3600".to_owned()),
        ("DEAD_LETTER_QUEUE_URL", queue("relay-dead-letters")),
        ("STOCK_QUEUE_URL", queue("stock")),
        ("CHARGE_QUEUE_URL", queue("charge")),
        ("REFUND_QUEUE_URL", queue("refund")),
        ("INTENT_QUEUE_URL", queue("intent")),
        ("RESULTS_QUEUE_URL", queue("results")),
        ("DEADLINE_QUEUE_URL", queue("deadline")),
        ("NOTICE_QUEUE_URL", queue("notice")),
        ("MENU_CACHE_SECONDS", "60".to_owned()),
        ("CONFIRM_WITHIN_SECONDS", "900".to_owned()),
        ("RETRY_BUDGET_SECONDS", "960".to_owned()),
        ("CHARGE_RETRY_BUDGET_SECONDS", "960".to_owned()),
        ("REFUND_RETRY_BUDGET_SECONDS", "36000".to_owned()),
    ])
}

fn text<'a>(answer: &'a Value, pointer: &str) -> Result<&'a str> {
    answer
        .pointer(pointer)
        .and_then(Value::as_str)
        .with_context(|| format!("the emulator's answer has no {pointer}"))
}

/// A value in DynamoDB's JSON.
fn attribute(value: &Value) -> Value {
    match value {
        Value::Null => json!({"NULL": true}),
        Value::Bool(value) => json!({"BOOL": value}),
        Value::Number(value) => json!({"N": value.to_string()}),
        Value::String(value) => json!({"S": value}),
        Value::Array(values) => json!({"L": values.iter().map(attribute).collect::<Value>()}),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| (name.clone(), attribute(value)));
            json!({"M": fields.collect::<Value>()})
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_of_a_row_names_its_type() {
        let row = json!({
            "name": "Paris",
            "price": 190,
            "sold_on": ["monday"],
            "hours": {"open": true},
            "note": null
        });
        assert_eq!(
            attribute(&row)["M"],
            json!({
                "name": {"S": "Paris"},
                "price": {"N": "190"},
                "sold_on": {"L": [{"S": "monday"}]},
                "hours": {"M": {"open": {"BOOL": true}}},
                "note": {"NULL": true}
            })
        );
    }
}
