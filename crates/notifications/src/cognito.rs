//! The user pool, which stores the customers' addresses.

use aws_config::SdkConfig;
use aws_sdk_cognitoidentityprovider::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::admin_get_user::AdminGetUserError,
    types::AttributeType,
};
use shop::id::CustomerId;

use crate::handler::{Address, Contact, CustomerError, Customers};

/// A user pool in Amazon Cognito.
#[derive(Clone, Debug)]
pub struct UserPool {
    client: Client,
    id: String,
}

impl UserPool {
    /// The user pool `id`.
    #[must_use]
    pub fn new(config: &SdkConfig, id: String) -> Self {
        Self { client: Client::new(config), id }
    }
}

impl Customers for UserPool {
    async fn contact(&self, customer: &CustomerId) -> Result<Contact, CustomerError> {
        // In a pool where users sign in with their address, the username is the token's subject.
        match self
            .client
            .admin_get_user()
            .user_pool_id(&self.id)
            .username(customer.as_str())
            .send()
            .await
        {
            Ok(user) => Ok(contact(user.user_attributes())),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(AdminGetUserError::is_user_not_found_exception) =>
            {
                Ok(Contact::None)
            }
            Err(error) => Err(CustomerError(code(&error))),
        }
    }
}

fn contact(attributes: &[AttributeType]) -> Contact {
    let attribute = |name| attributes.iter().find(|attribute| attribute.name() == name)?.value();
    match attribute("email") {
        Some(email) if attribute("email_verified") == Some("true") => {
            Contact::Verified(Address::new(email))
        }
        Some(_) => Contact::Unverified,
        None => Contact::None,
    }
}

/// The error code alone: the rest of the answer may hold the address.
fn code<R>(error: &SdkError<AdminGetUserError, R>) -> String {
    error.code().map_or_else(|| error.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customer_is_reached_only_at_an_address_that_is_verified() {
        let contact = |attributes: &[(&str, &str)]| {
            let attribute = |(name, value): &(&str, &str)| {
                AttributeType::builder().name(*name).value(*value).build().unwrap()
            };
            contact(&attributes.iter().map(attribute).collect::<Vec<_>>())
        };
        let address = Address::new("camille@example.com");
        let email = ("email", "camille@example.com");
        let verified = Contact::Verified(address);
        assert_eq!(contact(&[("email_verified", "true"), email]), verified);
        for unverified in ["false", "", "TRUE", "1"] {
            assert_eq!(contact(&[email, ("email_verified", unverified)]), Contact::Unverified);
        }
        assert_eq!(contact(&[email]), Contact::Unverified);
        assert_eq!(contact(&[("email_verified", "true"), ("sub", "camille")]), Contact::None);
    }
}
