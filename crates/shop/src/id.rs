//! Ids: of shops, items, customers and orders.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Ids of orders are derived in this namespace.
const ORDERS: Uuid = Uuid::from_u128(0x0b7c_55f2_9d4e_4c6b_8a1f_3e2d_7c90_14aa);

/// Why a text is not an id.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
pub enum InvalidId {
    /// The text is not the id of a shop or an item.
    #[error("must be 1 to {MAX_NAME} characters, each a lower-case letter, a digit or a hyphen")]
    Name,
    /// The text is not the id of an order.
    #[error("must be a UUID: the `order_id` of an order")]
    Order,
    /// The text is not an idempotency key.
    #[error("must be 1 to {MAX_KEY} visible ASCII characters or spaces, such as a UUID")]
    Key,
}

const MAX_NAME: usize = 64;
const MAX_KEY: usize = 255;

/// What the id of a shop or an item looks like, for JSON Schemas.
pub const NAME_PATTERN: &str = "^[a-z0-9-]{1,64}$";
/// What an idempotency key looks like, for JSON Schemas. HTTP strips spaces at both ends.
pub const KEY_PATTERN: &str = "^[!-~]([ -~]*[!-~])?$";

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schemars(with = "String")]
        pub struct $name(String);

        impl $name {
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::try_from(text.to_owned())
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                let valid = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
                if (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(valid) {
                    Ok(Self(text))
                } else {
                    Err(InvalidId::Name)
                }
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// The id of a shop, such as `paris-marais`: 1 to 64 lower-case letters, digits and hyphens.
    LocationId
}

name! {
    /// The id of an item (SKU), such as `croissant`: 1 to 64 lower-case letters, digits and
    /// hyphens.
    ItemId
}

/// The id of a customer: the `sub` claim of an access token.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct CustomerId(String);

impl CustomerId {
    /// Takes the subject of a verified token.
    #[must_use]
    pub fn new(subject: impl Into<String>) -> Self {
        Self(subject.into())
    }

    /// Stands in the orders of customers whose data was erased. No token has this subject: those of
    /// Cognito are UUIDs.
    #[must_use]
    pub fn erased() -> Self {
        Self::new("erased")
    }

    /// Whether the customer's data was erased.
    #[must_use]
    pub fn is_erased(&self) -> bool {
        *self == Self::erased()
    }

    /// The subject as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands for the customer where their orders cannot be found any more: it says whether
    /// somebody is that customer, and does not lead to them, since subjects are random.
    #[must_use]
    pub fn pseudonym(&self) -> String {
        Sha256::digest(&self.0).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The customer's own name for a request, by which a repeated request is recognized: 1 to 255
/// visible ASCII characters or spaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl FromStr for IdempotencyKey {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if (1..=MAX_KEY).contains(&text.len()) && text.bytes().all(|c| (b' '..=b'~').contains(&c)) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId::Key)
        }
    }
}

/// The id of an order. It is derived from customer and idempotency key, so that a repeated request
/// cannot place a second order, and reveals neither.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct OrderId(Uuid);

impl OrderId {
    /// The id of the one order that a customer can place with a key.
    #[must_use]
    pub fn derive(customer: &CustomerId, key: &IdempotencyKey) -> Self {
        let customer = Uuid::new_v5(&ORDERS, customer.as_str().as_bytes());
        Self(Uuid::new_v5(&customer, key.0.as_bytes()))
    }

    /// The id of the thing called `name` that belongs to this order: the same each time.
    #[must_use]
    pub fn derived(self, name: &str) -> Uuid {
        Uuid::new_v5(&self.0, name.as_bytes())
    }

    /// The id as a UUID.
    #[must_use]
    pub fn as_uuid(self) -> Uuid {
        self.0
    }
}

impl FromStr for OrderId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        // Only the hyphenated form, so that an id has one spelling.
        match Uuid::try_parse(text) {
            Ok(id) if text.len() == 36 => Ok(Self(id)),
            _ => Err(InvalidId::Order),
        }
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(text: &str) -> IdempotencyKey {
        text.parse().unwrap()
    }

    #[test]
    fn the_same_customer_and_key_make_the_same_order_id() {
        let camille = CustomerId::new("camille");
        assert_eq!(OrderId::derive(&camille, &key("a")), OrderId::derive(&camille, &key("a")));
        assert_ne!(OrderId::derive(&camille, &key("a")), OrderId::derive(&camille, &key("b")));
        assert_ne!(
            OrderId::derive(&camille, &key("a")),
            OrderId::derive(&CustomerId::new("noor"), &key("a"))
        );
    }

    #[test]
    fn characters_moved_from_customer_to_key_make_another_order_id() {
        let left = OrderId::derive(&CustomerId::new("ab"), &key("c"));
        let right = OrderId::derive(&CustomerId::new("a"), &key("bc"));
        assert_ne!(left, right);
    }

    #[test]
    fn an_idempotency_key_has_at_most_255_visible_characters() {
        assert!("k".repeat(255).parse::<IdempotencyKey>().is_ok());
        for bad in ["", &"k".repeat(256), "a\nb", "a\u{7f}", "clé"] {
            assert_eq!(bad.parse::<IdempotencyKey>(), Err(InvalidId::Key), "{bad:?}");
        }
    }

    #[test]
    fn an_order_id_is_a_hyphenated_uuid() {
        assert!("0b7c55f2-9d4e-4c6b-8a1f-3e2d7c9014aa".parse::<OrderId>().is_ok());
        for bad in
            ["", "42", "0b7c55f29d4e4c6b8a1f3e2d7c9014aa", "{0b7c55f2-9d4e-4c6b-8a1f-3e2d7c9014aa}"]
        {
            assert_eq!(bad.parse::<OrderId>(), Err(InvalidId::Order), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_parsing_an_id_panic(text in any::<String>()) {
            if let Ok(name) = text.parse::<ItemId>() {
                prop_assert_eq!(name.as_str(), text);
            }
        }
    }
}
