//! [`Customers`]: where customers can be reached.

use notifications::{
    cognito::UserPool,
    handler::{Address, Customers},
    memory::MemoryCustomers,
};
use shop::id::CustomerId;
use uuid::Uuid;

use super::conformance;
use crate::harness::System;

conformance!(
    [a_customer_is_reached_at_their_own_address, somebody_who_is_gone_has_no_address];
    memory: memory(),
    cognito: cognito().await,
);

/// Customers, with one who is there.
struct Known<C> {
    customers: C,
    id: CustomerId,
    address: Address,
}

fn memory() -> Known<MemoryCustomers> {
    let (id, address) = (CustomerId::new("camille"), Address::new("camille@example.com"));
    Known { customers: MemoryCustomers([(id.clone(), address.clone())].into()), id, address }
}

async fn cognito() -> Known<UserPool> {
    let system = System::shared().await;
    let customers = UserPool::new(
        &system.stack.aws(),
        system.stack.outputs.get("UserPoolId").unwrap().to_owned(),
    );
    let camille = system.customer().await;
    Known { customers, id: CustomerId::new(&camille.id), address: Address::new(&camille.address) }
}

async fn a_customer_is_reached_at_their_own_address(known: Known<impl Customers>) {
    assert_eq!(known.customers.address(&known.id).await.unwrap(), Some(known.address));
}

async fn somebody_who_is_gone_has_no_address(known: Known<impl Customers>) {
    assert_eq!(known.customers.address(&CustomerId::new(Uuid::new_v4())).await.unwrap(), None);
}
