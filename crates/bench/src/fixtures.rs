//! What the functions find in AWS: tables with the demo shops, a bus, a customer, the provider's
//! key.

use std::{fs, future::pending, net::Ipv4Addr, path::Path};

use anyhow::{Context, Result};
use local::{REGION, sandbox};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::aws::Aws;

/// So many pieces a day that no measured order is ever out of stock.
const PLENTY: u32 = 1_000_000_000;

const PROVIDER_KEY: &str = "sk_test_bench";

/// An emulator with all that any function needs.
pub(crate) struct Fixtures {
    aws: Aws,
    customer: String,
    settings: Vec<(&'static str, String)>,
}

impl Fixtures {
    /// Fills an empty emulator. `shops` is a file such as the demo shops'.
    pub(crate) async fn create(aws: Aws, shops: &Path) -> Result<Self> {
        for (table, key) in [
            ("orders", "order_id"),
            ("menu", "location"),
            ("stock", "key"),
            ("payments", "order_id"),
            ("notices", "order_id"),
        ] {
            // Keys as in `template.yaml`; the index and the stream of the orders are not in the
            // path of a call.
            let table = json!({
                "TableName": table,
                "KeySchema": [{"AttributeName": key, "KeyType": "HASH"}],
                "AttributeDefinitions": [{"AttributeName": key, "AttributeType": "S"}],
                "BillingMode": "PAY_PER_REQUEST",
            });
            aws.call("DynamoDB_20120810.CreateTable", &table).await?;
        }
        aws.call("AWSEvents.CreateEventBus", &json!({"Name": "bench"})).await?;

        let pool = aws
            .call("AWSCognitoIdentityProviderService.CreateUserPool", &json!({"PoolName": "bench"}))
            .await?;
        let pool = text(&pool, "/UserPool/Id")?;
        let address = "customer@example.com";
        let user = json!({
            "UserPoolId": pool,
            "Username": address,
            "UserAttributes": [{"Name": "email", "Value": address}, {"Name": "email_verified", "Value": "true"}],
        });
        let user = aws.call("AWSCognitoIdentityProviderService.AdminCreateUser", &user).await?;
        let attributes =
            user["User"]["Attributes"].as_array().context("a user without attributes")?;
        let customer = attributes
            .iter()
            .find(|attribute| attribute["Name"] == "sub")
            .context("a user without a sub")?;

        // Sender and recipient are both of it.
        aws.post("/v2/email/identities", &json!({"EmailIdentity": "example.com"})).await?;

        let secret = json!({"Name": "bench", "SecretString": PROVIDER_KEY});
        let secret = aws.call("secretsmanager.CreateSecret", &secret).await?;

        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let provider = format!("http://{}", listener.local_addr()?);
        tokio::spawn(sandbox::serve(listener, PROVIDER_KEY.to_owned(), pending()));

        let certificate = aws.certificate().context("the emulator does not speak TLS")?;
        let queue = |name: &str| format!("{}/000000000000/{name}", aws.endpoint());
        let settings = vec![
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
            ("EVENT_BUS", "bench".to_owned()),
            ("USER_POOL_ID", pool.to_owned()),
            ("SENDER_ADDRESS", "orders@example.com".to_owned()),
            ("PROVIDER_SECRET_ARN", text(&secret, "/ARN")?.to_owned()),
            ("PROVIDER_URL", provider),
            ("DEAD_LETTER_QUEUE_URL", queue("relay-dead-letters")),
            ("STOCK_QUEUE_URL", queue("stock")),
            ("CHARGE_QUEUE_URL", queue("charge")),
            ("REFUND_QUEUE_URL", queue("refund")),
            ("RESULTS_QUEUE_URL", queue("results")),
            ("DEADLINE_QUEUE_URL", queue("deadline")),
            ("NOTICE_QUEUE_URL", queue("notice")),
            ("MENU_CACHE_SECONDS", "60".to_owned()),
            ("CONFIRM_WITHIN_SECONDS", "900".to_owned()),
            ("RETRY_BUDGET_SECONDS", "960".to_owned()),
            ("CHARGE_RETRY_BUDGET_SECONDS", "960".to_owned()),
            ("REFUND_RETRY_BUDGET_SECONDS", "36000".to_owned()),
        ];
        let fixtures = Self { aws, customer: text(customer, "/Value")?.to_owned(), settings };
        fixtures.open(shops).await?;
        Ok(fixtures)
    }

    /// The `sub` of a customer who can be told of an order.
    pub(crate) fn customer(&self) -> &str {
        &self.customer
    }

    /// Settings of all functions; each takes those that it knows.
    pub(crate) fn settings(&self) -> &[(&'static str, String)] {
        &self.settings
    }

    /// The services that hold all of it.
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

    async fn open(&self, shops: &Path) -> Result<()> {
        let text =
            fs::read_to_string(shops).with_context(|| format!("reading {}", shops.display()))?;
        let shops: Vec<Value> = serde_json::from_str(&text)
            .with_context(|| format!("{} is not JSON", shops.display()))?;
        for shop in shops {
            let location =
                shop["menu"]["location"].as_str().context("a shop without a location")?;
            let items = shop["bake_plan"].as_object().context("a shop without a bake plan")?;
            let capacity: Value = items.keys().map(|item| (item.clone(), json!(PLENTY))).collect();
            let plan = json!({"key": format!("plan#{location}"), "capacity": capacity});
            self.put("menu", &attribute(&shop["menu"])["M"]).await?;
            self.put("stock", &attribute(&plan)["M"]).await?;
        }
        Ok(())
    }
}

fn text<'a>(answer: &'a Value, pointer: &str) -> Result<&'a str> {
    answer
        .pointer(pointer)
        .and_then(Value::as_str)
        .with_context(|| format!("no {pointer} in the emulator's answer"))
}

/// A value as DynamoDB's JSON has it.
fn attribute(value: &Value) -> Value {
    match value {
        Value::Null => json!({"NULL": true}),
        Value::Bool(value) => json!({"BOOL": value}),
        Value::Number(value) => json!({"N": value.to_string()}),
        Value::String(value) => json!({"S": value}),
        Value::Array(values) => json!({"L": values.iter().map(attribute).collect::<Value>()}),
        Value::Object(fields) => {
            json!({"M": fields.iter().map(|(name, value)| (name.clone(), attribute(value))).collect::<Value>()})
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_of_a_row_names_its_type() {
        let row = json!({"name": "Paris", "price": 190, "sold_on": ["monday"], "hours": {"open": true}, "note": null});
        assert_eq!(
            attribute(&row)["M"],
            json!({
                "name": {"S": "Paris"}, "price": {"N": "190"}, "sold_on": {"L": [{"S": "monday"}]},
                "hours": {"M": {"open": {"BOOL": true}}}, "note": {"NULL": true}
            })
        );
    }
}
