//! Money: whole minor units of one currency. No fractions, no floating point.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A currency in which the business takes payments, by its ISO 4217 code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Currency {
    /// Euro, in cents.
    Eur,
    /// US dollar, in cents.
    Usd,
    /// Yen, which has no minor unit.
    Jpy,
}

impl Currency {
    /// The ISO 4217 code in capitals.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Eur => "EUR",
            Self::Usd => "USD",
            Self::Jpy => "JPY",
        }
    }

    /// The smallest amount that the payment provider charges, in minor units: Stripe's published
    /// minimum.
    #[must_use]
    pub const fn smallest_charge(self) -> u64 {
        match self {
            Self::Eur | Self::Usd | Self::Jpy => 50,
        }
    }

    /// The number of digits after the decimal point, by ISO 4217.
    #[must_use]
    pub const fn minor_digits(self) -> u32 {
        match self {
            Self::Eur | Self::Usd => 2,
            Self::Jpy => 0,
        }
    }
}

/// The largest total of an order, in minor units: the payment provider charges amounts of up to
/// eight digits.
pub const MAX_TOTAL: u64 = 99_999_999;

/// An amount in minor units of its currency: 580 EUR here is 5.80 euros, 580 JPY is 580 yen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Money {
    /// The number of minor units.
    pub amount: u64,
    /// The currency of the minor units.
    pub currency: Currency,
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.currency.minor_digits();
        let unit = 10_u64.pow(digits);
        write!(f, "{}", self.amount / unit)?;
        if digits > 0 {
            write!(f, ".{:0width$}", self.amount % unit, width = digits as usize)?;
        }
        write!(f, " {}", self.currency.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_written_with_the_digits_of_its_currency() {
        let written = |amount, currency| Money { amount, currency }.to_string();
        assert_eq!(written(580, Currency::Eur), "5.80 EUR");
        assert_eq!(written(5, Currency::Usd), "0.05 USD");
        assert_eq!(written(580, Currency::Jpy), "580 JPY");
    }

    #[test]
    fn a_currency_is_written_as_its_code() {
        assert_eq!(serde_json::to_string(&Currency::Jpy).unwrap(), "\"JPY\"");
        assert!(serde_json::from_str::<Currency>("\"XXX\"").is_err());
    }
}
