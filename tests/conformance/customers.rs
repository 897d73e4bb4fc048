//! [`Customers`]: how customers can be reached.

use notifications::{
    cognito::UserPool,
    handler::{Address, Contact, Customers},
    memory::MemoryCustomers,
};
use shop::id::CustomerId;
use uuid::Uuid;

use super::conformance;
use crate::harness::System;

conformance!(
    [
        a_customer_is_reached_at_their_own_address,
        an_address_that_is_not_verified_is_not_passed_on,
        a_deleted_customer_cannot_be_reached,
    ];
    memory: memory(),
    cognito: cognito().await,
);

/// Customers, and two of them.
struct Known<C> {
    customers: C,
    id: CustomerId,
    address: Address,
    /// Has an address that is not verified.
    unverified: CustomerId,
}

fn memory() -> Known<MemoryCustomers> {
    let [id, unverified] = ["camille", "noor"].map(CustomerId::new);
    let address = Address::new("camille@example.com");
    let customers = MemoryCustomers(
        [
            (id.clone(), Contact::Verified(address.clone())),
            (unverified.clone(), Contact::Unverified),
        ]
        .into(),
    );
    Known { customers, id, address, unverified }
}

async fn cognito() -> Known<UserPool> {
    let system = System::shared().await;
    let customers = UserPool::new(
        &system.stack.aws(),
        system.stack.outputs.get("UserPoolId").unwrap().to_owned(),
    );
    let (camille, noor) = (system.customer().await, system.customer().await);
    noor.set_verified(false).await;
    Known {
        customers,
        id: CustomerId::new(&camille.id),
        address: Address::new(&camille.address),
        unverified: CustomerId::new(&noor.id),
    }
}

async fn a_customer_is_reached_at_their_own_address(known: Known<impl Customers>) {
    let contact = known.customers.contact(&known.id).await.unwrap();
    assert_eq!(contact, Contact::Verified(known.address));
}

async fn an_address_that_is_not_verified_is_not_passed_on(known: Known<impl Customers>) {
    let contact = known.customers.contact(&known.unverified).await.unwrap();
    assert_eq!(contact, Contact::Unverified);
}

async fn a_deleted_customer_cannot_be_reached(known: Known<impl Customers>) {
    let deleted = CustomerId::new(Uuid::new_v4());
    assert_eq!(known.customers.contact(&deleted).await.unwrap(), Contact::None);
}
