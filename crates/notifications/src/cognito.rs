//! The user pool, which stores the customers' addresses.

use aws_config::SdkConfig;
use aws_sdk_cognitoidentityprovider::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::admin_get_user::AdminGetUserError,
};
use shop::id::CustomerId;

use crate::handler::{Address, CustomerError, Customers};

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
    async fn address(&self, customer: &CustomerId) -> Result<Option<Address>, CustomerError> {
        // In a pool where users sign in with their address, the username is the token's subject.
        match self
            .client
            .admin_get_user()
            .user_pool_id(&self.id)
            .username(customer.as_str())
            .send()
            .await
        {
            Ok(user) => {
                let email =
                    user.user_attributes().iter().find(|attribute| attribute.name() == "email");
                Ok(email.and_then(|email| email.value()).map(Address::new))
            }
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(AdminGetUserError::is_user_not_found_exception) =>
            {
                Ok(None)
            }
            Err(error) => Err(CustomerError(code(&error))),
        }
    }
}

/// The error code alone: the rest of the answer may hold the address.
fn code<R>(error: &SdkError<AdminGetUserError, R>) -> String {
    error.code().map_or_else(|| error.to_string(), str::to_owned)
}
