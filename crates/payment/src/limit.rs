//! The limit against card testing: who tries stolen cards places many small orders, and looks at
//! which are paid.
//!
//! An order takes a place among its customer's before the provider is asked, and gives it back once
//! its payment has come to something else than a decline. So no more than the limit are open or
//! declined at a time. The places of a customer are one row; without one of that version, a write
//! fails, so that two orders at once cannot take the same place.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use platform::table::{StoreError, Write};
use serde::{Deserialize, Serialize};
use shop::id::{CustomerId, OrderId};

/// How many payments of a customer may be open or declined within a time.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// At least 1.
    pub payments: usize,
    /// For how long a place is taken that is not given back.
    pub window: SignedDuration,
}

/// The places that a customer's orders have taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Places {
    /// The number of writes so far.
    pub version: u32,
    /// By order.
    pub places: BTreeMap<OrderId, Place>,
}

/// The place of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// When it was taken last.
    pub at: Timestamp,
    /// Whether the provider has declined the payment, or the bank wants its customer to
    /// authenticate. A place that is still open may be given back soon.
    pub counts: bool,
}

/// Whether an order may ask the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Once this is written.
    Free(Places),
    /// Not now: another payment of the customer is open.
    Wait,
    /// No: too many of the customer's payments were declined.
    Refused,
}

/// What a payment that has a place has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Nothing that would help somebody who tries cards.
    Harmless,
    /// A void, which leaves a place that counts where it is.
    Voided,
    /// The provider has said something about the card.
    Counts,
}

/// The places of all customers.
pub trait PlaceStore {
    /// Reads the places of a customer consistently.
    async fn places(&self, customer: &CustomerId) -> Result<Places, StoreError>;

    /// Writes the places of a customer, on the condition that nobody has written them since their
    /// last version. They may be deleted from `expires` on.
    async fn write_places(
        &self,
        customer: &CustomerId,
        places: &Places,
        expires: Timestamp,
    ) -> Result<Write<Places>, StoreError>;
}

impl Limit {
    /// Whether the order may ask the provider at `now`. Its own place does not count.
    #[must_use]
    pub fn claim(self, taken: &Places, order: OrderId, now: Timestamp) -> Claim {
        let mut places = taken.places.clone();
        places.retain(|_, place| place.at + self.window > now);
        let counts = places.get(&order).is_some_and(|own| own.counts);
        places.remove(&order);
        if places.len() >= self.payments {
            let is_open = |place: &Place| !place.counts;
            return if places.values().any(is_open) { Claim::Wait } else { Claim::Refused };
        }
        places.insert(order, Place { at: now, counts });
        Claim::Free(Places { version: taken.version + 1, places })
    }
}

impl Places {
    /// The places once the order's payment has come to this, or `None` if that changes nothing.
    #[must_use]
    pub fn after(&self, order: OrderId, used: Use) -> Option<Self> {
        let mut places = self.places.clone();
        let place = places.get_mut(&order)?;
        match used {
            Use::Counts if place.counts => return None,
            Use::Counts => place.counts = true,
            Use::Voided if place.counts => return None,
            Use::Voided | Use::Harmless => drop(places.remove(&order)),
        }
        Some(Self { version: self.version + 1, places })
    }
}

#[cfg(test)]
mod tests {
    use fixtures::{PLACED_AT, at, numbered_order};
    use jiff::ToSpan;

    use super::*;

    const LIMIT: Limit = Limit { payments: 2, window: SignedDuration::from_hours(1) };

    fn order(number: u32) -> OrderId {
        numbered_order(number).order_id
    }

    fn claimed(places: &Places, number: u32, now: Timestamp) -> Places {
        match LIMIT.claim(places, order(number), now) {
            Claim::Free(places) => places,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_customer_waits_for_open_payments_and_is_refused_after_declines() {
        let now = at(PLACED_AT);
        let one = claimed(&Places::default(), 1, now);
        let two = claimed(&one, 2, now);
        assert_eq!(LIMIT.claim(&two, order(3), now), Claim::Wait);
        let declined = two.after(order(1), Use::Counts).unwrap();
        assert_eq!(LIMIT.claim(&declined, order(3), now), Claim::Wait);
        let both = declined.after(order(2), Use::Counts).unwrap();
        assert_eq!(LIMIT.claim(&both, order(3), now), Claim::Refused);
        // An order keeps its own place.
        assert!(matches!(LIMIT.claim(&both, order(2), now), Claim::Free(_)));

        let paid = declined.after(order(2), Use::Harmless).unwrap();
        assert!(matches!(LIMIT.claim(&paid, order(3), now), Claim::Free(_)));
        let later = now + 1.hour();
        assert!(matches!(LIMIT.claim(&both, order(3), later), Claim::Free(_)));
        assert_eq!(LIMIT.claim(&both, order(3), later - 1.millisecond()), Claim::Refused);
    }

    #[test]
    fn a_void_gives_a_place_back_unless_the_bank_has_spoken() {
        let places = claimed(&Places::default(), 1, at(PLACED_AT));
        assert_eq!(places.after(order(1), Use::Voided).unwrap().places, BTreeMap::new());
        let asked = places.after(order(1), Use::Counts).unwrap();
        assert_eq!(asked.after(order(1), Use::Voided), None);
        assert_eq!(asked.after(order(1), Use::Counts), None);
        assert_eq!(asked.after(order(2), Use::Counts), None);
    }

    #[test]
    fn a_redelivered_charge_takes_its_place_anew() {
        let now = at(PLACED_AT);
        let first = claimed(&Places::default(), 1, now);
        let again = claimed(&first, 1, now + 10.minutes());
        assert_eq!(again.places[&order(1)].at, now + 10.minutes());
        assert_eq!(again.version, first.version + 1);
    }
}
