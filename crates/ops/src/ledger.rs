//! The payment provider's books, opened with the stack's own key.

use std::fmt;

use aws_sdk_secretsmanager::Client as SecretsManager;
use local::error::aws;
use shop::money::Money;
use stripe::{BookedIntent, BookedRefund, BookedRefundStatus, Client, IntentStatus, RetrySettings};

use crate::{deployment::Deployment, error::Error};

/// A client of the provider that the stack pays through.
pub(crate) async fn open(deployment: &Deployment) -> Result<Client, Error> {
    let client = SecretsManager::new(&deployment.config);
    let secret = client.get_secret_value().secret_id(deployment.resource("ProviderKey")?).send();
    let secret = secret
        .await
        .map_err(aws("secretsmanager:GetSecretValue"))?
        .secret_string
        .unwrap_or_default();
    Ok(Client::new(deployment.parameter("ProviderUrl")?, &secret, RetrySettings::default())?)
}

/// An intent with what was given back of it, or is on its way back, in minor units.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account<'a> {
    pub(crate) intent: &'a BookedIntent,
    pub(crate) returned: u64,
}

impl<'a> Account<'a> {
    /// The account of an intent with its refunds.
    pub(crate) fn of(
        intent: &'a BookedIntent,
        refunds: impl IntoIterator<Item = &'a BookedRefund>,
    ) -> Self {
        let refunds =
            refunds.into_iter().filter(|refund| refund.status != BookedRefundStatus::Failed);
        Self { intent, returned: refunds.map(|refund| refund.amount).sum() }
    }

    /// Where the intent stands, in a word.
    pub(crate) fn status(&self) -> &'static str {
        match self.intent.status {
            IntentStatus::Unconfirmed => "unconfirmed",
            IntentStatus::Declined(_) => "declined",
            IntentStatus::Processing => "processing",
            IntentStatus::Succeeded => "succeeded",
            IntentStatus::Cancelled => "cancelled",
        }
    }

    /// What the customer has paid in the end, in minor units.
    pub(crate) fn kept(&self) -> i128 {
        i128::from(self.intent.taken) - i128::from(self.returned)
    }
}

impl fmt::Display for Account<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let amount =
            |amount: u64| Amount { amount: amount.into(), currency: self.intent.currency.clone() };
        let (taken, returned) = (self.intent.taken, self.returned);
        write!(
            f,
            "stands at {}, with {} taken and {} given back",
            self.status(),
            amount(taken),
            amount(returned)
        )
    }
}

/// Minor units of what the provider calls a currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) amount: i128,
    /// ISO 4217, in any case.
    pub(crate) currency: String,
}

impl From<Money> for Amount {
    fn from(money: Money) -> Self {
        Self { amount: money.amount.into(), currency: money.currency.code().to_owned() }
    }
}

impl Amount {
    /// Whether it is that much of that currency.
    pub(crate) fn is(&self, money: Money) -> bool {
        self.amount == i128::from(money.amount)
            && self.currency.eq_ignore_ascii_case(money.currency.code())
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.currency.to_ascii_uppercase();
        let known =
            serde_json::from_value(code.clone().into()).ok().zip(u64::try_from(self.amount).ok());
        match known {
            Some((currency, amount)) => Money { amount, currency }.fmt(f),
            None => write!(f, "{} minor units of {code}", self.amount),
        }
    }
}
