//! Customers: their account in the user pool, and their orders.

use std::collections::BTreeMap;

use aws_sdk_cognitoidentityprovider::{
    Client as Cognito,
    operation::{admin_delete_user::AdminDeleteUserError, admin_get_user::AdminGetUserError},
    types::{AttributeType, TimeUnitsType},
};
use aws_sdk_sesv2::{
    Client as Ses, operation::delete_suppressed_destination::DeleteSuppressedDestinationError,
};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use shop::{
    id::CustomerId,
    money::Money,
    order::{Order, PaymentStatus, Status},
    payment::{Payment, Progress},
    refund::RefundState,
};
use stack::{Deployment, error::aws};

use crate::{error::Error, output::moment, refunds, sources};

/// The user pool of a stack.
pub(crate) struct Customers {
    client: Cognito,
    pool: String,
    /// The app through which customers sign in.
    app: String,
}

/// An account in the user pool.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Account {
    /// The subject of the customer's tokens.
    pub(crate) id: CustomerId,
    /// All attributes of the account, by name.
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) created: Timestamp,
    pub(crate) changed: Timestamp,
    /// Whether the customer can sign in.
    pub(crate) enabled: bool,
}

impl Account {
    pub(crate) fn address(&self) -> Option<&str> {
        self.attributes.get("email").map(String::as_str)
    }
}

impl Customers {
    pub(crate) fn of(deployment: &Deployment) -> Result<Self, Error> {
        Ok(Self {
            client: Cognito::new(&deployment.config),
            pool: deployment.resource("UserPool")?.to_owned(),
            app: deployment.resource("UserPoolClient")?.to_owned(),
        })
    }

    /// The customer's account, if there is one, and their id. An address leads to the id through
    /// the user pool alone.
    pub(crate) async fn find(&self, id: &str) -> Result<(CustomerId, Option<Account>), Error> {
        let id = if id.contains('@') { self.with_address(id).await? } else { id.to_owned() };
        if uuid::Uuid::try_parse(&id).is_err() {
            return Err(Error::NoCustomerId(id));
        }
        Ok((CustomerId::new(&id), self.account(&id).await?))
    }

    async fn with_address(&self, address: &str) -> Result<String, Error> {
        let filter = format!("email = \"{}\"", address.replace(['"', '\\'], ""));
        let users = self.client.list_users().user_pool_id(&self.pool).filter(filter).send().await;
        let users = users.map_err(aws("cognito-idp:ListUsers"))?.users.unwrap_or_default();
        let id = users.first().and_then(|user| by_name(user.attributes()).remove("sub"));
        id.ok_or(Error::NoAddress)
    }

    async fn account(&self, id: &str) -> Result<Option<Account>, Error> {
        let get = self.client.admin_get_user().user_pool_id(&self.pool).username(id);
        let user = match get.send().await {
            Ok(user) => user,
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(AdminGetUserError::is_user_not_found_exception) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(aws("cognito-idp:AdminGetUser")(error).into()),
        };
        let at = |date: Option<aws_sdk_cognitoidentityprovider::primitives::DateTime>| {
            let millis = date.and_then(|date| date.to_millis().ok());
            millis.and_then(|at| Timestamp::from_millisecond(at).ok()).unwrap_or_default()
        };
        Ok(Some(Account {
            id: CustomerId::new(id),
            attributes: by_name(user.user_attributes()),
            created: at(user.user_create_date),
            changed: at(user.user_last_modified_date),
            enabled: user.enabled,
        }))
    }

    /// Signs a customer out everywhere and lets nobody sign in with the account again. Tokens that
    /// they have stay valid until they expire.
    pub(crate) async fn shut_out(&self, customer: &CustomerId) -> Result<(), Error> {
        let sign_out = self.client.admin_user_global_sign_out().user_pool_id(&self.pool);
        let signed_out = sign_out.username(customer.as_str()).send().await;
        signed_out.map_err(aws("cognito-idp:AdminUserGlobalSignOut"))?;
        let disable = self.client.admin_disable_user().user_pool_id(&self.pool);
        let disabled = disable.username(customer.as_str()).send().await;
        disabled.map_err(aws("cognito-idp:AdminDisableUser"))?;
        Ok(())
    }

