//! Names of things: who, where, what, which order.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Ids of orders are derived in this namespace.
const ORDERS: Uuid = Uuid::from_u128(0x0b7c_55f2_9d4e_4c6b_8a1f_3e2d_7c90_14aa);

/// Why a text is not the id that it was taken for.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
pub enum InvalidId {
    /// A shop's or an item's name.
    #[error("must be 1 to {MAX_NAME} characters, each a lower-case letter, a digit or a hyphen")]
    Name,
    /// An order's id.
    #[error("must be a UUID, such as the `order_id` that placing the order answered")]
    Order,
    /// An idempotency key.
    #[error("must be 1 to {MAX_KEY} visible ASCII characters or spaces; a UUID serves well")]
    Key,
}

const MAX_NAME: usize = 64;
const MAX_KEY: usize = 255;

/// What a shop's and an item's name look like, for JSON Schemas.
pub const NAME_PATTERN: &str = "^[a-z0-9-]{1,64}$";
/// What an idempotency key looks like, for JSON Schemas. HTTP strips spaces from both ends.
pub const KEY_PATTERN: &str = "^[!-~]([ -~]*[!-~])?$";

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schemars(with = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
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
    /// A shop, such as `paris-marais`: 1 to 64 lower-case letters, digits and hyphens.
    LocationId
}

name! {
    /// An item that a shop sells (its SKU), such as `croissant`: 1 to 64 lower-case letters, digits
    /// and hyphens.
    ItemId
}

/// A customer: the `sub` of the token that the authorizer has checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct CustomerId(String);

impl CustomerId {
    /// Takes a verified token's subject.
    #[must_use]
    pub fn new(subject: impl Into<String>) -> Self {
        Self(subject.into())
    }

    /// The subject.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What makes a repeated request the same request: the customer's own name for it, 1 to 255 visible
/// ASCII characters or spaces.
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

/// An order. The id follows from customer and idempotency key, so that the same request can only
/// ever make one order; it says nothing about either.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct OrderId(Uuid);

impl OrderId {
    /// The one order that this customer can place with this key.
    #[must_use]
    pub fn derive(customer: &CustomerId, key: &IdempotencyKey) -> Self {
        let customer = Uuid::new_v5(&ORDERS, customer.as_str().as_bytes());
        Self(Uuid::new_v5(&customer, key.0.as_bytes()))
    }

    /// The id of something that belongs to this order and is told apart by `name`: the same
    /// whenever it is asked for.
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
        // The hyphenated form alone: an order has one name.
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
    fn the_same_customer_and_key_name_the_same_order() {
        let camille = CustomerId::new("camille");
        assert_eq!(OrderId::derive(&camille, &key("a")), OrderId::derive(&camille, &key("a")));
        assert_ne!(OrderId::derive(&camille, &key("a")), OrderId::derive(&camille, &key("b")));
        assert_ne!(
            OrderId::derive(&camille, &key("a")),
            OrderId::derive(&CustomerId::new("noor"), &key("a"))
        );
    }

    #[test]
    fn customer_and_key_cannot_be_shifted_into_one_another() {
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
        fn no_text_makes_parsing_a_name_panic(text in any::<String>()) {
            if let Ok(name) = text.parse::<ItemId>() {
                prop_assert_eq!(name.as_str(), text);
            }
        }
    }
}
