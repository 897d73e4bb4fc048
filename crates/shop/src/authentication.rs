//! The page on which a customer's bank asks them to authenticate a payment (3-D Secure).

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The address of that page, which the provider makes for one payment: at most 5,000 printable
/// ASCII characters that begin with `https://`, or with `http://` in a sandbox.
///
/// Whoever has it can act as the customer, so that only the customer sees it. Its debug form is
/// `…`, so that no log line holds one.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct AuthenticationUrl(String);

impl AuthenticationUrl {
    /// The most characters of an address, as the provider limits its own.
    pub const MAX_LENGTH: usize = 5_000;

    /// The address, for the customer alone.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Why a text is not such an address. It does not show the text, which may be a real one.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("must be a web address of at most 5000 printable ASCII characters")]
pub struct InvalidAuthenticationUrl;

impl TryFrom<String> for AuthenticationUrl {
    type Error = InvalidAuthenticationUrl;

    fn try_from(text: String) -> Result<Self, InvalidAuthenticationUrl> {
        let is_web = text.starts_with("https://") || text.starts_with("http://");
        let is_printable = text.bytes().all(|c| c.is_ascii_graphic());
        if is_web && is_printable && text.len() <= Self::MAX_LENGTH {
            Ok(Self(text))
        } else {
            Err(InvalidAuthenticationUrl)
        }
    }
}

impl From<AuthenticationUrl> for String {
    fn from(url: AuthenticationUrl) -> Self {
        url.0
    }
}

impl fmt::Debug for AuthenticationUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthenticationUrl(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Result<AuthenticationUrl, InvalidAuthenticationUrl> {
        text.to_owned().try_into()
    }

    #[test]
    fn a_customer_is_sent_to_web_pages_only() {
        let longest = format!("https://{}", "a".repeat(AuthenticationUrl::MAX_LENGTH - 8));
        for (text, valid) in [
            ("https://hooks.stripe.com/3d_secure_2/hosted?merchant=acct_1", true),
            ("http://127.0.0.1:4740/_sandbox/authentication/pi_1", true),
            (longest.as_str(), true),
            (&format!("{longest}a"), false),
            ("javascript:alert(1)", false),
            ("https://hooks.stripe.com/3d secure", false),
            ("", false),
        ] {
            assert_eq!(url(text).is_ok(), valid, "{text:?}");
        }
    }

    #[test]
    fn a_log_line_never_shows_the_address() {
        let shown = format!("{:?}", url("https://hooks.stripe.com/secret").unwrap());
        assert_eq!(shown, "AuthenticationUrl(…)");
    }
}