    /// For how long an access token is valid.
    pub(crate) async fn token_life(&self) -> Result<SignedDuration, Error> {
        let describe = self.client.describe_user_pool_client().user_pool_id(&self.pool);
        let app = describe.client_id(&self.app).send().await;
        let app = app.map_err(aws("cognito-idp:DescribeUserPoolClient"))?.user_pool_client;
        let app = app.as_ref();
        let units = app.and_then(|app| app.token_validity_units()?.access_token());
        let unit = match units {
            Some(TimeUnitsType::Seconds) => SignedDuration::from_secs(1),
            Some(TimeUnitsType::Minutes) => SignedDuration::from_mins(1),
            Some(TimeUnitsType::Days) => SignedDuration::from_hours(24),
            _ => SignedDuration::from_hours(1),
        };
        // Without a setting, an hour.
        match app.and_then(|app| app.access_token_validity()).filter(|number| *number > 0) {
            Some(number) => Ok(unit * number),
            None => Ok(SignedDuration::from_hours(1)),
        }
    }

    pub(crate) async fn delete(&self, customer: &CustomerId) -> Result<(), Error> {
        let delete = self.client.admin_delete_user().user_pool_id(&self.pool);
        match delete.username(customer.as_str()).send().await {
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(AdminDeleteUserError::is_user_not_found_exception) =>
            {
                Ok(())
            }
            deleted => Ok(deleted.map(drop).map_err(aws("cognito-idp:AdminDeleteUser"))?),
        }
    }
}

/// Takes an address off the list of those to which SES sends nothing, because mail to them came
/// back. The embedded AWS has no such list.
pub(crate) async fn forget_bounces(deployment: &Deployment, address: &str) -> Result<(), Error> {
    if deployment.embedded.is_some() {
        return Ok(());
    }
    let delete = Ses::new(&deployment.config).delete_suppressed_destination();
    match delete.email_address(address).send().await {
        Err(error)
            if error
                .as_service_error()
                .is_some_and(DeleteSuppressedDestinationError::is_not_found_exception) =>
        {
            Ok(())
        }
        deleted => Ok(deleted.map(drop).map_err(aws("ses:DeleteSuppressedDestination"))?),
    }
}

fn by_name(attributes: &[AttributeType]) -> BTreeMap<String, String> {
    let pair = |it: &AttributeType| (it.name().to_owned(), it.value().unwrap_or("").to_owned());
    attributes.iter().map(pair).collect()
}

/// The orders of a customer that are not erased, oldest first.
pub(crate) async fn orders_of(
    deployment: &Deployment,
    customer: &CustomerId,
) -> Result<Vec<Order>, Error> {
    let tables = sources::tables(deployment)?;
    let mut orders = Vec::new();
    for id in tables.orders_of(customer).await? {
        orders.extend(tables.order(id).await?.filter(|order| order.customer_id == *customer));
    }
    Ok(orders)
}

/// Why an order cannot be erased yet, if so, and what to do.
pub(crate) async fn obstacle(
    deployment: &Deployment,
    order: &Order,
    now: Timestamp,
) -> Result<Option<String>, Error> {
    let id = order.order_id;
    let payment = sources::tables(deployment)?.payment(id).await?.map(|row| row.payment);
    if let Some(reason) = under_way(order, payment.as_ref(), now) {
        return Ok(Some(format!("order {id} {reason}")));
    }
    if !order.has_failed_refund() || refunds::still_open(deployment, &[id]).await?.is_empty() {
        return Ok(None);
    }
    let failed = order.refunds.iter().filter(|refund| refund.state == RefundState::Failed);
    let amount = match order.payment {
        PaymentStatus::RefundFailed => order.total,
        _ => failed.map(|refund| refund.amount).sum(),
    };
    let owed = Money { amount, currency: order.currency };
    Ok(Some(format!(
        "order {id} is over, and the customer is still owed {owed}, since its refund failed: \
         refund it in the provider's dashboard, or pay it back in another way and run `cargo ops \
         reconcile settle {id} --reason TEXT`"
    )))
}

