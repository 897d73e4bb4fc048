//! Amounts as the provider counts them.

use shop::money::Money;

/// How many of the provider's units make a minor unit of ISO 4217. A currency whose minor unit was
/// abolished is still sent with [two decimals](https://docs.stripe.com/currencies#special-cases),
/// which are 0.
///
/// `code` is in lower case.
fn units_per_minor_unit(code: &str) -> u64 {
    match code {
        "isk" | "ugx" => 100,
        _ => 1,
    }
}

/// An amount as it is sent, with its currency.
pub(crate) fn to_wire(Money { amount, currency }: Money) -> (u64, String) {
    let code = currency.code().to_ascii_lowercase();
    (amount * units_per_minor_unit(&code), code)
}

/// An amount of the provider in minor units of its currency. The provider takes and refunds whole
/// minor units only.
pub(crate) fn from_wire(amount: u64, code: &str) -> u64 {
    amount / units_per_minor_unit(code)
}

#[cfg(test)]
mod tests {
    use shop::money::{Currency, MAX_TOTAL};

    use super::*;

    /// The currencies whose amounts the provider counts
    /// [without decimals](https://docs.stripe.com/currencies#zero-decimal).
    const ZERO_DECIMAL: [&str; 15] = [
        "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf",
        "xof", "xpf",
    ];
    /// Those that it counts with three, of which the last
    /// [must be 0](https://docs.stripe.com/currencies#three-decimal).
    const THREE_DECIMAL: [&str; 5] = ["bhd", "jod", "kwd", "omr", "tnd"];

    #[test]
    fn every_currency_is_sent_as_the_provider_counts_it() {
        for currency in Currency::ALL.iter().copied() {
            let one = Money { amount: 10_u64.pow(currency.minor_digits()), currency };
            let (sent, code) = to_wire(one);
            let expected = if ZERO_DECIMAL.contains(&&*code) { 1 } else { 100 };
            assert_eq!(sent, expected, "1 {code}");
            assert!(!THREE_DECIMAL.contains(&&*code), "the totals of {code} must end in 0");
        }
    }

    #[test]
    fn an_amount_is_read_as_it_was_sent() {
        for currency in Currency::ALL.iter().copied() {
            for amount in [1, 99, 100, 580, MAX_TOTAL] {
                let (sent, code) = to_wire(Money { amount, currency });
                assert_eq!(from_wire(sent, &code), amount, "{code}");
            }
        }
        assert_eq!(to_wire(Money { amount: 5, currency: Currency::Isk }), (500, "isk".to_owned()));
    }
}
