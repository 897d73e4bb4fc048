//! [`Customers`]: the addresses of customers.

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
    [a_customer_has_their_own_address, a_deleted_customer_has_no_address];
    memory: memory(),
    cognito: cognito().await,
);

/// Customers, and one of them.
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

async fn a_customer_has_their_own_address(known: Known<impl Customers>) {
    assert_eq!(known.customers.address(&known.id).await.unwrap(), Some(known.address));
}

async fn a_deleted_customer_has_no_address(known: Known<impl Customers>) {
    assert_eq!(known.customers.address(&CustomerId::new(Uuid::new_v4())).await.unwrap(), None);
}