/// Why an order or its payment goes on by itself, if it does.
fn under_way(order: &Order, payment: Option<&Payment>, now: Timestamp) -> Option<String> {
    use Progress::{Authenticating, Captured, Charging, Undoing};
    if !order.is_over(now) {
        let end = match order.status {
            Status::Placed | Status::Reserved => {
                format!("it is confirmed or expires by {}", moment(order.deadline))
            }
            _ => format!(
                "it is over once its shop reports that it was collected, at {} at the latest; \
                 `cargo ops order {} cancel` ends it now",
                moment(order.over_by()),
                order.order_id
            ),
        };
        return Some(format!("is under way: {end}"));
    }
    if !order.status.ended_early() {
        return None;
    }
    let reason = match payment {
        // The event of the order's end, which leaves a row and forbids a charge, is under way.
        None if now < order.deadline => Some("has ended, and may be charged until that is known"),
        Some(Payment::Committed {
            progress: Charging | Authenticating | Captured | Undoing,
            ..
        }) => Some("has ended, and its money is still to be given back"),
        _ if order.payment == PaymentStatus::Captured => {
            Some("has ended, and its money is still to be given back")
        }
        _ => None,
    };
    reason.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use shop::{order::Trigger, payment::IntentId};

    use super::*;

    #[test]
    fn an_order_is_under_way_until_it_has_ended_and_its_money_was_tried_to_be_given_back() {
        use Trigger::{
            Cancelled, PaymentCaptured, PaymentRefunded, PickedUp, PreparationFinished,
            PreparationStarted, RefundFailed, StockReserved,
        };
        let is_under_way = |triggers: &[Trigger]| {
            let order = fixtures::after(fixtures::order(), triggers);
            let pickup = order.pickup_at;
            under_way(&order, None, pickup).is_some()
        };
        let paid = [StockReserved, PaymentCaptured];
        let then = |more: &[Trigger]| is_under_way(&[&paid[..], more].concat());
        assert!(is_under_way(&[]) && then(&[]) && then(&[PreparationStarted]));
        assert!(then(&[Cancelled]));
        assert!(!then(&[Cancelled, PaymentRefunded(0)]) && !then(&[Cancelled, RefundFailed(0)]));
        assert!(!is_under_way(&[Cancelled]));
        assert!(!then(&[PreparationStarted, PreparationFinished, PickedUp]));
    }

    #[test]
    fn an_order_that_was_cancelled_is_under_way_while_it_may_be_charged_or_its_charge_is_undone() {
        let order =
            fixtures::after(fixtures::order(), &[Trigger::StockReserved, Trigger::Cancelled]);
        let is_under_way = |payment: Option<&Payment>, at| under_way(&order, payment, at).is_some();
        let in_time = order.placed_at + SignedDuration::from_secs(1);
        let committed = |progress| Payment::Committed { intent: IntentId::new("pi_1"), progress };
        assert!(is_under_way(None, in_time) && !is_under_way(None, order.deadline));
        assert!(!is_under_way(Some(&Payment::Forbidden), in_time));
        use Progress::{Authenticating, Captured, Charging, Undoing};
        for progress in [Charging, Authenticating, Captured, Undoing] {
            assert!(is_under_way(Some(&committed(progress)), order.deadline));
        }
        assert!(!is_under_way(Some(&committed(Progress::Voided)), in_time));
    }
}
