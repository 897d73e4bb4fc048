//! The currencies of the sandbox's account, which is in France and settles in euros.

use super::wire::ApiError;

/// A currency that the account takes.
struct Currency {
    code: &'static str,
    symbol: &'static str,
    /// How many of Stripe's minor units a euro is worth. Stripe's rates float, and nobody knows the
    /// next one; these stay.
    per_euro: u64,
    /// The digits after the decimal point, as Stripe counts minor units.
    digits: usize,
}

const fn currency(
    code: &'static str,
    symbol: &'static str,
    per_euro: u64,
    digits: usize,
) -> Currency {
    Currency { code, symbol, per_euro, digits }
}

/// All currencies that the account takes. The Romanian leu is left out, so that there is one that
/// shops use and the account does not take.
const CURRENCIES: [Currency; 12] = [
    currency("eur", "€", 100, 2),
    currency("chf", "CHF", 94, 2),
    currency("czk", "Kč", 2_450, 2),
    currency("dkk", "kr", 746, 2),
    currency("gbp", "£", 87, 2),
    currency("huf", "Ft", 38_500, 2),
    // Without fractions, but sent with two decimals.
    currency("isk", "kr", 14_600, 2),
    currency("jpy", "¥", 165, 0),
    currency("nok", "kr", 1_170, 2),
    currency("pln", "zł", 424, 2),
    currency("sek", "kr", 1_100, 2),
    currency("usd", "$", 116, 2),
];

/// The smallest amount after conversion, in cents.
const MINIMUM: u64 = 50;

/// Stripe accepts amounts of at most eight digits.
const MAXIMUM: u64 = 99_999_999;

/// Checks that the account takes `amount` minor units of a currency, by its code in lower case.
///
/// The minimum is that of the settlement currency, to which other amounts are converted.
pub(super) fn check(amount: u64, code: &str) -> Result<(), ApiError> {
    let currency = CURRENCIES
        .iter()
        .find(|currency| currency.code == code)
        .ok_or_else(|| ApiError::currency(code, &CURRENCIES.map(|currency| currency.code)))?;
    let cents = u128::from(amount) * 100 / u128::from(currency.per_euro);
    if cents < MINIMUM.into() && code == "eur" {
        return Err(ApiError::amount_too_small("Amount must be at least €0.50 eur"));
    }
    if cents < MINIMUM.into() {
        let given = shown(amount.into(), currency);
        let converted = shown(cents, &CURRENCIES[0]);
        return Err(ApiError::amount_too_small(format!(
            "Amount must convert to at least {MINIMUM} cents. {given} converts to approximately \
             {converted}."
        )));
    }
    if amount > MAXIMUM {
        return Err(ApiError::amount_too_large(MAXIMUM));
    }
    // Stripe documents this code for fractions of a króna.
    if code == "isk" && !amount.is_multiple_of(100) {
        return Err(ApiError::fraction(code));
    }
    Ok(())
}

fn shown(amount: u128, currency: &Currency) -> String {
    let unit = 10_u128.pow(u32::try_from(currency.digits).unwrap_or_default());
    let Currency { symbol, digits, .. } = *currency;
    if digits == 0 {
        format!("{symbol}{amount}")
    } else {
        format!("{symbol}{}.{:0digits$}", amount / unit, amount % unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(amount: u64, currency: &str) -> Option<&'static str> {
        check(amount, currency).unwrap_err().code
    }

    #[test]
    fn an_amount_is_held_against_the_minimum_of_the_settlement_currency() {
        assert!(check(50, "eur").is_ok() && check(58, "usd").is_ok() && check(83, "jpy").is_ok());
        assert_eq!(code(49, "eur"), Some("amount_too_small"));
        // Enough for an account that settles in dollars, and 44 cents for one in euros.
        assert_eq!(code(50, "usd"), Some("amount_too_small"));
        assert_eq!(code(82, "jpy"), Some("amount_too_small"));
    }

    #[test]
    fn an_amount_has_at_most_eight_digits() {
        assert!(check(99_999_999, "usd").is_ok());
        assert_eq!(code(100_000_000, "usd"), Some("amount_too_large"));
    }

    #[test]
    fn a_currency_that_the_account_does_not_take_is_refused_without_a_code() {
        for currency in ["ron", "xts"] {
            let refused = check(580, currency).unwrap_err();
            assert_eq!((refused.code, refused.param.as_deref()), (None, Some("currency")));
        }
    }

    #[test]
    fn kronur_have_no_fractions_although_they_are_sent_with_two_decimals() {
        assert!(check(58_000, "isk").is_ok());
        assert_eq!(code(58_050, "isk"), Some("invalid_charge_amount_no_decimal_compatible"));
    }

    #[test]
    fn an_amount_is_shown_with_the_digits_of_its_currency() {
        assert_eq!(shown(44, &CURRENCIES[0]), "€0.44");
        assert_eq!(shown(60, &currency("jpy", "¥", 165, 0)), "¥60");
    }
}
