//! Money: whole minor units of one currency. No fractions, no floating point.

use std::fmt;

use iso_currency::Currency as Iso;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Defines the currencies in which the business takes payments, one line each: the variant, its
/// ISO 4217 code, its name, and the smallest charge in minor units.
macro_rules! currencies {
    ($($variant:ident: $code:ident, $name:literal, $smallest:literal;)*) => {
        /// A currency in which the business takes payments, by its ISO 4217 code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "UPPERCASE")]
        pub enum Currency {
            $(#[doc = concat!($name, ".")] $variant,)*
        }

        impl Currency {
            /// Every currency.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The currency in ISO 4217.
            const fn iso(self) -> Iso {
                match self { $(Self::$variant => Iso::$code,)* }
            }

            /// The smallest amount that the payment provider charges if it settles in this
            /// currency, in minor units: [Stripe's published minimum](
            /// https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts).
            ///
            /// A provider that settles in another currency converts the amount, and may refuse
            /// more. Stripe settles nothing in krónur; their minimum is about half a euro.
            #[must_use]
            pub const fn smallest_charge(self) -> u64 {
                match self { $(Self::$variant => $smallest,)* }
            }
        }
    };
}

currencies! {
    Eur: EUR, "Euro", 50;
    Chf: CHF, "Swiss franc", 50;
    Czk: CZK, "Czech koruna", 1_500;
    Dkk: DKK, "Danish krone", 250;
    Gbp: GBP, "Pound sterling", 30;
    Huf: HUF, "Hungarian forint", 17_500;
    Isk: ISK, "Icelandic króna", 75;
    Jpy: JPY, "Yen", 50;
    Nok: NOK, "Norwegian krone", 300;
    Pln: PLN, "Polish złoty", 200;
    Ron: RON, "Romanian leu", 200;
    Sek: SEK, "Swedish krona", 300;
    Usd: USD, "US dollar", 50;
}

impl Currency {
    /// The ISO 4217 code in capitals.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.iso().code()
    }

    /// The number of digits after the decimal point, by ISO 4217.
    #[must_use]
    pub fn minor_digits(self) -> u32 {
        self.iso().exponent().unwrap_or_default().into()
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

/// Why a text is not an amount of a currency.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an amount such as {example}, without a sign or a currency")]
pub struct InvalidAmount {
    /// An amount of the currency.
    pub example: String,
}

impl Money {
    /// Reads an amount as people write it, with a point before the minor units: `1.90`, or `2`.
    ///
    /// # Errors
    /// It is not an amount, or has more digits after the point than the currency.
    pub fn parse(text: &str, currency: Currency) -> Result<Self, InvalidAmount> {
        let digits = currency.minor_digits() as usize;
        let (whole, minor) = text.split_once('.').unwrap_or((text, ""));
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let is_amount = !whole.is_empty()
            && is_number(whole)
            && is_number(minor)
            && minor.len() <= digits
            && (text.len() == whole.len() || !minor.is_empty());
        let amount = is_amount.then(|| format!("{whole}{minor:0<digits$}").parse().ok()).flatten();
        let example = || Self { amount: 190, currency }.digits();
        let amount = amount.ok_or_else(|| InvalidAmount { example: example() })?;
        Ok(Self { amount, currency })
    }

    /// The amount without its currency.
    fn digits(self) -> String {
        let digits = self.currency.minor_digits();
        let unit = 10_u64.pow(digits);
        let whole = self.amount / unit;
        if digits == 0 {
            return whole.to_string();
        }
        format!("{whole}.{:0width$}", self.amount % unit, width = digits as usize)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.digits(), self.currency.code())
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
    fn an_amount_is_read_as_people_write_it() {
        let read = |text, currency| Money::parse(text, currency).map(|money| money.amount).ok();
        for (text, amount) in [
            ("1.90", Some(190)),
            ("1.9", Some(190)),
            ("2", Some(200)),
            ("0.05", Some(5)),
            ("1.905", None),
            ("1.", None),
            (".5", None),
            ("-1", None),
            ("1,90", None),
            ("1.90 EUR", None),
            ("", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(read(text, Currency::Eur), amount, "{text}");
        }
        assert_eq!((read("580", Currency::Jpy), read("580.0", Currency::Jpy)), (Some(580), None));
        let error = Money::parse("much", Currency::Jpy).unwrap_err().to_string();
        assert_eq!(error, "must be an amount such as 190, without a sign or a currency");
    }

    #[test]
    fn a_currency_is_written_as_its_code() {
        for currency in Currency::ALL {
            assert_eq!(serde_json::to_value(currency).unwrap(), currency.code());
        }
        assert!(serde_json::from_str::<Currency>("\"XXX\"").is_err());
    }

    #[test]
    fn every_currency_is_in_use_and_has_minor_digits() {
        for currency in Currency::ALL {
            assert_eq!(currency.iso().is_superseded(), None, "{currency:?}");
            assert!(currency.iso().exponent().is_some(), "{currency:?}");
        }
    }

    #[test]
    fn the_smallest_charge_is_the_published_one() {
        let smallest = |currency: Currency| {
            let amount = currency.smallest_charge();
            Money { amount, currency }.to_string()
        };
        let smallest: Vec<_> = Currency::ALL.iter().copied().map(smallest).collect();
        assert_eq!(
            smallest,
            [
                "0.50 EUR",
                "0.50 CHF",
                "15.00 CZK",
                "2.50 DKK",
                "0.30 GBP",
                "175.00 HUF",
                "75 ISK",
                "50 JPY",
                "3.00 NOK",
                "2.00 PLN",
                "2.00 RON",
                "3.00 SEK",
                "0.50 USD",
            ]
        );
    }
}
