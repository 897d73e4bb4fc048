//! The users of a stack: customers and staff.

use aws_sdk_cognitoidentityprovider::{
    Client as Cognito,
    types::{AttributeType, AuthFlowType, MessageActionType},
};

use crate::{
    Error,
    error::{aws, failed},
    local_stack::Stack,
};

/// The customers of every new stack.
pub(crate) const DEMO: [&str; 3] = ["ada", "ben", "chiyo"];

/// The group of the shops' staff.
const STAFF: &str = "staff";

/// The password of all users. It is not a secret, because it is valid in the emulator only.
const PASSWORD: &str = "Only-For-The-Emulator-1";

impl Stack {
    /// Signs a user in and returns the access token, which is valid for an hour. Creates the user
    /// if necessary; the e-mail address is `NAME@example.com`.
    ///
    /// # Errors
    /// The user pool does not answer.
    pub async fn token(&self, name: &str, staff: bool) -> Result<String, Error> {
        let cognito = Cognito::new(&self.aws());
        self.add_user(name).await?;
        if staff {
            let joined = cognito
                .admin_add_user_to_group()
                .user_pool_id(self.pool()?)
                .username(address(name))
                .group_name(STAFF);
            joined.send().await.map_err(aws("cognito-idp:AdminAddUserToGroup"))?;
        }
        let signed_in = cognito
            .admin_initiate_auth()
            .user_pool_id(self.pool()?)
            .client_id(self.outputs.get("UserPoolClientId")?)
            .auth_flow(AuthFlowType::AdminUserPasswordAuth)
            .auth_parameters("USERNAME", address(name))
            .auth_parameters("PASSWORD", PASSWORD)
            .send()
            .await
            .map_err(aws("cognito-idp:AdminInitiateAuth"))?;
        let token = signed_in.authentication_result.and_then(|result| result.access_token);
        token.ok_or_else(|| {
            let reason = format!("{name} got a challenge instead of a token");
            failed("cognito-idp:AdminInitiateAuth", reason)
        })
    }

    /// Creates a user unless one with that name exists.
    pub(crate) async fn add_user(&self, name: &str) -> Result<(), Error> {
        let cognito = Cognito::new(&self.aws());
        let attribute = |name, value: &str| {
            let attribute = AttributeType::builder().name(name).value(value).build();
            attribute.map_err(|error| failed("cognito-idp:AdminCreateUser", error))
        };
        let created = cognito
            .admin_create_user()
            .user_pool_id(self.pool()?)
            .username(address(name))
            .user_attributes(attribute("email", &address(name))?)
            .user_attributes(attribute("email_verified", "true")?)
            .message_action(MessageActionType::Suppress)
            .send()
            .await;
        match created {
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_username_exists_exception()) =>
            {
                return Ok(());
            }
            created => created.map_err(aws("cognito-idp:AdminCreateUser"))?,
        };
        let password =
            cognito.admin_set_user_password().user_pool_id(self.pool()?).username(address(name));
        password
            .password(PASSWORD)
            .permanent(true)
            .send()
            .await
            .map_err(aws("cognito-idp:AdminSetUserPassword"))?;
        Ok(())
    }

    fn pool(&self) -> Result<&str, Error> {
        Ok(self.outputs.get("UserPoolId")?)
    }
}

fn address(name: &str) -> String {
    format!("{name}@example.com")
}
