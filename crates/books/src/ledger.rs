//! The payment provider's books.

use std::fmt;

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client as SecretsManager;
use futures::future::try_join3;
use serde::Serialize;
use shop::{
    dispute::{Dispute, DisputeState},
    money::Money,
    payment::IntentId,
};
use stripe::{
    BookedDispute, BookedIntent, BookedRefund, BookedRefundStatus, Client, IntentStatus,
    RetrySettings,
};

use crate::{
    error::{Error, aws},
    words::name,
};

/// A client of the payment provider at `url`, whose key is the value of a secret.
///
/// # Errors
/// The secret cannot be read, or is not a key.
pub async fn open(config: &SdkConfig, secret: &str, url: &str) -> Result<Client, Error> {
    let client = SecretsManager::new(config);
    let secret = client.get_secret_value().secret_id(secret).send();
    let secret = secret
        .await
        .map_err(aws("secretsmanager:GetSecretValue"))?
        .secret_string
        .unwrap_or_default();
    Ok(Client::new(url, &secret, RetrySettings::default())?)
}

/// What the provider has booked about one intent.
#[derive(Clone, Debug)]
pub struct Bookings {
    pub intent: BookedIntent,
    /// Newest first.
    pub refunds: Vec<BookedRefund>,
    pub disputes: Vec<BookedDispute>,
}

impl Bookings {
    /// Looks them up.
    ///
    /// # Errors
    /// The provider is unavailable, or rejects the key, or does not know the intent.
    pub async fn look_up(provider: &Client, intent: &IntentId) -> Result<Self, Error> {
        let lists = (provider.refunds_of(intent), provider.disputes_of(intent));
        let (intent, refunds, disputes) =
            try_join3(provider.intent(intent), lists.0, lists.1).await?;
        Ok(Self { intent, refunds, disputes })
    }

    #[must_use]
    pub fn account(&self) -> Account<'_> {
        Account::of(&self.intent, &self.refunds, &self.disputes)
    }
}

/// An intent with its refunds and disputes.
#[derive(Clone, Debug)]
pub struct Account<'a> {
    pub intent: &'a BookedIntent,
    /// Those that have succeeded or are pending.
    pub refunds: Vec<&'a BookedRefund>,
    pub disputes: Vec<&'a BookedDispute>,
}

impl<'a> Account<'a> {
    pub fn of(
        intent: &'a BookedIntent,
        refunds: impl IntoIterator<Item = &'a BookedRefund>,
        disputes: impl IntoIterator<Item = &'a BookedDispute>,
    ) -> Self {
        let refunds = refunds.into_iter();
        let refunds = refunds.filter(|refund| refund.status != BookedRefundStatus::Failed);
        Self { intent, refunds: refunds.collect(), disputes: disputes.into_iter().collect() }
    }

    /// The amount that the bank has given back in disputes, in minor units.
    pub fn lost(&self) -> u64 {
        self.disputes.iter().map(|booked| booked.dispute.lost()).sum()
    }

    /// Whether the bank is still to decide a dispute.
    pub fn is_disputed(&self) -> bool {
        self.disputes.iter().any(|booked| booked.dispute.state == DisputeState::Open)
    }

    /// The amount that was given back or is on its way, in minor units.
    pub fn returned(&self) -> u64 {
        self.refunds.iter().map(|refund| refund.amount).sum()
    }

    /// An amount in the intent's currency.
    pub fn amount(&self, minor_units: u64) -> Amount {
        Amount { amount: minor_units.into(), currency: self.intent.currency.clone() }
    }

    /// The intent's state in one word.
    pub fn status(&self) -> &str {
        match &self.intent.status {
            IntentStatus::Unconfirmed => "unconfirmed",
            IntentStatus::Declined(_) => "declined",
            IntentStatus::AuthenticationRequired(_) => "waiting for authentication",
            IntentStatus::Processing => "processing",
            IntentStatus::Succeeded => "succeeded",
            IntentStatus::Cancelled => "cancelled",
            IntentStatus::Other(status) => status,
        }
    }

    /// The amount that the customer has paid in the end, in minor units.
    pub fn kept(&self) -> i128 {
        i128::from(self.intent.taken) - i128::from(self.returned()) - i128::from(self.lost())
    }
}

impl fmt::Display for Account<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (taken, returned) = (self.intent.taken, self.returned());
        write!(
            f,
            "stands at {}, with {} taken and {} given back",
            self.status(),
            self.amount(taken),
            self.amount(returned)
        )?;
        for booked in &self.disputes {
            let Dispute { state, amount } = booked.dispute;
            write!(f, ", and {} in a dispute, which is {}", self.amount(amount), name(state))?;
        }
        Ok(())
    }
}

/// An amount as the provider counts it, whose currency need not be one of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Amount {
    /// Minor units.
    pub amount: i128,
    /// The ISO 4217 code, in upper or lower case.
    pub currency: String,
}

impl From<Money> for Amount {
    fn from(money: Money) -> Self {
        Self { amount: money.amount.into(), currency: money.currency.code().to_owned() }
    }
}

impl Amount {
    /// Whether both are equal.
    pub fn is(&self, money: Money) -> bool {
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

#[cfg(test)]
mod tests {
    use shop::money::Currency;

    use super::*;

    fn amount(amount: i128, currency: &str) -> Amount {
        Amount { amount, currency: currency.to_owned() }
    }

    #[test]
    fn amounts_are_equal_whatever_the_case_of_their_currency() {
        let price = Money { amount: 380, currency: Currency::Eur };
        assert!(amount(380, "eur").is(price) && amount(380, "EUR").is(price));
        assert!(!amount(381, "eur").is(price) && !amount(380, "jpy").is(price));
        assert!(Amount::from(price).is(price));
    }

    #[test]
    fn an_amount_that_money_cannot_express_is_shown_in_minor_units() {
        assert_eq!(amount(380, "eur").to_string(), "3.80 EUR");
        assert_eq!(amount(-380, "eur").to_string(), "-380 minor units of EUR");
        assert_eq!(amount(380, "xts").to_string(), "380 minor units of XTS");
    }
}
