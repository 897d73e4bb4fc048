//! Customers of a system.

use aws_sdk_cognitoidentityprovider::{Client as Cognito, types::AttributeType};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use local::Mail;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use shop::id::{CustomerId, OrderId};
use uuid::Uuid;

use super::{Answer, System, eventually};

/// A customer with a token.
pub(crate) struct Customer<'a> {
    pub(crate) system: &'a System,
    /// The subject of the token.
    pub(crate) id: String,
    /// The e-mail address.
    pub(crate) address: String,
    pub(crate) token: String,
}

impl System {
    /// Signs up a new customer.
    pub(crate) async fn customer(&self) -> Customer<'_> {
        self.signed_in(&Uuid::new_v4().simple().to_string()).await
    }

    /// Signs a customer in, after signing them up if that name is new.
    pub(crate) async fn signed_in(&self, name: &str) -> Customer<'_> {
        let token = self.stack.token(name, false).await.unwrap();
        let claims = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        let id = claims["sub"].as_str().unwrap().to_owned();
        Customer { system: self, id, address: format!("{name}@example.com"), token }
    }
}

impl Customer<'_> {
    /// A request to the API with the customer's token.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.system.request(method, path).bearer_auth(&self.token)
    }

    /// Says whether the customer has confirmed their address.
    pub(crate) async fn set_verified(&self, verified: bool) {
        let attribute = AttributeType::builder().name("email_verified").value(verified.to_string());
        let update = Cognito::new(&self.system.stack.aws())
            .admin_update_user_attributes()
            .user_pool_id(self.system.stack.outputs.get("UserPoolId").unwrap())
            .username(&self.id)
            .user_attributes(attribute.build().unwrap());
        update.send().await.unwrap();
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::GET, path)).await
    }

    /// Posts an order with an idempotency key.
    pub(crate) async fn post(&self, key: &str, order: &Value) -> Answer {
        Answer::to(self.request(Method::POST, "/orders").header("idempotency-key", key).json(order))
            .await
    }

    /// The id that an order of this customer gets by its key.
    pub(crate) fn order_id(&self, key: &str) -> String {
        OrderId::derive(&CustomerId::new(&self.id), &key.parse().unwrap()).to_string()
    }

    pub(crate) async fn cancel(&self, id: &str) -> Answer {
        Answer::to(self.request(Method::POST, &format!("/orders/{id}/cancel"))).await
    }

    /// Places an order, which must be accepted, and returns its id.
    pub(crate) async fn place(&self, order: &Value) -> String {
        let answer = self.post(&Uuid::new_v4().to_string(), order).await;
        assert_eq!(answer.status, 202, "{}", answer.body);
        answer.body["order_id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn order(&self, id: &str) -> Value {
        let answer = self.get(&format!("/orders/{id}")).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    /// Waits until the order is confirmed or has ended.
    pub(crate) async fn outcome(&self, id: &str) -> Value {
        let decided = async || {
            Some(self.order(id).await)
                .filter(|order| order["status"] != "placed" && order["status"] != "reserved")
        };
        eventually(&format!("the outcome of order {id}"), decided).await
    }

    /// Waits for the order's outcome, which must be that it is confirmed.
    pub(crate) async fn confirmed(&self, id: &str) -> Value {
        let order = self.outcome(id).await;
        assert_eq!(order["status"], "confirmed", "{order}");
        order
    }

    /// All mail to this customer so far.
    pub(crate) async fn mail(&self) -> Vec<Mail> {
        let mut mail = self.system.stack.mail().await.unwrap();
        mail.retain(|mail| mail.to == [&*self.address]);
        mail
    }

    /// Waits for at least `count` mails and returns all mail to this customer.
    pub(crate) async fn mails(&self, count: usize) -> Vec<Mail> {
        let arrived = async || Some(self.mail().await).filter(|mail| mail.len() >= count);
        eventually(&format!("{count} mails to a customer"), arrived).await
    }
}
